"""The control API under /_sandbox/: look into the event log, hurt the site, change its data.

It belongs to tests, not to the ERP: it needs no sign-in, is never logged, and is served only when asked for.
A request it cannot follow is answered with 400, 404 or 405 and a JSON object that says why.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from starlette.requests import Request

from deploy.sandbox import replies
from deploy.sandbox.changes import Change
from deploy.sandbox.events import tally
from deploy.sandbox.faults import Fault
from deploy.sandbox.odata_feeds import CLASSES
from deploy.sandbox.plan import log_change, step_of
from deploy.sandbox.replies import Reply
from deploy.sandbox.sessions import SeatLimits
from deploy.sandbox.site import Site

Action = Callable[[Site, Mapping[str, object]], object]


class Control:
    """The control API of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def reply(self, request: Request, path: str) -> Reply:
        """Do what is asked at `path`, below /_sandbox/."""
        body = await request.body()
        try:
            if path == "events" and request.method == "GET":
                return _json(200, _events(self._site, int(request.query_params.get("since", "0"))))
            if path == "changes" and request.method == "POST":
                return _json(200, _changes(self._site, _list(body)))
            if path == "plan" and request.method == "POST":
                return _json(200, _make_plan(self._site, _list(body)))
            if path.startswith("records/"):
                return _json(200, _records(self._site, request.method, path.split("/")[1:], body))
            action = _ACTIONS.get(path, {}).get(request.method)
            if action is None:
                return _json(
                    404 if path not in _ACTIONS else 405, {"error": f"no {request.method} {path} here"}
                )
            return _json(200, action(self._site, _object(body)))
        except (ValueError, TypeError) as wrong:
            return _json(400, {"error": str(wrong)})
        except LookupError as missing:
            return _json(404, {"error": str(missing)})


def _json(status: int, document: object) -> Reply:
    return Reply(status, (("Content-Type", replies.JSON),), json.dumps(document).encode())


def _object(body: bytes) -> dict[str, object]:
    """The JSON object of a body; an empty body is an empty object."""
    document = json.loads(body) if body else {}
    if not isinstance(document, dict):
        raise ValueError(f"the body is a JSON object, not {type(document).__name__}")
    return document


def _list(body: bytes) -> list[object]:
    """The JSON list of a body."""
    document = json.loads(body)
    if not isinstance(document, list):
        raise ValueError(f"the body is a JSON list, not {type(document).__name__}")
    return document


def _changes(site: Site, given: list[object]) -> object:
    """Make changes at once, in order, up to the first that cannot be made."""
    done = []
    for change in [Change.from_json(document) for document in given]:
        done.append(change.apply(site.instance))
        log_change(site.log, done[-1])
    return done


def _make_plan(site: Site, given: list[object]) -> object:
    site.plan.make([step_of(document) for document in given])
    return site.plan.as_json()


def _plan(site: Site, _given: Mapping[str, object]) -> object:
    return site.plan.as_json()


def _end_plan(site: Site, _given: Mapping[str, object]) -> object:
    done = site.plan.as_json()
    site.plan.make([])
    return done


def _events(site: Site, since: int) -> list[object]:
    return [event.as_json() for event in site.log.since(since)]


def _tally(site: Site, _given: Mapping[str, object]) -> object:
    return tally(site.log.since(0)).as_json()


def _reset(site: Site, _given: Mapping[str, object]) -> object:
    site.log.reset()
    return {}


def _arm(site: Site, given: Mapping[str, object]) -> object:
    site.faults.arm(Fault.from_json(given))
    return _armed(site, {})


def _armed(site: Site, _given: Mapping[str, object]) -> object:
    return [asdict(fault) for fault in site.faults.armed()]


def _disarm(site: Site, _given: Mapping[str, object]) -> object:
    site.faults.clear()
    return []


def _revoke(site: Site, _given: Mapping[str, object]) -> object:
    site.identity.revoke_all()
    site.log.add("token_revoked", token="all")  # noqa: S106 - which tokens, not a password
    return {}


def _revoke_refresh(site: Site, _given: Mapping[str, object]) -> object:
    site.identity.revoke_refresh()
    site.log.add("token_revoked", token="all_refresh")  # noqa: S106 - which tokens, not a password
    return {}


def _close(site: Site, _given: Mapping[str, object]) -> object:
    site.seats.close_all("restart")
    return {}


def _account(site: Site, given: Mapping[str, object]) -> object:
    """Lock or unlock the account of `user`, or of the first, change its password, or let it look and no more."""
    _only(given, {"user": str, "locked": bool, "password": str, "view_only": bool})
    accounts = site.identity.accounts
    account = accounts.find(str(given["user"])) if "user" in given else accounts.first
    if account is None:
        raise LookupError(f"there is no user {given['user']!r}")
    if "locked" in given:
        account.lock(bool(given["locked"]))
    account.password = str(given.get("password", account.password))
    account.view_only = bool(given.get("view_only", account.view_only))
    return {"locked": account.locked, "view_only": account.view_only}


def _client(site: Site, given: Mapping[str, object]) -> object:
    """Change the OAuth client's secret."""
    _only(given, {"secret": str})
    site.identity.client.secret = str(given.get("secret", site.identity.client.secret))
    return {}


def _limits(site: Site, _given: Mapping[str, object]) -> dict[str, int]:
    license_, seats = site.license, site.seats.limits
    return {**asdict(seats), "max_concurrent": license_.concurrent, "max_per_minute": license_.per_minute}


def _change_limits(site: Site, given: Mapping[str, object]) -> object:
    """Set limits of the license; 0 is none. Open sessions and running requests stay."""
    before = _limits(site, {})
    _only(given, dict.fromkeys(before, int))
    limits = {name: _count(name, given.get(name, limit)) for name, limit in before.items()}
    site.seats.limits = SeatLimits(limits["max_sessions"], limits["max_logins_per_user"])
    site.license.change(limits["max_concurrent"], limits["max_per_minute"])
    site.log.add("limits", **limits)
    return limits


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} should be a number, 0 for no limit, not {value!r}")
    return value


def _rights(site: Site, given: Mapping[str, object]) -> object:
    """Give a right to an entity or a data access class, or take it away."""
    known = (*site.instance.entity_names, *(feed.name for feed in CLASSES))
    _only(given, dict.fromkeys(known, bool))
    for entity, allowed in given.items():
        (site.forbidden.discard if allowed else site.forbidden.add)(entity)
    return {entity: entity not in site.forbidden for entity in known}


def _tenants(site: Site, given: Mapping[str, object]) -> object:
    """Let the site forget which tenant is whose, or remember."""
    _only(given, {"stale": bool})
    site.tenants.stale = bool(given.get("stale", site.tenants.stale))
    return {"stale": site.tenants.stale}


def _operations(site: Site, _given: Mapping[str, object]) -> object:
    return site.operations.as_json()


def _change_operations(site: Site, given: Mapping[str, object]) -> object:
    """Set the seconds that operations take from now on, and which actions run as one though they need not."""
    _only(given, {"seconds": (int, float), "long": list})
    operations, long = site.operations, given.get("long")
    seconds = float(str(given.get("seconds", operations.seconds)))
    if seconds < 0:
        raise ValueError(f"seconds should not be below 0, as {seconds:g} is")
    operations.seconds = seconds
    if isinstance(long, list):
        operations.long = {str(action) for action in long}
    return {"seconds": operations.seconds, "long": sorted(operations.long)}


def _finish_operations(site: Site, _given: Mapping[str, object]) -> object:
    return {"finished": site.operations.finish_all()}


def _fail_operation(site: Site, given: Mapping[str, object]) -> object:
    """Let the next operation that ends fail: its polls get this status and these words."""
    _only(given, {"status": int, "words": str})
    words, frame = str(given.get("words", "Operation failed")), "PX.Data.PXLongOperation"
    kind = "PX.Data.PXOperationCompletedWithErrorException"
    site.operations.fail_next(replies.exception(int(str(given.get("status", 500))), words, kind, frame))
    return {}


def _only(given: Mapping[str, object], fields: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raise ValueError unless every given field is known and of its type."""
    for name, value in given.items():
        if name not in fields:
            raise ValueError(f"there is no field {name!r}; there are {', '.join(fields)}")
        if not isinstance(value, fields[name]):
            raise ValueError(f"{name} should be of type {getattr(fields[name], '__name__', 'number')}")


_ACTIONS: Final[Mapping[str, Mapping[str, Action]]] = {
    "tally": {"GET": _tally},
    "changes": {},
    "events": {"DELETE": _reset},
    "faults": {"GET": _armed, "POST": _arm, "DELETE": _disarm},
    "revoke-tokens": {"POST": _revoke},
    "revoke-refresh": {"POST": _revoke_refresh},
    "close-sessions": {"POST": _close},
    "account": {"PATCH": _account},
    "client": {"PATCH": _client},
    "license": {"GET": _limits, "PATCH": _change_limits},
    "rights": {"PATCH": _rights},
    "operations": {"GET": _operations, "PATCH": _change_operations},
    "finish-operations": {"POST": _finish_operations},
    "fail-operation": {"POST": _fail_operation},
    "plan": {"GET": _plan, "DELETE": _end_plan},
    "tenants": {"PATCH": _tenants},
}


def _records(site: Site, method: str, path: list[str], body: bytes) -> object:
    """Change the data: `{Entity}`, `{Entity}/{id}` or `{Entity}/{id}/files/{name}`."""
    instance = site.instance
    match method, path:
        case "POST", [entity]:
            return {"id": instance.insert(entity, _object(body))}
        case "PATCH", [entity, record_id]:
            instance.change(entity, record_id, _object(body))
        case "DELETE", [entity, record_id]:
            instance.delete(entity, record_id)
        case "PUT", [entity, record_id, "files", filename]:
            return {"id": instance.attach(entity, record_id, filename, body)}
        case _:
            raise LookupError(f"no {method} records/{'/'.join(path)} here")
    return {}

"""Which of the OData services a path names, and what of it. Pure; nothing here fails."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.sandbox.odata_feeds import CLASSES, INQUIRIES
from deploy.sandbox.odata_model import Feed, Manner

PARAMETERS = "_WithParameters"
_CALL = re.compile(r"(?P<name>[^(]+)(?:\((?P<arguments>.*)\))?")

_OLD_INQUIRIES, _NEW_INQUIRIES, _CLASSES = Manner("v3", False), Manner("v4", False), Manner("v4", True)


@dataclass(frozen=True)
class Target:
    """A resource of a service. `root` is the service's path below the site, `tenant` empty where none is named."""

    manner: Manner
    tenant: str
    root: tuple[str, ...]
    resource: str
    long_names: bool = False

    @property
    def feeds(self) -> tuple[tuple[str, Feed], ...]:
        """The feeds that the service has, by name; those that are not exposed among them."""
        if not self.manner.by_code:
            return tuple((feed.name, feed) for feed in INQUIRIES)
        return tuple((feed.long_name if self.long_names else feed.name, feed) for feed in CLASSES)

    def call(self) -> tuple[str, Feed, str | None] | None:
        """The feed that is asked for, its name here, and what is in parentheses behind it; None for no such one."""
        match = _CALL.fullmatch(self.resource)
        if match is None:
            return None
        name, arguments = match["name"], match["arguments"]
        with_parameters = name.endswith(PARAMETERS)
        feed = dict(self.feeds).get(name.removesuffix(PARAMETERS))
        keyed = arguments is not None and self.manner.by_code
        if feed is None or (with_parameters and not feed.parameters):
            return None
        if arguments is not None and not (keyed or with_parameters):
            return None
        return name.removesuffix(PARAMETERS), feed, arguments


def is_odata(path: Sequence[str]) -> bool:
    """Whether a path below the site leads to one of the services."""
    return bool(path) and path[0].casefold() in ("odata", "odatav4", "t")


def target(path: Sequence[str], tenants: Sequence[str]) -> Target | None:
    """What a path below the site names; None for nothing that is served."""
    match [path[0].casefold(), *path[1:]]:
        case ["t", tenant, api, odata, kind, *rest] if (api.casefold(), odata.casefold()) == ("api", "odata"):
            manners = {"gi": _NEW_INQUIRIES, "dac": _CLASSES}
            manner = manners.get(kind.casefold())
            return _target(manner, tenant, path[:5], rest) if manner else None
        case ["odata" | "odatav4" as service, *rest]:
            known = {tenant.casefold() for tenant in tenants}
            named = bool(rest) and rest[0].casefold() in known
            manner = _OLD_INQUIRIES if service == "odata" else _CLASSES
            return _target(
                manner, rest[0] if named else "", path[: 1 + named], rest[named:], service == "odatav4"
            )
        case _:
            return None


def _target(
    manner: Manner, tenant: str, root: Sequence[str], rest: Sequence[str], long_names: bool = False
) -> Target | None:
    if len(rest) > 1:
        return None
    return Target(manner, tenant, tuple(root), rest[0] if rest else "", long_names)

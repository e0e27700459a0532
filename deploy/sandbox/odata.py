"""The OData services as requests: sign-in, seat and license as for all data, then the document or page asked for.

Refusals are replies; nothing is raised but what the front door declines.
"""

import asyncio
import gzip
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qsl, quote, urlencode

from deploy.sandbox import odata_v3, odata_v4, replies
from deploy.sandbox.basic import is_basic
from deploy.sandbox.exchange import Exchange
from deploy.sandbox.named import records_of
from deploy.sandbox.odata_model import BadQuery, EmptyBody, Feed, Line, is_at, lines
from deploy.sandbox.odata_paths import PARAMETERS, Target
from deploy.sandbox.odata_query import Page, answer, read_arguments, read_query
from deploy.sandbox.replies import Reply
from deploy.sandbox.sessions import SignIn


async def refuse(exchange: Exchange) -> Reply:
    """Nobody's request: 401, with the invitation to sign in by Basic."""
    if is_basic(exchange.request):
        exchange.log("sign_in", grant="basic", accepted=False, error="password", user=None)
    challenge = (("WWW-Authenticate", 'Basic realm="MyStore"'),)
    return Reply(401, (*challenge, ("Content-Type", odata_v4.JSON)), odata_v4.error("You are not logged in."))


async def missing(_exchange: Exchange) -> Reply:
    """A path that leads nowhere: 404; the body was never captured."""
    return _error(404, "The resource cannot be found.")


async def serve(exchange: Exchange, caller: SignIn, target: Target) -> Reply:
    """Answer a request that somebody makes who is signed in; one by Basic may open a session for it."""
    refused, cookies = await _admit(exchange, caller)
    if refused is not None:
        return refused
    began, site = time.monotonic(), exchange.site
    request = exchange.request
    found = (
        _answer(exchange, caller, target) if request.method == "GET" else _error(405, "Only GET is allowed.")
    )
    await asyncio.sleep(max(0.0, began + site.options.latency.of(found.rows, 0) - time.monotonic()))
    common = replies.user_cookies(caller.who.tenant.user_branch, site.user_zone)
    whole = Reply(
        found.status, (*found.headers, *cookies, *common), found.body, sized=not found.body, rows=found.rows
    )
    return _compressed(whole, request.headers.get("accept-encoding", ""))


async def _admit(exchange: Exchange, caller: SignIn) -> tuple[Reply | None, replies.Headers]:
    """As with all data; the refusal, if any, and the cookies of a session that a Basic call has opened."""
    if caller.kind == "bearer" or caller.session is not None:
        return await exchange.admit(caller), ()
    await exchange.take_turn(caller)
    await exchange.take_core()
    refused = exchange.take_seat(caller)
    log = partial(exchange.log, "sign_in", grant="basic", accepted=refused is None, user=caller.who.user)
    if refused is not None:
        log(error="login_limit")
        return refused, ()
    log(tenant=caller.who.tenant.name)
    ticket = exchange.site.cookies.issue(caller)
    return None, replies.session_cookies(ticket.session_id, ticket.ticket)


def _answer(exchange: Exchange, caller: SignIn, target: Target) -> Reply:
    """The document, page or row that is asked for, or the refusal of it."""
    old, hidden = target.manner.dialect == "v3", exchange.site.options.unexposed
    if target.resource == "$metadata":
        return _metadata(target, listed=hidden == 403)
    if not target.resource:
        return _service(target, _address(exchange, *target.root))
    found = target.call()
    if found is None or (hidden == 404 and not found[1].exposed):
        return _error(404, f"The resource '{target.resource}' cannot be found.")
    name, feed, arguments = found
    forbidden = caller.forbidden if caller.kind == "cookie" else exchange.site.forbidden
    if not feed.exposed or {feed.name, feed.entity} & forbidden:
        return _error(403, f"You have insufficient rights to access the {feed.name} data.")
    try:
        return _feed(exchange, target, name, feed, arguments)
    except BadQuery as why:
        return _error(400, str(why))
    except EmptyBody:
        return _reply(odata_v4.JSON, b"", old)


def _metadata(target: Target, listed: bool) -> Reply:
    """The metadata document; inquiries that are not exposed may be `listed` in it."""
    feeds = [(name, feed) for name, feed in target.feeds if listed or feed.exposed]
    if target.manner.dialect == "v3":
        return _reply(odata_v3.XML, odata_v3.metadata([feed for _, feed in feeds]), old=True)
    return _reply(odata_v4.XML, odata_v4.metadata(feeds), old=False)


def _service(target: Target, root: str) -> Reply:
    """The service document."""
    feeds = [(name, feed) for name, feed in target.feeds if feed.exposed]
    if target.manner.dialect == "v3":
        return _reply(odata_v3.SERVICE, odata_v3.service(root, [feed for _, feed in feeds]), old=True)
    sets = [(name, "EntitySet") for name, _ in feeds]
    functions = [(name + PARAMETERS, "FunctionImport") for name, feed in feeds if feed.parameters]
    return _reply(odata_v4.JSON, odata_v4.service(root, [*sets, *functions]), old=False)


def _feed(exchange: Exchange, target: Target, name: str, feed: Feed, arguments: str | None) -> Reply:
    """A page of a feed, or one of its rows; raises BadQuery or EmptyBody."""
    manner, site = target.manner, exchange.site
    options = dict(parse_qsl(exchange.request.url.query, keep_blank_values=True))
    query = read_query(feed, options, manner.dialect)
    given = read_arguments(arguments or "", manner.dialect)
    site.plan.before(feed.entity)
    root, records = _address(exchange, *target.root), partial(records_of, site.instance)
    if arguments is not None and manner.by_code:
        keyed = _keyed(feed, lines(feed, records, {}, manner), given)
        body = odata_v4.entity(root, name, query.columns, keyed) if keyed else b""
        return (
            _reply(odata_v4.JSON, body, old=False, rows=1)
            if keyed
            else _error(404, f"{name} has no such row.")
        )
    cap = site.options.odata_page if manner.dialect == "v4" else 0
    page = answer(query, feed, lines(feed, records, given, manner), cap)
    if manner.dialect == "v4":
        next_link = _next(exchange, options, query.skip, query.top, cap) if page.rest else ""
        return _reply(
            odata_v4.JSON, odata_v4.page(root, name, page, next_link), old=False, rows=len(page.lines)
        )
    return _old_page(exchange, root, feed, page, options)


def _old_page(exchange: Exchange, root: str, feed: Feed, page: Page, options: dict[str, str]) -> Reply:
    """A page of v3, as Atom unless JSON is asked for."""
    accepts = exchange.request.headers.get("accept", "")
    if options.get("$format") == "json" or "application/json" in accepts:
        return _reply(odata_v3.JSON, odata_v3.json_page(root, feed, page), old=True, rows=len(page.lines))
    updated = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _reply(
        odata_v3.ATOM, odata_v3.atom_page(root, feed, page, updated), old=True, rows=len(page.lines)
    )


def _keyed(feed: Feed, found: Iterator[Line], given: Line) -> Line | None:
    """The row with this key, all parts of which are named unless it has one."""
    wanted = {name or feed.keys[0]: value for name, value in given.items()}
    if sorted(wanted) != sorted(feed.keys):
        raise BadQuery(f"The key of '{feed.name}' is {', '.join(feed.keys)}.")
    return next((line for line in found if is_at(line, wanted)), None)


def _next(exchange: Exchange, options: dict[str, str], skip: int, top: int | None, cap: int) -> str:
    """The address of the next page: the same query, further on."""
    further = {**options, "$skip": str(skip + cap)}
    if top is not None:
        further["$top"] = str(top - cap)
    return f"{_address(exchange, *exchange.path)}?{urlencode(further, quote_via=quote, safe='$')}"


def _address(exchange: Exchange, *path: str) -> str:
    return "/".join([exchange.site.url, *(quote(part, safe="()=',$") for part in path)])


def _reply(content_type: str, body: bytes, old: bool, rows: int = 0) -> Reply:
    version = ("DataServiceVersion", "3.0") if old else ("OData-Version", "4.0")
    return Reply(
        200, (("Cache-Control", "no-cache"), ("Content-Type", content_type), version), body, rows=rows
    )


def _error(status: int, words: str) -> Reply:
    """A refusal, in the form of v4 for both (the older one was never captured)."""
    return Reply(status, (("Content-Type", odata_v4.JSON),), odata_v4.error(words))


def _compressed(reply: Reply, accept_encoding: str) -> Reply:
    """Compressed and chunked, as recorded, for whoever takes it."""
    if "gzip" not in accept_encoding or not reply.body:
        return reply
    headers = (*reply.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return Reply(reply.status, headers, gzip.compress(reply.body), sized=False, rows=reply.rows)

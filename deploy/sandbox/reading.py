"""Requests for data under /entity: their session, their place in the license's queue, and their answer."""

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import parse_qsl

from deploy.sandbox import replies
from deploy.sandbox.answer import Answer
from deploy.sandbox.exchange import Exchange
from deploy.sandbox.replies import Reply
from deploy.sandbox.sessions import SignIn
from deploy.sandbox.site import Site
from deploy.sandbox.tenants import known_branch


async def versions(exchange: Exchange, caller: SignIn | None) -> Reply:
    """The list of endpoints: open to all; a caller who is signed in spends a request on it."""
    if caller is not None:
        refused = await _admit(exchange, caller)
        if refused is not None:
            return refused
        await asyncio.sleep(exchange.site.options.latency.base)
    return replies.version_list(_versions(exchange.site))


def _versions(site: Site) -> dict[str, object]:
    build = site.build
    prefix = f"/{site.options.site}" if site.options.site else ""
    href = f"{prefix}/entity/{build.endpoint}/{build.version}/"
    version = {"acumaticaBuildVersion": build.acumatica_build, "databaseVersion": build.acumatica_build}
    endpoint = {"name": build.endpoint, "version": build.version, "href": href}
    return {"version": version, "endpoints": [endpoint]}


async def read(exchange: Exchange, caller: SignIn) -> Reply:
    """A list, a record or a file. Its latency is the ERP's work: the core and the session are held meanwhile.

    What our own work takes is part of it.
    """
    refused = await _admit(exchange, caller)
    if refused is not None:
        return refused
    refused = _no_access(exchange, caller)
    if refused is not None:
        return refused
    began = time.monotonic()
    site = exchange.site
    request = exchange.request
    query = dict(parse_qsl(request.url.query, keep_blank_values=True))
    entity = exchange.path[3] if len(exchange.path) > 3 else ""
    site.plan.before(entity)
    answer = look_up(site, request.method, exchange.path[1:], query)
    site.plan.after(entity, answer.ids)
    due = began + site.options.latency.of(answer.rows, answer.skipped)
    await asyncio.sleep(max(0.0, due - time.monotonic()))
    return replies.data(site.build.name, answer, caller.who.tenant.user_branch, site.user_zone)


async def _admit(exchange: Exchange, caller: SignIn) -> Reply | None:
    """Wait for the session's turn, then in the license's queue; then take a seat. Or the refusal."""
    await exchange.take_turn(caller)
    await exchange.take_core()
    if caller.kind == "cookie" and caller.session is None:
        return replies.not_signed_in()
    return exchange.take_seat(caller)


def _no_access(exchange: Exchange, caller: SignIn) -> Reply | None:
    """The refusal of a branch that is not there, or of an entity that the caller has no right to, if any.

    A cookie session keeps the rights with which it began (reported by live instances).
    """
    site = exchange.site
    branch = exchange.request.headers.get("px-cbapibranch", "")
    if not known_branch(site.options.branches, branch):
        return replies.unknown_branch(branch)
    entity = exchange.path[3] if len(exchange.path) > 3 else ""
    forbidden = caller.forbidden if caller.kind == "cookie" else site.forbidden
    screen = site.instance.screen_id(entity)
    return replies.no_right(entity, screen) if screen and entity in forbidden else None


def look_up(site: Site, method: str, path: Sequence[str], query: dict[str, str]) -> Answer:
    """Answer `{endpoint}/{version}/{entity}[/{key}…]` or `{endpoint}/{version}/files/{id}`."""
    if len(path) < 3 or (path[0].casefold(), path[1]) != (site.build.endpoint.casefold(), site.build.version):
        return _no_resource(path)
    if method != "GET":
        return _refused(405, f"The requested resource does not support http method '{method}'.")
    entity, keys = path[2], path[3:]
    if entity == "files":
        return site.instance.file(keys[0]) if len(keys) == 1 else _no_resource(path)
    return site.instance.get(entity, keys, query) if keys else site.instance.list(entity, query)


def _no_resource(path: Sequence[str]) -> Answer:
    """Another endpoint or version than the build's: 404 (reported); the body was never captured."""
    return _refused(
        404, f"No HTTP resource was found that matches the request URI '/entity/{'/'.join(path)}'."
    )


def _refused(status: int, words: str) -> Answer:
    return Answer(status, replies.message(status, words).body)

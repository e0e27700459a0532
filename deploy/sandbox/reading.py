"""Requests for data under /entity: their session, their place in the license's queue, and their answer."""

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

from deploy.sandbox import replies
from deploy.sandbox.answer import Answer
from deploy.sandbox.describing import ad_hoc_schema, swagger
from deploy.sandbox.exchange import Exchange
from deploy.sandbox.replies import Reply
from deploy.sandbox.sessions import SignIn
from deploy.sandbox.site import Site
from deploy.sandbox.tenants import known_branch


async def versions(exchange: Exchange, caller: SignIn | None) -> Reply:
    """The list of endpoints: open to all; who is signed in spends a request on it, and sees the tenant's own too."""
    if caller is not None:
        barred = await exchange.admit(caller)
        if barred is not None:
            return barred
        await asyncio.sleep(exchange.site.options.latency.base)
    return replies.version_list(_versions(exchange.site, own=caller is not None))


def _versions(site: Site, own: bool) -> dict[str, object]:
    """The document of endpoints, the tenant's own included or not."""
    number = site.build.acumatica_build
    root = f"/{site.options.site}/entity" if site.options.site else "/entity"
    endpoints = [
        {"name": each.name, "version": each.version, "href": f"{root}/{each.name}/{each.version}/"}
        for each in site.instance.contracts
        if own or not each.own
    ]
    return {"version": {"acumaticaBuildVersion": number, "databaseVersion": number}, "endpoints": endpoints}


async def read(exchange: Exchange, caller: SignIn) -> Reply:
    """A list, a record or a file. Its latency is the ERP's work: the core and the session are held meanwhile.

    What our own work takes is part of it.
    """
    barred = await exchange.admit(caller) or no_access(exchange, caller)
    if barred is not None:
        return barred
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


def no_access(exchange: Exchange, caller: SignIn) -> Reply | None:
    """The refusal of a branch that is not there, or of an entity that the caller has no right to, if any.

    A cookie session keeps the rights with which it began (reported by live instances).
    """
    site = exchange.site
    branch = exchange.request.headers.get("px-cbapibranch", "")
    if not known_branch(site.options.branches, branch):
        return replies.unknown_branch(branch)
    entity = exchange.path[3] if len(exchange.path) > 3 else ""
    forbidden = caller.forbidden if caller.kind == "cookie" else site.forbidden
    contract = site.instance.contract(*exchange.path[1:3]) if len(exchange.path) > 3 else None
    screen = site.instance.screen_id(entity, contract)
    return replies.no_right(entity, screen) if screen and entity in forbidden else None


def look_up(site: Site, method: str, path: Sequence[str], query: dict[str, str]) -> Answer:
    """Answer `{endpoint}/{version}/{entity}[/{key}…]` or `{endpoint}/{version}/files/{id}`."""
    contract = site.instance.contract(path[0], path[1]) if len(path) > 2 else None
    if contract is None:
        return no_resource(path)
    if method != "GET":
        return refused(405, f"The requested resource does not support http method '{method}'.")
    entity, keys = path[2], path[3:]
    if path[2:] == ["swagger.json"]:
        address = urlsplit(site.url)
        return swagger(site.instance, contract, f"{address.scheme}://{address.netloc}")
    if keys == ["$adHocSchema"]:
        return ad_hoc_schema(site.instance, contract, entity)
    if entity == "files":
        return site.instance.file(keys[0]) if len(keys) == 1 else no_resource(path)
    if keys:
        return site.instance.get(entity, keys, query, contract)
    return site.instance.list(entity, query, contract)


def no_resource(path: Sequence[str]) -> Answer:
    """An endpoint or version that the build has not: 404 (reported); the body was never captured."""
    return refused(
        404, f"No HTTP resource was found that matches the request URI '/entity/{'/'.join(path)}'."
    )


def refused(status: int, words: str) -> Answer:
    """ASP.NET's own refusal of a request."""
    return Answer(status, replies.message(status, words).body)

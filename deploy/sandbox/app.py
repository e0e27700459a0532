"""The front door as an ASGI application: routes, the event log's arrivals and ends, faults, and the control API."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from deploy.sandbox import (
    actions,
    authorize,
    basic,
    odata,
    odata_paths,
    pages,
    paths,
    reading,
    replies,
    signing,
    writing,
)
from deploy.sandbox.control import Control
from deploy.sandbox.delivery import deliver
from deploy.sandbox.exchange import Exchange
from deploy.sandbox.faults import WHOLE, Fault, manner, spoil
from deploy.sandbox.license import Declined
from deploy.sandbox.replies import Reply
from deploy.sandbox.site import Site

Handler = Callable[[Exchange], Awaitable[Reply]]

_CONTROL = "/_sandbox/"


@dataclass(frozen=True)
class Route:
    """Who serves a request, below the site, and whether the license counts it."""

    handler: Handler
    path: list[str]
    counted: bool = False
    session: int | None = None


@dataclass(frozen=True)
class Fixed:
    """A resource with one path."""

    handlers: Mapping[str, Handler]  # by method
    counted: bool = False


_FIXED: Final = {
    "identity/connect/authorize": Fixed({"GET": authorize.ask, "POST": authorize.answer}),
    "identity/connect/token": Fixed({"POST": signing.token}, counted=True),
    "identity/connect/revocation": Fixed({"POST": signing.revocation}),
    "identity/.well-known/openid-configuration": Fixed({"GET": signing.discovery}),
    "entity/auth/login": Fixed({"POST": signing.login}, counted=True),
    "entity/auth/logout": Fixed({"POST": signing.logout}, counted=True),
}


def _always(reply: Reply) -> Handler:
    """A handler that has its answer."""

    async def answer(_exchange: Exchange) -> Reply:
        return reply

    return answer


def _needs_length(request: Request) -> bool:
    """Whether IIS asks for a Content-Length."""
    headers = request.headers
    return request.method == "POST" and "content-length" not in headers and "transfer-encoding" not in headers


def route(site: Site, request: Request) -> Route:
    """Find the way of a request: IIS's own refusals first, then the site's fixed resources, then data."""
    try:
        path = paths.within_site(paths.segments(request.scope["raw_path"]), site.options.site)
    except paths.DangerousPath as refused:
        return Route(_always(replies.html(400, pages.dangerous_path_page(str(refused)))), [])
    if _needs_length(request):
        return Route(_always(replies.required_length()), [])
    if path and odata_paths.is_odata(path):
        return _route_odata(site, request, path)
    if not path or path[0].casefold() not in ("identity", "entity", "frames"):
        return Route(_always(replies.html(404, pages.iis_page("Not Found", "HTTP Error 404."))), [])
    if site.options.plain_http and path[0].casefold() == "identity":
        return Route(_always(replies.token_error("invalid_request", "HTTPS is required.")), path)
    fixed = _FIXED.get("/".join(path).casefold())
    if fixed is not None:
        return _route_fixed(site, request, path, fixed)
    return _route_page(request, path) if path[0].casefold() != "entity" else _route_data(site, request, path)


def _route_fixed(site: Site, request: Request, path: list[str], fixed: Fixed) -> Route:
    """A resource with one path, by its method."""
    handler = fixed.handlers.get(request.method)
    if handler is None:
        takes = " and ".join(fixed.handlers)
        return Route(_always(replies.message(405, f"This resource takes {takes} only.")), path)
    caller = signing.authenticate(site, request)
    return Route(handler, path, fixed.counted, caller.session if caller else None)


def _route_odata(site: Site, request: Request, path: list[str]) -> Route:
    """The OData services, to which Basic is a sign-in too."""
    target = odata_paths.target(path, site.options.tenants)
    if target is None:
        return Route(odata.missing, path)
    caller = basic.caller_of(site, request, target.tenant)
    if caller is None:
        return Route(odata.refuse, path)
    return Route(partial(odata.serve, caller=caller, target=target), path, True, caller.session)


def _route_page(request: Request, path: list[str]) -> Route:
    """The error form, which a redirect names; no other page of the ERP is here."""
    if "/".join(path).casefold() != "frames/error.aspx":
        return Route(_always(replies.html(404, pages.iis_page("Not Found", "HTTP Error 404."))), path)
    return Route(_always(replies.html(200, pages.error_form(request.query_params.get("message", "")))), path)


def _route_data(site: Site, request: Request, path: list[str]) -> Route:
    """The API proper: whoever is not signed in sees the list of endpoints and nothing else."""
    caller = signing.authenticate(site, request)
    counted, session = caller is not None, caller.session if caller else None
    if len(path) == 1 and request.method == "GET":
        return Route(partial(reading.versions, caller=caller), path, counted, session)
    if caller is None:
        return Route(_always(replies.not_signed_in()), path)
    if actions.is_poll(request.method, path):
        return Route(partial(actions.poll, caller=caller), path, False, session)
    if actions.is_action(request.method, path):
        return Route(partial(actions.act, caller=caller), path, counted, session)
    serve = writing.write if request.method in writing.METHODS else reading.read
    return Route(partial(serve, caller=caller), path, counted, session)


class App:
    """The site, served."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._control = Control(site)
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        if self._site.options.control and request.url.path.startswith(_CONTROL):
            reply = await self._control.reply(request, request.url.path.removeprefix(_CONTROL))
            await deliver(reply, WHOLE, scope, receive, send)
        else:
            await self._exchange(request, scope, receive, send)

    async def _exchange(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of the ERP, from its arrival to the end of its answer."""
        found = route(self._site, request)
        async with AsyncExitStack() as held:
            exchange = Exchange(self._site, next(self._numbers), request, found.path, held, found.session)
            self._log_arrival(exchange, found.counted)
            fault = self._site.faults.take(request.method, scope["path"])
            reply = await self._spoiled(exchange, found.handler, fault)
            await deliver(reply, manner(fault) if fault else WHOLE, scope, receive, send)
            exchange.log("end", status=reply.status, rows=reply.rows)

    def _log_arrival(self, exchange: Exchange, counted: bool) -> None:
        """The identity server's queries are left out: they are a client's business with a person."""
        request = exchange.request
        identity = "".join(exchange.path[:1]).casefold() == "identity"
        exchange.log(
            "arrival",
            method=request.method,
            path=request.scope["path"],
            query="" if identity else unquote_plus(request.url.query),
            counted=counted,
            request_id=request.headers.get("x-request-id"),
            branch=request.headers.get("px-cbapibranch"),
        )

    async def _spoiled(self, exchange: Exchange, handler: Handler, fault: Fault | None) -> Reply:
        """The answer, with the fault that the request meets, if any, in its place or upon it."""
        if fault is None:
            return await self._answer(exchange, handler)
        exchange.log("fault", fault=fault.kind)
        if fault.replaces_work:
            return spoil(fault, Reply(200, (("Content-Type", replies.JSON),)))
        if fault.kind == "delay" and fault.when == "before":
            await asyncio.sleep(fault.seconds)
        reply = spoil(fault, await self._answer(exchange, handler))
        if fault.kind == "delay" and fault.when == "after":
            await asyncio.sleep(fault.seconds)
        return reply

    async def _answer(self, exchange: Exchange, handler: Handler) -> Reply:
        """The ERP's answer; a request that the license declines gets a 429."""
        try:
            reply = await handler(exchange)
            return replies.with_session(reply, exchange.new_cookie) if exchange.new_cookie else reply
        except Declined as why:
            exchange.log("decline", why=str(why))
            words = pages.IIS_TEXT if self._site.options.decline_body == "iis" else ""
            return replies.text(429, words)

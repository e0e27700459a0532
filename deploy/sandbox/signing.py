"""Signing in and out: the token endpoint, revocation, and the cookie sign-in of the contract-based API."""

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from deploy.sandbox import oauth, replies
from deploy.sandbox.exchange import Exchange
from deploy.sandbox.oauth import TokenError, Tokens
from deploy.sandbox.replies import Reply
from deploy.sandbox.sessions import SignIn
from deploy.sandbox.site import Site

_FORM = "application/x-www-form-urlencoded"
_INVALID_LOGIN = "Error: Invalid credentials. Please try again."
_LOCKED_LOGIN = "Error: Your account has been locked out. Please contact your system administrator."


def authenticate(site: Site, request: Request) -> SignIn | None:
    """Whose request this is: by its bearer token, or else by its cookies."""
    authorization = request.headers.get("authorization", "")
    if authorization:
        return site.identity.bearer(authorization)
    found = site.cookies.find(request.cookies)
    return found[1] if found else None


async def token(exchange: Exchange) -> Reply:
    """The token endpoint. A grant opens no session yet, unless the site is set so."""
    site = exchange.site
    form = await _form(exchange.request)
    await exchange.take_core()
    if form is None:
        return replies.token_error("invalid_request", None)
    asked = oauth.read_token_request(form, exchange.request.headers.get("authorization", ""))
    granted = site.identity.grant(asked)
    await asyncio.sleep(site.options.latency.base)
    if isinstance(granted, TokenError):
        exchange.log("sign_in", grant=asked.grant_type, accepted=False, error=granted.error)
        return replies.token_error(granted.error, granted.description)
    return _granted(exchange, asked.grant_type, granted)


def _granted(exchange: Exchange, grant_type: str, tokens: Tokens) -> Reply:
    """Hand out tokens, and a seat with them where seats are taken at the token."""
    site = exchange.site
    site.seats.settle(tokens.sign_in)
    if site.options.seat_at == "token":
        refused = exchange.take_seat(tokens.sign_in)
        if refused is not None:
            site.identity.revoke(tokens.access_token)
            exchange.log("sign_in", grant=grant_type, accepted=False, error="login_limit")
            return refused
    exchange.log("sign_in", grant=grant_type, accepted=True)
    accepted_encoding = exchange.request.headers.get("accept-encoding", "")
    return replies.token(site.build.name, tokens.document(), accepted_encoding)


async def discovery(exchange: Exchange) -> Reply:
    """The OpenID Connect discovery document; open to all."""
    return replies.identity(oauth.discovery(exchange.site.url))


async def revocation(exchange: Exchange) -> Reply:
    """Kill a token (RFC 7009: an unknown one is as good as dead). Its session keeps its seat."""
    identity = exchange.site.identity
    form = await _form(exchange.request) or {}
    asked = oauth.read_token_request(form, exchange.request.headers.get("authorization", ""))
    if not identity.client.accepts(asked.client_id, asked.client_secret):
        return replies.token_error("invalid_client", None)
    revoked = identity.revoke(form.get("token", ""))
    if revoked is not None:
        exchange.log("token_revoked", token=revoked)
    return replies.identity(None)


async def login(exchange: Exchange) -> Reply:
    """The cookie sign-in. It takes a seat at once, unless the caller's cookies hold one."""
    site = exchange.site
    given = await _login_form(exchange.request)
    await exchange.take_core()
    await asyncio.sleep(site.options.latency.base)
    if given is None:
        return replies.message(400, "The request body is neither a JSON object nor a form.")
    refused, error = _refuse_login(site, given)
    if refused is not None:
        exchange.log("sign_in", grant="cookie", accepted=False, error=error)
        return refused
    held = site.cookies.find(exchange.request.cookies)
    if held is not None:
        exchange.session = held[1].session
        exchange.log("sign_in", grant="cookie", accepted=True)
        return replies.signed_in(None, held[0].ticket)
    return _seated(exchange)


def _seated(exchange: Exchange) -> Reply:
    """Open a cookie session."""
    site = exchange.site
    sign_in = SignIn("cookie", asyncio.get_running_loop().time() + site.options.idle_seconds)
    refused = exchange.take_seat(sign_in)
    if refused is not None:
        exchange.log("sign_in", grant="cookie", accepted=False, error="login_limit")
        return refused
    exchange.log("sign_in", grant="cookie", accepted=True)
    ticket = site.cookies.issue(sign_in)
    return replies.signed_in(ticket.session_id, ticket.ticket)


def _refuse_login(site: Site, given: Mapping[str, str]) -> tuple[Reply | None, str]:
    """The refusal of a cookie sign-in, if any, and its name in the event log."""
    if "tenant" in given and "company" in given:
        words = "The tenant and company parameters may not be specified together."
        return replies.exception(
            500, words, "PX.Data.PXException", "PX.Api.ContractBased.AuthController"
        ), "tenant"
    tenant = given.get("tenant") or given.get("company")
    if tenant and tenant.casefold() != site.options.tenant.casefold():
        words = "A proper company ID cannot be determined for the request."
        kind = "PX.Data.PXUndefinedCompanyException"
        return replies.exception(500, words, kind, "PX.Data.PXDatabaseProviderBase.getCompanyID()"), "tenant"
    match site.identity.account.check(given.get("name", ""), given.get("password", "")):
        case "ok":
            return None, ""
        case "locked":
            return _bad_login(site, _LOCKED_LOGIN), "locked"
        case "wrong":
            return _bad_login(site, _INVALID_LOGIN), "password"


def _bad_login(site: Site, words: str) -> Reply:
    return replies.exception(
        site.options.bad_login, words, "PX.Data.PXException", "PX.Data.PXLogin.LoginUser()"
    )


async def logout(exchange: Exchange) -> Reply:
    """Free the seat of the caller, whose token lives on. Never queued or delayed by the license, but counted;
    it does wait for a request of the same session. Without a session there is nothing to do."""
    site = exchange.site
    site.license.count()
    by_bearer = "authorization" in exchange.request.headers
    caller = authenticate(site, exchange.request)
    if caller is None and by_bearer and site.options.dead_token_logout == 401:
        return replies.not_signed_in()
    if caller is not None:
        await exchange.take_turn(caller)
        exchange.session = caller.session
    await asyncio.sleep(site.options.latency.base)
    exchange.log("sign_out")
    if caller is not None:
        site.seats.close(caller, "sign-out", exchange.number)
    return replies.signed_out(site.build.name, by_cookie=not by_bearer)


async def _form(request: Request) -> dict[str, str] | None:
    """The form of a request, or None if it is not one."""
    body = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


async def _login_form(request: Request) -> dict[str, str] | None:
    """The parameters of a cookie sign-in, from JSON or a form; None if it is neither."""
    form = await _form(request)
    if form is not None:
        return form
    try:
        document = json.loads(await request.body())
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    return {name: str(value) for name, value in document.items() if value is not None}

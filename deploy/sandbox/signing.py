"""Signing in and out: the token endpoint, revocation, and the cookie sign-in of the contract-based API.

Every sign-in is logged with its grant and, where it is known, its user. Refusals are replies; nothing is raised.
"""

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
from deploy.sandbox.tenants import Who, known_branch

_FORM = "application/x-www-form-urlencoded"
_INVALID_LOGIN = "Error: Invalid credentials. Please try again."
_LOCKED_LOGIN = "Error: Your account has been locked out. Please contact your system administrator."


def authenticate(site: Site, request: Request) -> SignIn | None:
    """Whose request this is: by its bearer token, or else by its cookies."""
    authorization = request.headers.get("authorization", "")
    if authorization and not authorization.lower().startswith("basic "):  # the cookies of such a call count
        grant = site.identity.bearer(authorization)
        return grant.caller(request.cookies.get("ASP.NET_SessionId", "")) if grant else None
    found = site.cookies.find(request.cookies)
    return found[1] if found else None


async def token(exchange: Exchange) -> Reply:
    """The token endpoint. A grant opens no session yet, unless the site is set so."""
    site = exchange.site
    form = await read_form(exchange.request)
    await exchange.take_core()
    if form is None:
        return replies.token_error("invalid_request", None)
    asked = oauth.read_token_request(form, exchange.request.headers.get("authorization", ""))
    granted = site.identity.grant(asked)
    await asyncio.sleep(site.options.latency.base)
    if isinstance(granted, TokenError):
        _refused(exchange, asked.grant_type, granted.error, granted.user)
        return replies.token_error(granted.error, granted.description)
    return _granted(exchange, asked.grant_type, granted)


def _granted(exchange: Exchange, grant_type: str, tokens: Tokens) -> Reply:
    """Hand out tokens, and a seat with them where seats are taken at the token.

    Where the calls of a grant open its sessions (api:concurrent_access), no token takes a seat.
    """
    site, grant = exchange.site, tokens.grant
    for sign_in in grant.sign_ins:
        site.seats.settle(sign_in)
    if site.options.seat_at == "token" and not grant.concurrent:
        refused = exchange.take_seat(grant.caller(""))
        if refused is not None:
            site.identity.revoke(tokens.access_token)
            _refused(exchange, grant_type, "login_limit", grant.who.user)
            return refused
    _accepted(exchange, grant_type, grant.who)
    encoding = exchange.request.headers.get("accept-encoding", "")
    return replies.token(site.build.name, tokens.document(), encoding, grant.who.tenant.user_branch)


def _accepted(exchange: Exchange, grant: str, who: Who) -> None:
    exchange.log("sign_in", grant=grant, accepted=True, user=who.user, tenant=who.tenant.name)


def _refused(exchange: Exchange, grant: str, error: str, user: str | None) -> None:
    exchange.log("sign_in", grant=grant, accepted=False, error=error, user=user)


async def discovery(exchange: Exchange) -> Reply:
    """The OpenID Connect discovery document; open to all."""
    return replies.identity(oauth.discovery(exchange.site.url))


async def revocation(exchange: Exchange) -> Reply:
    """Kill a token (RFC 7009: an unknown one is as good as dead). Its session keeps its seat."""
    identity = exchange.site.identity
    form = await read_form(exchange.request) or {}
    asked = oauth.read_token_request(form, exchange.request.headers.get("authorization", ""))
    if not identity.client.accepts(asked.client_id, asked.client_secret):
        return replies.token_error("invalid_client", None)
    revoked = identity.revoke(form.get("token", ""))
    if revoked is not None:
        exchange.log("token_revoked", token=revoked)
    return replies.identity(None)


async def login(exchange: Exchange) -> Reply:
    """The cookie sign-in. It takes a seat at once, unless the caller's cookies hold one as the same user there."""
    site = exchange.site
    given = await _login_form(exchange.request)
    await exchange.take_core()
    await asyncio.sleep(site.options.latency.base)
    if given is None:
        return replies.message(400, "The request body is neither a JSON object nor a form.")
    found, error = _look_up(site, given)
    if isinstance(found, Reply):
        _refused(exchange, "cookie", error, site.identity.accounts.name(given.get("name", "")))
        return found
    held = site.cookies.find(exchange.request.cookies)
    if held is not None and held[1].who == found:
        exchange.session = held[1].session
        _accepted(exchange, "cookie", found)
        return replies.signed_in(None, held[0].ticket, found.tenant.user_branch, site.user_zone)
    if held is not None:
        site.seats.close(held[1], "sign-in", exchange.number)
    return _seated(exchange, found)


def _seated(exchange: Exchange, who: Who) -> Reply:
    """Open a cookie session."""
    site = exchange.site
    sign_in = SignIn("cookie", who, asyncio.get_running_loop().time() + site.options.idle_seconds)
    refused = exchange.take_seat(sign_in)
    if refused is not None:
        _refused(exchange, "cookie", "login_limit", who.user)
        return refused
    _accepted(exchange, "cookie", who)
    ticket = site.cookies.issue(sign_in)
    return replies.signed_in(ticket.session_id, ticket.ticket, who.tenant.user_branch, site.user_zone)


def _look_up(site: Site, given: Mapping[str, str]) -> tuple[Who | Reply, str]:
    """Who signs in with cookies, and where; or the refusal, and its name in the event log."""
    if "tenant" in given and "company" in given:
        words = "The tenant and company parameters may not be specified together."
        frame = "PX.Api.ContractBased.AuthController"
        return replies.exception(500, words, "PX.Data.PXException", frame), "tenant"
    tenant = site.tenants.landing(given.get("tenant") or given.get("company") or "")
    if tenant is None:
        words = "A proper company ID cannot be determined for the request."
        kind = "PX.Data.PXUndefinedCompanyException"
        return replies.exception(500, words, kind, "PX.Data.PXDatabaseProviderBase.getCompanyID()"), "tenant"
    accounts, name = site.identity.accounts, given.get("name", "")
    match accounts.check(name, given.get("password", "")):
        case "ok":
            if not known_branch(site.options.branches, given.get("branch", "")):
                return replies.unknown_branch(given["branch"]), "branch"
            return Who(accounts.name(name) or "", tenant), ""
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
    by_bearer = exchange.request.headers.get("authorization", "").lower().startswith("bearer")
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
    tenant = caller.who.tenant if caller is not None else site.tenants.default
    return replies.signed_out(site.build.name, not by_bearer, tenant.user_branch, site.user_zone)


async def read_form(request: Request) -> dict[str, str] | None:
    """The form of a request, or None if it is not one."""
    body = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


async def _login_form(request: Request) -> dict[str, str] | None:
    """The parameters of a cookie sign-in, from JSON or a form; None if it is neither."""
    form = await read_form(request)
    if form is not None:
        return form
    try:
        document = json.loads(await request.body())
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    return {name: str(value) for name, value in document.items() if value is not None}

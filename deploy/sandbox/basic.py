"""HTTP Basic sign-in, which OData takes beside bearer tokens. Nothing here fails; a bad one is nobody's.

A call without the cookies of an open session opens a session of its own, a seat (reported by live instances).
"""

import asyncio
from base64 import b64decode
from binascii import Error

from starlette.requests import Request

from deploy.sandbox.sessions import SignIn
from deploy.sandbox.signing import authenticate
from deploy.sandbox.site import Site
from deploy.sandbox.tenants import Who


def is_basic(request: Request) -> bool:
    """Whether the request brings a name and a password."""
    return request.headers.get("authorization", "").lower().startswith("basic ")


def caller_of(site: Site, request: Request, tenant: str) -> SignIn | None:
    """Whose request to OData this is, in the tenant that its path names, or in any where it names none.

    A name and a password are looked at even with cookies, and those of somebody else's session are no use.
    """
    if not is_basic(request):
        caller = authenticate(site, request)
        return caller if caller is None or not tenant or _same(caller.who.tenant.name, tenant) else None
    who = _who(site, request, tenant)
    if who is None:
        return None
    held = site.cookies.find(request.cookies)
    if held is not None and held[1].who == who:
        return held[1]
    return SignIn("cookie", who, asyncio.get_running_loop().time() + site.options.idle_seconds)


def _who(site: Site, request: Request, tenant: str) -> Who | None:
    """The user that the header names, if the password is right and the account open."""
    name, password = _credentials(request.headers["authorization"])
    landing, accounts = site.tenants.landing(tenant), site.identity.accounts
    if landing is None or accounts.check(name, password) != "ok":
        return None
    return Who(accounts.name(name) or name, landing)


def _credentials(header: str) -> tuple[str, str]:
    """The name and the password; empty for what is not Base64."""
    try:
        name, _, password = b64decode(header.partition(" ")[2], validate=True).decode().partition(":")
    except (Error, UnicodeDecodeError):
        return "", ""
    return name, password


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()

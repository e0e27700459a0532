"""The authorization endpoint: a page to sign in on, and the way back to the client with a code, or with a refusal.

A client or an address that the site does not know is told to the person before the page and to nobody else.
"""

from deploy.sandbox import pages, replies
from deploy.sandbox.codes import Asked, may_return, refuse_asked
from deploy.sandbox.exchange import Exchange
from deploy.sandbox.oauth import bad_scopes
from deploy.sandbox.replies import Reply
from deploy.sandbox.signing import read_form

_WORDS = {
    "wrong": "Invalid credentials. Please try again.",
    "locked": "Your account has been locked out. Please contact your system administrator.",
}


async def ask(exchange: Exchange) -> Reply:
    """The sign-in page for what a client asks, or the refusal."""
    return _refusal(exchange, _asked(exchange)) or _page(exchange, "")


async def answer(exchange: Exchange) -> Reply:
    """What the person answered on the page: back to the client with a code, or the page again."""
    asked = _asked(exchange)
    refused = _refusal(exchange, asked)
    if refused is not None:
        return refused
    form = await read_form(exchange.request) or {}
    if form.get("answer") == "deny":
        return replies.redirect(asked.back({"error": "access_denied"}))
    identity, username = exchange.site.identity, form.get("username", "")
    checked = identity.accounts.check(username, form.get("password", ""))
    code = identity.authorize(asked, username) if checked == "ok" else None
    if code is None:
        return _page(exchange, _WORDS.get(checked, _WORDS["wrong"]))
    return replies.redirect(asked.back({"code": code}))


def _asked(exchange: Exchange) -> Asked:
    return Asked.read(exchange.request.url.query)


def _refusal(exchange: Exchange, asked: Asked) -> Reply | None:
    """An error page for whom the site does not trust, a redirect with an error for the others."""
    site = exchange.site
    if site.identity.client.tenant(asked.client_id) is None:
        return replies.html(
            400, pages.identity_error("invalid_client", "The client application is not known.")
        )
    if not may_return(asked.redirect_uri, site.options.redirect_uris):
        words = "The redirect URI is not registered for the client application."
        return replies.html(400, pages.identity_error("invalid_redirect_uri", words))
    error = refuse_asked(asked, bad_scopes(asked.scopes))
    return None if error is None else replies.redirect(asked.back({"error": error}))


def _page(exchange: Exchange, words: str) -> Reply:
    """The sign-in page, whose form comes back to this very address."""
    url = exchange.request.url
    return replies.html(200, pages.sign_in_page(f"{url.path}?{url.query}", words))

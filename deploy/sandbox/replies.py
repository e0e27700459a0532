"""Replies as they go over the wire: status, headers and cookies as the recordings of each build have them.

A reply carries no Date (the server adds it) and no Content-Length (delivery does). Nothing here fails.
"""

import gzip
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from html import escape
from string import ascii_lowercase, digits
from typing import Literal
from urllib.parse import quote

from deploy.sandbox import pages
from deploy.sandbox.answer import Answer
from deploy.sandbox.content import Content, Drawn

Headers = tuple[tuple[str, str], ...]

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"

_PRIVATE: Headers = (("Cache-Control", "private"),)
_TICKS_AT_EPOCH = 621_355_968_000_000_000


@dataclass(frozen=True)
class Reply:
    """What is sent. Without `sized` the body goes chunked, with no Content-Length.

    A body that is `drawn` is made as it is sent. Content-Length promises `excess` bytes more than there are.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    sized: bool = True
    rows: int = 0
    excess: int = 0
    drawn: Drawn | None = None

    @property
    def content(self) -> Content:
        """The body, in whichever form it is."""
        return self.body if self.drawn is None else self.drawn

    def with_body(self, body: bytes) -> "Reply":
        """The same reply with another body."""
        return replace(self, body=body, drawn=None)


def html(status: int, page: str) -> Reply:
    """An HTML page of IIS or ASP.NET."""
    return Reply(status, (*_PRIVATE, ("Content-Type", HTML)), page.encode())


def text(status: int, body: str) -> Reply:
    """A plain text of IIS."""
    return Reply(status, (("Content-Type", "text/plain"),) if body else (), body.encode())


def document(status: int, body: Mapping[str, object]) -> Reply:
    """A JSON object."""
    return Reply(status, (*_PRIVATE, ("Content-Type", JSON)), _compact(body))


def bad_request(words: str) -> Reply:
    """A body that ASP.NET cannot bind (the shape is its usual one; none was captured)."""
    return document(400, {"message": "The request is invalid.", "modelState": {"entity": [words]}})


def acted(status: Literal[202, 204], location: str, path: str, cookies: Headers) -> Reply:
    """An action that has begun (202) or is done (204), with where to look next, if anywhere (recorded)."""
    where = (("Location", location),) if location else ()
    return Reply(status, (*_PRIVATE, *where, *cookies, *_request_cookies(f"~/{path}")))


def user_cookies(user_branch: int, zone: str) -> Headers:
    """The cookies that each answer of the API sets."""
    return (_locale(zone), _branch(user_branch))


def message(status: int, words: str) -> Reply:
    """ASP.NET's HttpError with a message and no exception."""
    return Reply(status, (*_PRIVATE, ("Content-Type", JSON)), _compact({"message": words}))


def exception(status: int, words: str, exception_type: str, frame: str) -> Reply:
    """ASP.NET's HttpError for an exception, in camel case as the contract-based API writes it."""
    error = {
        "message": "An error has occurred.",
        "exceptionMessage": words,
        "exceptionType": exception_type,
        "stackTrace": f"   at {frame}\r\n",
    }
    return Reply(status, (*_PRIVATE, ("Content-Type", JSON)), _compact(error))


def not_signed_in() -> Reply:
    """No valid token or cookie. The body was never captured; its shape is the API's."""
    return message(401, "You are not logged in.")


def unknown_branch(name: str) -> Reply:
    """A branch that the tenant does not have. The text was never captured."""
    frame = "PX.Api.ContractBased.WebApi.Controllers.EntityController"
    return exception(500, f"Branch '{name}' cannot be found in the system.", "PX.Data.PXException", frame)


def no_right(entity: str, screen: str) -> Reply:
    """An entity whose form the user may not open (reported by live instances)."""
    return message(403, f"You have insufficient rights to access the {entity} ({screen}) form.")


def error_redirect(site: str, words: str) -> Reply:
    """The redirect to the ERP's error form (reported by live instances for the login limit)."""
    prefix = f"/{site}" if site else ""
    return redirect(f"{prefix}/Frames/Error.aspx?typeID=error&message={quote(words)}")


def data(build: str, answer: Answer, user_branch: int, zone: str) -> Reply:
    """An answer of the ERP's data. JSON says its length and is not compressed; a file's octets come chunked."""
    caching = () if build == "2022R1" else _PRIVATE
    headers = (*caching, ("Content-Type", answer.content_type), _locale(zone), _branch(user_branch))
    sized = answer.content_type != "application/octet-stream"
    return Reply(answer.status, headers, answer.body, sized, answer.rows, drawn=answer.drawn)


def with_request(reply: Reply, path: str, location: str = "") -> Reply:
    """The answer to a write: it names and times the request in cookies, and may say where something now is."""
    where = (("Location", location),) if location else ()
    bodiless = tuple(pair for pair in reply.headers if pair[0] != "Content-Type")
    headers = bodiless if reply.status == 204 else reply.headers
    return replace(reply, headers=(*headers, *where, *_request_cookies(f"~/{path}")))


def version_list(document: object) -> Reply:
    """The list of endpoints."""
    return Reply(200, (*_PRIVATE, ("Content-Type", JSON)), _compact(document))


def token(build: str, document: Mapping[str, object], accept_encoding: str, user_branch: int) -> Reply:
    """A granted token (recorded: plain and chunked on 2022R1, gzip with a length on 2024R1)."""
    stamps = _request_cookies("~/identity/connect/token")
    content, branch = ("Content-Type", "application/json; charset=UTF-8"), _branch(user_branch)
    if build == "2022R1":
        caching = (("Cache-Control", "no-store, no-cache, max-age=0"), ("Pragma", "no-cache"))
        return Reply(200, (*caching, content, branch, *stamps), _compact(document), sized=False)
    caching = (("Cache-Control", "no-cache, no-store"), ("Pragma", "no-cache"))
    user = (branch, ("Set-Cookie", "Locale=TimeZone=GMTE0000U&Culture=en-US; path=/"))
    further = (("Expires", "-1"), ("Vary", "Accept-Encoding"), *user, *user, *stamps)
    if "gzip" not in accept_encoding:
        return Reply(200, (*caching, content, *further), _compact(document))
    compressed = (content, ("Content-Encoding", "gzip"))
    return Reply(200, (*caching, *compressed, *further), gzip.compress(_compact(document)))


def token_error(error: str, description: str | None) -> Reply:
    """A refusal of the identity server: always status 400 (reported by live instances)."""
    document = {"error": error} if description is None else {"error": error, "error_description": description}
    caching = (("Cache-Control", "no-cache, no-store"), ("Pragma", "no-cache"))
    return Reply(400, (*caching, ("Content-Type", "application/json; charset=UTF-8")), _compact(document))


def identity(document: Mapping[str, object] | None) -> Reply:
    """A document of the identity server, or its empty 200."""
    if document is None:
        return Reply(200, (("Cache-Control", "no-cache, no-store"),))
    return Reply(200, (("Content-Type", "application/json; charset=UTF-8"),), _compact(document))


def signed_in(session_id: str | None, ticket: str, user_branch: int, zone: str) -> Reply:
    """A cookie sign-in, with every cookie twice as recorded; no session id for one who holds it already."""
    fresh = (_session_cookie(session_id),) if session_id else ()
    forms_ticket = _ticket_cookie(ticket)
    cookies = (*fresh, forms_ticket, _branch(user_branch), _locale(zone))
    return Reply(204, (*_PRIVATE, *cookies, *cookies, *_request_cookies("~/entity/auth/login")))


def signed_out(build: str, by_cookie: bool, user_branch: int, zone: str) -> Reply:
    """A sign-out. 2022R1 answered a bearer with a fresh session id; the others take the cookies back."""
    if build == "2022R1" and not by_cookie:
        given: Headers = (_session_cookie(new_session_id()),) * 2
    else:
        year_ago = _cookie_date(datetime.now(UTC) - timedelta(days=365))
        back = (
            ("Set-Cookie", ".ASPXAUTH=; expires=Mon, 11-Oct-1999 20:00:00 GMT; path=/; HttpOnly"),
            ("Set-Cookie", f"ASP.NET_SessionId=; expires={year_ago}; path=/"),
        )
        place = (_locale(zone), _branch(user_branch))
        given = (*place, *place, *back, *place, *back)
    return Reply(204, (*_PRIVATE, *given, *_request_cookies("~/entity/auth/logout")))


def with_session(reply: Reply, session_id: str) -> Reply:
    """A reply that also tells the caller which session it has opened (scope api:concurrent_access)."""
    return replace(reply, headers=(*reply.headers, _session_cookie(session_id)))


def redirect(location: str) -> Reply:
    """Send a browser elsewhere, as ASP.NET does."""
    moved = "<html><head><title>Object moved</title></head><body>\r\n<h2>Object moved to "
    body = f'{moved}<a href="{escape(location)}">here</a>.</h2>\r\n</body></html>\r\n'.encode()
    return Reply(302, (*_PRIVATE, ("Content-Type", HTML), ("Location", location)), body)


def new_session_id() -> str:
    """An ASP.NET session id: 24 lower-case letters and digits."""
    return "".join(secrets.choice(ascii_lowercase + digits) for _ in range(24))


def required_length() -> Reply:
    """A POST without Content-Length, which IIS refuses (reported by live instances)."""
    return html(
        411,
        pages.iis_page(
            "Length Required", "HTTP Error 411. The request must be chunked or have a content length."
        ),
    )


def session_cookies(session_id: str, ticket: str) -> Headers:
    """The two cookies of a session that a call by Basic has opened."""
    return (_session_cookie(session_id), _ticket_cookie(ticket))


def _ticket_cookie(ticket: str) -> tuple[str, str]:
    return ("Set-Cookie", f".ASPXAUTH={ticket}; path=/; HttpOnly")


def _session_cookie(session_id: str) -> tuple[str, str]:
    return ("Set-Cookie", f"ASP.NET_SessionId={session_id}; path=/; HttpOnly; SameSite=Lax")


def _branch(number: int) -> tuple[str, str]:
    return ("Set-Cookie", f"UserBranch={number}; path=/")


def zone_name(zone: timezone) -> str:
    """An API user's zone as the ERP names it; of its names those of three offsets are recorded."""
    offset = zone.utcoffset(None)
    if not offset:
        return "GMTE0000U"
    minutes = abs(offset) // timedelta(minutes=1)
    sign, letter = ("P", "M") if offset > timedelta() else ("M", "G")
    return f"GMT{sign}{minutes // 60:02}{minutes % 60:02}{letter}"


def _locale(zone: str) -> tuple[str, str]:
    expires = _cookie_date(datetime.now(UTC) + timedelta(days=3))
    return ("Set-Cookie", f"Locale=Culture=en-US&TimeZone={zone}; expires={expires}; path=/")


def _request_cookies(path: str) -> Headers:
    """The cookies that name and time a write or sign-in."""
    ticks = time.time_ns() // 100 + _TICKS_AT_EPOCH
    return (
        ("Set-Cookie", f"requestid={secrets.token_hex(16).upper()}; path=/"),
        ("Set-Cookie", f"requeststat=+st:74+sc:{path}+start:{ticks}+tg:; path=/"),
    )


def _cookie_date(moment: datetime) -> str:
    """The date form of IIS's cookies: `Mon, 01-Mar-2021 17:38:01 GMT`."""
    day, rest = format_datetime(moment, usegmt=True).split(", ")
    return f"{day}, {rest.replace(' ', '-', 2)}"


def _compact(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

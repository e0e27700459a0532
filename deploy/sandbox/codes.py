"""Authorization codes: who may ask for one, where it is sent, and what it takes to redeem it (RFC 6749, RFC 7636).

What is refused is a value; nothing here raises.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from deploy.sandbox.tenants import Who

CODE_SECONDS = 60.0  # reported; the vendor's documentation does not say

_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?(/|$)")
_METHODS = frozenset({"plain", "S256"})


@dataclass(frozen=True)
class Asked:
    """The query of the authorization endpoint."""

    response_type: str
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str | None
    challenge: str
    method: str

    @staticmethod
    def read(query: str) -> "Asked":
        """Read a query string; RFC 7636 has `plain` for a challenge without a method."""
        given = dict(parse_qsl(query, keep_blank_values=True))
        return Asked(
            response_type=given.get("response_type", ""),
            client_id=given.get("client_id", ""),
            redirect_uri=given.get("redirect_uri", ""),
            scopes=tuple(given.get("scope", "").split()),
            state=given.get("state"),
            challenge=given.get("code_challenge", ""),
            method=given.get("code_challenge_method", "plain"),
        )

    def back(self, facts: Mapping[str, str]) -> str:
        """The address that the browser is sent back to, with these facts and the client's own state."""
        scheme, host, path, query, _ = urlsplit(self.redirect_uri)
        state = {} if self.state is None else {"state": self.state}
        added = urlencode({**facts, **state})
        return urlunsplit((scheme, host, path, f"{query}&{added}" if query else added, ""))


def may_return(uri: str, registered: Sequence[str]) -> bool:
    """Whether a client may be sent back there: to what is registered, letter by letter; where nothing is, to any
    port of this machine."""
    if registered:
        return uri in registered
    return _LOOPBACK.match(uri) is not None and "#" not in uri


def refuse_asked(asked: Asked, scopes_refused: bool) -> str | None:
    """The error that the client is told by the redirect, if any."""
    if asked.response_type != "code":
        return "unsupported_response_type"
    if scopes_refused:
        return "invalid_scope"
    return None if asked.method in _METHODS else "invalid_request"


def verifies(challenge: str, method: str, verifier: str) -> bool:
    """Whether the verifier is the one of the challenge; without a challenge none is asked for."""
    if not challenge:
        return True
    if method == "plain":
        return secrets.compare_digest(verifier.encode(), challenge.encode())
    digest = hashlib.sha256(verifier.encode()).digest()
    return secrets.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), challenge.encode())


class Codes:
    """The codes that were given and not yet redeemed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """A code lives for CODE_SECONDS of `clock`."""
        self._clock = clock
        self._given: dict[str, tuple[Asked, Who, float]] = {}

    def issue(self, asked: Asked, who: Who) -> str:
        """A new code for what this user has been asked."""
        code = secrets.token_urlsafe(32)
        self._given[code] = (asked, who, self._clock() + CODE_SECONDS)
        return code

    def redeem(self, code: str) -> tuple[Asked, Who] | None:
        """What a code stands for. Whatever comes of it, the code is spent."""
        asked, who, dies = self._given.pop(code, (None, None, 0.0))
        return (asked, who) if asked is not None and who is not None and self._clock() < dies else None

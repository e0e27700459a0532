"""The identity server: clients, the account, grants, tokens, revocation. OAuth 2.0, password and refresh grants.

A refused request gives a TokenError value, never an exception. Shapes of the errors: reported by live
instances; what is not, follows RFC 6749.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_plus

from deploy.sandbox.sessions import SignIn

SCOPES = frozenset({"api", "offline_access"})
GRANTS = frozenset({"password", "refresh_token"})


@dataclass(frozen=True)
class TokenRequest:
    """A form posted to the token endpoint, with the client's credentials from wherever they were."""

    grant_type: str
    client_id: str
    client_secret: str
    username: str
    password: str
    scopes: tuple[str, ...]
    refresh_token: str


@dataclass(frozen=True)
class TokenError:
    """A refusal: RFC 6749's error code, and the identity server's description where it gives one."""

    error: str
    description: str | None = None


@dataclass(frozen=True)
class Tokens:
    """What a grant yields. `expires_in` in seconds."""

    sign_in: SignIn
    access_token: str
    expires_in: int
    scopes: tuple[str, ...]
    refresh_token: str | None

    def document(self) -> dict[str, object]:
        """The body of the token endpoint, in recorded order."""
        refresh = {"refresh_token": self.refresh_token} if self.refresh_token else {}
        head = {"access_token": self.access_token, "expires_in": self.expires_in, "token_type": "Bearer"}
        return {**head, **refresh, "scope": " ".join(self.scopes)}


def read_token_request(form: Mapping[str, str], authorization: str) -> TokenRequest:
    """Read a form; HTTP Basic, where sent, goes before credentials in the body."""
    client_id, client_secret = basic_credentials(authorization) or (
        form.get("client_id", ""),
        form.get("client_secret", ""),
    )
    return TokenRequest(
        grant_type=form.get("grant_type", ""),
        client_id=client_id,
        client_secret=client_secret,
        username=form.get("username", ""),
        password=form.get("password", ""),
        scopes=tuple(form.get("scope", "").split()),
        refresh_token=form.get("refresh_token", ""),
    )


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """The client of an HTTP Basic header (form-encoded before base64, RFC 6749 section 2.3.1), if it is one."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, client_secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    return unquote_plus(client_id), unquote_plus(client_secret)


@dataclass
class Client:
    """The registered application: `<GUID>@<tenant>`, the only selector of a tenant, and its secret."""

    client_id: str
    secret: str

    def accepts(self, client_id: str, secret: str) -> bool:
        """Whether these are its credentials; the suffix of another tenant names another client."""
        return client_id == self.client_id and secret == self.secret


class Account:
    """The API user. A number of wrong passwords in a row locks it until it is unlocked."""

    def __init__(self, username: str, password: str, lock_after: int) -> None:
        """`lock_after` wrong passwords in a row lock the account; 0 never does."""
        self.username = username
        self.password = password
        self.lock_after = lock_after
        self.locked = False
        self._failures = 0

    def check(self, username: str, password: str) -> Literal["ok", "wrong", "locked"]:
        """Try a password. An unknown user name is wrong and locks nobody out."""
        if username.casefold() != self.username.casefold():
            return "wrong"
        if self.locked:
            return "locked"
        if password == self.password:
            self._failures = 0
            return "ok"
        self._failures += 1
        self.locked = self.lock_after > 0 and self._failures >= self.lock_after
        return "wrong"

    def lock(self, locked: bool) -> None:
        """Lock or unlock by hand; either forgets the failures."""
        self.locked = locked
        self._failures = 0


def refuse(request: TokenRequest, client: Client) -> TokenError | None:
    """Why a request is refused before its grant is looked at: first the client, then the kind, then the scope.

    Client credentials with a valid client give unsupported_grant_type (reported by live instances).
    """
    if not client.accepts(request.client_id, request.client_secret):
        return TokenError("invalid_client")
    if request.grant_type not in GRANTS:
        return TokenError("unsupported_grant_type")
    if request.grant_type == "password" and ("api" not in request.scopes or set(request.scopes) - SCOPES):
        return TokenError("invalid_scope")
    return None


@dataclass(frozen=True)
class _Grant:
    """What a refresh token stands for."""

    sign_in: SignIn
    scopes: tuple[str, ...]


class Identity:
    """The identity server's tables: live access tokens and refresh tokens."""

    def __init__(
        self, client: Client, account: Account, token_seconds: int, clock: Callable[[], float]
    ) -> None:
        """Access tokens live `token_seconds` by `clock` (seconds); refresh tokens until used or revoked."""
        self.client = client
        self.account = account
        self._token_seconds = token_seconds
        self._clock = clock
        self._access: dict[str, tuple[SignIn, float]] = {}
        self._refresh: dict[str, _Grant] = {}

    def grant(self, request: TokenRequest) -> Tokens | TokenError:
        """Answer a token request."""
        refused = refuse(request, self.client)
        if refused is not None:
            return refused
        return self._by_password(request) if request.grant_type == "password" else self._by_refresh(request)

    def _by_password(self, request: TokenRequest) -> Tokens | TokenError:
        if self.account.check(request.username, request.password) != "ok":
            return TokenError("invalid_grant", "invalid_username_or_password")
        return self._issue(_Grant(SignIn("bearer", 0.0), request.scopes))

    def _by_refresh(self, request: TokenRequest) -> Tokens | TokenError:
        """A refresh token is used once: its successor comes with the answer; the session stays the same."""
        grant = self._refresh.pop(request.refresh_token, None)
        return self._issue(grant) if grant is not None else TokenError("invalid_grant")

    def _issue(self, grant: _Grant) -> Tokens:
        grant.sign_in.expires = self._clock() + self._token_seconds
        access_token = secrets.token_urlsafe(32)
        self._access[access_token] = (grant.sign_in, grant.sign_in.expires)
        refresh_token = secrets.token_urlsafe(32) if "offline_access" in grant.scopes else None
        if refresh_token is not None:
            self._refresh[refresh_token] = grant
        return Tokens(grant.sign_in, access_token, self._token_seconds, grant.scopes, refresh_token)

    def bearer(self, authorization: str) -> SignIn | None:
        """Whose a bearer token is, if it is alive."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self._access:
            return None
        sign_in, expires = self._access[token]
        if self._clock() >= expires:
            del self._access[token]
            return None
        return sign_in

    def revoke(self, token: str) -> Literal["access", "refresh"] | None:
        """Kill a token. The session it opened keeps its seat (reported by live instances)."""
        if self._access.pop(token, None) is not None:
            return "access"
        return "refresh" if self._refresh.pop(token, None) is not None else None

    def revoke_all(self) -> None:
        """Kill every token."""
        self._access.clear()
        self._refresh.clear()


def discovery(url: str) -> dict[str, object]:
    """The OpenID Connect discovery document of the instance at `url`: the keys that clients use are known from
    live instances, the rest are the identity server's usual ones."""
    base = f"{url}/identity"
    connect = f"{base}/connect"
    return {
        "issuer": base,
        "jwks_uri": f"{base}/.well-known/jwks",
        "authorization_endpoint": f"{connect}/authorize",
        "token_endpoint": f"{connect}/token",
        "userinfo_endpoint": f"{connect}/userinfo",
        "end_session_endpoint": f"{connect}/endsession",
        "check_session_iframe": f"{connect}/checksession",
        "revocation_endpoint": f"{connect}/revocation",
        "introspection_endpoint": f"{connect}/introspect",
        "scopes_supported": ["openid", "profile", "email", "api", "offline_access", "api:concurrent_access"],
        "claims_supported": ["sub", "name", "email"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "response_modes_supported": ["form_post", "query", "fragment"],
        "grant_types_supported": ["authorization_code", "password", "refresh_token", "implicit"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["plain", "S256"],
    }

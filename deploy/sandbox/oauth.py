"""The identity server: the client, grants, tokens, revocation. OAuth 2.0 with password, code and refresh grants.

A refused request gives a TokenError value, never an exception. Shapes of the errors: reported by live
instances; what is not, follows RFC 6749.
"""

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_plus

from deploy.sandbox.accounts import Accounts
from deploy.sandbox.codes import Asked, Codes, verifies
from deploy.sandbox.grants import API, CONCURRENT, OFFLINE, Grant
from deploy.sandbox.tenants import Tenants, Who

SCOPES = frozenset({API, OFFLINE, CONCURRENT})
GRANTS = frozenset({"password", "authorization_code", "refresh_token"})


@dataclass(frozen=True)
class TokenRequest:
    """A form posted to the token endpoint, with the client's credentials from wherever they were."""

    grant_type: str
    client_id: str
    client_secret: str
    username: str = ""
    password: str = ""
    scopes: tuple[str, ...] = ()
    refresh_token: str = ""
    code: str = ""
    redirect_uri: str = ""
    code_verifier: str = ""


@dataclass(frozen=True)
class TokenError:
    """A refusal: RFC 6749's error code, and the identity server's description where it gives one.

    `user` is whom it refuses, for the event log only.
    """

    error: str
    description: str | None = None
    user: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Tokens:
    """What a grant yields. `expires_in` in seconds."""

    grant: Grant
    access_token: str
    expires_in: int
    refresh_token: str | None

    def document(self) -> dict[str, object]:
        """The body of the token endpoint, in recorded order."""
        refresh = {"refresh_token": self.refresh_token} if self.refresh_token else {}
        head = {"access_token": self.access_token, "expires_in": self.expires_in, "token_type": "Bearer"}
        return {**head, **refresh, "scope": " ".join(self.grant.scopes)}


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
        code=form.get("code", ""),
        redirect_uri=form.get("redirect_uri", ""),
        code_verifier=form.get("code_verifier", ""),
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


class Client:
    """The application, registered in every tenant: `<GUID>@<tenant>`, the only selector of a tenant, and a secret."""

    def __init__(self, guid: str, secret: str, tenants: Sequence[str]) -> None:
        self.secret = secret
        self._tenants = {f"{guid.upper()}@{tenant}": tenant for tenant in tenants}

    def tenant(self, client_id: str) -> str | None:
        """The tenant that the suffix names; None for another client's id."""
        return self._tenants.get(client_id)

    def accepts(self, client_id: str, secret: str) -> bool:
        """Whether these are its credentials."""
        return client_id in self._tenants and secret == self.secret


@dataclass(frozen=True)
class Rules:
    """How the site is set: how long tokens live, what a refresh does to the session, and which grants are allowed."""

    token_seconds: int = 3600
    refresh_seconds: float = 30 * 86_400.0
    refresh_seat: Literal["same", "new"] = "same"
    password_grant: bool = True


def bad_scopes(scopes: Sequence[str]) -> bool:
    """Whether these scopes are none that the site gives."""
    return API not in scopes or bool(set(scopes) - SCOPES)


def refuse(request: TokenRequest, client: Client, rules: Rules) -> TokenError | None:
    """Why a request is refused before its grant is looked at: first the client, then the kind, then the scope.

    Client credentials with a valid client give unsupported_grant_type (reported by live instances).
    """
    if not client.accepts(request.client_id, request.client_secret):
        return TokenError("invalid_client")
    if request.grant_type not in GRANTS:
        return TokenError("unsupported_grant_type")
    if request.grant_type != "password":
        return None
    if not rules.password_grant:
        return TokenError("unauthorized_client")
    return TokenError("invalid_scope") if bad_scopes(request.scopes) else None


class Identity:
    """The identity server's tables: live access tokens, refresh tokens and codes."""

    def __init__(
        self, client: Client, accounts: Accounts, tenants: Tenants, rules: Rules, clock: Callable[[], float]
    ) -> None:
        """Lives are measured by `clock`, in seconds."""
        self.client = client
        self.accounts = accounts
        self.codes = Codes(clock)
        self._tenants = tenants
        self._rules = rules
        self._clock = clock
        self._access: dict[str, tuple[Grant, float]] = {}
        self._refresh: dict[str, Grant] = {}

    def grant(self, request: TokenRequest) -> Tokens | TokenError:
        """Answer a token request."""
        refused = refuse(request, self.client, self._rules)
        if refused is not None:
            return refused
        match request.grant_type:
            case "password":
                return self._by_password(request)
            case "authorization_code":
                return self._by_code(request)
            case _:
                return self._by_refresh(request)

    def who(self, username: str, client_id: str) -> Who | None:
        """This user in the tenant where sign-ins by this client land; None for nobody."""
        tenant = self.client.tenant(client_id)
        landing = None if tenant is None else self._tenants.landing(tenant)
        account = self.accounts.find(username)
        return Who(account.username, landing) if account is not None and landing is not None else None

    def _by_password(self, request: TokenRequest) -> Tokens | TokenError:
        who = self.who(request.username, request.client_id)
        if self.accounts.check(request.username, request.password) != "ok" or who is None:
            user = self.accounts.name(request.username)
            return TokenError("invalid_grant", "invalid_username_or_password", user)
        return self._begin(request.client_id, who, request.scopes)

    def _by_code(self, request: TokenRequest) -> Tokens | TokenError:
        """A code is redeemed by the client, for the address and with the verifier that it was asked with."""
        redeemed = self.codes.redeem(request.code)
        if redeemed is None:
            return TokenError("invalid_grant")
        asked, who = redeemed
        same = (asked.client_id, asked.redirect_uri) == (request.client_id, request.redirect_uri)
        if not same or not verifies(asked.challenge, asked.method, request.code_verifier):
            return TokenError("invalid_grant", user=who.user)
        return self._begin(request.client_id, who, asked.scopes)

    def authorize(self, asked: Asked, username: str) -> str | None:
        """A code for a user who has shown who he is; None when his client is nobody's."""
        who = self.who(username, asked.client_id)
        return None if who is None else self.codes.issue(asked, who)

    def _by_refresh(self, request: TokenRequest) -> Tokens | TokenError:
        """A refresh token is used once: its successor comes with the answer, until the chain's time is up.

        The session stays the same (vendor's guide), or the refreshed token opens its own (reported).
        """
        grant = self._refresh.pop(request.refresh_token, None)
        if grant is None:
            return TokenError("invalid_grant")
        if grant.client_id != request.client_id or self._clock() >= grant.ends:
            return TokenError("invalid_grant", user=grant.who.user)
        return self._issue(grant if self._rules.refresh_seat == "same" else grant.successor())

    def _begin(self, client_id: str, who: Who, scopes: tuple[str, ...]) -> Tokens:
        return self._issue(Grant(client_id, who, scopes, self._clock() + self._rules.refresh_seconds))

    def _issue(self, grant: Grant) -> Tokens:
        expires = self._clock() + self._rules.token_seconds
        grant.extend(expires)
        access_token = secrets.token_urlsafe(32)
        self._access[access_token] = (grant, expires)
        refresh_token = secrets.token_urlsafe(32) if OFFLINE in grant.scopes else None
        if refresh_token is not None:
            self._refresh[refresh_token] = grant
        return Tokens(grant, access_token, self._rules.token_seconds, refresh_token)

    def bearer(self, authorization: str) -> Grant | None:
        """What a bearer token stands for, if it is alive."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self._access:
            return None
        grant, expires = self._access[token]
        if self._clock() >= expires:
            del self._access[token]
            return None
        return grant

    def revoke(self, token: str) -> Literal["access", "refresh"] | None:
        """Kill a token. The session it opened keeps its seat (reported by live instances)."""
        if self._access.pop(token, None) is not None:
            return "access"
        return "refresh" if self._refresh.pop(token, None) is not None else None

    def revoke_refresh(self) -> None:
        """Kill every refresh token, which ends every chain; access tokens live on."""
        self._refresh.clear()

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

"""The sandbox's identity server: which token requests it refuses and why, and what tokens are good for."""

from base64 import b64encode
from dataclasses import replace

import pytest

from deploy.sandbox.accounts import Accounts
from deploy.sandbox.codes import Asked
from deploy.sandbox.oauth import (
    Client,
    Identity,
    Rules,
    TokenError,
    TokenRequest,
    Tokens,
    basic_credentials,
    read_token_request,
)
from deploy.sandbox.tenants import Tenants

GUID = "2d202760-5d06-b5fa-6c08-3b7152ae8b12"
CLIENT_ID = "2D202760-5D06-B5FA-6C08-3B7152AE8B12@MyStore"
OTHER_ID = CLIENT_ID.replace("MyStore", "Other")
GOOD = TokenRequest("password", CLIENT_ID, "secret", "admin", "right", ("api",))
LASTING = replace(GOOD, scopes=("api", "offline_access"))
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
ASKED = Asked(
    "code",
    CLIENT_ID,
    "http://127.0.0.1:4000/",
    ("api", "offline_access"),
    "state",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "S256",
)
BY_CODE = TokenRequest(
    "authorization_code", CLIENT_ID, "secret", redirect_uri=ASKED.redirect_uri, code_verifier=VERIFIER
)
REFUSED = [
    pytest.param({"client_secret": "wrong"}, TokenError("invalid_client"), id="wrong secret"),
    pytest.param({"client_id": ""}, TokenError("invalid_client"), id="no client"),
    pytest.param(
        {"client_id": CLIENT_ID.replace("MyStore", "Third")},
        TokenError("invalid_client"),
        id="no such tenant",
    ),
    pytest.param({"client_id": CLIENT_ID.partition("@")[0]}, TokenError("invalid_client"), id="no tenant"),
    pytest.param(
        {"grant_type": "client_credentials"}, TokenError("unsupported_grant_type"), id="client credentials"
    ),
    pytest.param(
        {"grant_type": "client_credentials", "client_secret": "wrong"},
        TokenError("invalid_client"),
        id="client credentials of nobody",
    ),
    pytest.param({"grant_type": ""}, TokenError("unsupported_grant_type"), id="no grant type"),
    pytest.param({"scopes": ()}, TokenError("invalid_scope"), id="no scope"),
    pytest.param({"scopes": ("offline_access",)}, TokenError("invalid_scope"), id="scope without api"),
    pytest.param({"scopes": ("api", "everything")}, TokenError("invalid_scope"), id="unknown scope"),
    pytest.param(
        {"password": "wrong"},
        TokenError("invalid_grant", "invalid_username_or_password"),
        id="wrong password",
    ),
    pytest.param(
        {"username": "nobody"}, TokenError("invalid_grant", "invalid_username_or_password"), id="no such user"
    ),
    pytest.param(
        {"username": "clerk"},
        TokenError("invalid_grant", "invalid_username_or_password"),
        id="other's password",
    ),
    pytest.param(
        {"grant_type": "refresh_token", "refresh_token": "made up"},
        TokenError("invalid_grant"),
        id="bad refresh",
    ),
    pytest.param(
        {"grant_type": "authorization_code", "code": "made up"}, TokenError("invalid_grant"), id="bad code"
    ),
]


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def identity(
    clock: Clock | None = None,
    lock_after: int = 5,
    rules: Rules | None = None,
    tenants: Tenants | None = None,
) -> Identity:
    """An identity server with one client in two tenants, and two users."""
    accounts = Accounts({"admin": "right", "clerk": "other"}, lock_after)
    client = Client(GUID, "secret", ("MyStore", "Other"))
    site = tenants or Tenants(("MyStore", "Other"), "refuse")
    return Identity(client, accounts, site, rules or Rules(), clock or Clock())


def granted(server: Identity, request: TokenRequest) -> Tokens:
    """The tokens of a request that must be granted."""
    tokens = server.grant(request)
    assert isinstance(tokens, Tokens)
    return tokens


def refreshing(tokens: Tokens) -> TokenRequest:
    """The request that refreshes these tokens."""
    return TokenRequest("refresh_token", CLIENT_ID, "secret", refresh_token=tokens.refresh_token or "")


@pytest.mark.parametrize(("change", "error"), REFUSED)
def test_refusals(change: dict[str, str], error: TokenError) -> None:
    """A bad request is refused with the error that live instances give."""
    assert identity().grant(replace(GOOD, **change)) == error  # type: ignore[arg-type]


def test_a_forbidden_password_grant() -> None:
    """A client that may not use the password grant is told so, whatever the password."""
    server = identity(rules=Rules(password_grant=False))
    assert server.grant(replace(GOOD, password="wrong")) == TokenError("unauthorized_client")
    assert server.grant(replace(GOOD, client_secret="wrong")) == TokenError("invalid_client")


def test_a_token_looks_as_recorded() -> None:
    """The document has the recorded members, in the recorded order, and an opaque token of 43 characters."""
    document = granted(identity(), GOOD).document()
    assert list(document) == ["access_token", "expires_in", "token_type", "scope"]
    assert len(str(document["access_token"])) == 43
    assert (document["expires_in"], document["token_type"], document["scope"]) == (3600, "Bearer", "api")


def test_offline_access_gives_a_refresh_token() -> None:
    """Only the scope offline_access yields a refresh token."""
    document = granted(identity(), LASTING).document()
    assert {"refresh_token", "scope"} <= set(document)
    assert document["scope"] == "api offline_access"


@pytest.mark.parametrize(("seat", "same"), [("same", True), ("new", False)])
def test_a_refresh_token_works_once(seat: str, same: bool) -> None:
    """Refreshing rotates the refresh token; the new access token has the old one's session, which then lives longer,
    or one of its own beside it."""
    clock = Clock()
    server = identity(clock, rules=Rules(refresh_seat="same" if seat == "same" else "new"))
    first = granted(server, LASTING)
    clock.now = 10.0
    second = granted(server, refreshing(first))
    lives = [tokens.grant.caller("").expires for tokens in (first, second)]
    assert lives == [3610.0 if same else 3600.0, 3610.0]
    assert (second.grant.caller("") is first.grant.caller("")) is same
    assert second.refresh_token != first.refresh_token
    assert server.grant(refreshing(first)) == TokenError("invalid_grant")
    assert server.bearer(f"Bearer {first.access_token}") is first.grant


def test_a_refresh_token_is_one_clients() -> None:
    """In another tenant the client is another, which cannot use it."""
    server = identity()
    stolen = replace(refreshing(granted(server, LASTING)), client_id=OTHER_ID)
    assert server.grant(stolen) == TokenError("invalid_grant")


def test_a_chain_ends_at_its_time() -> None:
    """However often it is refreshed, a chain ends when its absolute life is over."""
    clock = Clock()
    server = identity(clock, rules=Rules(refresh_seconds=100.0))
    tokens = granted(server, LASTING)
    for now in (50.0, 99.9):
        clock.now = now
        tokens = granted(server, refreshing(tokens))
    clock.now = 100.0
    assert server.grant(refreshing(tokens)) == TokenError("invalid_grant")
    assert server.bearer(f"Bearer {tokens.access_token}") is not None


def test_ended_chains_leave_their_tokens() -> None:
    """When every chain is ended, access tokens live on until their time."""
    server = identity()
    tokens = granted(server, LASTING)
    server.revoke_refresh()
    assert server.grant(refreshing(tokens)) == TokenError("invalid_grant")
    assert server.bearer(f"Bearer {tokens.access_token}") is tokens.grant


def test_a_token_dies_at_its_time() -> None:
    """A bearer token is good until it expires, and not a moment longer."""
    clock = Clock()
    server = identity(clock)
    tokens = granted(server, GOOD)
    clock.now = 3599.9
    assert server.bearer(f"Bearer {tokens.access_token}") is tokens.grant
    clock.now = 3600.0
    assert server.bearer(f"Bearer {tokens.access_token}") is None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic YTpi", "Token x"])
def test_other_authorization_is_nobody(header: str) -> None:
    """An unknown token or another scheme belongs to no sign-in."""
    assert identity().bearer(header) is None


def test_revocation_kills_one_token() -> None:
    """Revoking kills the named token and says which kind it was; the unknown is left alone."""
    server = identity()
    tokens = granted(server, LASTING)
    assert server.revoke("made up") is None
    assert server.revoke(tokens.access_token) == "access"
    assert server.bearer(f"Bearer {tokens.access_token}") is None
    assert server.revoke(tokens.refresh_token or "") == "refresh"
    assert server.grant(refreshing(tokens)) == TokenError("invalid_grant")


def test_wrong_passwords_in_a_row_lock_the_account() -> None:
    """The right password is refused once the account is locked, until it is unlocked; other users go on."""
    server = identity(lock_after=3)
    for _ in range(2):
        server.grant(replace(GOOD, password="wrong"))
    granted(server, GOOD)
    for _ in range(3):
        server.grant(replace(GOOD, password="wrong"))
    assert server.grant(GOOD) == TokenError("invalid_grant", "invalid_username_or_password")
    granted(server, replace(GOOD, username="Clerk", password="other"))
    server.accounts.first.lock(False)
    granted(server, GOOD)


def test_no_lock() -> None:
    """With a threshold of 0 no number of wrong passwords locks the account."""
    server = identity(lock_after=0)
    for _ in range(20):
        server.grant(replace(GOOD, password="wrong"))
    granted(server, GOOD)


def test_who_is_in_which_tenant() -> None:
    """The suffix of the client's id selects the tenant, and the user keeps the name that the site knows."""
    server = identity()
    who = granted(server, replace(GOOD, username="ADMIN", client_id=OTHER_ID)).grant.who
    assert (who.user, who.tenant.name, who.tenant.user_branch) == ("admin", "Other", 83)


def test_a_stale_site_lands_in_the_default_tenant() -> None:
    """While the site has forgotten its tenants, a client of another lands in the default, without an error."""
    tenants = Tenants(("MyStore", "Other"), "refuse")
    server = identity(tenants=tenants)
    tenants.stale = True
    assert granted(server, replace(GOOD, client_id=OTHER_ID)).grant.who.tenant.user_branch == 82


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"code_verifier": "another"},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:4001/"},
        {"client_id": OTHER_ID},
    ],
)
def test_a_code_is_redeemed_once(change: dict[str, str]) -> None:
    """A code needs the address, the client and the verifier it was asked with, and one try spends it."""
    server = identity()
    request = replace(BY_CODE, code=server.authorize(ASKED, "admin") or "")
    first = server.grant(replace(request, **change))  # type: ignore[arg-type]
    if change:
        assert first == TokenError("invalid_grant")
    else:
        assert isinstance(first, Tokens)
        assert (first.grant.who.user, first.grant.scopes) == ("admin", ASKED.scopes)
    assert server.grant(request) == TokenError("invalid_grant")


def test_a_code_dies_after_a_minute() -> None:
    """A code that is redeemed too late is refused."""
    clock = Clock()
    server = identity(clock)
    early, late = (server.authorize(ASKED, "admin") or "" for _ in range(2))
    clock.now = 59.9
    granted(server, replace(BY_CODE, code=early))
    clock.now = 60.0
    assert server.grant(replace(BY_CODE, code=late)) == TokenError("invalid_grant")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("Bearer x", None),
        ("Basic " + b64encode(b"a%40b:c%2Bd").decode(), ("a@b", "c+d")),
        ("basic " + b64encode(b"a:b:c").decode(), ("a", "b:c")),
        ("Basic ???", ("", "")),
        ("Basic " + b64encode(b"\xff\xfe:x").decode(), ("", "")),
    ],
)
def test_basic_credentials(header: str, expected: tuple[str, str] | None) -> None:
    """HTTP Basic is read as RFC 6749 has it, and never raises."""
    assert basic_credentials(header) == expected


def test_basic_goes_before_the_body() -> None:
    """Where both are sent, the header's client counts."""
    form = {"client_id": "body", "client_secret": "body", "scope": "api  offline_access"}
    request = read_token_request(form, "Basic " + b64encode(b"head:er").decode())
    assert (request.client_id, request.client_secret) == ("head", "er")
    assert request.scopes == ("api", "offline_access")

"""The sandbox's identity server: which token requests it refuses and why, and what tokens are good for."""

from base64 import b64encode
from dataclasses import replace

import pytest

from deploy.sandbox.oauth import (
    Account,
    Client,
    Identity,
    TokenError,
    TokenRequest,
    Tokens,
    basic_credentials,
    read_token_request,
)

CLIENT_ID = "2D202760-5D06-B5FA-6C08-3B7152AE8B12@MyStore"
GOOD = TokenRequest("password", CLIENT_ID, "secret", "admin", "right", ("api",), "")
REFUSED = [
    pytest.param({"client_secret": "wrong"}, TokenError("invalid_client"), id="wrong secret"),
    pytest.param({"client_id": ""}, TokenError("invalid_client"), id="no client"),
    pytest.param(
        {"client_id": CLIENT_ID.replace("MyStore", "Other")}, TokenError("invalid_client"), id="other tenant"
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
        {"grant_type": "refresh_token", "refresh_token": "made up"},
        TokenError("invalid_grant"),
        id="bad refresh",
    ),
]


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def identity(clock: Clock | None = None, lock_after: int = 5) -> Identity:
    """An identity server with one client and one account."""
    account = Account("admin", "right", lock_after)
    return Identity(Client(CLIENT_ID, "secret"), account, 3600, clock or Clock())


def granted(server: Identity, request: TokenRequest) -> Tokens:
    """The tokens of a request that must be granted."""
    tokens = server.grant(request)
    assert isinstance(tokens, Tokens)
    return tokens


@pytest.mark.parametrize(("change", "error"), REFUSED)
def test_refusals(change: dict[str, str], error: TokenError) -> None:
    """A bad request is refused with the error that live instances give."""
    assert identity().grant(replace(GOOD, **change)) == error  # type: ignore[arg-type]


def test_a_token_looks_as_recorded() -> None:
    """The document has the recorded members, in the recorded order, and an opaque token of 43 characters."""
    document = granted(identity(), GOOD).document()
    assert list(document) == ["access_token", "expires_in", "token_type", "scope"]
    assert len(str(document["access_token"])) == 43
    assert (document["expires_in"], document["token_type"], document["scope"]) == (3600, "Bearer", "api")


def test_offline_access_gives_a_refresh_token() -> None:
    """Only the scope offline_access yields a refresh token."""
    document = granted(identity(), replace(GOOD, scopes=("api", "offline_access"))).document()
    assert {"refresh_token", "scope"} <= set(document)
    assert document["scope"] == "api offline_access"


def test_a_refresh_token_works_once_and_keeps_the_sign_in() -> None:
    """Refreshing rotates the refresh token, and the new access token belongs to the same sign-in."""
    server = identity()
    first = granted(server, replace(GOOD, scopes=("api", "offline_access")))
    again = replace(GOOD, grant_type="refresh_token", refresh_token=first.refresh_token or "", scopes=())
    second = granted(server, again)
    assert second.sign_in is first.sign_in
    assert second.refresh_token != first.refresh_token
    assert server.grant(again) == TokenError("invalid_grant")


def test_a_token_dies_at_its_time() -> None:
    """A bearer token is good until it expires, and not a moment longer."""
    clock = Clock()
    server = identity(clock)
    tokens = granted(server, GOOD)
    clock.now = 3599.9
    assert server.bearer(f"Bearer {tokens.access_token}") is tokens.sign_in
    clock.now = 3600.0
    assert server.bearer(f"Bearer {tokens.access_token}") is None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic YTpi", "Token x"])
def test_other_authorization_is_nobody(header: str) -> None:
    """An unknown token or another scheme belongs to no sign-in."""
    assert identity().bearer(header) is None


def test_revocation_kills_one_token() -> None:
    """Revoking kills the named token and says which kind it was; the unknown is left alone."""
    server = identity()
    tokens = granted(server, replace(GOOD, scopes=("api", "offline_access")))
    assert server.revoke("made up") is None
    assert server.revoke(tokens.access_token) == "access"
    assert server.bearer(f"Bearer {tokens.access_token}") is None
    assert server.revoke(tokens.refresh_token or "") == "refresh"
    again = replace(GOOD, grant_type="refresh_token", refresh_token=tokens.refresh_token or "")
    assert server.grant(again) == TokenError("invalid_grant")


def test_wrong_passwords_in_a_row_lock_the_account() -> None:
    """The right password is refused once the account is locked, until it is unlocked."""
    server = identity(lock_after=3)
    for _ in range(2):
        server.grant(replace(GOOD, password="wrong"))
    granted(server, GOOD)
    for _ in range(3):
        server.grant(replace(GOOD, password="wrong"))
    assert server.grant(GOOD) == TokenError("invalid_grant", "invalid_username_or_password")
    server.account.lock(False)
    granted(server, GOOD)


def test_no_lock() -> None:
    """With a threshold of 0 no number of wrong passwords locks the account."""
    server = identity(lock_after=0)
    for _ in range(20):
        server.grant(replace(GOOD, password="wrong"))
    granted(server, GOOD)


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

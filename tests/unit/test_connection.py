"""What may be said of a connection and of a license, and what each mark of one tells."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from worker.connection import Connection, License
from worker.settings import misconfigured

SECRETS: dict[str, Any] = {
    "username": "u",
    "password": "canary-1",
    "client_id": "A@T",
    "client_secret": "canary-2",
}
PLACE: dict[str, Any] = {"url": "https://erp.example.com/Site", "version": "20.200.001", "tenant": "T"}
COOKIE: dict[str, Any] = {**PLACE, "sign_in": "cookie", "username": "u", "password": "canary-1"}
LOGIN: dict[str, Any] = {**PLACE, "sign_in": "login", "client_id": "A@T", "client_secret": "canary-2"}
PASSWORD: dict[str, Any] = {**PLACE, **SECRETS}


def without(given: dict[str, Any], name: str) -> dict[str, Any]:
    """The same, but for one setting."""
    return {key: value for key, value in given.items() if key != name}


@pytest.mark.parametrize("given", [PASSWORD, COOKIE, LOGIN, {**COOKIE, **SECRETS}, {**LOGIN, **SECRETS}])
def test_each_way_to_sign_in_needs_what_it_sends(given: dict[str, Any]) -> None:
    """A connection is complete with what its way to sign in sends, and may hold what another one would."""
    assert Connection(**given).name == "default"


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        (without(PASSWORD, "username"), "username", 'sign_in = "password" sends it'),
        (without(PASSWORD, "client_secret"), "client_secret", "is missing"),
        ({**PASSWORD, "password": ""}, "password", "is missing"),
        (without(COOKIE, "password"), "password", 'sign_in = "cookie" sends it'),
        (without(COOKIE, "username"), "username", "is missing"),
        (without(LOGIN, "client_id"), "client_id", 'sign_in = "login" sends it'),
        (without(LOGIN, "client_secret"), "client_secret", "is missing"),
        ({**PASSWORD, "client_id": "A@Other"}, "client_id", "registered in tenant 'Other'"),
        ({**PASSWORD, "client_id": "A"}, "client_id", "GUID@T"),
        ({**PASSWORD, "client_id": "@T"}, "client_id", "GUID@T"),
        ({**PASSWORD, "scope": "offline_access"}, "scope", "must be api, alone or with"),
        ({**PASSWORD, "scope": "api openid"}, "scope", "must be api, alone or with"),
        ({**PASSWORD, "scope": ""}, "scope", "must be api, alone or with"),
        ({**COOKIE, "scope": "api offline_access"}, "scope", "is for OAuth"),
        ({**PASSWORD, "plaintext": True}, "plaintext", "OAuth needs TLS"),
        ({**LOGIN, "plaintext": True}, "plaintext", "OAuth needs TLS"),
        ({**PASSWORD, "url": "http://127.0.0.1/x"}, "url", "must begin with https://"),
        ({**COOKIE, "url": "http://127.0.0.1/x"}, "url", "plaintext = true"),
        ({**COOKIE, "plaintext": True, "url": "ftp://127.0.0.1/x"}, "url", "must begin with https://"),
        ({**PASSWORD, "sign_in": "basic"}, "sign_in", "'login'"),
        ({**PASSWORD, "branch": "A\r\nB"}, "branch", "pattern"),
        ({**PASSWORD, "name": "a}b"}, "name", "letters, digits"),
        ({**PASSWORD, "license": "a b"}, "license", "letters, digits"),
        ({**PASSWORD, "restart_seconds": 0}, "restart_seconds", "greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], where: str, words: str) -> None:
    """A setting that is missing, wrong or of another way to sign in is named, and no secret is told."""
    with pytest.raises(ValidationError) as raised:
        Connection(**given)
    error = misconfigured(raised.value)
    assert error.field == where
    assert words in error.message
    assert "canary" not in str(error)


def test_a_tenant_is_known_in_any_case() -> None:
    """The client id's tenant may be written in other letters than the connection's."""
    assert Connection(**{**PASSWORD, "client_id": "A@t"}).client_id == "A@t"


@pytest.mark.parametrize(
    ("given", "scope", "keeps_refresh", "concurrent_access"),
    [
        (PASSWORD, "api", False, False),
        ({**PASSWORD, "scope": "offline_access api"}, "api offline_access", True, False),
        ({**PASSWORD, "scope": "api:concurrent_access api"}, "api api:concurrent_access", False, True),
        (
            {**PASSWORD, "scope": " api  offline_access api:concurrent_access"},
            "api offline_access api:concurrent_access",
            True,
            True,
        ),
        (LOGIN, "api offline_access", True, False),
        (COOKIE, "api", False, False),
    ],
)
def test_scopes(given: dict[str, Any], scope: str, keeps_refresh: bool, concurrent_access: bool) -> None:
    """A scope tells whether there are refresh tokens and a cookie jar; a login always asks for a refresh token."""
    connection = Connection(**given)
    assert (connection.scope, connection.keeps_refresh, connection.concurrent_access) == (
        scope,
        keeps_refresh,
        concurrent_access,
    )


@pytest.mark.parametrize(
    ("given", "seconds"), [(PASSWORD, 3600), (COOKIE, 600), ({**COOKIE, "session_seconds": 1200}, 1200)]
)
def test_how_long_the_erp_keeps_a_session(given: dict[str, Any], seconds: float) -> None:
    """A cookie session is closed sooner than one of OAuth, unless the connection knows better."""
    assert Connection(**given).session_seconds == seconds


def test_plain_http_is_for_cookies_that_ask_for_it() -> None:
    """A cookie connection that says so may speak http; to whom is seen when it connects."""
    connection = Connection(**{**COOKIE, "plaintext": True, "url": "http://erp.internal/Site/"})
    assert connection.url == "http://erp.internal/Site"


SHARED = {"license": "erp", "branch": "EAST", "password": "other", "client_secret": "other", "name": "other"}
OWN = {"url": "https://other.example.com", "username": "x", "scope": "api offline_access", "client_id": "B@T"}


@pytest.mark.parametrize(("name", "value"), [*SHARED.items(), *OWN.items()])
def test_an_identity_is_who_a_session_belongs_to(name: str, value: str) -> None:
    """Connections have one identity when each may use the other's session, whatever password they know."""
    first, other = Connection(**PASSWORD), Connection(**{**PASSWORD, name: value})
    assert (first.identity == other.identity) is (name in SHARED)


@pytest.mark.parametrize(
    ("name", "value"),
    [*OWN.items(), ("password", "p"), ("client_secret", "p"), ("branch", "B"), ("locale", "en")],
)
def test_a_fingerprint_tells_whatever_a_sign_in_sends(name: str, value: str) -> None:
    """Whatever of a sign-in changes, its mark does: then a refused one is worth another try."""
    first, other = Connection(**PASSWORD), Connection(**{**PASSWORD, name: value})
    assert first.fingerprint(b"k") != other.fingerprint(b"k")


def test_fields_do_not_run_into_each_other() -> None:
    """Text that moves from one field to the next makes another mark."""
    first = Connection(**{**PASSWORD, "password": "ab", "client_secret": "c"})
    other = Connection(**{**PASSWORD, "password": "a", "client_secret": "bc"})
    assert first.fingerprint(b"k") != other.fingerprint(b"k")


@pytest.mark.parametrize(
    "given",
    [
        {"max_sessions": 0},
        {"max_sessions": 101},
        {"max_per_minute": 1},
        {"max_per_minute": -1},
        {"name": "{x}"},
    ],
)
def test_a_license_that_is_none(given: dict[str, Any]) -> None:
    """Limits that no license has are refused, and so is a name that the store's keys cannot hold."""
    with pytest.raises(ValidationError):
        License(**{"name": "erp", **given})

"""Decisions of the sign-in: which version fits, which addresses are followed, what a grant is written as."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from tests.erp_floor import connection_to_nowhere
from worker.erp import endpoints, signin
from worker.erp.endpoints import EndpointVersion
from worker.erp.signin import Grant
from worker.erp.wire import Answer, Wire
from worker.errors import AnswerMalformed

LISTED = [
    EndpointVersion(name=name, version=version)
    for name, version in [
        ("Default", "17.200.001"),
        ("Default", "18.200.001"),
        ("Default", "20.200.001"),
        ("Default", "22.200.001"),
        ("Default", "9.100.001"),
        ("Default", "26.200.001"),
        ("eCommerce", "23.200.001"),
        ("Odd", "0001"),
    ]
]


@pytest.mark.parametrize(
    ("name", "version"),
    [("Default", "22.200.001"), ("eCommerce", "23.200.001"), ("Odd", None), ("None", None)],
)
def test_the_newest_version_that_speaks_our_contract(name: str, version: str | None) -> None:
    """The newest version of the endpoint with contract 4 is taken; older and newer contracts are passed over."""
    found = endpoints.newest(LISTED, name)
    assert (found.version if found else None) == version


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.test/Site/identity/connect/token",
        "http://erp.example.com/Site/identity/connect/token",
        "https://erp.example.com:444/Site/identity/connect/token",
        "https://erp.example.com/Other/identity/connect/token",
        "https://erp.example.com/Site/identity/../entity",
        "https://erp.example.com/Site/identity/%2e%2e/x",
        "https://user@evil.test/Site/identity/connect/token",
        "https://erp.example.com/Siteidentity/connect/token",
    ],
)
def test_secrets_go_nowhere_else(address: str) -> None:
    """A discovery document that names another origin, site or scheme is refused: the secrets stay here."""
    with pytest.raises(AnswerMalformed):
        signin._own_path(_wire(), address, signin.TOKEN_PATH)


def test_own_addresses_are_followed() -> None:
    """An address of this instance is taken as its path, and the usual one where none is told."""
    own = "https://ERP.example.com:443/Site/identity/connect/token2"
    assert signin._own_path(_wire(), own, signin.TOKEN_PATH) == "/identity/connect/token2"
    assert signin._own_path(_wire(), None, signin.TOKEN_PATH) == signin.TOKEN_PATH


SECRETS = {"token": "canary-1", "cookies": "canary-2", "refresh": "canary-3"}


@pytest.mark.parametrize("kept", [(), ("token",), ("cookies",), ("token", "refresh"), tuple(SECRETS)])
def test_a_grant_is_read_back_as_it_was(kept: tuple[str, ...]) -> None:
    """A grant that was written down is the same grant again, and shows none of its secrets."""
    secrets = {name: SecretStr(SECRETS[name]) for name in kept}
    grant = Grant(expires_in=3600.0, user_branch="82", **secrets)
    assert Grant.loads(grant.dumps()) == grant
    assert "canary" not in repr(grant)


def test_where_a_person_signs_in() -> None:
    """The address of the sign-in page names the application, the way back, and the challenge, never a secret."""
    connection = connection_to_nowhere().model_copy(update={"scope": "api offline_access"})
    address = signin.authorize_url(connection, signin.Endpoints(), "http://127.0.0.1:5/", "s t", "C")
    parts = urlsplit(address)
    assert address.startswith("https://erp.example.com/Site/identity/connect/authorize?")
    assert dict(parse_qsl(parts.query)) == {
        "response_type": "code",
        "client_id": "A@T",
        "redirect_uri": "http://127.0.0.1:5/",
        "scope": "api offline_access",
        "state": "s t",
        "code_challenge": "C",
        "code_challenge_method": "S256",
    }


def test_the_jar_holds_what_a_session_is_known_by() -> None:
    """Cookies about a single request are left out of the header that a session is known by."""
    told = {
        "ASP.NET_SessionId": "s",
        ".ASPXAUTH": "A",
        "requestid": "r",
        "Locale": "Culture=en-US",
        "UserBranch": "82",
    }
    answer = Answer(status=204, content_type="", location="", body=b"", set_cookies=told)
    kept = signin.jar(answer).get_secret_value()
    assert kept == "ASP.NET_SessionId=s; .ASPXAUTH=A; Locale=Culture=en-US; UserBranch=82"


def _wire() -> Wire:
    return Wire(connection_to_nowhere())

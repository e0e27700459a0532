"""Decisions of the sign-in: which endpoint version fits, and which addresses of a discovery document are followed."""

from __future__ import annotations

import pytest

from tests.erp_floor import connection_to_nowhere
from worker.erp import signin
from worker.erp.signin import EndpointVersion
from worker.erp.wire import Wire
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
    found = signin.newest(LISTED, name)
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


def _wire() -> Wire:
    return Wire(connection_to_nowhere())

"""A person's login: what the browser's way back tells, and what it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.erp_floor import connection_to_nowhere
from worker.errors import LoginNeeded, Misconfigured, SignInRefused, WorkerError
from worker.login import challenge, code_in, require_login

BACK = "http://127.0.0.1:5/"


def test_the_challenge_of_a_verifier() -> None:
    """The challenge is S256's, as the RFC's own example has it."""
    verifier = SecretStr("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    ("came_back", "code"),
    [
        (f"{BACK}?code=canary&state=S", "canary"),
        (f"  {BACK}?state=S&code=canary%2B1&session_state=x#frag \n", "canary+1"),
        ("/?code=canary&state=S", "canary"),
        ("canary-9_x", "canary-9_x"),
        ("canary+/==", "canary+/=="),
    ],
)
def test_the_code_that_came_back(came_back: str, code: str) -> None:
    """The code is taken from the address that the browser was sent to, or as it is where it was pasted alone."""
    assert code_in(came_back, "S", "erp").get_secret_value() == code


@pytest.mark.parametrize(
    ("came_back", "kind", "words"),
    [
        (f"{BACK}?code=canary&state=T", LoginNeeded, "its state differs"),
        (f"{BACK}?code=canary", LoginNeeded, "its state differs"),
        (f"{BACK}?error=access_denied&state=T", LoginNeeded, "its state differs"),
        (f"{BACK}?error=access_denied&state=S", SignInRefused, "(access_denied)"),
        (
            f"{BACK}?error=access_denied&error_description=No%0Away&state=S",
            SignInRefused,
            "(access_denied No way)",
        ),
        (BACK, LoginNeeded, "not the address"),
        ("", LoginNeeded, "not the address"),
        ("two words", LoginNeeded, "not the address"),
        ("http://[", LoginNeeded, "not the address"),
        ("https://erp.example.com/Site/identity/connect/authorize?state=S", LoginNeeded, "not the address"),
    ],
)
def test_no_code_came_back(came_back: str, kind: type[WorkerError], words: str) -> None:
    """Another login's answer, a refusal, or no answer at all is one error with the way out, and shows no code."""
    with pytest.raises(kind) as raised:
        code_in(came_back, "S", "erp")
    assert words in raised.value.message
    assert "run acuworker login erp again" in raised.value.message
    assert "canary" not in str(raised.value)


@given(st.text())
def test_whatever_is_pasted_is_a_code_or_an_error(came_back: str) -> None:
    """Any text is a code or one of the errors that say what to do."""
    try:
        assert code_in(came_back, "S", "erp").get_secret_value()
    except WorkerError as error:
        assert "again" in error.message


def test_a_connection_that_needs_no_person() -> None:
    """A login of a connection that signs in by itself is refused, naming the setting."""
    with pytest.raises(Misconfigured, match='a login needs sign_in = "login"') as raised:
        require_login(connection_to_nowhere())
    assert raised.value.field == "connections.default.sign_in"

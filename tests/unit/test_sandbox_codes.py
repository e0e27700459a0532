"""The sandbox's authorization codes: where they are sent, what is refused, and which verifier is the right one."""

import pytest

from deploy.sandbox.codes import Asked, may_return, refuse_asked, verifies

QUERY = (
    "response_type=code&client_id=A%40T&redirect_uri=http%3A%2F%2Flocalhost%3A99%2Fx&scope=api+offline_access"
)
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


def test_the_query_is_read() -> None:
    """Everything that a client asks is taken from the query, decoded."""
    asked = Asked.read(f"{QUERY}&state=a%26b&code_challenge=c&code_challenge_method=S256")
    scopes = ("api", "offline_access")
    assert asked == Asked("code", "A@T", "http://localhost:99/x", scopes, "a&b", "c", "S256")
    assert Asked.read(QUERY).state is None


@pytest.mark.parametrize(
    ("uri", "registered", "allowed"),
    [
        ("http://127.0.0.1:4000/", (), True),
        ("http://127.0.0.1:4000/back?x=1", (), True),
        ("http://localhost:1/a", (), True),
        ("http://localhost", (), True),
        ("https://localhost:1/a", (), False),
        ("http://127.0.0.1.elsewhere.example/", (), False),
        ("http://127.0.0.1:4000@elsewhere.example/", (), False),
        ("http://elsewhere.example/", (), False),
        ("http://localhost:1/#part", (), False),
        ("", (), False),
        ("https://app.example/back", ("https://app.example/back",), True),
        ("https://app.example/back/", ("https://app.example/back",), False),
        ("http://127.0.0.1:4000/", ("https://app.example/back",), False),
    ],
)
def test_where_a_code_may_be_sent(uri: str, registered: tuple[str, ...], allowed: bool) -> None:
    """Only to a registered address, or to any port of this machine where none is registered."""
    assert may_return(uri, registered) is allowed


@pytest.mark.parametrize(
    ("changed", "scopes_refused", "error"),
    [
        ("", False, None),
        ("&code_challenge=c&code_challenge_method=S256", False, None),
        ("&code_challenge=c&code_challenge_method=plain", False, None),
        ("&code_challenge=c&code_challenge_method=S512", False, "invalid_request"),
        ("", True, "invalid_scope"),
        ("&response_type=token", True, "unsupported_response_type"),
    ],
)
def test_what_the_client_is_told(changed: str, scopes_refused: bool, error: str | None) -> None:
    """A trusted client learns of its mistake by the redirect."""
    assert refuse_asked(Asked.read(QUERY + changed), scopes_refused) == error


@pytest.mark.parametrize(
    ("challenge", "method", "verifier", "right"),
    [
        (CHALLENGE, "S256", VERIFIER, True),
        (CHALLENGE, "S256", VERIFIER[:-1], False),
        (CHALLENGE, "S256", CHALLENGE, False),
        (CHALLENGE, "S256", "", False),
        (VERIFIER, "plain", VERIFIER, True),
        (VERIFIER, "plain", "x", False),
        ("", "plain", "", True),
        ("", "plain", "ü", True),
        (CHALLENGE, "S256", "ü", False),
    ],
)
def test_verifiers(challenge: str, method: str, verifier: str, right: bool) -> None:
    """The verifier must be the challenge's, as in the example of RFC 7636; without a challenge any will do."""
    assert verifies(challenge, method, verifier) is right


@pytest.mark.parametrize(
    ("uri", "state", "location"),
    [
        ("http://localhost:1/a", "&state=s%26%3D", "http://localhost:1/a?code=c&state=s%26%3D"),
        ("http://localhost:1/a?b=1", "", "http://localhost:1/a?b=1&code=c"),
        ("http://localhost:1", "&state=", "http://localhost:1?code=c&state="),
    ],
)
def test_the_way_back(uri: str, state: str, location: str) -> None:
    """The client gets what was added to its address, and its own state."""
    assert Asked.read(f"redirect_uri={uri}{state}").back({"code": "c"}) == location

"""The sandbox's front door, over TLS: codes with PKCE, chains of refresh tokens, and several sessions in a grant."""

import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox

ORDERS = "/entity/Default/20.200.001/SalesOrder?$top=1&$select=OrderNbr"
BACK = "http://127.0.0.1:4000/back"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CONCURRENT = "api api:concurrent_access"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site without limits."""
    with start_sandbox("--control", "--max-sessions", "0") as running:
        yield running


@pytest.fixture(autouse=True)
def _afresh(sandbox: Sandbox) -> None:
    """Every test begins with no open session, an empty log and no cookies."""
    sandbox.control("close-sessions")
    sandbox.control("events", method="DELETE")
    sandbox.http.cookies.clear()


def authorize_url(sandbox: Sandbox, **changes: str) -> str:
    """Where a client sends a person who is to sign in, with changes."""
    asked = {
        "response_type": "code",
        "client_id": sandbox.client_id,
        "scope": "api offline_access",
        "redirect_uri": BACK,
        "state": "a&b=c",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return str(httpx.URL(f"{sandbox.url}/identity/connect/authorize", params=asked))


def facts(response: httpx.Response) -> dict[str, str]:
    """What a redirect tells the client."""
    assert response.status_code == 302
    location = response.headers["location"]
    assert location.startswith(f"{BACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def ask_token(sandbox: Sandbox, **form: str) -> httpx.Response:
    """Post to the token endpoint as the client."""
    client = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    return sandbox.http.post(f"{sandbox.url}/identity/connect/token", data={**client, **form})


def redeem(sandbox: Sandbox, code: str, verifier: str = VERIFIER) -> httpx.Response:
    """Redeem a code."""
    spent = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
    return ask_token(sandbox, **spent, code_verifier=verifier)


def refresh(sandbox: Sandbox, refresh_token: str) -> httpx.Response:
    """Use a refresh token."""
    return ask_token(sandbox, grant_type="refresh_token", refresh_token=refresh_token)


def call(
    sandbox: Sandbox, token: str, cookie: str = "", path: str = ORDERS, method: str = "GET"
) -> httpx.Response:
    """A call with a token and a session's cookie, over a connection of its own and without a jar."""
    headers = {"Authorization": f"Bearer {token}"} | (
        {"Cookie": f"ASP.NET_SessionId={cookie}"} if cookie else {}
    )
    with httpx.Client(verify=sandbox.context(), timeout=30) as client:
        return client.request(method, sandbox.url + path, headers=headers)


def opened(response: httpx.Response) -> str:
    """The cookie of the session that a call has opened; empty if none."""
    return response.cookies.get("ASP.NET_SessionId") or ""


def of_kind(sandbox: Sandbox, kind: str) -> list[dict[str, Any]]:
    """The events of a kind."""
    return [event for event in sandbox.events() if event["kind"] == kind]


def test_a_person_signs_in_and_the_client_gets_a_token(sandbox: Sandbox) -> None:
    """The code that comes back with the client's own state is good for tokens of the user who signed in."""
    back = facts(sandbox.browse(authorize_url(sandbox)))
    assert back["state"] == "a&b=c"
    tokens = redeem(sandbox, back["code"]).json()
    assert {"access_token", "refresh_token"} <= set(tokens)
    assert call(sandbox, tokens["access_token"]).status_code == 200
    [sign_in] = of_kind(sandbox, "sign_in")
    assert (sign_in["grant"], sign_in["accepted"], sign_in["user"]) == ("authorization_code", True, "admin")
    assert redeem(sandbox, back["code"]).json() == {"error": "invalid_grant"}


def test_a_code_needs_its_verifier(sandbox: Sandbox) -> None:
    """A code in other hands is worthless, and is spent by the try."""
    code = facts(sandbox.browse(authorize_url(sandbox)))["code"]
    assert redeem(sandbox, code, verifier="guessed").json() == {"error": "invalid_grant"}
    assert redeem(sandbox, code).json() == {"error": "invalid_grant"}


def test_a_wrong_password_shows_the_page_again(sandbox: Sandbox) -> None:
    """The page says what is wrong, and the person may try again or cancel."""
    page = sandbox.browse(authorize_url(sandbox), password="wrong")
    assert (page.status_code, "Invalid credentials" in page.text) == (200, True)
    assert facts(sandbox.browse(authorize_url(sandbox), answer="deny"))["error"] == "access_denied"
    assert "code" in facts(sandbox.browse(authorize_url(sandbox)))


@pytest.mark.parametrize(
    "changes",
    [{"client_id": "nobody@MyStore"}, {"redirect_uri": "https://elsewhere.example/"}, {"redirect_uri": ""}],
)
def test_whom_the_site_does_not_trust(sandbox: Sandbox, changes: dict[str, str]) -> None:
    """For an unknown client or address there is an error page, and nobody is sent anywhere."""
    page = sandbox.http.get(authorize_url(sandbox, **changes))
    assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "location" not in page.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"response_type": "token"}, "unsupported_response_type"), ({"scope": "everything"}, "invalid_scope")],
)
def test_what_a_client_asks_wrongly(sandbox: Sandbox, changes: dict[str, str], error: str) -> None:
    """A known client is told its mistake by the redirect, with its state."""
    told = facts(sandbox.http.get(authorize_url(sandbox, **changes)))
    assert told == {"error": error, "state": "a&b=c"}


def test_the_log_has_neither_state_nor_code(sandbox: Sandbox) -> None:
    """What passes between client and person is not in the event log, nor is what opens the account."""
    code = facts(sandbox.browse(authorize_url(sandbox)))["code"]
    tokens = redeem(sandbox, code).json()
    refresh(sandbox, tokens["refresh_token"])
    tokens_of_his = (tokens["access_token"], tokens["refresh_token"])
    log = str(sandbox.events())
    for secret in (code, VERIFIER, CHALLENGE, "a&b", sandbox.password, *tokens_of_his):
        assert secret not in log
    assert of_kind(sandbox, "sign_in")[-1]["grant"] == "refresh_token"


def test_registered_addresses_and_forbidden_passwords() -> None:
    """With options of its own, a site sends codes only where it was told to and takes no password from a client."""
    where = "https://app.example/back"
    with start_sandbox("--redirect-uri", where, "--forbid-password-grant", "--control") as sandbox:
        assert sandbox.http.get(authorize_url(sandbox)).status_code == 400
        location = sandbox.browse(authorize_url(sandbox, redirect_uri=where)).headers["location"]
        assert location.startswith(f"{where}?code=")
        form = {"username": sandbox.username, "password": sandbox.password, "scope": "api"}
        refused = ask_token(sandbox, grant_type="password", **form)
        assert (refused.status_code, refused.json()) == (400, {"error": "unauthorized_client"})
        assert sandbox.tally()["refused_sign_ins"] == 1


def test_chains_end(sandbox: Sandbox) -> None:
    """When chains are ended, refreshing is refused while the access token still works."""
    tokens = sandbox.tokens("api offline_access")
    sandbox.control("revoke-refresh")
    assert refresh(sandbox, tokens["refresh_token"]).json() == {"error": "invalid_grant"}
    assert call(sandbox, tokens["access_token"]).status_code == 200
    assert [event["token"] for event in of_kind(sandbox, "token_revoked")] == ["all_refresh"]
    assert of_kind(sandbox, "sign_in")[-1]["accepted"] is False


def test_the_life_of_a_chain() -> None:
    """A chain ends when its days are over, however often it was refreshed."""
    with start_sandbox("--refresh-days", str(2 / 86_400)) as sandbox:
        ends = time.monotonic() + 2
        tokens = sandbox.tokens("api offline_access")
        answer = refresh(sandbox, tokens["refresh_token"])
        while answer.status_code == 200 and time.monotonic() < ends + 20:
            time.sleep(0.1)
            answer = refresh(sandbox, answer.json()["refresh_token"])
        assert answer.json() == {"error": "invalid_grant"}
        assert time.monotonic() >= ends


def test_a_refreshed_token_with_a_session_of_its_own() -> None:
    """Where refreshing does not keep the session, the refreshed token opens one beside the old token's."""
    with start_sandbox("--control", "--refresh-seat", "new") as sandbox:
        first = sandbox.tokens("api offline_access")
        call(sandbox, first["access_token"])
        second = refresh(sandbox, first["refresh_token"]).json()
        assert sandbox.tally()["open_sessions"] == 1
        assert call(sandbox, second["access_token"]).status_code == 200
        assert sandbox.tally()["open_sessions"] == 2
        call(sandbox, first["access_token"], path="/entity/auth/logout", method="POST")
        assert [event["session"] for event in of_kind(sandbox, "session_close")] == [1]
        assert call(sandbox, second["access_token"]).status_code == 200
        assert [event["session"] for event in of_kind(sandbox, "session_open")] == [1, 2]


def test_every_call_without_a_cookie_opens_a_session(sandbox: Sandbox) -> None:
    """Under api:concurrent_access a call gets a session and its cookie, and runs in that session if it brings it."""
    token = sandbox.token(CONCURRENT)
    first, second = call(sandbox, token), call(sandbox, token, path="/entity")
    assert len({opened(first), opened(second), ""}) == 3
    assert not opened(call(sandbox, token, opened(first)))
    assert opened(call(sandbox, token, "unknown")) not in ("", "unknown")
    numbers = [event["session"] for event in of_kind(sandbox, "session_open")]
    ran = [event["session"] for event in of_kind(sandbox, "end")][1:]
    assert ran == [numbers[0], numbers[1], numbers[0], numbers[2]]
    assert sandbox.tally()["open_sessions"] == 3


def test_each_session_is_signed_out_by_its_cookie(sandbox: Sandbox) -> None:
    """Sign-out closes the session of the cookie and no other; the cookie is unknown from then on."""
    token = sandbox.token(CONCURRENT)
    first, second = (opened(call(sandbox, token)) for _ in range(2))
    assert call(sandbox, token, first, "/entity/auth/logout", "POST").status_code == 204
    assert sandbox.tally()["open_sessions"] == 1
    assert call(sandbox, token, path="/entity/auth/logout", method="POST").status_code == 204
    assert sandbox.tally()["open_sessions"] == 1
    assert not opened(call(sandbox, token, second))
    assert opened(call(sandbox, token, first)) not in ("", first)
    assert sandbox.tally()["open_sessions"] == 2


def test_one_cookie_is_no_other_grants(sandbox: Sandbox) -> None:
    """A cookie means nothing to a token of scope api, nor to another grant."""
    mine = opened(call(sandbox, sandbox.token(CONCURRENT)))
    assert not opened(call(sandbox, sandbox.token(), mine))
    assert opened(call(sandbox, sandbox.token(CONCURRENT), mine)) not in ("", mine)
    assert sandbox.tally()["open_sessions"] == 3


def test_a_refresh_keeps_every_session(sandbox: Sandbox) -> None:
    """The refreshed token runs in the sessions of the cookies that the old one opened."""
    first = sandbox.tokens(f"{CONCURRENT} offline_access")
    cookies = [opened(call(sandbox, first["access_token"])) for _ in range(2)]
    second = refresh(sandbox, first["refresh_token"]).json()
    assert [opened(call(sandbox, second["access_token"], cookie)) for cookie in cookies] == ["", ""]
    assert sandbox.tally()["open_sessions"] == 2


@contextmanager
def holding(sandbox: Sandbox, token: str, cookie: str) -> Iterator[None]:
    """Run a request until the end of the block: its answer is too large to be sent unread."""
    sandbox.control("faults", {"kind": "huge", "when": "after", "path": httpx.URL(sandbox.url + ORDERS).path})
    headers = {"Authorization": f"Bearer {token}", "Cookie": f"ASP.NET_SessionId={cookie}"}
    with (
        httpx.Client(verify=sandbox.context()) as client,
        client.stream("GET", sandbox.url + ORDERS, headers=headers),
    ):
        yield


def test_sessions_of_one_token_run_beside_each_other(sandbox: Sandbox) -> None:
    """Calls in different sessions run at once; in one session they wait for each other."""
    token = sandbox.token(CONCURRENT)
    first, second = (opened(call(sandbox, token)) for _ in range(2))
    with ThreadPoolExecutor(1) as threads:
        with holding(sandbox, token, first):
            waiting = threads.submit(call, sandbox, token, first)
            assert call(sandbox, token, second).status_code == 200
            assert not waiting.done()
        assert waiting.result().status_code == 200


def test_a_seat_too_many_sets_no_cookie() -> None:
    """The license's limit meets the call that would open one session more than there are seats."""
    with start_sandbox("--max-sessions", "1", "--control") as sandbox:
        token = sandbox.token(CONCURRENT)
        cookie = opened(call(sandbox, token))
        refused = call(sandbox, token)
        assert (refused.status_code, opened(refused), "API Login Limit" in refused.text) == (500, "", True)
        assert call(sandbox, token, cookie).status_code == 200


def test_sessions_end_with_their_token() -> None:
    """Every session of a grant is closed when its token has expired, and seats at the token take none."""
    options = ("--control", "--token-seconds", "3", "--seat-at", "token")
    with start_sandbox(*options) as sandbox:
        token = sandbox.token(CONCURRENT)
        assert sandbox.tally()["open_sessions"] == 0
        for _ in range(2):
            assert opened(call(sandbox, token))
        deadline = time.monotonic() + 20
        while sandbox.tally()["open_sessions"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [event["why"] for event in of_kind(sandbox, "session_close")] == ["expired", "expired"]
        assert call(sandbox, token).status_code == 401

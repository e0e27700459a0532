"""The sandbox's front door, over TLS: signing in and out, as OAuth and with cookies."""

import http.client
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox

ORDERS = "/entity/Default/20.200.001/SalesOrder?$top=1&$select=OrderNbr"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site without limits."""
    with start_sandbox("--control", "--max-sessions", "0") as running:
        yield running


@pytest.fixture(autouse=True)
def _afresh(sandbox: Sandbox) -> None:
    """Every test begins with no open session and an empty log."""
    sandbox.control("close-sessions")
    sandbox.control("events", method="DELETE")
    sandbox.control("account", {"locked": False}, method="PATCH")
    sandbox.http.cookies.clear()


def form(sandbox: Sandbox, **changes: str) -> dict[str, str]:
    """A password grant, with changes."""
    return {
        "grant_type": "password",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "username": sandbox.username,
        "password": sandbox.password,
        "scope": "api",
        **changes,
    }


def ask_token(sandbox: Sandbox, **changes: str) -> httpx.Response:
    """Post to the token endpoint."""
    return sandbox.http.post(f"{sandbox.url}/identity/connect/token", data=form(sandbox, **changes))


def read(sandbox: Sandbox, token: str) -> httpx.Response:
    """Read one order with a token."""
    return sandbox.http.get(sandbox.url + ORDERS, headers=bearer(token))


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def log_out(sandbox: Sandbox, token: str) -> httpx.Response:
    """Sign a token's session out."""
    return sandbox.http.post(f"{sandbox.url}/entity/auth/logout", headers=bearer(token))


def login(sandbox: Sandbox, **changes: str) -> httpx.Response:
    """Sign in with cookies, which the client keeps."""
    given = {"name": sandbox.username, "password": sandbox.password, "tenant": sandbox.tenant, **changes}
    return sandbox.http.post(f"{sandbox.url}/entity/auth/login", json=given)


def cookie_names(response: httpx.Response) -> list[str]:
    """The names of the cookies that a response sets, in order."""
    return [value.partition("=")[0] for value in response.headers.get_list("set-cookie")]


def test_a_token_as_2022r1_sends_it(sandbox: Sandbox) -> None:
    """The older build answers a token request chunked and plain, with its recorded headers."""
    response = ask_token(sandbox)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store, no-cache, max-age=0"
    assert response.headers["content-type"] == "application/json; charset=UTF-8"
    assert response.headers["transfer-encoding"] == "chunked"
    assert "content-encoding" not in response.headers
    assert cookie_names(response) == ["UserBranch", "requestid", "requeststat"]
    assert list(response.json()) == ["access_token", "expires_in", "token_type", "scope"]


def test_a_token_as_2024r1_sends_it() -> None:
    """The newer build answers a token request compressed, with a length and its recorded headers."""
    with start_sandbox("--build", "2024R1", "--site", "") as sandbox:
        assert urlsplit(sandbox.url).path == ""
        response = ask_token(sandbox)
        discovered = sandbox.http.get(f"{sandbox.url}/entity").json()
    assert response.headers["cache-control"] == "no-cache, no-store"
    assert (response.headers["pragma"], response.headers["expires"]) == ("no-cache", "-1")
    assert (response.headers["content-encoding"], response.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert int(response.headers["content-length"]) > 100
    user = ["UserBranch", "Locale"]
    assert cookie_names(response) == [*user, *user, "requestid", "requeststat"]
    assert response.json()["scope"] == "api"
    assert discovered["endpoints"] == [
        {"name": "Default", "version": "22.200.001", "href": "/entity/Default/22.200.001/"}
    ]


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"client_secret": "x"}, {"error": "invalid_client"}),
        (
            {"password": "x"},
            {"error": "invalid_grant", "error_description": "invalid_username_or_password"},
        ),
        ({"grant_type": "client_credentials"}, {"error": "unsupported_grant_type"}),
    ],
)
def test_refused_token_requests(sandbox: Sandbox, changes: dict[str, str], body: dict[str, str]) -> None:
    """A refusal is a 400 with an OAuth error, and is logged as a refused sign-in."""
    response = ask_token(sandbox, **changes)
    assert (response.status_code, response.json()) == (400, body)
    assert (sandbox.tally()["sign_ins"], sandbox.tally()["refused_sign_ins"]) == (0, 1)


def test_a_token_request_that_is_no_form(sandbox: Sandbox) -> None:
    """Only a form is taken."""
    response = sandbox.http.post(f"{sandbox.url}/identity/connect/token", json=form(sandbox))
    assert (response.status_code, response.json()) == (400, {"error": "invalid_request"})


def test_client_credentials_in_the_header(sandbox: Sandbox) -> None:
    """The client may authenticate with HTTP Basic."""
    asked = form(sandbox)
    basic = (asked.pop("client_id"), asked.pop("client_secret"))
    response = sandbox.http.post(f"{sandbox.url}/identity/connect/token", data=asked, auth=basic)
    assert response.status_code == 200


def test_the_discovery_document_names_the_endpoints(sandbox: Sandbox) -> None:
    """Whoever asks learns where to get tokens and where to revoke them."""
    document = sandbox.http.get(f"{sandbox.url}/identity/.well-known/openid-configuration").json()
    assert document["token_endpoint"] == f"{sandbox.url}/identity/connect/token"
    assert document["revocation_endpoint"] == f"{sandbox.url}/identity/connect/revocation"
    assert sandbox.tally()["requests"] == 0


def test_too_many_wrong_passwords_lock_the_account(sandbox: Sandbox) -> None:
    """After five wrong passwords the right one is refused, with OAuth and with cookies, until unlocked."""
    for _ in range(5):
        ask_token(sandbox, password="wrong")
    assert ask_token(sandbox).json()["error"] == "invalid_grant"
    assert "locked out" in login(sandbox).json()["exceptionMessage"]
    sandbox.control("account", {"locked": False}, method="PATCH")
    assert ask_token(sandbox).status_code == 200


def test_no_token_no_data(sandbox: Sandbox) -> None:
    """Without a token, or with an unknown one, everything under /entity is a 401 that costs nothing."""
    for headers in ({}, bearer("unknown")):
        for path in (ORDERS, "/entity/Default/20.200.001/files/x", "/entity/Nothing/1/Thing"):
            response = sandbox.http.get(sandbox.url + path, headers=headers)
            assert (response.status_code, list(response.json())) == (401, ["message"])
    assert sandbox.tally()["requests"] == 0


def test_a_session_opens_with_the_first_call_and_is_kept(sandbox: Sandbox) -> None:
    """A token alone takes no seat; its first data request does; later ones share it."""
    token = sandbox.token()
    assert sandbox.tally()["open_sessions"] == 0
    read(sandbox, token)
    read(sandbox, token)
    assert (sandbox.tally()["open_sessions"], sandbox.tally()["peak_sessions"]) == (1, 1)
    assert [e["kind"] for e in sandbox.events()].count("session_open") == 1


def test_a_signed_out_token_used_again_takes_a_seat_again(sandbox: Sandbox) -> None:
    """Sign-out frees the seat and leaves the token alive."""
    token = sandbox.token()
    read(sandbox, token)
    assert log_out(sandbox, token).status_code == 204
    assert sandbox.tally()["open_sessions"] == 0
    assert read(sandbox, token).status_code == 200
    assert sandbox.tally()["open_sessions"] == 1


def test_a_revoked_token_is_dead_but_its_seat_is_taken(sandbox: Sandbox) -> None:
    """Revocation kills the token; signing out with it then frees nothing."""
    token = sandbox.token()
    read(sandbox, token)
    revocation = f"{sandbox.url}/identity/connect/revocation"
    asked = {"token": token, "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    assert sandbox.http.post(revocation, data={**asked, "client_secret": "x"}).status_code == 400
    assert sandbox.http.post(revocation, data=asked).status_code == 200
    assert read(sandbox, token).status_code == 401
    assert log_out(sandbox, token).status_code == 204
    assert sandbox.tally()["open_sessions"] == 1


def test_refreshing_keeps_the_session(sandbox: Sandbox) -> None:
    """The refreshed token works in the same session, and the used refresh token is dead."""
    first = ask_token(sandbox, scope="api offline_access").json()
    read(sandbox, first["access_token"])
    again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = ask_token(sandbox, **again).json()
    read(sandbox, second["access_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert (sandbox.tally()["open_sessions"], sandbox.tally()["peak_sessions"]) == (1, 1)
    assert ask_token(sandbox, **again).json() == {"error": "invalid_grant"}


def test_sign_out_as_recorded(sandbox: Sandbox) -> None:
    """A bearer's sign-out is an empty 204 with the recorded cookies."""
    response = log_out(sandbox, sandbox.token())
    assert (response.status_code, response.content) == (204, b"")
    assert "content-length" not in response.headers
    assert cookie_names(response) == ["ASP.NET_SessionId", "ASP.NET_SessionId", "requestid", "requeststat"]


def test_cookie_sign_in_and_out(sandbox: Sandbox) -> None:
    """Cookies open a session at once, serve data, and are worthless after sign-out."""
    response = login(sandbox)
    assert (response.status_code, response.content) == (204, b"")
    cookies = ["ASP.NET_SessionId", ".ASPXAUTH", "UserBranch", "Locale"]
    assert cookie_names(response) == [*cookies, *cookies, "requestid", "requeststat"]
    assert sandbox.tally()["open_sessions"] == 1
    assert sandbox.http.get(sandbox.url + ORDERS).status_code == 200
    kept = dict(sandbox.http.cookies)
    assert sandbox.http.post(f"{sandbox.url}/entity/auth/logout").status_code == 204
    assert ".ASPXAUTH" not in sandbox.http.cookies
    assert sandbox.tally()["open_sessions"] == 0
    sandbox.http.cookies.update(kept)
    assert sandbox.http.get(sandbox.url + ORDERS).status_code == 401


def test_a_second_cookie_sign_in(sandbox: Sandbox) -> None:
    """The same cookies keep their session; without them it is another session."""
    login(sandbox)
    assert "ASP.NET_SessionId" not in cookie_names(login(sandbox))
    assert sandbox.tally()["open_sessions"] == 1
    sandbox.http.cookies.clear()
    login(sandbox)
    assert sandbox.tally()["open_sessions"] == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong"}, "Invalid credentials"),
        ({"tenant": "Other"}, "A proper company ID cannot be determined"),
        ({"company": "MyStore"}, "may not be specified together"),
    ],
)
def test_refused_cookie_sign_ins(sandbox: Sandbox, changes: dict[str, str], words: str) -> None:
    """A refused sign-in is a 500 whose exceptionMessage says why."""
    response = login(sandbox, **changes)
    assert response.status_code == 500
    assert words in response.json()["exceptionMessage"]
    assert sandbox.tally()["open_sessions"] == 0


def test_a_cookie_sign_in_takes_a_form_and_no_tenant(sandbox: Sandbox) -> None:
    """Parameters may come as a form, and an omitted tenant is the only one there is."""
    given = {"name": sandbox.username, "password": sandbox.password}
    assert sandbox.http.post(f"{sandbox.url}/entity/auth/login", data=given).status_code == 204
    assert sandbox.http.post(f"{sandbox.url}/entity/auth/login", content=b"[1]").status_code == 400


def test_sign_out_needs_a_content_length(sandbox: Sandbox) -> None:
    """IIS answers 411 to a POST without one, and the session stays."""
    token = sandbox.token()
    read(sandbox, token)
    address = urlsplit(sandbox.url)
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, context=sandbox.context())
    connection.putrequest("POST", f"{address.path}/entity/auth/logout")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, b"Length Required" in response.read()) == (411, True)
    connection.close()
    assert sandbox.tally()["open_sessions"] == 1


def test_the_endpoints_are_listed_for_everyone(sandbox: Sandbox) -> None:
    """GET /entity needs no sign-in, and costs only who is signed in."""
    document = sandbox.http.get(f"{sandbox.url}/entity").json()
    assert document["endpoints"][0]["href"] == "/MyStoreInstance/entity/Default/20.200.001/"
    assert sandbox.tally()["requests"] == 0
    sandbox.http.get(f"{sandbox.url}/entity", headers=bearer(sandbox.token()))
    assert (sandbox.tally()["requests"], sandbox.tally()["open_sessions"]) == (2, 1)


def test_the_log_holds_no_secret(sandbox: Sandbox) -> None:
    """Neither tokens nor passwords, secrets or cookies are in the event log, and requests are told apart."""
    token = sandbox.token()
    sandbox.http.get(sandbox.url + ORDERS, headers={**bearer(token), "X-Request-Id": "mine"})
    login(sandbox)
    cookies = [value for value in sandbox.http.cookies.values() if len(value) > 20]
    log = str(sandbox.events())
    assert "'request_id': 'mine'" in log
    assert len(cookies) >= 2
    for secret in (token, sandbox.password, sandbox.client_secret, *cookies):
        assert secret not in log


def test_expiry_and_other_variants() -> None:
    """Tokens and idle sessions expire in time, and the switches for what is unknown take effect."""
    arguments = ("--token-seconds", "1", "--idle-seconds", "0.5", "--bad-login", "401")
    with start_sandbox("--control", "--dead-token-logout", "401", *arguments) as sandbox:
        token = sandbox.token()
        assert read(sandbox, token).status_code == 200
        assert login(sandbox).status_code == 204
        assert login(sandbox, password="wrong").status_code == 401
        deadline = time.monotonic() + 10
        while sandbox.tally()["open_sessions"] and time.monotonic() < deadline:
            time.sleep(0.05)
        closed = [event["why"] for event in sandbox.events() if event["kind"] == "session_close"]
        assert sorted(closed) == ["expired", "idle"]
        assert read(sandbox, token).status_code == 401
        assert log_out(sandbox, token).status_code == 401
        assert sandbox.http.get(sandbox.url + ORDERS).status_code == 401


def test_changed_credentials(sandbox: Sandbox) -> None:
    """Password and secret can be changed under a client, and tokens revoked."""
    token = sandbox.token()
    sandbox.control("revoke-tokens")
    assert read(sandbox, token).status_code == 401
    sandbox.control("account", {"password": "new"}, method="PATCH")
    sandbox.control("client", {"secret": "newer"}, method="PATCH")
    assert ask_token(sandbox).json()["error"] == "invalid_client"
    assert ask_token(sandbox, client_secret="newer").json()["error"] == "invalid_grant"
    assert ask_token(sandbox, client_secret="newer", password="new").status_code == 200
    sandbox.control("account", {"password": sandbox.password}, method="PATCH")
    sandbox.control("client", {"secret": sandbox.client_secret}, method="PATCH")

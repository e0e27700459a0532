"""The sandbox's front door, over TLS: seats, login limits, turns, the queue and the paced minute."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox

ORDERS = "/entity/Default/20.200.001/SalesOrder?$top=1&$select=OrderNbr"


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def read(sandbox: Sandbox, token: str, client: httpx.Client | None = None) -> httpx.Response:
    """Read one order with a token."""
    return (client or sandbox.http).get(sandbox.url + ORDERS, headers=bearer(token), timeout=60)


def log_out(sandbox: Sandbox, token: str | None = None) -> httpx.Response:
    """Sign out, as the bearer of a token or as nobody."""
    return sandbox.http.post(f"{sandbox.url}/entity/auth/logout", headers=bearer(token) if token else {})


def login(sandbox: Sandbox) -> httpx.Response:
    """Sign in with cookies."""
    given = {"name": sandbox.username, "password": sandbox.password}
    return sandbox.http.post(f"{sandbox.url}/entity/auth/login", json=given)


def until(sandbox: Sandbox, reached: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the tally says so."""
    deadline = time.monotonic() + 6
    while not reached(sandbox.tally()):
        assert time.monotonic() < deadline, f"never reached: {sandbox.tally()}"
        time.sleep(0.02)


def still_running(sandbox: Sandbox) -> set[int]:
    """The requests that have arrived and not ended."""
    events = sandbox.events()
    arrived, ended = ({e["request"] for e in events if e["kind"] == kind} for kind in ("arrival", "end"))
    return arrived - ended


def forget(sandbox: Sandbox) -> None:
    """Empty the event log, once every request in it has ended: one that was cut ends a moment later."""
    deadline = time.monotonic() + 6
    while still_running(sandbox):
        assert time.monotonic() < deadline, f"still running: {still_running(sandbox)}"
        time.sleep(0.02)
    sandbox.control("events", method="DELETE")


@contextmanager
def holding(sandbox: Sandbox, headers: dict[str, str]) -> Iterator[None]:
    """Run a request until the end of the block: its answer is too large to be sent unread."""
    sandbox.control("faults", {"kind": "huge", "when": "after", "path": httpx.URL(sandbox.url + ORDERS).path})
    client = httpx.Client(verify=sandbox.context())
    with client, client.stream("GET", sandbox.url + ORDERS, headers=headers):
        yield


SHAPES = [
    ("html500", 500, "text/html; charset=utf-8", "<title>API Login Limit</title>"),
    ("429", 429, "text/plain", "The custom error module does not recognize this error."),
    ("302", 302, "text/html; charset=utf-8", "concurrent%20API%20logins"),
]


@pytest.mark.parametrize(("shape", "status", "content_type", "words"), SHAPES)
def test_the_login_limit(shape: str, status: int, content_type: str, words: str) -> None:
    """One session too many gets the chosen shape at its first call and at a cookie sign-in, until a seat is free."""
    with start_sandbox("--control", "--max-sessions", "1", "--login-limit", shape) as sandbox:
        first, second = sandbox.token(), sandbox.token()
        assert read(sandbox, first).status_code == 200
        for refused in (read(sandbox, second), login(sandbox)):
            assert (refused.status_code, refused.headers["content-type"]) == (status, content_type)
            assert words in refused.text
        assert read(sandbox, first).status_code == 200
        log_out(sandbox, first)
        assert read(sandbox, second).status_code == 200
        assert sandbox.tally()["peak_sessions"] == 1


def test_the_302_leads_to_the_error_form() -> None:
    """Who follows the redirect gets a page with status 200, as a browser would."""
    with start_sandbox("--max-sessions", "1", "--login-limit", "302") as sandbox:
        read(sandbox, sandbox.token())
        location = read(sandbox, sandbox.token()).headers["location"]
        assert location.startswith("/MyStoreInstance/Frames/Error.aspx?")
        page = sandbox.http.get(httpx.URL(sandbox.url).join(location))
        assert (page.status_code, "concurrent API logins" in page.text) == (200, True)


def test_seats_at_the_token() -> None:
    """With --seat-at token the limit meets the token request, and no token is given."""
    with start_sandbox("--control", "--max-sessions", "1", "--seat-at", "token") as sandbox:
        first = sandbox.token()
        assert sandbox.tally()["open_sessions"] == 1
        with pytest.raises(httpx.HTTPStatusError, match="500"):
            sandbox.token()
        log_out(sandbox, first)
        sandbox.token()
        assert sandbox.tally()["refused_sign_ins"] == 1


def test_the_users_own_limit() -> None:
    """The cap of the user is a redirect for a bearer and a JSON 500 for a cookie sign-in."""
    with start_sandbox("--max-sessions", "0", "--max-logins-per-user", "1") as sandbox:
        read(sandbox, sandbox.token())
        refused = read(sandbox, sandbox.token())
        assert (refused.status_code, "/Frames/Error.aspx" in refused.headers["location"]) == (302, True)
        refused = login(sandbox)
        assert refused.status_code == 500
        assert "Users (SM201010)" in refused.json()["exceptionMessage"]


@pytest.fixture(scope="module")
def slow() -> Iterator[Sandbox]:
    """A site whose work takes 20 ms."""
    with start_sandbox("--control", "--max-sessions", "0", "--latency", "20,0,0") as running:
        yield running


def spans(sandbox: Sandbox) -> list[tuple[int, int]]:
    """When each data request ran, in nanoseconds."""
    events = sandbox.events()
    ends = {event["request"]: event["at"] for event in events if event["kind"] == "end"}
    data = {e["request"] for e in events if e["kind"] == "arrival" and "SalesOrder" in e["path"]}
    return sorted(
        (e["at"], ends[e["request"]]) for e in events if e["kind"] == "start" and e["request"] in data
    )


def test_a_session_runs_one_request_at_a_time(slow: Sandbox) -> None:
    """Requests with one token wait for each other without error."""
    token = slow.token()
    forget(slow)
    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda _: read(slow, token), range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    ran = spans(slow)
    assert len(ran) == 5
    assert all(end <= start for (_, end), (start, _) in pairwise(ran))
    assert (slow.tally()["peak_running"], slow.tally()["peak_sessions"]) == (1, 1)


def test_sessions_run_beside_each_other(slow: Sandbox) -> None:
    """Requests with different tokens run at once."""
    tokens = [slow.token() for _ in range(4)]
    forget(slow)
    with ExitStack() as stack:
        for token in tokens:
            stack.enter_context(holding(slow, bearer(token)))
        assert slow.tally()["peak_running"] == 4


def test_sign_out_waits_for_the_sessions_request(slow: Sandbox) -> None:
    """A sign-out has its turn after the request that runs in its session; another session's does not wait."""
    token, other = slow.token(), slow.token()
    slow.control("close-sessions")
    forget(slow)
    with ThreadPoolExecutor(1) as threads:
        with holding(slow, bearer(token)):
            signing_out = threads.submit(log_out, slow, token)
            until(slow, lambda tally: tally["peak_in_flight"] == 2)
            assert read(slow, other).status_code == 200
            assert (signing_out.done(), slow.tally()["sign_outs"]) == (False, 0)
        assert signing_out.result().status_code == 204
    assert slow.tally()["open_sessions"] == 1


def test_a_cookie_that_waits_behind_its_sign_out(slow: Sandbox) -> None:
    """A request whose cookie session is signed out while it waits is not signed in any more."""
    login(slow)
    cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in slow.http.cookies.items())}
    slow.http.cookies.clear()
    forget(slow)
    with ThreadPoolExecutor(2) as threads:
        with holding(slow, cookies):
            signing_out = threads.submit(slow.http.post, f"{slow.url}/entity/auth/logout", headers=cookies)
            until(slow, lambda tally: tally["peak_in_flight"] == 2)
            reading = threads.submit(slow.http.get, slow.url + ORDERS, headers=cookies)
            until(slow, lambda tally: tally["peak_in_flight"] == 3)
        assert signing_out.result().status_code == 204
        assert reading.result().status_code == 401


def test_latency_holds_core_and_session(slow: Sandbox) -> None:
    """The ERP's work takes its time between start and end."""
    token = slow.token()
    forget(slow)
    read(slow, token)
    [(start, end)] = spans(slow)
    assert end - start >= 20_000_000


@pytest.mark.parametrize(
    ("body", "text"), [("iis", "The custom error module does not recognize this error."), ("empty", "")]
)
def test_a_full_queue_declines(body: str, text: str) -> None:
    """With one core taken and twenty waiting the next is declined with 429; a sign-out is not held up."""
    options = ("--max-sessions", "0", "--max-concurrent", "1", "--decline-body", body)
    with ExitStack() as stack:
        sandbox = stack.enter_context(start_sandbox("--control", *options))
        crowd = stack.enter_context(httpx.Client(verify=sandbox.context()))
        threads = stack.enter_context(ThreadPoolExecutor(20))
        first, last, *others = [sandbox.token() for _ in range(22)]
        with holding(sandbox, bearer(first)):
            waiting = [threads.submit(read, sandbox, token, crowd) for token in others]
            until(sandbox, lambda tally: tally["peak_in_flight"] == 21)
            declined = read(sandbox, last)
            assert (declined.status_code, declined.text) == (429, text)
            assert "retry-after" not in declined.headers
            assert log_out(sandbox).status_code == 204
            assert not any(future.done() for future in waiting)
        assert {future.result().status_code for future in waiting} == {200}
        tally = sandbox.tally()
        assert (tally["declined"], tally["peak_running"], tally["peak_in_flight"]) == (1, 1, 22)


@pytest.mark.parametrize("window", ["sliding", "calendar"])
def test_the_minute_is_paced(window: str) -> None:
    """From half of the limit on a request is delayed; sign-outs count and are not."""
    with start_sandbox("--control", "--max-per-minute", "1000", "--window", window) as sandbox:
        token = sandbox.token()
        for _ in range(499):
            log_out(sandbox)
        assert sandbox.tally()["mean_delay_seconds"] == 0
        read(sandbox, token)
        events = sandbox.events()
        [delay] = [event for event in events if event["kind"] == "delay"]
        [start] = [e for e in events if e["kind"] == "start" and e["request"] == delay["request"]]
        assert 0 < delay["seconds"] <= 60 / 500
        assert start["at"] - delay["at"] >= delay["seconds"] * 1e9 * 0.99
        if window == "sliding":
            oldest, arrived = (
                next(e["at"] for e in events if e["request"] == n) for n in (1, delay["request"])
            )
            assert delay["seconds"] == pytest.approx((60 - (arrived - oldest) / 1e9) / 500, abs=0.001)
        tally = sandbox.tally()
        assert (tally["requests"], tally["most_in_a_minute"]) == (501, 501)
        assert tally["mean_delay_seconds"] == pytest.approx(delay["seconds"] / 501)


def change(sandbox: Sandbox, **limits: int) -> dict[str, int]:
    """Change limits of the license while the site runs."""
    limits_now: dict[str, int] = sandbox.control("license", limits, method="PATCH")
    return limits_now


def test_seats_change_while_the_site_runs() -> None:
    """Fewer seats close no session and refuse the next; more let it in; the change is in the log."""
    with start_sandbox("--control", "--max-sessions", "2") as sandbox:
        tokens = [sandbox.token() for _ in range(3)]
        assert [read(sandbox, token).status_code for token in tokens] == [200, 200, 500]
        change(sandbox, max_sessions=1)
        assert [read(sandbox, token).status_code for token in tokens] == [200, 200, 500]
        change(sandbox, max_sessions=3)
        assert [read(sandbox, token).status_code for token in tokens] == [200, 200, 200]
        change(sandbox, max_logins_per_user=3)
        assert read(sandbox, sandbox.token()).status_code == 500
        now = change(sandbox, max_sessions=0)
        assert read(sandbox, sandbox.token()).status_code == 302
        assert sandbox.control("license", method="GET") == now
        assert now == {"max_sessions": 0, "max_logins_per_user": 3, "max_concurrent": 0, "max_per_minute": 0}
        changed = [event["max_sessions"] for event in sandbox.events() if event["kind"] == "limits"]
        assert changed == [1, 3, 3, 0]


def test_cores_change_while_requests_wait() -> None:
    """A core more lets in who waits."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(
            start_sandbox("--control", "--max-sessions", "0", "--max-concurrent", "1")
        )
        threads = stack.enter_context(ThreadPoolExecutor(1))
        first, second = sandbox.token(), sandbox.token()
        with holding(sandbox, bearer(first)):
            waiting = threads.submit(read, sandbox, second)
            until(sandbox, lambda tally: tally["peak_in_flight"] == 2)
            assert not waiting.done()
            change(sandbox, max_concurrent=2)
            assert waiting.result().status_code == 200


def test_the_minute_changes_while_the_site_runs() -> None:
    """A new limit of the minute paces the next request, by what was counted before."""
    with start_sandbox("--control") as sandbox:
        token = sandbox.token()
        for _ in range(100):
            log_out(sandbox)
        change(sandbox, max_per_minute=1000)
        read(sandbox, token)
        assert sandbox.tally()["mean_delay_seconds"] == 0
        change(sandbox, max_per_minute=200)
        sandbox.control("events", method="DELETE")
        with ThreadPoolExecutor(1) as threads:
            late = threads.submit(read, sandbox, token)
            until(sandbox, lambda tally: tally["mean_delay_seconds"] > 0)
            [delay] = [event["seconds"] for event in sandbox.events() if event["kind"] == "delay"]
            assert late.result().status_code == 200
        assert 0 < delay <= 60 / 98


@pytest.mark.parametrize("limits", [{"max_sessions": -1}, {"max_sessions": True}, {"max_seats": 1}])
def test_limits_that_are_none(slow: Sandbox, limits: dict[str, int]) -> None:
    """A limit that is no number, or of no such name, is refused and changes nothing."""
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        change(slow, **limits)
    assert slow.control("license", method="GET")["max_sessions"] == 0

"""Signing in and out of the sandbox in every way that needs no person: passwords, refreshes, cookies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from tests.erp_floor import connection_to
from tests.sandbox_process import Sandbox, start_sandbox
from worker.erp import answers, signin
from worker.erp.deadline import Deadline
from worker.erp.signin import Grant
from worker.erp.wire import Answer, Request, Wire
from worker.errors import (
    AnswerMalformed,
    ExchangeTimeout,
    LoginEnded,
    LoginLimit,
    LoginNeeded,
    SessionLost,
    SignInRefused,
    UserLoginLimit,
)

CUSTOMERS = "/entity/Default/20.200.001/Customer"
LOGIN = "/MyStoreInstance/entity/auth/login"


class Floor:
    """A connection to a sandbox, and what is done on it."""

    def __init__(self, sandbox: Sandbox, **changes: Any) -> None:
        self.sandbox = sandbox
        self.connection = connection_to(sandbox, **changes)
        self.wire = Wire(self.connection)
        self.endpoints = signin.discover(self.wire, Deadline(10))

    def sign_in(self) -> Grant:
        """A new session's grant."""
        limit = Deadline(10)
        grant = signin.sign_in(self.wire, self.endpoints, limit, limit)
        if not self.connection.concurrent_access:
            return grant
        return self.open_session(grant)

    def open_session(self, grant: Grant) -> Grant:
        """A session that the grant's token opens."""
        limit = Deadline(10)
        return signin.open_session(self.wire, self.endpoints, grant, limit, limit)

    def refresh(self, token: SecretStr) -> Grant:
        """What a refresh token yields."""
        limit = Deadline(10)
        return signin.refresh(self.wire, self.endpoints, token, limit, limit)

    def read(self, grant: Grant, **more: Any) -> Answer:
        """One read by that grant."""
        asked = {"token": grant.token, "cookies": grant.cookies, **more}
        return self.wire.send(Request(method="GET", path=CUSTOMERS, query="$top=1", **asked), Deadline(10))

    def sign_out(self, grant: Grant) -> None:
        """End its session."""
        signin.sign_out(self.wire, grant, Deadline(10))

    def revoke(self, grant: Grant, *, keep: bool = False) -> None:
        """Kill its tokens."""
        signin.revoke(self.wire, self.endpoints, grant, Deadline(10), keep=keep)

    def open_sessions(self) -> int:
        """How many sessions the ERP has open."""
        return int(self.sandbox.tally()["open_sessions"])


@pytest.fixture
def cookies(sandbox: Sandbox) -> Iterator[Floor]:
    """A connection that signs in by cookies; it knows no application."""
    floor = Floor(sandbox, sign_in="cookie", client_id="", client_secret=SecretStr(""))
    with closing(floor.wire):
        yield floor


@pytest.fixture
def refreshing(sandbox: Sandbox) -> Iterator[Floor]:
    """A connection that keeps a refresh token."""
    floor = Floor(sandbox, scope="api offline_access")
    with closing(floor.wire):
        yield floor


def test_a_cookie_session(cookies: Floor) -> None:
    """A cookie sign-in opens one session that reads are done in, and its sign-out, of no length, closes it."""
    grant = cookies.sign_in()
    assert (grant.token, grant.refresh, grant.user_branch) == (None, None, "82")
    assert grant.expires_in == cookies.connection.session_seconds
    assert [len(answers.records(cookies.read(grant))) for _ in range(2)] == [1, 1]
    assert cookies.open_sessions() == 1
    cookies.sign_out(grant)
    cookies.revoke(grant)
    assert cookies.open_sessions() == 0
    assert cookies.sandbox.tally()["peak_sessions"] == 1


def test_a_jar_is_one_sessions_own(cookies: Floor) -> None:
    """Two cookie sign-ins of one process are two sessions, and signing one out leaves the other."""
    first, second = cookies.sign_in(), cookies.sign_in()
    assert cookies.open_sessions() == 2
    cookies.sign_out(first)
    assert cookies.read(second).status == 200
    assert isinstance(answers.error(cookies.read(first)), SessionLost)
    assert cookies.open_sessions() == 1


def test_a_jar_that_the_erp_forgot(cookies: Floor) -> None:
    """Cookies of a session that the ERP has closed are answered as a lost session."""
    grant = cookies.sign_in()
    cookies.sandbox.control("close-sessions")
    assert isinstance(answers.error(cookies.read(grant)), SessionLost)


def test_what_a_cookie_sign_in_says(sandbox: Sandbox) -> None:
    """The tenant is named, and a tenant that is not there is refused with its name, whatever the password."""
    floor = Floor(sandbox, sign_in="cookie", tenant="Elsewhere", client_id="")
    with closing(floor.wire), pytest.raises(SignInRefused, match="the site has no tenant 'Elsewhere'"):
        floor.sign_in()


@pytest.mark.parametrize("status", [500, 401, 400])
def test_a_wrong_password(status: int) -> None:
    """A wrong password is a refusal in every shape that builds give it, and so is the locked account after it."""
    with start_sandbox("--control", "--bad-login", str(status), "--lock-after", "1") as sandbox:
        floor = Floor(sandbox, sign_in="cookie", password=SecretStr("canary-wrong"))
        with closing(floor.wire):
            with pytest.raises(SignInRefused, match="password is wrong"):
                floor.sign_in()
            with pytest.raises(SignInRefused, match="unlock the account"):
                floor.sign_in()


@pytest.mark.parametrize("shape", ["html500", "429", "302"])
@pytest.mark.parametrize("kind", ["password", "cookie"])
def test_a_full_license(shape: str, kind: str) -> None:
    """The license's limit is known in each of its shapes, at the sign-in and at a token's first request."""
    with start_sandbox(
        "--control", "--max-sessions", "1", "--login-limit", shape, "--seat-at", "token"
    ) as sandbox:
        floor = Floor(sandbox, sign_in=kind)
        with closing(floor.wire):
            floor.sign_in()
            with pytest.raises(LoginLimit):
                floor.sign_in()


@pytest.mark.parametrize("kind", ["password", "cookie"])
def test_a_users_own_limit(kind: str) -> None:
    """The user's own limit is told from the license's, and names the setting that raises it."""
    limits = ("--max-sessions", "5", "--max-logins-per-user", "1", "--seat-at", "token")
    with start_sandbox("--control", "--login-limit", "302", *limits) as sandbox:
        floor = Floor(sandbox, sign_in=kind)
        with closing(floor.wire):
            floor.sign_in()
            with pytest.raises(UserLoginLimit, match="SM201010"):
                floor.sign_in()


@pytest.mark.parametrize("body", ["", "<html><title>Sign In</title></html>"])
def test_a_sign_in_without_cookies(cookies: Floor, body: str) -> None:
    """An answer that sets no session cookie opened no session that we could use."""
    fault = {"kind": "status", "path": LOGIN, "status": 200, "body": body}
    cookies.sandbox.control("faults", fault)
    with pytest.raises(AnswerMalformed, match="no session cookie"):
        cookies.sign_in()


def test_a_refresh_keeps_the_session(refreshing: Floor) -> None:
    """A refreshed token is the same session's; the refresh token is another one, and the old one is dead."""
    first = refreshing.sign_in()
    assert first.refresh is not None
    refreshing.read(first)
    second = refreshing.refresh(first.refresh)
    assert second.refresh not in (None, first.refresh)
    assert refreshing.read(second).status == 200
    assert refreshing.sandbox.tally()["peak_sessions"] == 1
    with pytest.raises(LoginEnded, match="is dead"):
        refreshing.refresh(first.refresh)


@pytest.mark.parametrize("keep", [False, True])
def test_a_revoked_grant(refreshing: Floor, keep: bool) -> None:
    """Revoking kills the access token, and the refresh token too unless it is to be kept."""
    grant = refreshing.sign_in()
    assert grant.refresh is not None
    refreshing.revoke(grant, keep=keep)
    assert isinstance(answers.error(refreshing.read(grant)), SessionLost)
    if keep:
        assert refreshing.read(refreshing.refresh(grant.refresh)).status == 200
    else:
        with pytest.raises(LoginEnded):
            refreshing.refresh(grant.refresh)


def test_a_refresh_that_brings_no_successor(refreshing: Floor) -> None:
    """Where the answer to a refresh has no other refresh token, the one that was used stays in force."""
    first = refreshing.sign_in()
    assert first.refresh
    body = '{"access_token":"t","expires_in":3600,"token_type":"Bearer"}'
    fault = {"kind": "status", "path": "/MyStoreInstance/identity/connect/token", "status": 200, "body": body}
    refreshing.sandbox.control("faults", fault)
    assert refreshing.refresh(first.refresh).refresh == first.refresh


def test_a_login_outlives_its_sessions(sandbox: Sandbox) -> None:
    """The end of a session leaves its login's refresh token alone; only what ends the login kills it."""
    tokens = sandbox.tokens("api offline_access")
    floor = Floor(sandbox, sign_in="login")
    with closing(floor.wire):
        grant = floor.refresh(SecretStr(tokens["refresh_token"]))
        floor.revoke(grant)
        assert isinstance(answers.error(floor.read(grant)), SessionLost)
        assert grant.refresh
        again = floor.refresh(grant.refresh)
        assert again.refresh
        signin.revoke_refresh(floor.wire, floor.endpoints, again.refresh, Deadline(10))
        with pytest.raises(LoginEnded):
            floor.refresh(again.refresh)


def test_the_branch_that_a_request_names(refreshing: Floor) -> None:
    """A request's branch travels as the ERP's own header."""
    assert refreshing.read(refreshing.sign_in(), branch="MYSTORE").status == 200


def test_a_login_is_a_persons(sandbox: Sandbox) -> None:
    """Nobody signs a login's connection in by a password; the command for it is named."""
    floor = Floor(sandbox, sign_in="login")
    with closing(floor.wire), pytest.raises(LoginNeeded, match="acuworker login default"):
        floor.sign_in()
    assert sandbox.tally()["sign_ins"] == 0


def test_each_jar_is_a_session_of_its_token() -> None:
    """With api:concurrent_access each sign-in opens one session, reads stay in it, and sign-out closes it alone."""
    with start_sandbox("--control", "--max-sessions", "2") as sandbox:
        floor = Floor(sandbox, scope="api api:concurrent_access")
        with closing(floor.wire):
            first, second = floor.sign_in(), floor.sign_in()
            assert first.cookies
            assert "ASP.NET_SessionId=" in first.cookies.get_secret_value()
            assert [floor.read(grant).status for grant in (first, second, first, second)] == [200] * 4
            assert floor.open_sessions() == 2
            floor.sign_out(first)
            assert floor.open_sessions() == 1
            floor.revoke(first)
            assert isinstance(answers.error(floor.read(first)), SessionLost)
            assert floor.read(second).status == 200
            tally = sandbox.tally()
        assert (tally["open_sessions"], tally["peak_sessions"]) == (1, 2)


def test_one_token_may_have_several_jars() -> None:
    """A second session of the same token is opened with a jar of its own; signing one out leaves the other."""
    with start_sandbox("--control", "--max-sessions", "2") as sandbox:
        floor = Floor(sandbox, scope="api offline_access api:concurrent_access")
        with closing(floor.wire):
            first = floor.sign_in()
            second = floor.open_session(first)
            assert first.cookies != second.cookies
            assert floor.open_sessions() == 2
            floor.sign_out(first)
            assert floor.read(second).status == 200
            assert floor.open_sessions() == 1


def test_a_refreshed_token_keeps_its_jar() -> None:
    """The cookies of a session go on with a refreshed token: no other session is opened."""
    with start_sandbox("--control", "--max-sessions", "1") as sandbox:
        floor = Floor(sandbox, scope="api offline_access api:concurrent_access")
        with closing(floor.wire):
            first = floor.sign_in()
            assert first.refresh
            second = replace(floor.refresh(first.refresh), cookies=first.cookies)
            assert floor.read(second).status == 200
            assert floor.open_sessions() == 1


def test_a_jar_on_a_full_license() -> None:
    """Where no seat is left for a jar, it is the login limit, and the token that was given is killed."""
    with start_sandbox("--control", "--max-sessions", "1") as sandbox:
        floor = Floor(sandbox, scope="api api:concurrent_access")
        with closing(floor.wire):
            floor.sign_in()
            with pytest.raises(LoginLimit):
                floor.sign_in()
        assert "token_revoked" in [event["kind"] for event in sandbox.events()]
        assert sandbox.tally()["open_sessions"] == 1


def test_an_erp_that_gives_no_jar(sandbox: Sandbox) -> None:
    """Where no cookie comes with the session, the scope is not for this ERP; the token is killed."""
    floor = Floor(sandbox, scope="api api:concurrent_access")
    fault = {"kind": "status", "path": "/MyStoreInstance/entity", "status": 200, "body": "{}"}
    sandbox.control("faults", fault)
    with (
        closing(floor.wire),
        pytest.raises(SignInRefused, match="leave api:concurrent_access out of its scope"),
    ):
        floor.sign_in()
    assert "token_revoked" in [event["kind"] for event in sandbox.events()]
    assert sandbox.tally()["open_sessions"] == 0


def test_a_tenant_without_the_password_grant() -> None:
    """Where the application may not use the password grant, the way to do without it is named."""
    with start_sandbox("--control", "--forbid-password-grant") as sandbox:
        floor = Floor(sandbox)
        with closing(floor.wire), pytest.raises(SignInRefused, match='must say sign_in = "login"'):
            floor.sign_in()


@pytest.mark.parametrize("kind", ["password", "cookie"])
def test_the_tenant_that_a_sign_in_landed_in(kind: str) -> None:
    """A sign-in tells the branch that it landed in, by which another tenant is known."""
    with start_sandbox("--control", "--tenants", "Other") as sandbox:
        for tenant in sandbox.tenants:
            floor = Floor(sandbox, sign_in=kind, tenant=tenant["name"], client_id=tenant["client_id"])
            with closing(floor.wire):
                assert floor.sign_in().user_branch == str(tenant["user_branch"])


def test_cookies_in_the_clear() -> None:
    """A cookie connection that says so signs in, reads and signs out over plain http on this machine."""
    with start_sandbox("--control", "--plain-http") as sandbox:
        floor = Floor(sandbox, sign_in="cookie", plaintext=True)
        with closing(floor.wire):
            grant = floor.sign_in()
            assert floor.read(grant).status == 200
            floor.sign_out(grant)
            assert floor.open_sessions() == 0


def test_a_cookie_sign_in_names_its_branch(sandbox: Sandbox) -> None:
    """The branch and the locale of the connection go with a cookie sign-in."""
    floor = Floor(sandbox, sign_in="cookie", branch="MYSTORE", locale="en-US")
    with closing(floor.wire):
        assert floor.read(floor.sign_in(), branch="MYSTORE").status == 200
        assert floor.read(floor.sign_in(), branch="ELSEWHERE").status == 500


@pytest.mark.parametrize("change", [{}, {"sign_in": "cookie"}], ids=["password", "cookie"])
def test_a_sign_in_is_sent_in_time_or_never(sandbox: Sandbox, change: dict[str, Any]) -> None:
    """Where the time to send it has passed nothing of a sign-in reaches the ERP, however long it may still take."""
    floor = Floor(sandbox, **change)
    with closing(floor.wire), pytest.raises(ExchangeTimeout):
        signin.sign_in(floor.wire, floor.endpoints, Deadline(10), Deadline(0))
    assert sandbox.tally()["sign_ins"] == 0

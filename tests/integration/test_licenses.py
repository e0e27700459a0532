"""Connections that share a license, sign in by other means, or change while workers run; judged by the sandbox."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox, start_sandbox
from worker.bootsteps import Heartbeat
from worker.connection import Connection
from worker.erp.caller import Caller, Use
from worker.erp.client import Erp
from worker.erp.control import Control
from worker.erp.deadline import Deadline
from worker.erp.gateway import Gateway
from worker.erp.logins import Logins
from worker.erp.sessions import Outcome
from worker.erp.signin import Grant
from worker.errors import ConnectionPaused, DeadlineExceeded, FormBusy, LoginNeeded, TenantMismatch
from worker.job import Lane
from worker.page import Query, Record
from worker.settings import License, Settings

ORDERS = Query(entity="SalesOrder", filter="CustomerID eq 'C000000003'", select=("OrderNbr",))


def _orders(erp: Erp) -> list[Record]:
    return erp.list(ORDERS)


def _eventually(check: Callable[[], bool]) -> None:
    limit, pause = Deadline(20), threading.Event()
    while not check():
        assert limit.remaining() > 0
        pause.wait(0.05)


def _of_license(sandbox: Sandbox, **changes: Any) -> Connection:
    """A connection that leaves its limits to the license."""
    whole = connection_to(sandbox, **changes)
    return Connection(**whole.model_dump(exclude={"max_per_minute", "max_sessions"}) | {"license": "small"})


def _shared(sandbox: Sandbox, store_url: str, **changes: Any) -> Settings:
    """Two connections, of two users, on one license of one session."""
    one = settings_for(connection_to(sandbox), store_url)
    first = _of_license(sandbox, **changes)
    account = {"username": "second", "password": SecretStr("second-canary")}
    second = _of_license(sandbox, name="second", **account, **changes)
    small = License(name="small", max_sessions=1, max_per_minute=0)
    return one.model_copy(
        update={"connections": {"default": first, "second": second}, "licenses": {"small": small}}
    )


def _erp(gateway: Gateway, connection: str, job_id: str) -> Erp:
    return gateway.erp(connection, Caller(lane=Lane.BULK, deadline=Deadline(60), job_id=job_id))


def _control(gateway: Gateway, store_url: str) -> Control:
    """An operator's hand on the connection."""
    member = gateway.way("default").pool.member
    return Control(redis.Redis.from_url(store_url), member._settings, member.connection, "operator")


def _slot(store_url: str) -> dict[Any, Any]:
    """The first slot as it is in the store."""
    return dict(redis.Redis.from_url(store_url).hgetall("acuworker:{default}:slot:1"))


def test_connections_take_turns_on_one_session(store_url: str, floors: Floors) -> None:
    """Two connections on a license of one session never open two, and mostly read rather than sign in."""
    with start_sandbox("--control", "--max-sessions", "1", "--user", "second:second-canary") as sandbox:
        gateway = floors.start(_shared(sandbox, store_url))
        names = ["default", "second"] * 75
        with ThreadPoolExecutor(8) as threads:
            pages = list(threads.map(lambda n: _orders(_erp(gateway, names[n], f"job-{n}")), range(150)))
        assert {len(page) for page in pages} == {9}
        tally = sandbox.tally()
        assert (tally["peak_sessions"], tally["refused_sign_ins"]) == (1, 0)
        assert 2 <= tally["sign_ins"] <= 0.1 * tally["requests"]


def test_an_operation_keeps_the_licenses_session(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """While a long operation is at work in the one session, the jobs of another connection wait, without a worker."""
    gateway = floors.start(_shared(sandbox, store_url))
    pool = gateway.way("default").pool
    caller = Caller(lane=Lane.INTERACTIVE, deadline=Deadline(20), job_id="job-1")
    with pool.lease(caller, Use(what="SalesInvoice", alone=True, begins="job-1")) as lease:
        pool.claim(lease, "SalesInvoice", "job-1", 60.0)
        lease.outcome = Outcome.ANSWERED
    with pytest.raises(FormBusy, match="SalesInvoice"):
        _orders(gateway.erp("second", caller))
    assert sandbox.tally()["sign_outs"] == 0


def test_session_is_renewed_and_kept(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """With offline_access a token is refreshed once when its time comes, in its session, whoever wants it."""
    connection = connection_to(sandbox, scope="api offline_access")
    settings = settings_for(connection, store_url)
    gateways = [floors.start(settings, f"worker-{n}") for n in range(3)]
    for _ in range(3):
        with ThreadPoolExecutor(6) as threads:
            pages = list(threads.map(lambda n: _orders(erp_of(gateways[n % 3])), range(6)))
        assert {len(page) for page in pages} == {9}
        redis.Redis.from_url(store_url).hset("acuworker:{default}:slot:1", "renew", 1)
    kinds = [event["grant"] for event in sandbox.events() if event["kind"] == "sign_in"]
    assert kinds == ["password", "refresh_token", "refresh_token"]
    assert sandbox.tally()["peak_sessions"] == 1
    for gateway in gateways:
        gateway.close()
    assert sandbox.tally()["open_sessions"] == 0


def test_dead_refresh_token_costs_one_sign_in(store_url: str, floors: Floors) -> None:
    """Where the refresh token is dead, the session is closed and opened anew, once."""
    with start_sandbox("--control", "--max-sessions", "1") as sandbox:
        connection = connection_to(sandbox, scope="api offline_access")
        gateway = floors.start(settings_for(connection, store_url))
        _orders(erp_of(gateway))
        sandbox.control("revoke-refresh")
        redis.Redis.from_url(store_url).hset("acuworker:{default}:slot:1", "renew", 1)
        assert len(_orders(erp_of(gateway))) == 9
        accepted = [e["grant"] for e in sandbox.events() if e["kind"] == "sign_in" and e["accepted"]]
        assert accepted == ["password", "password"]
        assert sandbox.tally()["peak_sessions"] == 1


@pytest.mark.parametrize(
    "how",
    [
        {"sign_in": "cookie"},
        {"scope": "api api:concurrent_access"},
        {"scope": "api offline_access api:concurrent_access"},
    ],
    ids=["cookie", "concurrent", "concurrent-offline"],
)
def test_sessions_known_by_cookies(store_url: str, floors: Floors, how: dict[str, str]) -> None:
    """Where sessions are known by cookies, each slot has its jar: no request opens another, and all are closed."""
    with start_sandbox("--control", "--max-sessions", "2", "--latency", "20,0,0") as sandbox:
        gateway = floors.start(settings_for(connection_to(sandbox, max_sessions=2, **how), store_url))
        with ThreadPoolExecutor(4) as threads:
            pages = list(threads.map(lambda n: _orders(erp_of(gateway, job_id=f"job-{n}")), range(30)))
        assert {len(page) for page in pages} == {9}
        tally = sandbox.tally()
        assert (tally["peak_sessions"], tally["sign_ins"], tally["peak_in_flight"]) == (2, 2, 2)
        gateway.close()
        assert sandbox.tally()["open_sessions"] == 0


def test_plain_http_by_cookie(store_url: str, floors: Floors) -> None:
    """A site without TLS on this machine is read with cookies."""
    with start_sandbox("--control", "--plain-http") as sandbox:
        connection = connection_to(sandbox, sign_in="cookie", plaintext=True, ca_file=None)
        gateway = floors.start(settings_for(connection, store_url))
        assert len(_orders(erp_of(gateway))) == 9
        gateway.close()
        assert sandbox.tally()["open_sessions"] == 0


def _login(sandbox: Sandbox) -> Grant:
    """What a person's login would have given."""
    tokens = sandbox.tokens("api offline_access")
    return Grant(expires_in=1.0, refresh=SecretStr(tokens["refresh_token"]))


def test_fleet_lives_on_a_login(store_url: str, floors: Floors) -> None:
    """A login's refresh tokens pass from worker to worker, in one session; without one jobs wait and ask nobody."""
    with start_sandbox("--control", "--max-sessions", "1") as sandbox:
        connection = connection_to(sandbox, sign_in="login", scope="api offline_access", max_sessions=3)
        settings = settings_for(connection, store_url)
        gateways = [floors.start(settings, f"worker-{n}") for n in range(2)]
        with pytest.raises(LoginNeeded, match="nobody is signed in"):
            _orders(erp_of(gateways[0]))
        assert sandbox.tally()["requests"] == 0
        logins = Logins(redis.Redis.from_url(store_url), settings, connection)
        logins.add(_login(sandbox))
        for turn in range(8):
            assert len(_orders(erp_of(gateways[turn % 2]))) == 9
            redis.Redis.from_url(store_url).hset("acuworker:{default}:slot:1", "renew", 1)
        assert [login.used for login in logins.list()] == [True]
        sandbox.control("revoke-refresh")
        asked = sandbox.tally()["refused_sign_ins"]
        for _ in range(3):
            with pytest.raises(LoginNeeded, match="has ended, or was revoked"):
                _orders(erp_of(gateways[0]))
        assert sandbox.tally()["refused_sign_ins"] == asked + 1
        assert sandbox.tally()["peak_sessions"] == 1


def test_session_in_another_tenant_is_refused(store_url: str, floors: Floors) -> None:
    """A session that lands in another tenant than before is signed out, and no other sign-in is tried."""
    options = ("--tenants", "Other", "--tenant", "First", "--unknown-tenant", "default")
    with start_sandbox("--control", *options) as sandbox:
        client_id = next(tenant["client_id"] for tenant in sandbox.tenants if tenant["name"] == "Other")
        connection = connection_to(sandbox, tenant="Other", sign_in="cookie", client_id=client_id)
        settings = settings_for(connection, store_url)
        gateway = floors.start(settings)
        assert len(_orders(erp_of(gateway))) == 9
        gateway.close()
        sandbox.control("tenants", {"stale": True}, method="PATCH")
        later = floors.start(settings, "later")
        for _ in range(2):
            with pytest.raises(TenantMismatch, match="user_branch"):
                _orders(erp_of(later))
        tally = sandbox.tally()
        assert (tally["sign_ins"], tally["open_sessions"]) == (2, 0)


def test_changed_credentials_take_effect(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A mended password is used as soon as the worker has been told of it; a changed user has a session of its own."""
    wrong = connection_to(sandbox, password=SecretStr("canary-wrong"))
    gateway = floors.start(settings_for(wrong, store_url))
    with pytest.raises(Exception, match="refused to sign in"):
        _orders(erp_of(gateway))
    gateway.use(settings_for(connection_to(sandbox), store_url, key=gateway_key(gateway)))
    assert len(_orders(erp_of(gateway))) == 9
    assert sandbox.tally()["refused_sign_ins"] == 1


def gateway_key(gateway: Gateway) -> bytes:
    """The key that a gateway encrypts with."""
    keys = gateway.way("default").pool.member._settings.store_keys
    assert keys is not None
    return keys.get_secret_value().encode()


def test_paused_connection_asks_nothing(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A paused connection makes no request and gives up its idle sessions; resumed, it goes on."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    control = _control(gateway, store_url)
    _orders(erp_of(gateway))
    control.pause("month's end")
    with pytest.raises(ConnectionPaused, match="month's end"):
        _orders(erp_of(gateway))
    gateway.beat()
    _eventually(lambda: sandbox.tally()["open_sessions"] == 0)
    control.resume()
    assert len(_orders(erp_of(gateway))) == 9


def test_limits_change_while_workers_run(store_url: str, floors: Floors) -> None:
    """A raised limit is used at once; a lowered one is kept to as soon as the exchanges in flight have ended."""
    with start_sandbox("--control", "--max-sessions", "4", "--latency", "30,0,0") as sandbox:
        gateway = floors.start(settings_for(connection_to(sandbox), store_url))
        limits = gateway.limits()["default"]

        def work() -> int:
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(lambda n: _orders(erp_of(gateway, job_id=f"j{n}")), range(60)))
            return int(sandbox.tally()["peak_sessions"])

        assert work() == 1
        limits.set(max_sessions=3)
        assert work() == 3
        limits.set(max_sessions=2)
        gateway.beat()
        _eventually(lambda: sandbox.tally()["open_sessions"] == 2)
        sandbox.control("events", method="DELETE")
        assert work() == 2


def test_idle_zero_signs_out_after_each_job(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """With idle_seconds 0 a session lives as long as there are jobs at its connection, and no longer."""
    gateway = floors.start(settings_for(connection_to(sandbox, idle_seconds=0), store_url))
    beating = Heartbeat("sessions", 0.1, gateway.beat)
    beating.start()
    try:
        with gateway.job("default"):
            for _ in range(3):
                _orders(erp_of(gateway))
                threading.Event().wait(0.3)
            assert sandbox.tally()["sign_ins"] == 1
        assert sandbox.tally()["open_sessions"] == 0
    finally:
        beating.stop()


def test_emptied_store_is_noticed(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """Who knew the store before it was emptied opens no second session while the first may be open."""
    gateway = floors.start(
        settings_for(connection_to(sandbox, session_seconds=3, queue_seconds=0.1), store_url)
    )
    _orders(erp_of(gateway))
    redis.Redis.from_url(store_url).flushall()
    with pytest.raises(DeadlineExceeded):
        _orders(erp_of(gateway, seconds=2))
    assert _slot(store_url)[b"state"] == b"quarantine"
    assert sandbox.tally()["sign_ins"] == 1
    store = redis.Redis.from_url(store_url)
    assert store.pttl("acuworker:{default}:blackout") > 40_000
    store.delete("acuworker:{default}:blackout")
    store.hset("acuworker:{default}:slot:1", "until", 1)
    assert len(_orders(erp_of(gateway))) == 9


def test_operator_gives_a_slot_back(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A quarantined slot is used again on the operator's word; one that is lent is not given up."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    control = _control(gateway, store_url)
    _orders(erp_of(gateway))
    redis.Redis.from_url(store_url).flushall()
    with pytest.raises(DeadlineExceeded):
        _orders(erp_of(gateway, seconds=1))
    assert control.release(1, int(_slot(store_url)[b"generation"]))
    redis.Redis.from_url(store_url).delete("acuworker:{default}:blackout")
    assert len(_orders(erp_of(gateway))) == 9
    with gateway.way("default").pool.lease(erp_of(gateway)._caller):
        assert not control.release(1, int(_slot(store_url)[b"generation"]))
    control.end()


def test_an_idle_process_notices_an_emptied_store(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A process that asks nothing finds by its heartbeat that the store was emptied, before a new one signs in."""
    settings = settings_for(connection_to(sandbox), store_url)
    idle, new = floors.start(settings, "idle"), floors.start(settings, "new")
    _orders(erp_of(idle))
    redis.Redis.from_url(store_url).flushall()
    idle.beat()
    with pytest.raises(DeadlineExceeded):
        _orders(erp_of(new, seconds=1))
    assert _slot(store_url)[b"state"] == b"quarantine"
    assert sandbox.tally()["peak_sessions"] == 1


def test_who_knows_a_connection_closes_for_who_does_not(store_url: str, floors: Floors) -> None:
    """A waiter whose process does not know the connection in its way is served all the same, in its turn."""
    with start_sandbox("--control", "--max-sessions", "1", "--user", "second:second-canary") as sandbox:
        both = _shared(sandbox, store_url)
        one = both.model_copy(update={"connections": {"second": both.connections["second"]}})
        knows, does_not = floors.start(both, "knows"), floors.start(one, "does not")
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                _orders(_erp(knows, "default", "load"))

        with ThreadPoolExecutor(2) as threads:
            loads = [threads.submit(load) for _ in range(2)]
            try:
                assert len(_orders(_erp(does_not, "second", "waits"))) == 9
            finally:
                stop.set()
            for each in loads:
                each.result()
        assert sandbox.tally()["peak_sessions"] == 1


def test_a_users_own_limit_is_met_once(store_url: str, floors: Floors) -> None:
    """Where the user may sign in once, a second session is tried once, though the first is opened again and again."""
    options = (
        "--max-sessions",
        "3",
        "--max-logins-per-user",
        "1",
        "--login-limit",
        "302",
        "--latency",
        "50,0,0",
    )
    with start_sandbox("--control", *options) as sandbox:
        gateway = floors.start(
            settings_for(connection_to(sandbox, max_sessions=2, idle_seconds=0), store_url)
        )
        for turn in range(3):
            with gateway.job("default"), ThreadPoolExecutor(4) as threads:
                list(threads.map(lambda n: _orders(erp_of(gateway, job_id=f"j{n}")), range(8)))
            assert sandbox.tally()["open_sessions"] == 0, turn
        refused = [event for event in sandbox.events() if event["kind"] == "seat_refused"]
        assert len(refused) == 1


def test_a_changed_connection_rules_at_once(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """What the file says now is what is done: a longer idle time is kept to, whatever was said before."""
    short = settings_for(connection_to(sandbox, idle_seconds=0.1), store_url)
    gateway = floors.start(short)
    _orders(erp_of(gateway))
    before = gateway.way("default").wires
    assert before._idle
    longer = connection_to(sandbox, idle_seconds=300)
    gateway.use(short.model_copy(update={"connections": {"default": longer}}))
    assert not before._idle, "a kept-alive socket is left behind"
    for _ in range(4):
        gateway.beat()
        threading.Event().wait(0.2)
    assert sandbox.tally()["open_sessions"] == 1

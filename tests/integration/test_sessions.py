"""The session pool against the sandbox and a real store; what is claimed is read from the sandbox's event log."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox, start_sandbox
from worker.bootsteps import Heartbeat
from worker.erp.caller import Caller
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.signin import Grant
from worker.errors import (
    AnswerMalformed,
    DeadlineExceeded,
    ErpRefused,
    LoginLimit,
    RecordNotFound,
    RightsMissing,
    SignInRefused,
    Stopping,
    StoreUnavailable,
    UserLoginLimit,
)
from worker.job import Lane
from worker.page import Query, Record

ORDERS = Query(entity="SalesOrder", filter="CustomerID eq 'C000000003'", select=("OrderNbr",))


def _orders(erp: Erp) -> list[Record]:
    return erp.list(ORDERS)


def test_one_session_serves_every_exchange(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """Many threads of two processes share one session, which is never used twice at a time."""
    settings = settings_for(connection_to(sandbox), store_url)
    gateways = [floors.start(settings, "a"), floors.start(settings, "b")]
    with ThreadPoolExecutor(8) as threads:
        pages = list(threads.map(lambda n: _orders(erp_of(gateways[n % 2])), range(64)))
    tally = sandbox.tally()
    assert {len(page) for page in pages} == {9}
    assert (tally["sign_ins"], tally["peak_sessions"], tally["peak_in_flight"]) == (1, 1, 1)


def test_a_lease_ends_for_its_holder_before_it_ends_in_the_store(
    sandbox: Sandbox, store_url: str, floors: Floors
) -> None:
    """The first one of a session, and each after it: nobody sends a request that another may already send."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    caller = Caller(lane=Lane.BULK, deadline=Deadline(30), job_id="job")
    with redis.Redis.from_url(store_url) as store:
        for _ in range(2):
            with gateway.way("default").pool.lease(caller) as lease:
                held: Any = store.hget("acuworker:{default}:slot:1", "lease_until")
                seconds, micros = store.time()
                left = int(held) / 1000 - seconds - micros / 1_000_000
                assert left - 1.0 < lease.send_by.remaining() < left - 0.03


def test_as_many_sessions_as_allowed(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """With two sessions allowed two exchanges run at once, and no third session is opened."""
    settings = settings_for(connection_to(sandbox, max_sessions=2), store_url)
    sandbox.control(
        "faults", {"kind": "delay", "path": "/MyStoreInstance/entity", "times": 40, "seconds": 0.02}
    )
    gateway = floors.start(settings)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: _orders(erp_of(gateway)), range(40)))
    tally = sandbox.tally()
    assert (tally["sign_ins"], tally["peak_sessions"], tally["peak_in_flight"]) == (2, 2, 2)


def test_last_to_leave_signs_out(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A worker that leaves another behind leaves its session too; the last one closes it and kills the token."""
    settings = settings_for(connection_to(sandbox), store_url)
    first, last = floors.start(settings, "first"), floors.start(settings, "last")
    _orders(erp_of(first))
    last.beat()
    beating = Heartbeat("test", 0.2, last.beat)
    beating.start()
    first.close()
    beating.stop()
    assert sandbox.tally()["open_sessions"] == 1
    last.close()
    kinds = [event["kind"] for event in sandbox.events()]
    assert sandbox.tally()["open_sessions"] == 0
    assert kinds.index("sign_out") < kinds.index("token_revoked")


def test_two_that_leave_together_sign_out_once(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """Of two workers that stop at the same time only one closes the session, and it is closed."""
    settings = settings_for(connection_to(sandbox), store_url)
    gateways = [floors.start(settings, owner) for owner in ("a", "b")]
    for gateway in gateways:
        gateway.beat()
        _orders(erp_of(gateway))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda gateway: gateway.close(), gateways))
    tally = sandbox.tally()
    assert (tally["sign_outs"], tally["open_sessions"]) == (1, 0)


def test_killed_worker_does_not_count_as_present(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A worker that was killed a moment ago, and so still looks alive, does not keep a session open."""
    settings = settings_for(connection_to(sandbox), store_url)
    killed, last = floors.start(settings, "killed"), floors.start(settings, "last")
    killed.beat()
    _orders(erp_of(last))
    last.close()
    assert sandbox.tally()["open_sessions"] == 0


def test_token_of_a_killed_worker_is_used_again(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """Another process goes on with the session that a killed one had opened."""
    settings = settings_for(connection_to(sandbox), store_url)
    _orders(erp_of(floors.start(settings, "killed")))
    _orders(erp_of(floors.start(settings, "next")))
    assert sandbox.tally()["sign_ins"] == 1


def test_rejected_token_costs_one_sign_in(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """However many exchanges meet a 401 at once, the session is replaced once and every one of them succeeds."""
    settings = settings_for(connection_to(sandbox), store_url)
    gateway = floors.start(settings)
    _orders(erp_of(gateway))
    sandbox.control("revoke-tokens")
    with ThreadPoolExecutor(8) as threads:
        pages = list(threads.map(lambda _: _orders(erp_of(gateway)), range(16)))
    assert {len(page) for page in pages} == {9}
    assert sandbox.tally()["sign_ins"] == 2


def test_session_is_renewed_before_its_token_expires(store_url: str, floors: Floors) -> None:
    """Tokens of a few seconds are signed out and in again in time: no exchange ever meets a 401."""
    with start_sandbox("--control", "--token-seconds", "2", "--latency", "50,0,0") as sandbox:
        gateway = floors.start(settings_for(connection_to(sandbox), store_url))
        for _ in range(60):
            _orders(erp_of(gateway))
        gateway.close()
        statuses = {event["status"] for event in sandbox.events() if event["kind"] == "end"}
        assert 401 not in statuses
        assert sandbox.tally()["sign_ins"] >= 2
        assert (sandbox.tally()["peak_sessions"], sandbox.tally()["open_sessions"]) == (1, 0)


def test_idle_session_is_signed_out(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A session that nobody uses is given back, since other software wants the seat."""
    gateway = floors.start(settings_for(connection_to(sandbox, idle_seconds=0.1), store_url))
    _orders(erp_of(gateway))
    pause = threading.Event()
    for _ in range(100):
        gateway.beat()
        if sandbox.tally()["open_sessions"] == 0:
            break
        pause.wait(0.05)
    assert sandbox.tally()["open_sessions"] == 0


@pytest.mark.parametrize("wrong", ["password", "client_secret"])
def test_refused_sign_in_opens_the_circuit(
    sandbox: Sandbox, store_url: str, wrong: str, floors: Floors
) -> None:
    """One refusal, and nobody tries these credentials again; changed ones are tried at once."""
    key = Fernet.generate_key()
    bad = settings_for(connection_to(sandbox, **{wrong: SecretStr("canary-wrong")}), store_url, key)
    gateway = floors.start(bad)
    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(_orders, erp_of(gateway)) for _ in range(100)]
    messages = {str(future.exception()) for future in futures}
    assert all(isinstance(future.exception(), SignInRefused) for future in futures)
    assert sandbox.tally()["refused_sign_ins"] == 1
    assert not any("canary-wrong" in message for message in messages)
    good = settings_for(connection_to(sandbox), store_url, key)
    assert len(_orders(erp_of(floors.start(good)))) == 9


def test_operator_closes_the_circuit(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """Once an operator has seen a sign-in succeed, the same credentials are tried again."""
    sandbox.control("account", {"locked": True}, method="PATCH")
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    with pytest.raises(SignInRefused):
        _orders(erp_of(gateway))
    sandbox.control("account", {"locked": False}, method="PATCH")
    with pytest.raises(SignInRefused):
        _orders(erp_of(gateway))
    gateway.way("default").pool.restore()
    assert len(_orders(erp_of(gateway))) == 9


@pytest.mark.parametrize("shape", ["html500", "429", "302"])
@pytest.mark.parametrize("seat_at", ["first-call", "token"])
def test_login_limit_is_waited_out(store_url: str, shape: str, seat_at: str, floors: Floors) -> None:
    """Every recorded shape of the login limit is understood, tried once, and leaves no session behind."""
    limits = (
        ["--max-sessions", "1"] if shape != "302" else ["--max-logins-per-user", "1", "--max-sessions", "0"]
    )
    with start_sandbox("--control", "--login-limit", shape, "--seat-at", seat_at, *limits) as sandbox:
        settings = settings_for(connection_to(sandbox), store_url)
        other = floors.start(settings_for(connection_to(sandbox, name="default"), store_url), "other")
        _orders(erp_of(other))
        redis.Redis.from_url(store_url).flushall()
        gateway = floors.start(settings)
        for _ in range(3):
            with pytest.raises(LoginLimit) as raised:
                _orders(erp_of(gateway))
            assert 0 < raised.value.seconds <= (3600 if shape == "302" else 30)
            assert isinstance(raised.value, UserLoginLimit) == (shape == "302")
        tally = sandbox.tally()
        assert (tally["peak_sessions"], tally["open_sessions"]) == (1, 1)
        assert tally["sign_ins"] + tally["refused_sign_ins"] == 2


def test_lost_sign_in_is_quarantined(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A sign-in whose answer was cut may have opened a session: its slot is not used until that is over."""
    sandbox.control("faults", {"kind": "cut", "path": "/MyStoreInstance/identity/connect/token", "bytes": 10})
    gateway = floors.start(settings_for(connection_to(sandbox, session_seconds=3), store_url))
    orders = _orders(erp_of(gateway))
    events = [event for event in sandbox.events() if event["kind"] == "sign_in"]
    assert len(orders) == 9
    assert len(events) == 2
    assert (events[1]["at"] - events[0]["at"]) / 1e9 >= 3


def test_deadline_says_what_was_waited_for(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A job that gets no session in its time fails by saying so."""
    sandbox.control("faults", {"kind": "delay", "path": "/MyStoreInstance/entity", "seconds": 3.0})
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    with ThreadPoolExecutor(1) as threads:
        holder = threads.submit(_orders, erp_of(gateway))
        while sandbox.tally()["peak_in_flight"] == 0:
            pass
        with pytest.raises(DeadlineExceeded, match="a session of connection 'default'"):
            _orders(erp_of(gateway, seconds=0.5))
        assert len(holder.result()) == 9


def test_interactive_goes_first(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """An interactive exchange that arrives while bulk ones wait gets the next session that frees."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    _orders(erp_of(gateway))
    sandbox.control(
        "faults", {"kind": "delay", "path": "/MyStoreInstance/entity", "times": 20, "seconds": 0.3}
    )
    waiting = redis.Redis.from_url(store_url)
    with ThreadPoolExecutor(8) as threads:
        bulk = [threads.submit(_orders, erp_of(gateway, Lane.BULK, job_id=f"bulk-{n}")) for n in range(5)]
        while waiting.zcard("acuworker:{default}:waiters") < 4:
            pass
        threads.submit(_orders, erp_of(gateway, job_id="soon")).result()
        for future in bulk:
            future.result()
    order = [
        event["request_id"]
        for event in sandbox.events()
        if event["kind"] == "arrival" and event["request_id"]
    ]
    assert order.index("soon") == 2


def test_stopping_refuses_and_cuts(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A worker told to stop begins no exchange, and cuts the one in flight after its grace."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    _orders(erp_of(gateway))
    sandbox.control("faults", {"kind": "delay", "path": "/MyStoreInstance/entity", "seconds": 60.0})
    with ThreadPoolExecutor(1) as threads:
        in_flight = threads.submit(_orders, erp_of(gateway, seconds=120))
        while sandbox.tally()["requests"] < 3:
            pass
        gateway.stop()
        with pytest.raises(Stopping):
            _orders(erp_of(gateway))
        with pytest.raises(Stopping):
            in_flight.result()


def test_no_store_no_request(sandbox: Sandbox, floors: Floors) -> None:
    """Without the store no request goes to the ERP, and the caller is told why."""
    gateway = floors.start(settings_for(connection_to(sandbox), "unix:///nowhere/at/all"))
    with pytest.raises(DeadlineExceeded, match="the store does not answer"):
        _orders(erp_of(gateway, seconds=1))
    assert sandbox.tally()["requests"] == 0
    with pytest.raises(StoreUnavailable):
        gateway.beat()


def test_tokens_are_encrypted_in_the_store(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """What the store holds of a session is of no use without the key."""
    settings = settings_for(connection_to(sandbox), store_url)
    gateway = floors.start(settings)
    _orders(erp_of(gateway))
    kept = redis.Redis.from_url(store_url).hget("acuworker:{default}:slot:1", "grant")
    assert isinstance(kept, bytes)
    token = Grant.loads(settings.cipher().decrypt(kept).decode()).token
    assert token is not None
    assert len(token.get_secret_value()) == 43
    assert token.get_secret_value().encode() not in kept


def test_pace_of_the_minute(store_url: str, floors: Floors) -> None:
    """No rolling minute holds more than the limit; what does not fit waits, and says what for."""
    with start_sandbox("--control") as sandbox:
        gateway = floors.start(settings_for(connection_to(sandbox, max_per_minute=10), store_url))
        for _ in range(9):
            _orders(erp_of(gateway))
        with pytest.raises(DeadlineExceeded, match="the license's minute"):
            _orders(erp_of(gateway, seconds=0.5))
        assert sandbox.tally()["most_in_a_minute"] == 10


def test_rights_and_other_refusals_end_at_once(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """What the ERP refuses is not asked again."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    _orders(erp_of(gateway))
    message = "You have insufficient rights to access the SalesOrder (SO301000) form."
    body = f'{{"message": "{message}"}}'
    fault = {"kind": "status", "path": "/MyStoreInstance/entity", "status": 403, "body": body}
    sandbox.control("faults", fault)
    with pytest.raises(RightsMissing, match="SO301000") as raised:
        _orders(erp_of(gateway))
    assert isinstance(raised.value, ErpRefused)
    assert sandbox.tally()["requests"] == 3


def test_a_record_that_is_not_there_is_named(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A missing record is named by its keys and the endpoint that was asked, whether the ERP says 500 or 404."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    with pytest.raises(RecordNotFound, match=r"no SalesOrder in Default/20\.200\.001 is named SO / none"):
        erp_of(gateway).get(Query(entity="SalesOrder"), ["SO", "none"])
    with start_sandbox("--control", "--missing-status", "404") as newer:
        floor = floors.start(settings_for(connection_to(newer), store_url), "other")
        redis.Redis.from_url(store_url).flushall()
        with pytest.raises(RecordNotFound, match="SO / none"):
            erp_of(floor).get(Query(entity="SalesOrder"), ["SO", "none"])


def test_giving_up_says_how_often_it_was_tried(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A failure that does not pass is tried five times, and then says so."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    sandbox.control("faults", {"kind": "malformed", "path": "/MyStoreInstance/entity", "times": 20})
    with pytest.raises(AnswerMalformed, match=r"\(tried 5 times\)"):
        _orders(erp_of(gateway))
    assert sandbox.tally()["requests"] == 6

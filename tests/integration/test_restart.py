"""An ERP that restarts pauses its connection for the fleet; what was asked of it is read from the sandbox's log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox
from tests.store_process import contents
from worker.erp.caller import ANY_USE
from worker.erp.control import Control
from worker.erp.deadline import Deadline
from worker.erp.direct import direct
from worker.erp.gateway import Gateway
from worker.erp.overview import LicenseView, Overview
from worker.erp.sessions import Outcome
from worker.errors import ConnectionPaused, ErpAway, ErpRestarting, SessionsBusy
from worker.page import Query, Record
from worker.settings import Connection, License, Settings

ORDERS = Query(entity="SalesOrder", filter="CustomerID eq 'C000000003'", select=("OrderNbr",))
TOKEN = "/MyStoreInstance/identity/connect/token"
ENTITY = "/MyStoreInstance/entity/Default"
ANSWERS: list[dict[str, Any]] = [
    {"kind": "html"},
    {"kind": "redirect"},
    {"kind": "status", "status": 503},
]


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """A client of an empty store."""
    with redis.Redis.from_url(store_url) as client:
        yield client


@pytest.fixture
def settings(sandbox: Sandbox, store_url: str) -> Settings:
    """Settings with two sessions."""
    return settings_for(connection_to(sandbox, max_sessions=2), store_url)


@pytest.fixture
def gateway(settings: Settings, floors: Floors) -> Gateway:
    """A worker's ERP floor."""
    return floors.start(settings, "host/1")


@pytest.fixture
def gateway_of_two(sandbox: Sandbox, store_url: str, floors: Floors) -> Gateway:
    """The floor of a worker with two connections on a license of one session."""
    settings = settings_for(connection_to(sandbox), store_url)
    limits = {"max_sessions", "max_per_minute"}
    both = {
        name: Connection(
            **connection_to(sandbox, name=name).model_dump(exclude=limits) | {"license": "shared"}
        )
        for name in ("default", "other")
    }
    shared = {"shared": License(name="shared", max_per_minute=0)}
    return floors.start(settings.model_copy(update={"connections": both, "licenses": shared}))


def _orders(gateway: Gateway) -> list[Record]:
    return erp_of(gateway).list(ORDERS)


def _meets(gateway: Gateway) -> ErpAway:
    """What a job is told that meets a restart, or comes in the pause; it has not held its thread to try again."""
    erp = erp_of(gateway)
    with pytest.raises(ErpAway) as raised:
        erp.list(ORDERS)
    assert "retry" not in erp._caller.spent.waits
    return raised.value


def _as_a_job(gateway: Gateway) -> list[Record]:
    """The records, as a job gets them that is put off until the ERP is there again."""
    for _ in range(100):
        try:
            return _orders(gateway)
        except ErpAway as away:
            threading.Event().wait(away.seconds)
    raise AssertionError("put off a hundred times")


def _both_open(gateway: Gateway) -> None:
    """Two sessions are open, and lent to nobody."""
    pool = gateway.way("default").pool
    caller = erp_of(gateway)._caller
    with pool.lease(caller) as one, pool.lease(caller) as other:
        one.outcome = other.outcome = Outcome.ANSWERED


def _restart(sandbox: Sandbox, path: str = ENTITY, **answer: Any) -> None:
    """From now on something else answers in the ERP's place."""
    sandbox.control("faults", {"path": path, "times": 10_000, **(answer or ANSWERS[2])})


def _back(sandbox: Sandbox) -> None:
    sandbox.control("faults", method="DELETE")


def _arrivals(sandbox: Sandbox, path: str = "") -> list[int]:
    """When requests came, in ns."""
    return [
        event["at"]
        for event in sandbox.events()
        if event["kind"] == "arrival" and event["path"].startswith(path)
    ]


def _look(store: redis.Redis, settings: Settings) -> LicenseView:
    connection = settings.connection("default")
    return Overview(store, settings, settings.license_of(connection)).look()


def _key(gateway: Gateway, name: str) -> str:
    return f"acuworker:{{default}}:{name}:{gateway.way('default').pool.member.mark}"


def _let_end(gateway: Gateway, store: redis.Redis, seconds: float) -> None:
    """Let the pause be over in so many seconds."""
    assert store.pexpire(_key(gateway, "away"), int(seconds * 1000))


def _pause(gateway: Gateway, store: redis.Redis) -> float:
    """How long the ERP is left alone when it is met as one that restarts, in seconds."""
    gateway.way("default").pool.away(ErpRestarting("the site is down (503)"))
    return round(store.pttl(_key(gateway, "away")) / 1000)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: str(answer["kind"]))
def test_one_restart_is_one_pause(
    sandbox: Sandbox, store: redis.Redis, gateway: Gateway, answer: dict[str, Any]
) -> None:
    """One job a session meets it at most, all wait, nothing is asked meanwhile, and they go on by themselves."""
    _both_open(gateway)
    _restart(sandbox, **answer)
    before = len(_arrivals(sandbox))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: _meets(gateway), range(8)))
    during = _arrivals(sandbox)[before:]
    assert 1 <= len(during) <= 2
    assert store.get(_key(gateway, "aways")) == b"1"
    _back(sandbox)
    now = time.monotonic_ns()
    _let_end(gateway, store, 1.0)
    with ThreadPoolExecutor(8) as threads:
        assert {len(records) for records in threads.map(lambda _: _as_a_job(gateway), range(8))} == {9}
    after = _arrivals(sandbox)[before + len(during) :]
    assert len(after) == 8
    assert after[0] - now >= 0.95e9


def test_a_restart_that_a_sign_in_meets(sandbox: Sandbox, store: redis.Redis, gateway: Gateway) -> None:
    """One sign-in meets it, for all, and no slot is lost; a job says what was answered, until when, and the way out."""
    _restart(sandbox, TOKEN)
    with ThreadPoolExecutor(8) as threads:
        [error, *_] = threads.map(lambda _: _meets(gateway), range(8))
    assert len(_arrivals(sandbox, TOKEN)) == 1
    assert 0 < error.seconds <= 61
    assert "(503)" in error.message
    assert " UTC; acuworker resume default tries at once" in error.message
    _back(sandbox)
    _let_end(gateway, store, 0.1)
    assert len(_as_a_job(gateway)) == 9


@pytest.mark.parametrize("first", [60, 7])
def test_pauses_double_until_an_answer_is_complete(
    sandbox: Sandbox, store: redis.Redis, store_url: str, floors: Floors, first: int
) -> None:
    """The first is as long as is set, then each twice as long, up to ten times; a complete answer ends that."""
    gateway = floors.start(settings_for(connection_to(sandbox, restart_seconds=first), store_url))
    pauses = []
    for _ in range(6):
        pauses.append(_pause(gateway, store))
        assert abs(_pause(gateway, store) - pauses[-1]) <= 1, "met again in a pause, it is the same restart"
        store.delete(_key(gateway, "away"))  # as its end does
    assert pauses == [each * first for each in (1, 2, 4, 8, 10, 10)]
    _orders(gateway)
    assert _pause(gateway, store) == first


def test_a_restart_is_forgotten_after_an_hour(store: redis.Redis, gateway: Gateway) -> None:
    """How often it was met in a row is kept for an hour after the pause."""
    _pause(gateway, store)
    assert 3600 < store.pttl(_key(gateway, "aways")) / 1000 <= 3660


@pytest.mark.parametrize("way", ["resume", "doctor"])
def test_an_operator_ends_the_pause(
    sandbox: Sandbox, store: redis.Redis, settings: Settings, gateway: Gateway, way: str
) -> None:
    """Resumed, or looked at by doctor, the connection goes on at once, and the next pause is a first one."""
    for _ in range(2):
        store.delete(_key(gateway, "away"))
        _pause(gateway, store)
    assert store.pttl(_key(gateway, "away")) > 60_000
    if way == "doctor":
        gateway.way("default").pool.restore()
    else:
        control = Control(store, settings, settings.connection("default"), "operator")
        assert (control.resume(), control.resume()) == (True, False)
        control.end()
    assert _pause(gateway, store) == 60
    gateway.way("default").pool.restore()
    assert len(_orders(gateway)) == 9


def test_nothing_is_signed_out_of_an_erp_that_restarts(
    sandbox: Sandbox, store: redis.Redis, store_url: str, floors: Floors
) -> None:
    """An idle session is left alone until the pause is over, and then signed out."""
    gateway = floors.start(settings_for(connection_to(sandbox, idle_seconds=0), store_url))
    _orders(gateway)
    pool = gateway.way("default").pool
    _pause(gateway, store)
    pool.tidy()
    assert sandbox.tally()["sign_outs"] == 0
    store.delete(_key(gateway, "away"))
    pool.tidy()
    assert sandbox.tally()["sign_outs"] == 1


def test_a_sign_in_that_waited_is_not_sent(
    sandbox: Sandbox, store: redis.Redis, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign-in that was granted before the pause, and would be sent in it, is not, and its slot is free again."""
    pool = gateway.way("default").pool
    sends = pool._opener._may_send

    def later(*given: Any) -> Deadline:
        pool.away(ErpRestarting("the site is down (503)"))
        return sends(*given)

    monkeypatch.setattr(pool._opener, "_may_send", later)
    with pytest.raises(SessionsBusy), pool.lease(erp_of(gateway)._caller):
        pass
    with pytest.raises(ErpAway), pool.lease(erp_of(gateway)._caller):
        pass
    assert _arrivals(sandbox, TOKEN) == []
    assert not store.exists("acuworker:{default}:slot:1")


def test_it_is_one_connections_pause(gateway_of_two: Gateway) -> None:
    """Another connection that shares the license goes on."""
    gateway_of_two.way("default").pool.away(ErpRestarting("the site is down (503)"))
    with pytest.raises(ErpAway):
        _orders(gateway_of_two)
    assert len(gateway_of_two.erp("other", erp_of(gateway_of_two)._caller).list(ORDERS)) == 9


def test_who_waits_for_a_restart_is_in_nobodys_way(gateway_of_two: Gateway) -> None:
    """A free slot goes to the other connection, though one that waits for the ERP that restarts came first."""
    pool, other = (gateway_of_two.way(name).pool for name in ("default", "other"))
    caller = erp_of(gateway_of_two)._caller
    next(iter(gateway_of_two.limits().values())).join()
    first = other._look(other._asked(caller, "w1", ANY_USE))
    assert first["answer"] == "sign_in"
    assert pool._look(pool._asked(caller, "w2", ANY_USE))["answer"] == "wait"
    pool.away(ErpRestarting("the site is down (503)"))
    other.member.script("step", name="not_opened", slot=first["slot"], generation=first["generation"])
    assert other._look(other._asked(caller, "w3", ANY_USE))["answer"] == "sign_in"


def test_a_session_is_not_kept_for_a_restart(gateway_of_two: Gateway, store: redis.Redis) -> None:
    """A session that has had its time is closed for the other connection, though one of its own still waits for it."""
    pool, other = (gateway_of_two.way(name).pool for name in ("default", "other"))
    caller = erp_of(gateway_of_two)._caller
    with pool.lease(caller) as lease:
        lease.outcome = Outcome.ANSWERED
        assert pool._look(pool._asked(caller, "w1", ANY_USE))["answer"] == "wait"
        pool.away(ErpRestarting("the site is down (503)"))
    store.hset("acuworker:{shared}:slot:1", mapping={"opened": 1, "uses": 100})
    answer = other._look(other._asked(caller, "w2", ANY_USE))
    assert (answer["answer"], answer["connection"]) == ("close", pool.member.mark)


def test_a_pause_is_seen(store: redis.Redis, settings: Settings, gateway: Gateway) -> None:
    """It bars the connection, and says until when; an operator's pause goes first; looking changes nothing."""
    _orders(gateway)
    _pause(gateway, store)
    before = contents(store)
    seen = _look(store, settings).bars["default"]
    assert contents(store) == before
    assert isinstance(seen, ErpAway)
    assert seen.message.startswith("the site is down (503): connection 'default' pauses by itself until ")
    assert 0 < seen.seconds <= 61
    control = Control(store, settings, settings.connection("default"), "operator")
    control.pause("until noon")
    assert isinstance(_look(store, settings).bars["default"], ConnectionPaused)
    control.end()


def test_a_single_sign_in_tries_again_in_place(sandbox: Sandbox) -> None:
    """Without a store there is nobody to tell: what was met once is tried again."""
    sandbox.control("faults", {"path": ENTITY, **ANSWERS[2]})
    with direct(connection_to(sandbox), Deadline(20), "doctor") as erp:
        assert len(erp.list(ORDERS)) == 9
    assert len(_arrivals(sandbox, f"{httpx.URL(sandbox.url).path}/entity/Default")) == 2

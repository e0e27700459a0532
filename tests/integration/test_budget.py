"""The license's minute in a real store, under a clock of the test's own: who gets leave, when, and what counts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from tests.benchmarks.budget_simulation import Clocked, World
from worker.erp.budget import Budget, BudgetView
from worker.erp.caller import Caller
from worker.erp.deadline import Deadline
from worker.erp.license import LimitsInForce
from worker.erp.store import Script, source
from worker.errors import DeadlineExceeded, Stopping, StoreUnavailable
from worker.job import Lane
from worker.settings import License

PREFIX = "acuworker:{test}:"


class Minute:
    """A license's minute and its clock; requests are named by numbers."""

    def __init__(self, store: redis.Redis, per_minute: int, sessions: int = 1) -> None:
        self.store = store
        self.world = World(seed=1)
        clocked: Any = Clocked(store, self.world)
        self.script = Script(clocked, source("congestion.lua") + source("budget.lua"), PREFIX)
        store.set(f"{PREFIX}epoch", "e")
        self.limit(per_minute, sessions)

    def limit(self, per_minute: int, sessions: int = 1) -> None:
        """Set the limits in force."""
        self.store.hset(f"{PREFIX}limits", "max_per_minute", str(per_minute))
        self.store.hset(f"{PREFIX}limits", "max_sessions", str(sessions))

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.world.now += seconds

    def take(
        self, number: int, lane: str = "interactive", waited: float = 0.0, longest: float = 10.0
    ) -> float:
        """Ask for leave; the seconds to wait for it, 0 when it is given."""
        asked = {"id": f"r{number}", "lane": lane, "longest_ms": longest * 1000, "waited_ms": waited * 1000}
        told = self.script("take", epoch="e", **asked)
        return float(told.get("wait_ms", 0) / 1000)

    def send(self, number: int) -> None:
        """A request has ended."""
        self.script("sent", id=f"r{number}")

    def spend(self, *numbers: int) -> None:
        """Make requests that take no time."""
        for number in numbers:
            assert self.take(number) == 0
            self.send(number)

    def view(self) -> dict[str, Any]:
        """What is told of it."""
        return dict(self.script("view"))


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """A store of the test's own."""
    with redis.Redis.from_url(store_url) as connected:
        yield connected


@pytest.fixture
def limits(store: redis.Redis) -> LimitsInForce:
    """A license of four requests a minute."""
    return LimitsInForce(store, License(name="test", max_sessions=1, max_per_minute=4), 0.0)


def caller(seconds: float, lane: Lane = Lane.INTERACTIVE) -> Caller:
    """Somebody who waits for so long at most."""
    return Caller(lane=lane, deadline=Deadline(seconds), job_id="job")


def test_the_minute_slides(store: redis.Redis) -> None:
    """What is spent comes back a minute after it was released, one by one, and not before."""
    minute = Minute(store, 3)
    for number in (1, 2, 3):
        minute.spend(number)
        minute.pass_time(10)
    assert minute.take(4) == pytest.approx(30)
    minute.pass_time(29.9)
    assert minute.take(4) == pytest.approx(0.1)
    minute.pass_time(0.1)
    assert minute.take(4) == 0
    assert minute.take(5) == pytest.approx(10)


def test_in_flight_counts(store: redis.Redis) -> None:
    """A request counts from its grant until a minute after its end, however long it takes."""
    minute = Minute(store, 2)
    assert minute.take(1, longest=300) == 0
    minute.pass_time(200)
    assert minute.take(2, "sign_in") == 0
    minute.send(1)
    assert minute.take(3, "sign_in") == pytest.approx(60)


def test_a_dead_worker_gives_back_what_it_held(store: redis.Redis) -> None:
    """A grant whose holder is not heard of again counts until a minute after its last moment."""
    minute = Minute(store, 3)
    assert minute.take(1, longest=10) == minute.take(2, longest=10) == 0
    minute.pass_time(69.9)
    assert minute.take(3) > 0
    minute.pass_time(0.2)
    assert minute.take(3) == 0


def test_beats_keep_a_permit_counted(store: redis.Redis) -> None:
    """A request that waits for a session is counted for as long as its worker says so, and once at its end."""
    minute = Minute(store, 3)
    assert minute.take(1, longest=10) == 0
    for _ in range(5):
        minute.pass_time(50)
        minute.script("keep", held={"r1": 10_000})
    assert minute.view()["in_flight"] == 1
    minute.send(1)
    minute.script("keep", held={"r1": 10_000})
    assert (minute.view()["in_flight"], minute.view()["arrivals"]) == (0, 1)


def test_what_was_not_used_costs_nothing(store: redis.Redis) -> None:
    """A permit that was given back leaves the minute as it was."""
    minute = Minute(store, 2)
    assert minute.take(1) == 0
    minute.script("unused", id="r1")
    assert (minute.view()["in_flight"], minute.view()["arrivals"]) == (0, 0)


def test_a_lost_answer_costs_no_second_permit(store: redis.Redis) -> None:
    """Who asks again, as the answer was lost, has the leave that it was given."""
    minute = Minute(store, 3)
    assert minute.take(1) == minute.take(1) == 0
    assert minute.view()["in_flight"] == 1


def test_sign_outs_are_counted_and_never_held(store: redis.Redis) -> None:
    """A sign-out goes when the minute is full, and is spent then."""
    minute = Minute(store, 3)
    minute.spend(1, 2, 3)
    minute.pass_time(30)
    minute.script("exempt", id="out", longest_ms=1000)
    minute.script("sent", id="out")
    minute.pass_time(30)
    assert (minute.take(4), minute.take(5)) == (0, 0)
    assert minute.take(6) == pytest.approx(0.25, abs=0.1)


def test_some_is_kept_for_sign_ins(store: redis.Redis) -> None:
    """However many are in flight, waiting for sessions, each session has a request left to be opened with."""
    minute = Minute(store, 5, sessions=2)
    granted = [number for number in range(10) if minute.take(number) == 0]
    assert len(granted) == 3
    assert [minute.take(number, "sign_in") for number in (20, 21)] == [0, 0]


def test_bulk_is_spread_and_interactive_is_not(store: redis.Redis) -> None:
    """Bulk goes evenly from its first request on; interactive goes at once while there is room."""
    minute = Minute(store, 60)
    assert minute.take(1, "bulk") == 0
    assert minute.take(2, "bulk") == pytest.approx(1, abs=0.31)
    assert [minute.take(number) for number in range(10, 30)] == [0] * 20
    assert minute.take(2, "bulk") > 15


def test_interactive_goes_first(store: redis.Redis) -> None:
    """While an interactive request waits for the minute, bulk gives way, however long it has waited."""
    minute = Minute(store, 10)
    minute.spend(0)
    minute.pass_time(10)
    minute.spend(*range(1, 10))
    assert minute.take(20, "bulk") > 50
    minute.pass_time(49.9)
    assert minute.take(21) == pytest.approx(0.1)
    minute.pass_time(0.1)
    assert minute.take(20, "bulk", waited=50) > 0
    assert minute.take(21, waited=0.1) == 0


def test_each_is_told_its_own_turn(store: redis.Redis) -> None:
    """Of many who wait no two are told the same moment, and the order is that of their waiting."""
    minute = Minute(store, 60)
    assert minute.take(0, "bulk") == 0
    told = []
    for number in range(1, 20):
        minute.pass_time(0.001)
        told.append(minute.take(number, "bulk"))
    gaps = [later - earlier for earlier, later in itertools.pairwise(told)]
    assert gaps == pytest.approx([1.0] * 18, abs=0.01)
    minute.pass_time(told[0])
    assert minute.take(99, "bulk") > 0, "a newcomer waits behind them"
    assert minute.take(1, "bulk", waited=told[0] + 0.02) == 0


def test_the_dead_are_passed_over(store: redis.Redis) -> None:
    """Waiters that never come back hold up those behind them for a moment, not for good."""
    minute = Minute(store, 60)
    assert minute.take(0, "bulk") == 0
    for number in range(1, 5):
        minute.take(number, "bulk")
    began = minute.world.now
    while (wait := minute.take(9, "bulk", waited=minute.world.now - began)) > 0:
        minute.pass_time(min(wait, 5))
    assert minute.world.now - began < 5.5


@pytest.mark.parametrize(
    ("first", "then", "waits"), [(2, 4, False), (4, 2, True), (4, 0, False), (0, 2, True)]
)
def test_a_changed_limit_holds_at_once(store: redis.Redis, first: int, then: int, waits: bool) -> None:
    """A limit that is changed while requests fly holds for the next, and counts those of before; 0 is none."""
    minute = Minute(store, first)
    minute.spend(1)
    assert minute.take(2, "sign_in") == 0
    minute.limit(then)
    assert (minute.take(3, "sign_in") > 0) is waits


def test_no_limit(store: redis.Redis) -> None:
    """Without a limit nobody waits, and bulk is not spread."""
    minute = Minute(store, 0)
    assert [minute.take(number, "bulk") for number in range(500)] == [0] * 500
    assert minute.view()["limit"] == minute.view()["configured"] == 0


def test_after_an_emptied_store_all_wait(store: redis.Redis) -> None:
    """While the store mourns what it forgot, nobody is let through, and nobody is told the same moment."""
    minute = Minute(store, 60)
    store.set(f"{PREFIX}blackout", 1, px=60_000)
    told = [
        minute.take(number, lane) for number, lane in enumerate(("bulk", "bulk", "interactive", "sign_in"))
    ]
    assert all(59 < wait < 61 for wait in told) and len(set(told)) > 1
    store.delete(f"{PREFIX}blackout")
    assert minute.take(3, "sign_in") == 0


def test_every_key_ends(store: redis.Redis) -> None:
    """What the minute leaves in the store is forgotten by itself, but for the limits and the epoch."""
    minute = Minute(store, 2)
    for number in range(4):
        minute.take(number, "bulk")
        minute.script("sent", id=f"r{number}", kind="SalesOrder", took_ms=100, round=0)
    names = {name.decode().removeprefix(PREFIX) for name in store.scan_iter() if store.ttl(name) < 0}
    assert names == {"limits", "epoch"}


def test_permits_are_waited_for_and_given_back(store: redis.Redis, limits: LimitsInForce) -> None:
    """A process takes part by itself; a permit that was used is spent, one that was not is free again."""
    budget = Budget(store, limits, threading.Event())
    for _ in range(5):
        with budget.permit(caller(5), 1.0):
            pass
    for _ in range(4):
        with budget.permit(caller(5), 1.0) as permit:
            permit.used = True
    with pytest.raises(DeadlineExceeded, match="minute"), budget.permit(caller(0.2), 1.0):
        pass
    assert store.zcard(f"{PREFIX}waiting") == 0
    expected = BudgetView(arrivals=4, in_flight=0, limit=4, configured=4, late_seconds=0, cut_seconds=None)
    assert budget.view() == expected


def test_an_emptied_store_is_noticed(store: redis.Redis, limits: LimitsInForce) -> None:
    """A process that knew another epoch takes part anew, and then waits like everybody else."""
    budget = Budget(store, limits, threading.Event())
    with budget.permit(caller(5), 10.0) as permit:
        store.flushall()
        with pytest.raises(DeadlineExceeded), budget.permit(caller(0.2), 1.0):
            pass
        assert store.get(f"{PREFIX}epoch") and store.pttl(f"{PREFIX}blackout") > 50_000
        budget.beat()
        assert budget.view().in_flight == 1
        permit.used = True
    assert budget.view().arrivals == 1


def test_who_waits_stops_with_the_worker(store: redis.Redis, limits: LimitsInForce) -> None:
    """A worker that is told to stop waits for no leave, and waits no more in the store."""
    stop = threading.Event()
    budget = Budget(store, limits, stop)
    for _ in range(4):
        with budget.permit(caller(5), 1.0) as permit:
            permit.used = True

    def wait() -> None:
        with budget.permit(caller(50), 1.0):
            pass

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait)
        while not store.zcard(f"{PREFIX}waiting"):
            pass
        stop.set()
        with pytest.raises(Stopping):
            waiting.result(5)
    assert store.zcard(f"{PREFIX}waiting") == 0


def test_without_a_store_nothing_is_asked(limits: LimitsInForce) -> None:
    """No answer, no leave."""
    with redis.Redis.from_url("unix:///nowhere/s") as nowhere:
        budget = Budget(nowhere, limits, threading.Event())
        with pytest.raises(StoreUnavailable), budget.permit(caller(5), 1.0):
            pass

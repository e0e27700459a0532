"""A session in which a long operation is at work: who gets it meanwhile, who waits, and that it stays open."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import redis

from tests.erp_floor import Floors, connection_to, settings_for
from tests.sandbox_process import Sandbox
from worker.erp.caller import Caller, Use
from worker.erp.deadline import Deadline
from worker.erp.sessions import Lease, Outcome, SessionPool
from worker.errors import (
    DeadlineExceeded,
    FormBusy,
    OperationLost,
    SessionsBusy,
    SessionUnsure,
)
from worker.job import Lane

ORDER, INVOICE = Use(what="SalesOrder"), Use(what="SalesInvoice")
ACTION = Use(what="SalesInvoice", alone=True, begins="job-1")
LOOK = Use(what="SalesInvoice", polls="job-1")


def caller(seconds: float = 20.0) -> Caller:
    """Somebody who waits at most so long."""
    return Caller(lane=Lane.INTERACTIVE, deadline=Deadline(seconds), job_id="job-1")


@contextmanager
def leased(pool: SessionPool, use: Use, seconds: float = 20.0) -> Iterator[Lease]:
    """A lease whose exchange is answered."""
    with pool.lease(caller(seconds), use) as lease:
        yield lease
        lease.outcome = Outcome.ANSWERED


def begin(pool: SessionPool, seconds: float = 60.0, form: str = "SalesInvoice") -> int:
    """Begin the long operation of job-1 in a session; its slot."""
    with leased(pool, ACTION) as lease:
        pool.claim(lease, form, "job-1", seconds)
        return lease.slot


@pytest.fixture
def pools(sandbox: Sandbox, store_url: str, floors: Floors) -> Any:
    """Makes pools of so many sessions, a process each."""
    made: dict[int, Any] = {}

    def pool(sessions: int, **changes: Any) -> SessionPool:
        connection = connection_to(sandbox, max_sessions=sessions, **changes)
        made[sessions] = made.get(sessions) or settings_for(connection, store_url)
        return floors.start(made[sessions], f"worker-{sessions}").way("default").pool

    return pool


def test_others_use_the_session_and_its_form_waits(pools: Any) -> None:
    """With one session other entities are served; its form waits until the operation is over."""
    pool = pools(1)
    begin(pool)
    for use in (ORDER, LOOK, Use(what="SalesOrder", alone=True)):
        with leased(pool, use):
            pass
    for use in (INVOICE, Use(what="SalesInvoice", alone=True), Use(what="SalesOrder", begins="job-2")):
        with pytest.raises(FormBusy, match="SalesInvoice"), leased(pool, use):
            pass
    pool.disclaim("job-1")
    with leased(pool, INVOICE):
        pass


def test_the_form_takes_another_session(pools: Any, sandbox: Sandbox) -> None:
    """With two sessions the form is served by the other one, and only the look goes to the first."""
    pool = pools(2)
    slot = begin(pool)
    with leased(pool, LOOK) as look, leased(pool, INVOICE) as other:
        assert (look.slot, other.slot != slot) == (slot, True)
    with leased(pool, INVOICE) as taken, pytest.raises(DeadlineExceeded), leased(pool, INVOICE, seconds=0.5):
        pytest.fail(f"a second one beside {taken.slot}")
    assert sandbox.tally()["sign_ins"] == 2


def test_a_claim_ends_with_its_time(pools: Any) -> None:
    """What nobody says the end of is given up when its job's deadline has passed; then nobody can look at it."""
    pool = pools(1)
    begin(pool, seconds=0.3)
    with pytest.raises(OperationLost):
        while True:
            with leased(pool, LOOK):
                pass
    with leased(pool, INVOICE):
        pass


def test_what_nobody_asks_after_bars_nobody(pools: Any, store_url: str) -> None:
    """A form is given free again where nobody has asked after its operation for minutes; who does still can."""
    pool = pools(1)
    begin(pool)
    store, key = redis.Redis.from_url(store_url), "acuworker:{default}:long_operations"
    claim = json.loads(store.hgetall(key)[b"1"])
    store.hset(key, "1", json.dumps({**claim, "heard": claim["heard"] - 301_000}))
    with leased(pool, INVOICE):
        pass
    with leased(pool, LOOK):
        pass
    with pytest.raises(FormBusy), leased(pool, INVOICE):
        pytest.fail("it was asked after")


def test_a_session_stays_open_for_its_operation(pools: Any, sandbox: Sandbox) -> None:
    """It is not signed out for being idle, nor by the last worker that leaves; afterwards it is."""
    pool = pools(1, idle_seconds=0)
    begin(pool)
    pool.tidy()
    pool.leave()
    assert sandbox.tally()["sign_outs"] == 0
    pool.disclaim("job-1")
    pool.tidy()
    assert sandbox.tally()["sign_outs"] == 1


def test_a_lost_session_cannot_be_looked_at(pools: Any, sandbox: Sandbox) -> None:
    """Where the ERP no longer knows the session, the look ends with OperationLost, and signs nobody in."""
    pool = pools(1)
    begin(pool)
    with pytest.raises(OperationLost):
        with leased(pool, LOOK) as lease:
            pool.lost(lease, OperationLost("the ERP no longer knows the session"))
        with leased(pool, LOOK):
            pass
    assert sandbox.tally()["sign_ins"] == 1


def test_a_write_is_told_what_may_be_at_work(pools: Any) -> None:
    """Reads go on in a session that a killed worker may have left a request in; a write does not, until one ends."""
    pool = pools(1)
    with pool.lease(caller(), Use(what="SalesOrder", longest=60.0)) as lease:
        lease.outcome = Outcome.UNKNOWN
    write = Use(what="SalesOrder", alone=True)
    with pytest.raises(SessionUnsure), leased(pool, write):
        pytest.fail("it may be at work")
    with leased(pool, ORDER):
        pass
    with leased(pool, write):
        pass


def test_a_lowered_limit_does_not_hide_it(pools: Any) -> None:
    """An operation in a session beyond a limit that was lowered is looked at all the same; nobody else gets it."""
    pool = pools(2)
    with leased(pool, ORDER):
        assert begin(pool) == 2
    pool._limits.set(max_sessions=1)
    with leased(pool, LOOK) as look:
        assert look.slot == 2
    with leased(pool, ORDER) as other, pytest.raises(DeadlineExceeded), leased(pool, ORDER, seconds=0.3):
        pytest.fail(f"a second one beside {other.slot}")


def test_what_was_said_before_a_claim(pools: Any) -> None:
    """A word that waited for the store is heard before a claim, and does not end what is begun after it."""
    pool = pools(1)
    with pool.lease(caller(), ACTION) as lease:
        pool.member.outbox._kept.append(("disclaim", {"job": "job-1"}))
        pool.claim(lease, "SalesInvoice", "job-1", 60.0)
    with leased(pool, LOOK):
        pass


def test_what_another_thread_says_before_a_claim(pools: Any) -> None:
    """A word that another thread is just saying is heard before a claim too, however long the store takes for it."""
    pool = pools(1)
    outbox, saying, go_on = pool.member.outbox, threading.Event(), threading.Event()
    script = outbox._script

    def slowly(operation: str, **named: Any) -> Any:
        saying.set()
        go_on.wait(20)
        return script(operation, **named)

    with pool.lease(caller(), ACTION) as lease:
        outbox._script = slowly
        other = threading.Thread(target=pool.disclaim, args=("job-1",))
        other.start()
        saying.wait(20)
        threading.Timer(0.2, go_on.set).start()
        pool.claim(lease, "SalesInvoice", "job-1", 60.0)
        other.join()
    with leased(pool, LOOK):
        pass


def test_a_late_word_ends_only_its_own_claim(pools: Any) -> None:
    """A worker that says late that its lease began nothing ends no claim that another has made meanwhile."""
    pool = pools(2)
    with leased(pool, ACTION) as lease:
        pool.claim(lease, "SalesInvoice", "job-1", 60.0)
    begin(pool)
    pool.disclaim("job-1", lease)
    with leased(pool, LOOK):
        pass


def test_what_may_be_at_work_is_not_forgotten(pools: Any, store_url: str) -> None:
    """A short request that nobody hears of does not shorten the time in which a long one before it may be at work."""
    pool = pools(1)
    with redis.Redis.from_url(store_url) as store:
        for longest in (900.0, 1.0):
            with pool.lease(caller(), Use(what="SalesOrder", longest=longest)) as lease:
                lease.outcome = Outcome.UNKNOWN
        (key,) = store.keys("*slot:1")
        seconds, _ = store.time()
        assert int(store.hget(key, "busy") or 0) / 1000 - seconds > 800


def test_the_last_claim_is_the_one(pools: Any) -> None:
    """A job that begins again elsewhere is looked for there, and nothing is kept of where it began before."""
    pool = pools(2)
    first = begin(pool)
    with leased(pool, replace(ACTION, alone=False)) as lease:
        pool.claim(lease, "SalesInvoice", "job-1", 60.0)
        second = lease.slot
    with leased(pool, LOOK) as look:
        assert (look.slot, first != second) == (second, True)
    with leased(pool, INVOICE) as other:
        assert other.slot == first


def test_a_claim_needs_the_lease(pools: Any) -> None:
    """A worker that was held up, and whose session was lent on, begins nothing in it."""
    pool = pools(1)
    with leased(pool, ACTION) as lease:
        pass
    with pytest.raises(SessionsBusy):
        pool.claim(lease, "SalesInvoice", "job-1", 60.0)

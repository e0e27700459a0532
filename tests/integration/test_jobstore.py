"""The job store's rows, in a real store: who may take which step with a job, and whose writes count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from tests.job_desk import JOB, REFUSED, RESULT, JobDesk
from worker.errors import (
    DeadlineExceeded,
    FilterRefused,
    JobCancelled,
    JobDead,
    JobInvalid,
    StoreUnavailable,
)
from worker.job import Lane
from worker.jobstate import Attempt, Bell, Dropped, Ended, State, Superseded
from worker.jobstore import GRACE_SECONDS, LEASE_SECONDS, MOST_CRASHES, JobStore
from worker.page import Spent


@pytest.fixture
def desk(store_url: str) -> Iterator[JobDesk]:
    """An empty job store."""
    with redis.Redis.from_url(store_url) as client:
        yield JobDesk(client)


RUNS = ("accepted", "waiting")
ENDS = ("done", "failed", "cancelled", "dead")


@pytest.mark.parametrize("state", State)
def test_a_delivery_of_the_latest_message(desk: JobDesk, state: State) -> None:
    """A job that nobody runs is begun, a running one is left to who runs it, and an ended one tells its end."""
    desk.bring_to(state)
    found = desk.deliver()
    kinds = {State.ACCEPTED: Attempt, State.WAITING: Attempt, State.RUNNING: Dropped}
    assert isinstance(found, kinds.get(state, Ended))


@pytest.mark.parametrize("state", State)
def test_a_delivery_of_an_earlier_message(desk: JobDesk, state: State) -> None:
    """A message from before the latest one begins nothing, whatever became of the job; an ended one tells its end."""
    desk.bring_to(State.ACCEPTED)
    desk.bring_to(state)
    before = desk.store.hgetall("acuworker:job:j")
    assert isinstance(desk.deliver(turn=0), Ended if desk.state().ended else Dropped)
    assert desk.store.hgetall("acuworker:job:j") == before


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (State.ACCEPTED, State.CANCELLED),
        (State.RUNNING, State.RUNNING),
        (State.WAITING, State.CANCELLED),
        *((State(state), State(state)) for state in ENDS),
    ],
)
def test_cancelling(desk: JobDesk, state: State, after: State) -> None:
    """A job that nobody runs is cancelled at once and its sender rung for; one that has ended stays as it is."""
    desk.bring_to(state)
    told, bell = desk.jobs.cancel("j")
    assert (told, desk.state().state) == (after, after)
    assert (bell is not None) == (state in RUNS)
    if bell:
        ended = desk.deliver(turn=bell.turn)
        assert isinstance(ended, Ended)
        assert isinstance(ended.error, JobCancelled)


def test_a_running_job_is_cancelled_by_its_worker(desk: JobDesk) -> None:
    """Its worker hears of it with its heartbeat and with its next page."""
    attempt = desk.begun()
    other = desk.begun("k")
    desk.jobs.cancel("j")
    assert desk.jobs.renew([attempt, other]) == {"j"}
    with pytest.raises(JobCancelled):
        desk.jobs.checkpoint(attempt, "{}", 1, 5)


@pytest.mark.parametrize("way", ["put off", "slice over", "handed back", "crashed", "crashed unseen"])
def test_a_cancelled_job_is_never_begun_again(desk: JobDesk, way: str) -> None:
    """However the attempt ends that was to cancel its job, the next delivery cancels it, and it comes at once."""
    attempt = desk.begun()
    desk.jobs.cancel("j")
    if way == "put off":
        desk.jobs.put_off(attempt, REFUSED, 3600, Spent())
        assert [bell.job_id for bell in desk.swept()] == ["j"]
    elif way == "slice over":
        desk.jobs.continue_(attempt, Spent())
    elif way == "handed back":
        desk.jobs.release(attempt, Spent())
    else:
        desk.later(LEASE_SECONDS + 1)
    if way == "crashed unseen":
        assert desk.jobs.cancel("j")[0] is State.CANCELLED
    ended = desk.deliver()
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, JobCancelled)
    assert desk.state().state is State.CANCELLED


@pytest.mark.parametrize("state", State)
def test_retrying(desk: JobDesk, state: State) -> None:
    """A job that failed, died or was cancelled is begun anew with all its time; any other stays as it is."""
    desk.bring_to(state)
    desk.later(1000)
    told, bell = desk.jobs.retry("j")
    if state not in (State.FAILED, State.CANCELLED, State.DEAD):
        assert (told, bell, desk.state().state) == (state, None, state)
        return
    assert told is State.ACCEPTED
    assert bell == Bell(job_id="j", body=JOB.wire(), lane=Lane.BULK, turn=int(desk.row("turn") or 0))
    assert (desk.state().error, desk.state().crashes) == (None, 0)
    attempt = desk.begun()
    assert (attempt.remaining, attempt.checkpoint, attempt.spent) == (86_400, None, Spent())
    assert desk.store.ttl("acuworker:job:j") == -1
    desk.jobs.finish(attempt, RESULT)
    assert desk.state().state is State.DONE


def test_an_unknown_job_is_neither_cancelled_nor_retried(desk: JobDesk) -> None:
    """Of a job that nobody knows nothing is made."""
    assert desk.jobs.cancel("j") == desk.jobs.retry("j") == (None, None)
    assert desk.jobs.get("j") is None


def test_a_job_that_was_refused_is_not_retried(desk: JobDesk) -> None:
    """What was no job when it came is none now."""
    desk.jobs.refuse("j", JobInvalid("no"))
    assert desk.jobs.retry("j") == (State.FAILED, None)


WRITES: dict[str, Callable[[JobStore, Attempt], Any]] = {
    "checkpoint": lambda jobs, attempt: jobs.checkpoint(attempt, "{}", 7, 7),
    "put off": lambda jobs, attempt: jobs.put_off(attempt, REFUSED, 1, Spent()),
    "slice over": lambda jobs, attempt: jobs.continue_(attempt, Spent()),
    "handed back": lambda jobs, attempt: jobs.release(attempt, Spent()),
    "done": lambda jobs, attempt: jobs.finish(attempt, RESULT),
    "failed": lambda jobs, attempt: jobs.finish(attempt, FilterRefused("no")),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("write", WRITES)
def test_what_a_worker_writes_that_was_given_up(desk: JobDesk, state: State, write: str) -> None:
    """A worker whose job is in other hands changes nothing, whatever it writes and wherever the job is."""
    zombie = desk.begun()
    desk.later(LEASE_SECONDS + 1)
    assert [bell.turn for bell in desk.swept()] == [1]
    desk.bring_to(state)
    before = desk.store.hgetall("acuworker:job:j")
    assert desk.jobs.renew([zombie]) == set()
    with pytest.raises(Superseded):
        WRITES[write](desk.jobs, zombie)
    assert desk.store.hgetall("acuworker:job:j") == before


@pytest.mark.parametrize("write", WRITES)
def test_a_lease_that_ran_out_unseen_is_still_held(desk: JobDesk, write: str) -> None:
    """A worker that was slow, and whose job nobody has taken yet, may go on."""
    attempt = desk.begun()
    desk.later(LEASE_SECONDS + 1)
    WRITES[write](desk.jobs, attempt)


@pytest.mark.parametrize("first", WRITES)
def test_what_ended_an_attempt_ended_it(desk: JobDesk, first: str) -> None:
    """After an attempt has ended in any way it writes nothing more."""
    attempt = desk.begun()
    WRITES[first](desk.jobs, attempt)
    for write in WRITES.values():
        if first != "checkpoint":
            with pytest.raises(Superseded):
                write(desk.jobs, attempt)


def test_a_job_counts_from_its_acceptance(desk: JobDesk) -> None:
    """A job's deadline is set when it is accepted, and no delivery moves it."""
    desk.jobs.accept("j", JOB)
    desk.later(1000)
    desk.jobs.accept("j", JOB)
    attempt = desk.begun()
    assert (attempt.number, attempt.remaining, attempt.elapsed) == (1, 86_400 - 1000, 0)
    desk.later(10)
    desk.jobs.continue_(attempt, Spent())
    assert (desk.begun().remaining, desk.state().slices) == (86_400 - 1010, 1)


def test_a_job_that_came_by_name_gets_a_row(desk: JobDesk) -> None:
    """The first delivery of a job without a row makes it."""
    attempt = desk.begun()
    assert (attempt.number, attempt.turn, attempt.remaining, attempt.waited_for) == (1, 0, 86_400, None)
    state = desk.state()
    assert (state.state, state.entity, state.connection) == (State.RUNNING, "SalesOrder", "default")
    assert state.lane is Lane.BULK


def test_many_deliveries_make_one_attempt(desk: JobDesk) -> None:
    """Of twenty deliveries at once, one begins the job."""
    barrier = threading.Barrier(20)

    def deliver(_: int) -> object:
        barrier.wait()
        return desk.deliver(turn=0)

    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(deliver, range(20)))
    assert sum(isinstance(each, Attempt) for each in found) == 1
    assert sum(isinstance(each, Dropped) for each in found) == 19


def test_a_job_that_kills_its_workers_is_dead(desk: JobDesk) -> None:
    """After three attempts in a row without a page and without a word nobody begins it, and its sender is rung for."""
    desk.crash(MOST_CRASHES - 1)
    assert (desk.state().state, desk.state().crashes) == (State.ACCEPTED, MOST_CRASHES - 1)
    desk.begun()
    desk.later(LEASE_SECONDS + 1)
    (bell,) = desk.swept()
    assert desk.state().state is State.DEAD
    ended = desk.deliver(turn=bell.turn)
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, JobDead)


def test_a_delivery_notices_a_crash_too(desk: JobDesk) -> None:
    """A message that comes again when the lease of its job has run out begins it, until the job is dead."""
    for number in range(1, MOST_CRASHES + 1):
        assert desk.begun().number == number
        desk.later(LEASE_SECONDS + 1)
    ended = desk.deliver()
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, JobDead)


def test_one_that_may_kill_runs_beside_no_other(desk: JobDesk) -> None:
    """Of the jobs whose worker ended without a word a process runs one at a time, until that has a page."""
    for job_id in ("a", "b"):
        desk.begun(job_id)
    desk.later(LEASE_SECONDS + 1)
    assert len(desk.swept()) == 2
    first = desk.begun("a")
    assert isinstance(desk.deliver("b"), Dropped)
    assert (desk.state("b").state, desk.state("b").crashes, desk.state("b").attempts) == (State.WAITING, 1, 1)
    assert isinstance(desk.deliver("new"), Attempt)
    desk.later(1)
    (bell,) = desk.swept()
    assert isinstance(desk.jobs.begin("b", JOB, "worker-2", bell.turn), Attempt)
    desk.jobs.checkpoint(first, "{}", 1, 5)
    desk.begun("c")
    desk.later(LEASE_SECONDS + 1)
    desk.swept()
    assert isinstance(desk.deliver("c"), Attempt)


def test_a_page_between_crashes_keeps_a_job_alive(desk: JobDesk) -> None:
    """Only attempts that came no further than the one before count."""
    for _ in range(MOST_CRASHES * 2):
        desk.jobs.checkpoint(desk.begun(), "{}", 1, 5)
        desk.later(LEASE_SECONDS + 1)
        desk.swept()
        assert desk.state().crashes == 1
    desk.crash(MOST_CRASHES - 1)
    assert desk.state().state is State.DEAD


def test_an_attempt_begins_where_the_one_before_was(desk: JobDesk) -> None:
    """The last checkpoint and what was spent come with the next attempt, whichever way the last one ended."""
    attempt = desk.begun()
    desk.jobs.checkpoint(attempt, '{"page":1}', 1, 5)
    desk.jobs.continue_(attempt, Spent(3, {"session": 2.0}))
    second = desk.begun()
    assert (second.number, second.turn, second.checkpoint) == (2, 1, '{"page":1}')
    assert second.spent == Spent(3, {"session": 2.0})
    desk.jobs.checkpoint(second, '{"page":2}', 2, 10)
    desk.later(LEASE_SECONDS + 1)
    desk.swept()
    assert desk.begun().checkpoint == '{"page":2}'
    assert (desk.state().pages, desk.state().records, desk.state().attempts) == (2, 10, 3)


def test_a_heartbeat_keeps_a_job(desk: JobDesk) -> None:
    """An attempt that says that it lives stays the one, however long it takes."""
    attempt = desk.begun()
    for _ in range(10):
        desk.later(LEASE_SECONDS - 1)
        assert desk.jobs.renew([attempt]) == set()
        assert desk.swept(*Lane) == []
        assert isinstance(desk.deliver(), Dropped)


def test_a_job_that_waits_is_due_in_time(desk: JobDesk) -> None:
    """A job that was put off is rung when it is due and not before; it says for what it waited, and for how long."""
    desk.jobs.put_off(desk.begun(), REFUSED, 60, Spent(3))
    assert (desk.state().state, desk.state().waiting_for) == (State.WAITING, "wrong password")
    desk.later(59)
    assert desk.swept(*Lane) == []
    desk.later(1)
    (bell,) = desk.swept()
    assert desk.swept(*Lane) == []
    attempt = desk.deliver(turn=bell.turn)
    assert isinstance(attempt, Attempt)
    assert (attempt.waited_for, attempt.spent) == ("wrong password", Spent(3, {REFUSED.state: 60.0}))


def test_a_job_waits_no_longer_than_it_may_take(desk: JobDesk) -> None:
    """A job that was put off for longer than its time is due at its deadline, and knows what it waited for."""
    desk.jobs.put_off(desk.begun(), REFUSED, 200_000, Spent())
    desk.later(86_399)
    assert desk.swept() == []
    desk.later(1)
    (bell,) = desk.swept()
    attempt = desk.deliver(turn=bell.turn)
    assert isinstance(attempt, Attempt)
    assert (attempt.remaining, attempt.waited_for) == (0, "wrong password")
    desk.jobs.finish(attempt, DeadlineExceeded("late"))


def test_a_lost_message_is_sent_again(desk: JobDesk) -> None:
    """An accepted job is rung after a while, if its lane's queue is empty, and then ever more seldom."""
    desk.jobs.accept("j", JOB)
    desk.later(GRACE_SECONDS - 1)
    assert desk.swept(*Lane) == []
    desk.later(1)
    assert desk.swept() == desk.swept(Lane.INTERACTIVE) == []
    gaps: list[float] = []
    last = desk.store.now
    while len(gaps) < 4:
        if desk.swept(Lane.BULK):
            gaps.append(desk.store.now - last)
            last = desk.store.now
        desk.later(1)
    assert gaps == [0, 2 * GRACE_SECONDS, 4 * GRACE_SECONDS, 8 * GRACE_SECONDS]
    assert isinstance(desk.deliver(), Attempt)


@pytest.mark.parametrize("state", ENDS)
def test_an_end_that_nobody_was_told_is_told_again(desk: JobDesk, state: str) -> None:
    """A job that has ended is rung until its sender was told, as an accepted one is, and never afterwards."""
    desk.bring_to(State(state))
    desk.later(GRACE_SECONDS)
    assert [bell.job_id for bell in desk.swept(Lane.BULK)] == ["j"]
    desk.jobs.told("j")
    desk.later(100 * GRACE_SECONDS)
    assert desk.swept(*Lane) == []


def test_only_an_ended_job_is_told_of(desk: JobDesk) -> None:
    """Who hears of a job before its end has not been told of its end."""
    desk.jobs.accept("j", JOB)
    desk.jobs.told("j")
    desk.later(GRACE_SECONDS)
    assert len(desk.swept(Lane.BULK)) == 1


def test_what_jobs_waited_for_makes_them_due(desk: JobDesk) -> None:
    """Those of the connection that waited for just that are due at once; others wait on."""
    for job_id in ("a", "b"):
        desk.jobs.put_off(desk.begun(job_id), REFUSED, 600, Spent())
    desk.jobs.put_off(desk.begun("other reason"), StoreUnavailable("gone"), 600, Spent())
    elsewhere = JOB.model_copy(update={"connection": "other"})
    attempt = desk.deliver("elsewhere", elsewhere)
    assert isinstance(attempt, Attempt)
    desk.jobs.put_off(attempt, REFUSED, 600, Spent())
    assert desk.jobs.hurry("default", "waiting_for_resume") == 0
    assert desk.jobs.hurry("default", REFUSED.state) == 2
    assert sorted(bell.job_id for bell in desk.swept()) == ["a", "b"]

"""The job store's rows, in a real store: who may begin a job, and whose writes count."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.store_process import contents
from worker.errors import FilterRefused, JobInvalid, SignInRefused, StoreUnavailable
from worker.job import Cost, Job, Lane, Result, Spent
from worker.jobstore import Attempt, Elsewhere, Ended, JobStore, Overtaken, Present, State, Superseded

JOB = Job(entity="SalesOrder", lane=Lane.BULK)
RESULT = Result(
    job_id="j",
    connection="default",
    entity="SalesOrder",
    count=9,
    pages=2,
    strategy="one",
    cost=Cost(),
    records="",
)


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """A client of an empty store."""
    with redis.Redis.from_url(store_url) as client:
        yield client


@pytest.fixture
def jobs(store: redis.Redis) -> JobStore:
    """An empty job store."""
    return JobStore(store)


def begun(jobs: JobStore, job_id: str = "j", turn: int = 0) -> Attempt:
    """The attempt that a delivery of the job is to make."""
    attempt = jobs.begin(job_id, JOB, "worker-1", turn)
    assert isinstance(attempt, Attempt)
    return attempt


def expire(store: redis.Redis, job_id: str = "j") -> None:
    """Let the lease of the job run out, as when its worker was killed."""
    store.hset(f"acuworker:job:{job_id}", "lease_until", "1")


def test_a_job_counts_from_its_acceptance(jobs: JobStore, store: redis.Redis) -> None:
    """A job's deadline is set when it is accepted, and no delivery moves it."""
    jobs.accept("j", JOB)
    store.hincrbyfloat("acuworker:job:j", "deadline_at", -1000)
    jobs.accept("j", JOB)
    assert begun(jobs).remaining == pytest.approx(86_400 - 1000, abs=60)


def test_a_job_that_came_by_name_gets_a_row(jobs: JobStore) -> None:
    """The first delivery of a job without a row makes it."""
    attempt = begun(jobs)
    assert (attempt.number, attempt.waited_for) == (1, None)
    assert attempt.remaining == pytest.approx(86_400, abs=60)
    state = jobs.get("j")
    assert state is not None
    assert (state.state, state.entity, state.connection) == (State.RUNNING, "SalesOrder", "default")


def test_a_running_job_is_begun_once(jobs: JobStore) -> None:
    """While an attempt lives, another delivery is told to come again."""
    begun(jobs)
    found = jobs.begin("j", JOB, "worker-2", 0)
    assert isinstance(found, Elsewhere)
    assert 0 < found.seconds <= 15


def test_many_deliveries_make_one_attempt(jobs: JobStore) -> None:
    """Of twenty deliveries at once, one begins the job."""
    barrier = threading.Barrier(20)

    def deliver(number: int) -> object:
        barrier.wait()
        return jobs.begin("j", JOB, f"worker-{number}", 0)

    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(deliver, range(20)))
    assert sum(isinstance(each, Attempt) for each in found) == 1


def test_a_killed_workers_job_is_begun_again(jobs: JobStore, store: redis.Redis) -> None:
    """When nobody has said for long that it lives, the next delivery is a new attempt."""
    begun(jobs)
    expire(store)
    assert begun(jobs).number == 2


def test_a_heartbeat_keeps_a_job(jobs: JobStore, store: redis.Redis) -> None:
    """An attempt that says that it lives stays the one."""
    attempt = begun(jobs)
    expire(store)
    jobs.renew([attempt])
    assert isinstance(jobs.begin("j", JOB, "worker-2", 0), Elsewhere)


def test_a_stale_attempt_changes_nothing(jobs: JobStore, store: redis.Redis) -> None:
    """What a worker writes that was given up for dead is refused, whatever it writes."""
    stale = begun(jobs)
    expire(store)
    latest = begun(jobs)
    before = store.hgetall("acuworker:job:j")
    jobs.renew([stale])
    writes: list[Callable[[], None]] = [
        lambda: jobs.progress(stale, 7, 7),
        lambda: jobs.put_off(stale, 1, SignInRefused("no"), Spent()),
        lambda: jobs.release(stale, Spent()),
        lambda: jobs.finish(stale, RESULT),
        lambda: jobs.finish(stale, FilterRefused("no")),
    ]
    for write in writes:
        with pytest.raises(Superseded):
            write()
    assert store.hgetall("acuworker:job:j") == before
    jobs.finish(latest, RESULT)


def test_a_job_that_ended_says_how_again(jobs: JobStore) -> None:
    """Another delivery of a job that is done, or failed, is told the same end."""
    jobs.finish(begun(jobs), RESULT)
    assert jobs.begin("j", JOB, "worker-2", 0) == Ended(RESULT, None)
    state = jobs.get("j")
    assert state is not None
    assert (state.state, state.pages, state.records) == (State.DONE, 2, 9)
    jobs.finish(begun(jobs, "k"), FilterRefused("no such field", "filter"))
    ended = jobs.begin("k", JOB, "worker-2", 0)
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, FilterRefused)
    assert (ended.error.message, ended.error.field) == ("no such field", "filter")


def test_a_job_ends_once(jobs: JobStore) -> None:
    """The first end of a job is its end."""
    attempt = begun(jobs)
    jobs.finish(attempt, RESULT)
    with pytest.raises(Superseded):
        jobs.finish(attempt, FilterRefused("no"))


def test_a_job_that_waits_says_for_what(jobs: JobStore) -> None:
    """A job that was put off shows the reason, keeps what it spent, and counts the time as waited."""
    jobs.put_off(begun(jobs), 1, SignInRefused("wrong password"), Spent(3, {"session": 2.0}))
    state = jobs.get("j")
    assert state is not None
    assert (state.state, state.waiting_for) == (State.WAITING, "wrong password")
    attempt = begun(jobs, turn=1)
    assert (attempt.number, attempt.waited_for, attempt.spent.requests) == (2, "wrong password", 3)
    assert attempt.spent.waits.keys() == {"session", "waiting_for_credentials"}


def test_a_message_from_before_is_dropped(jobs: JobStore) -> None:
    """Once a job was put off, only the message that was sent then may begin it."""
    jobs.put_off(begun(jobs), 1, SignInRefused("no"), Spent())
    assert isinstance(jobs.begin("j", JOB, "worker-2", 0), Overtaken)
    assert isinstance(jobs.begin("j", JOB, "worker-2", 1), Attempt)


def test_a_released_job_is_begun_at_once(jobs: JobStore) -> None:
    """A job that a stopping worker gave back waits for nobody's lease."""
    jobs.release(begun(jobs), Spent(2))
    state = jobs.get("j")
    assert state is not None
    assert state.state is State.ACCEPTED
    attempt = begun(jobs)
    assert (attempt.number, attempt.spent.requests) == (2, 2)


def test_a_refused_job_has_an_end(jobs: JobStore) -> None:
    """A job that never was one shows why; an existing job is not refused from outside."""
    jobs.refuse("j", JobInvalid("no such field", "entitty"))
    state = jobs.get("j")
    assert state is not None
    assert state.ended
    assert isinstance(state.error, JobInvalid)
    begun(jobs, "k")
    jobs.refuse("k", JobInvalid("no"))
    other = jobs.get("k")
    assert other is not None
    assert other.state is State.RUNNING


def test_a_job_without_a_message_is_withdrawn(jobs: JobStore) -> None:
    """Of a job that could not be queued nothing is left; one that was begun stays."""
    jobs.accept("j", JOB)
    jobs.withdraw("j")
    assert jobs.get("j") is None
    begun(jobs)
    jobs.withdraw("j")
    assert jobs.get("j") is not None


def test_jobs_are_counted_by_state(jobs: JobStore) -> None:
    """Each job is counted once, where it is."""
    jobs.accept("a", JOB)
    for job_id in "bcdef":
        begun(jobs, job_id)
    jobs.put_off(begun(jobs, "w"), 1, SignInRefused("no"), Spent())
    jobs.finish(begun(jobs, "y"), RESULT)
    jobs.finish(begun(jobs, "z"), FilterRefused("no"))
    counts = jobs.counts()
    assert counts == {
        State.ACCEPTED: 1,
        State.RUNNING: 5,
        State.WAITING: 1,
        State.DONE: 1,
        State.FAILED: 1,
    }


def test_jobs_stand_by_lane_and_connection(jobs: JobStore) -> None:
    """Jobs that have not ended are counted by lane, connection, state and what they wait for; ended ones are not."""
    other = Job(entity="SalesOrder", connection="other", lane=Lane.INTERACTIVE)
    jobs.accept("a", JOB)
    jobs.accept("b", other)
    begun(jobs, "c")
    jobs.put_off(begun(jobs, "w"), 1, SignInRefused("wrong password"), Spent())
    jobs.put_off(begun(jobs, "x"), 1, SignInRefused("wrong too"), Spent())
    jobs.put_off(begun(jobs, "v"), 1, StoreUnavailable("no answer"), Spent())
    jobs.finish(begun(jobs, "y"), RESULT)
    jobs.refuse("z", JobInvalid("no"))
    jobs.accept("gone", JOB)
    jobs.withdraw("gone")
    found = {
        (stand.connection, stand.lane, stand.state, stand.waiting_state): stand for stand in jobs.standing()
    }
    assert {key: stand.count for key, stand in found.items()} == {
        ("default", Lane.BULK, State.ACCEPTED, None): 1,
        ("default", Lane.BULK, State.RUNNING, None): 1,
        ("default", Lane.BULK, State.WAITING, "waiting_for_credentials"): 2,
        ("default", Lane.BULK, State.WAITING, "waiting"): 1,
        ("other", Lane.INTERACTIVE, State.ACCEPTED, None): 1,
    }
    refused = found[("default", Lane.BULK, State.WAITING, "waiting_for_credentials")]
    assert refused.reason == "wrong password"
    assert 0 <= refused.longest < 60


def test_a_wait_lasts_until_a_job_gets_on(jobs: JobStore, store: redis.Redis) -> None:
    """A job that is tried again and again has waited since it last got on, not since the last try."""
    jobs.accept("j", JOB)
    store.hincrbyfloat("acuworker:job:j", "idle_since", -1000)
    jobs.put_off(begun(jobs), 1, SignInRefused("no"), Spent())
    assert jobs.standing()[0].longest == pytest.approx(1000, abs=60)
    attempt = begun(jobs, turn=1)
    jobs.progress(attempt, 1, 500)
    jobs.put_off(attempt, 2, SignInRefused("no"), Spent())
    assert jobs.standing()[0].longest < 60


def test_looking_at_jobs_changes_nothing(jobs: JobStore, store: redis.Redis) -> None:
    """No key is written or removed by looking."""
    jobs.accept("a", JOB)
    jobs.put_off(begun(jobs, "w"), 1, SignInRefused("no"), Spent())
    jobs.present("a@h/1", [Lane.BULK])
    before = contents(store)
    jobs.standing()
    jobs.workers()
    jobs.counts()
    assert contents(store) == before


def test_jobs_leave_nothing_behind_when_they_end(jobs: JobStore, store: redis.Redis) -> None:
    """Of jobs that have ended only their rows, results and counts by state are kept."""
    for number in range(3):
        jobs.finish(begun(jobs, f"j{number}"), RESULT)
    left = {key.decode().rstrip("012") for key in contents(store)}
    assert left == {"acuworker:job:j", "acuworker:result:j", "acuworker:jobs:done"}


def test_workers_are_known_for_as_long_as_they_say_so(jobs: JobStore, store: redis.Redis) -> None:
    """A worker is there with its lanes until it ends, or has not been heard of for a while."""
    jobs.present("b@h/2", [Lane.BULK])
    jobs.present("a@h/1", list(Lane))
    assert jobs.workers() == [
        Present(owner="a@h/1", lanes=frozenset(Lane)),
        Present(owner="b@h/2", lanes=frozenset([Lane.BULK])),
    ]
    jobs.absent("a@h/1", list(Lane))
    assert [worker.owner for worker in jobs.workers()] == ["b@h/2"]
    store.zincrby("acuworker:workers", -20, "b@h/2|bulk")
    assert jobs.workers() == []


def test_rows_of_ended_jobs_expire(jobs: JobStore, store: redis.Redis) -> None:
    """A job that ended is forgotten after a week, its result after a day; one that has not ended never."""
    attempt = begun(jobs)
    assert store.ttl("acuworker:job:j") == -1
    jobs.finish(attempt, RESULT)
    assert store.ttl("acuworker:job:j") == pytest.approx(7 * 86_400, abs=60)
    assert store.ttl("acuworker:result:j") == pytest.approx(86_400, abs=60)


def test_a_store_that_is_gone_is_named() -> None:
    """Without a store, a job store says that it does not answer."""
    with redis.Redis.from_url("unix:///nowhere/s") as client, pytest.raises(StoreUnavailable):
        JobStore(client).get("j")

"""What can be asked of the job store: who bears a key, where jobs stand, who serves them, what is kept how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
import redis

from tests.job_desk import JOB, REFUSED, RESULT, JobDesk
from tests.store_process import contents
from worker.errors import FilterRefused, JobInvalid, StoreUnavailable, WorkerTooOld
from worker.job import Job, Lane, NewerJob
from worker.jobstate import Attempt, Ended, Present, State
from worker.jobstore import GRACE_SECONDS, MOST_AT_ONCE, JobStore
from worker.page import Spent

KEYED = JOB.model_copy(update={"idempotency_key": "order-17"})
OTHER = KEYED.model_copy(update={"entity": "Payment"})


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """A client of an empty store."""
    with redis.Redis.from_url(store_url) as client:
        yield client


@pytest.fixture
def desk(store: redis.Redis) -> JobDesk:
    """An empty job store, by a clock of the test's own."""
    return JobDesk(store)


def test_a_second_job_of_a_key_is_the_first(desk: JobDesk) -> None:
    """The same asked again under its key is the job that there is, whatever became of it; no row is made."""
    assert desk.jobs.accept("j", KEYED) == "j"
    assert desk.jobs.accept("again", KEYED) == "j"
    desk.jobs.finish(desk.begun(), RESULT)
    assert desk.jobs.accept("and again", KEYED) == "j"
    assert desk.jobs.known(["j", "again", "and again"]) == {"j"}


def test_a_key_names_one_thing(desk: JobDesk) -> None:
    """Something else asked under a key is refused with the job that bears it; without a key nothing is the same."""
    desk.jobs.accept("j", KEYED)
    with pytest.raises(JobInvalid, match=r"idempotency_key: is that of the job j, which asks something else"):
        desk.jobs.accept("other", OTHER)
    with pytest.raises(JobInvalid, match="the job j"):
        desk.deliver("other", OTHER)
    assert desk.jobs.known(["other"]) == set()
    assert desk.jobs.accept("a", JOB) == "a"
    assert desk.jobs.accept("b", JOB) == "b"


def test_a_message_of_a_keyed_job_follows_the_first(desk: JobDesk) -> None:
    """A job that comes by name with a key that is taken is begun, and told whom to follow."""
    desk.deliver("j", KEYED)
    attempt = desk.deliver("second", KEYED)
    assert isinstance(attempt, Attempt)
    assert attempt.same_as == "j"
    desk.jobs.put_off(attempt, REFUSED, 5, Spent())
    again = desk.deliver("second", KEYED)
    assert isinstance(again, Attempt)
    assert again.same_as == "j"


def test_a_key_is_free_when_its_job_was_withdrawn(desk: JobDesk) -> None:
    """A job that could not be queued keeps no other from its key."""
    desk.jobs.accept("j", KEYED)
    desk.jobs.withdraw("j")
    assert desk.jobs.accept("other", OTHER) == "other"


def test_a_hundred_who_ask_at_once_have_one_job(desk: JobDesk) -> None:
    """However many submit the same under one key at once, there is one job, and each is told its id."""
    barrier = threading.Barrier(100)

    def submit(number: int) -> str:
        barrier.wait()
        return desk.jobs.accept(f"j{number}", KEYED)

    with ThreadPoolExecutor(100) as threads:
        given = set(threads.map(submit, range(100)))
    assert len(given) == 1
    assert desk.jobs.known([f"j{number}" for number in range(100)]) == given


def test_a_job_of_a_newer_form_is_kept_as_it_came(desk: JobDesk) -> None:
    """A worker that cannot read a job keeps its body for one that can, and both see the same deadline."""
    body = {"entity": "SalesOrder", "form": 2, "region": "EU", "deadline_seconds": 90}
    attempt = desk.jobs.begin("j", NewerJob(body, Lane.BULK, WorkerTooOld("newer")), "worker-1", 0)
    assert isinstance(attempt, Attempt)
    assert attempt.remaining == 90
    desk.jobs.put_off(attempt, WorkerTooOld("newer"), 60, Spent())
    assert (desk.state().waiting_state, desk.jobs.body("j")) == ("waiting_for_worker", body)
    desk.later(60)
    (bell,) = desk.swept()
    assert (bell.body, bell.lane) == (body, Lane.BULK)


def test_a_job_that_ended_says_how_again(desk: JobDesk) -> None:
    """Another delivery of a job that is done, or failed, is told the same end."""
    desk.jobs.finish(desk.begun(), RESULT)
    assert desk.deliver() == Ended(RESULT, None)
    assert desk.jobs.result("j") == RESULT
    state = desk.state()
    assert (state.state, state.pages, state.records) == (State.DONE, 2, 9)
    desk.jobs.finish(desk.begun("k"), FilterRefused("no such field", "filter"))
    ended = desk.deliver("k")
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, FilterRefused)
    assert (ended.error.message, ended.error.field) == ("no such field", "filter")


def test_a_refused_job_has_an_end(desk: JobDesk) -> None:
    """A job that never was one shows why; an existing job is not refused from outside."""
    desk.jobs.refuse("j", JobInvalid("no such field", "entitty"))
    assert desk.state().ended
    assert isinstance(desk.state().error, JobInvalid)
    desk.begun("k")
    desk.jobs.refuse("k", JobInvalid("no"))
    assert desk.state("k").state is State.RUNNING


def test_a_job_without_a_message_is_withdrawn(desk: JobDesk) -> None:
    """Of a job that could not be queued nothing is left; one that was begun stays."""
    desk.jobs.accept("j", JOB)
    desk.jobs.withdraw("j")
    assert desk.jobs.get("j") is None
    desk.jobs.release(desk.begun(), Spent())
    desk.jobs.withdraw("j")
    assert desk.state().state is State.ACCEPTED
    desk.later(GRACE_SECONDS)
    assert [bell.job_id for bell in desk.swept(*Lane)] == ["j"]


def test_jobs_are_counted_and_listed_by_state(desk: JobDesk) -> None:
    """Each job is counted once, where it is; lists have the latest to come there first, however many."""
    desk.jobs.accept("a", JOB)
    for job_id in "bcdef":
        desk.begun(job_id)
        desk.later(1)
    desk.jobs.put_off(desk.begun("w"), REFUSED, 1, Spent())
    desk.jobs.finish(desk.begun("y"), RESULT)
    desk.later(1)
    desk.jobs.finish(desk.begun("z"), FilterRefused("no"))
    counts = desk.jobs.counts()
    assert counts == dict.fromkeys(State, 0) | {
        State.ACCEPTED: 1,
        State.RUNNING: 5,
        State.WAITING: 1,
        State.DONE: 1,
        State.FAILED: 1,
    }
    assert [job.job_id for job in islice(desk.jobs.latest([State.RUNNING]), 3)] == ["f", "e", "d"]
    assert [job.job_id for job in islice(desk.jobs.latest(State), 2)] == ["z", "y"]
    assert {job.job_id for job in desk.jobs.latest(State)} == set("abcdefwyz")
    assert desk.jobs.known(["a", "z", "nobody"]) == {"a", "z"}


def test_very_many_jobs_are_listed_each_once(desk: JobDesk) -> None:
    """More jobs than are looked up at once come all, each once, in the order in which they came where they are."""
    for number in range(2 * MOST_AT_ONCE + 50):
        desk.jobs.accept(f"j{number:03}", JOB)
        if number % 3 == 0:
            desk.begun(f"j{number:03}")
        desk.later(1)
    listed = [job.job_id for job in desk.jobs.latest(State)]
    assert listed == [f"j{number:03}" for number in reversed(range(2 * MOST_AT_ONCE + 50))]


def test_jobs_stand_by_lane_and_connection(desk: JobDesk) -> None:
    """Jobs that have not ended are counted by lane, connection, state and what they wait for; ended ones are not."""
    other = Job(entity="SalesOrder", connection="other", lane=Lane.INTERACTIVE)
    desk.jobs.accept("a", JOB)
    desk.jobs.accept("b", other)
    desk.begun("c")
    desk.jobs.put_off(desk.begun("w"), REFUSED, 1, Spent())
    desk.later(7)
    desk.jobs.put_off(desk.begun("x"), REFUSED, 1, Spent())
    desk.jobs.put_off(desk.begun("v"), StoreUnavailable("no answer"), 1, Spent())
    desk.jobs.finish(desk.begun("y"), RESULT)
    desk.jobs.refuse("z", JobInvalid("no"))
    desk.jobs.accept("gone", JOB)
    desk.jobs.withdraw("gone")
    found = {
        (stand.connection, stand.lane, stand.state, stand.waiting_state): stand
        for stand in desk.jobs.standing()
    }
    assert {key: stand.count for key, stand in found.items()} == {
        ("default", Lane.BULK, State.ACCEPTED, None): 1,
        ("default", Lane.BULK, State.RUNNING, None): 1,
        ("default", Lane.BULK, State.WAITING, "waiting_for_credentials"): 2,
        ("default", Lane.BULK, State.WAITING, "waiting"): 1,
        ("other", Lane.INTERACTIVE, State.ACCEPTED, None): 1,
    }
    refused = found[("default", Lane.BULK, State.WAITING, "waiting_for_credentials")]
    assert (refused.reason, refused.longest) == ("wrong password", 7)


def test_a_wait_lasts_until_a_job_gets_on(desk: JobDesk) -> None:
    """A job that is tried again and again has waited since it last got on, not since the last try."""
    desk.jobs.accept("j", JOB)
    desk.later(1000)
    desk.jobs.put_off(desk.begun(), REFUSED, 1, Spent())
    assert desk.jobs.standing()[0].longest == 1000
    attempt = desk.begun()
    desk.jobs.checkpoint(attempt, "{}", 1, 500)
    desk.jobs.put_off(attempt, REFUSED, 2, Spent())
    desk.later(3)
    assert desk.jobs.standing()[0].longest == 3


def test_looking_at_jobs_changes_nothing(desk: JobDesk, store: redis.Redis) -> None:
    """No key is written or removed by looking."""
    jobs = desk.jobs
    jobs.accept("a", KEYED)
    jobs.put_off(desk.begun("w"), REFUSED, 1, Spent())
    jobs.finish(desk.begun("y"), RESULT)
    jobs.present("a@h/1", [Lane.BULK])
    before = contents(store)
    for look in (
        jobs.standing,
        jobs.workers,
        jobs.counts,
        lambda: list(jobs.latest(State)),
        lambda: jobs.get("a"),
    ):
        look()
    for ask in (jobs.body, jobs.result, lambda job_id: jobs.known([job_id])):
        ask("y")
    desk.swept(*Lane)
    assert contents(store) == before


def test_jobs_leave_nothing_behind_when_they_end(desk: JobDesk, store: redis.Redis) -> None:
    """Of jobs that have ended, and of which their senders were told, only rows, results and states are kept."""
    for number in range(3):
        desk.jobs.checkpoint(attempt := desk.begun(f"j{number}"), "{}", 1, 1)
        desk.jobs.finish(attempt, RESULT)
        desk.jobs.told(f"j{number}")
    left = {key.decode().rstrip("012") for key in contents(store)} - {"now"}
    assert left == {"acuworker:job:j", "acuworker:result:j", "acuworker:jobs:done"}
    assert desk.row("checkpoint", "j0") is None


def test_workers_are_known_for_as_long_as_they_say_so(desk: JobDesk) -> None:
    """A worker is there with its lanes until it ends, or has not been heard of for a while."""
    desk.jobs.present("b@h/2", [Lane.BULK])
    desk.jobs.present("a@h/1", list(Lane))
    assert desk.jobs.workers() == [
        Present(owner="a@h/1", lanes=frozenset(Lane)),
        Present(owner="b@h/2", lanes=frozenset([Lane.BULK])),
    ]
    desk.jobs.absent("a@h/1", list(Lane))
    assert [worker.owner for worker in desk.jobs.workers()] == ["b@h/2"]
    desk.later(20)
    assert desk.jobs.workers() == []


def test_rows_of_ended_jobs_expire(desk: JobDesk, store: redis.Redis) -> None:
    """A job that ended is forgotten after a week, its result after a day; one that has not ended never."""
    attempt = desk.begun()
    assert store.ttl("acuworker:job:j") == -1
    desk.jobs.finish(attempt, RESULT)
    assert store.ttl("acuworker:job:j") == pytest.approx(7 * 86_400, abs=60)
    assert store.ttl("acuworker:result:j") == pytest.approx(86_400, abs=60)


def test_a_store_that_is_gone_is_named() -> None:
    """Without a store, a job store says that it does not answer."""
    with redis.Redis.from_url("unix:///nowhere/s") as client, pytest.raises(StoreUnavailable):
        JobStore(client).get("j")

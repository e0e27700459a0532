"""The runner, on a real store and a real blob directory, with handlers that do what a test needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.job_desk import JOB
from tests.runner_bench import RunnerBench, Steps
from worker.errors import (
    BlobsUnavailable,
    ConnectionUnknown,
    DeadlineExceeded,
    EntityUnknown,
    ErpFault,
    FilterRefused,
    HandlerFailed,
    JobCancelled,
    JobInvalid,
    JobUnknown,
    SignInRefused,
    Stopping,
    StoreUnavailable,
    WorkerError,
    WorkerTooOld,
)
from worker.job import FORM, Lane, NewerJob
from worker.jobstate import Dropped, State
from worker.jobstore import GRACE_SECONDS, LEASE_SECONDS
from worker.page import Cursor, Page
from worker.runner import Continued, Done, Failed, HandedBack, Outcome, Parked


@pytest.fixture
def bench(store_url: str, tmp_path: Path) -> Iterator[RunnerBench]:
    """A runner on an empty store."""
    bench = RunnerBench(store_url, tmp_path / "blobs")
    yield bench
    bench.client.close()


def error_of(outcome: Outcome, kind: type[WorkerError]) -> WorkerError:
    """The error of this kind that a job has failed with."""
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, kind)
    return outcome.error


def test_a_job_that_is_done_has_its_result(bench: RunnerBench) -> None:
    """The pages become a result, which the job store keeps and another delivery is told again."""
    outcome = bench.run("page", "page")
    assert isinstance(outcome, Done)
    assert outcome.result.count == 2
    assert outcome.result.records == '{"OrderNbr":"000001"}\n' * 2
    assert (bench.state().state, bench.state().attempts) == (State.DONE, 1)
    assert bench.run(AssertionError("run twice")) == outcome


def test_those_who_watch_see_progress(bench: RunnerBench) -> None:
    """A bulk job shows that it was started, and its first page; and in the store, at its end, all of them."""
    bench.run("page", "page", lane="bulk")
    assert bench.message.shown[:2] == ["started", (1, 1)]
    assert (bench.state().pages, bench.state().records) == (2, 2)


def test_a_small_job_asks_nothing_of_the_blob_store(
    bench: RunnerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is inline was never staged, so a store that may be far away is not asked to remove it; a failed job's is."""
    asked: list[str] = []
    monkeypatch.setattr("worker.publisher.discard", lambda blobs, job_id: asked.append(job_id))
    assert isinstance(bench.run("page", job_id="small"), Done)
    error_of(bench.run("page", ErpFault("An error has occurred."), job_id="failed"), ErpFault)
    assert asked == ["failed"]


def test_an_error_of_the_erps_ends_the_job(bench: RunnerBench) -> None:
    """A job whose ERP failed for good ends with that error, and nothing is sent again."""
    error_of(bench.run("page", ErpFault("An error has occurred.")), ErpFault)
    assert isinstance(bench.state().error, ErpFault)
    assert (bench.rung, bench.staged()) == ([], [])


def test_an_unknown_connection_is_named(bench: RunnerBench) -> None:
    """A job for a connection that does not exist fails with the name, before any handler is asked."""
    error = error_of(bench.run(AssertionError("asked"), connection="other"), ConnectionUnknown)
    assert "'other'" in str(error)
    assert "default" in str(error)


@pytest.mark.parametrize("fault", [KeyError("canary"), SystemExit("canary"), KeyboardInterrupt("canary")])
def test_a_handlers_fault_is_its_own(bench: RunnerBench, fault: BaseException) -> None:
    """A handler that raises something of its own ends its job with its name, and without the values it held."""
    error = error_of(bench.run("page", fault), HandlerFailed)
    assert str(error).endswith(f"runner_bench.Steps raised {type(fault).__name__}")
    assert error.__cause__ is None
    assert isinstance(bench.run("page", job_id="next"), Done)


ONE = Cursor(strategy="one", passed=1)


@pytest.mark.parametrize(
    "pages",
    [
        lambda: None,
        lambda: iter([None]),
        lambda: iter(["a page"]),
        lambda: iter([Page(records=cast(Any, [7]), cursor=ONE)]),
        lambda: iter([Page(records=[{"n": object()}], cursor=ONE)]),
        lambda: iter([Page(records=[], cursor=cast(Any, 7))]),
        lambda: iter([Page(records=[], cursor=ONE, attachments=cast(Any, ["a file"]))]),
    ],
)
def test_what_is_no_page_is_the_handlers_fault(
    bench: RunnerBench, monkeypatch: pytest.MonkeyPatch, pages: Callable[[], Any]
) -> None:
    """A handler that gives something else than pages of records ends its job, and no other."""
    with monkeypatch.context() as patched:
        patched.setattr(Steps, "pages", lambda *_: pages())
        error_of(bench.run(), HandlerFailed)
    assert bench.state().state is State.FAILED
    assert isinstance(bench.run("page", job_id="next"), Done)


def test_a_job_waits_for_what_must_be_mended(bench: RunnerBench) -> None:
    """A job that cannot go on is put off, shows what it waits for, and goes on from its last page when it is due."""
    outcome = bench.run("page", SignInRefused("wrong password", seconds=5))
    assert isinstance(outcome, Parked)
    assert (bench.state().state, bench.state().waiting_for) == (State.WAITING, "wrong password")
    assert (bench.rung, bench.swept(*Lane)) == ([], [])
    bench.later(6)
    assert [bell.job_id for bell in bench.swept()] == ["j"]
    done = bench.run("page")
    assert isinstance(done, Done)
    assert (done.result.count, done.result.cost.waits) == (2, {SignInRefused.state: 6.0})


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (EntityUnknown("no handler", "entity"), "waiting_for_worker"),
        (StoreUnavailable("gone"), "waiting"),
        (BlobsUnavailable("disk full"), "waiting"),
    ],
)
def test_a_job_waits_for_what_may_come(bench: RunnerBench, error: WorkerError, state: str) -> None:
    """A worker with the plugin may come, and a store or a disk; until then the job is parked, not tried at once."""
    assert isinstance(bench.run(error), Parked)
    assert bench.state().waiting_state == state
    bench.later(5)
    assert bench.swept(*Lane) == []
    bench.later(70)
    assert len(bench.swept()) == 1


def test_a_job_of_a_newer_form_waits_for_a_newer_worker(bench: RunnerBench) -> None:
    """A job that this worker cannot read is left as it is, and ends at its deadline if nobody comes."""
    error = WorkerTooOld(f"the job is of form {FORM + 1}", "form")
    newer = NewerJob({"entity": "X", "form": FORM + 1}, Lane.INTERACTIVE, error)
    assert isinstance(bench.deliver_as(newer), Parked)
    assert bench.state().waiting_state == "waiting_for_worker"
    bench.later(60)
    bench.swept()
    assert f"form {FORM + 1}" in str(error_of(bench.deliver_as(newer), DeadlineExceeded))


def test_a_message_that_was_given_twice_is_dropped(bench: RunnerBench) -> None:
    """The message of a job that has since been put off does nothing."""
    bench.run(SignInRefused("wrong password"))
    assert isinstance(bench.run(AssertionError("run"), turn=0), Dropped)


@pytest.mark.parametrize(
    "reason", [SignInRefused("wrong password"), EntityUnknown("no worker serves Warehouse", "entity")]
)
def test_a_job_that_waited_too_long_says_for_what(bench: RunnerBench, reason: WorkerError) -> None:
    """At its deadline a job fails, and the error names what it waited for; what was staged of it goes."""
    bench.run("page", reason)
    bench.later(60)
    (bell,) = bench.swept()
    error = error_of(bench.run(AssertionError("run"), turn=bell.turn), DeadlineExceeded)
    assert "60 s" in str(error)
    assert reason.message in str(error)
    assert bench.staged() == []


def test_a_running_job_is_left_alone(bench: RunnerBench) -> None:
    """A second message for a running job is done with: another speaks for the job."""
    found: list[Outcome] = []
    assert isinstance(bench.run(lambda: found.append(bench.take())), Done)
    assert [type(outcome) for outcome in found] == [Dropped]
    assert bench.state().attempts == 1


def test_a_stopping_worker_hands_its_job_back(bench: RunnerBench) -> None:
    """A job whose exchange is cut by the end of its worker goes back, and the next worker goes on at once."""
    assert isinstance(bench.run("page", Stopping("the worker stops")), HandedBack)
    assert bench.state().state is State.ACCEPTED
    done = bench.run("page", turn=0)
    assert isinstance(done, Done)
    assert (done.result.count, bench.state().attempts, bench.state().crashes) == (2, 2, 0)


def test_a_stopping_worker_keeps_the_page_at_hand(bench: RunnerBench) -> None:
    """A worker that is told to stop ends its jobs after the page under way, which is kept."""
    outcome = bench.run(lambda: stop(bench), AssertionError("another page"))
    assert isinstance(outcome, HandedBack)
    assert (bench.state().state, bench.state().pages) == (State.ACCEPTED, 1)
    done = bench.run("page")
    assert isinstance(done, Done)
    assert done.result.count == 2


def stop(bench: RunnerBench) -> None:
    """As the worker does when it is told to end."""
    bench.runner.stop()


def cancel_in_store(bench: RunnerBench) -> None:
    """As ``acuworker jobs cancel`` does."""
    assert bench.jobs.cancel("j") == (State.RUNNING, None)


def cancel_by_heartbeat(bench: RunnerBench) -> None:
    """The same, and the worker hears of it before its next page."""
    cancel_in_store(bench)
    bench.runner.beat()


def revoke(bench: RunnerBench) -> None:
    """As Celery's ``revoke`` does, to a worker that has the message."""
    bench.message.revoked = True


@pytest.mark.parametrize("way", [cancel_in_store, cancel_by_heartbeat, revoke])
def test_a_job_is_cancelled_at_its_next_page(bench: RunnerBench, way: Callable[[RunnerBench], None]) -> None:
    """Whoever cancels a running job, no page is asked for after the one under way, and nothing of it is left."""
    error_of(bench.run("page", lambda: way(bench), AssertionError("another page")), JobCancelled)
    assert (bench.state().state, bench.staged()) == (State.CANCELLED, [])


def test_a_message_that_was_revoked_before_it_came_cancels_its_job(bench: RunnerBench) -> None:
    """A job whose message Celery throws away has ended, and says so."""
    bench.jobs.accept("j", JOB)
    bench.runner.revoke("j")
    error_of(bench.run(AssertionError("run")), JobCancelled)


@pytest.mark.parametrize("then", ["page", ErpFault("no"), SignInRefused("no"), Stopping("no")])
def test_an_attempt_that_was_overtaken_says_nothing(bench: RunnerBench, then: object) -> None:
    """A worker that was given up for dead neither ends the job, nor puts it off, nor publishes a result."""

    def overtake() -> None:
        bench.later(LEASE_SECONDS + 1)
        bench.swept()
        bench.begun()

    assert isinstance(bench.run("page", overtake, then), Dropped)
    assert (bench.state().state, bench.state().pages) == (State.RUNNING, 1)
    assert bench.jobs.result("j") is None


def test_the_end_of_one_that_was_overtaken_takes_nothing_away(bench: RunnerBench) -> None:
    """When a worker that was given up for dead fails, what its successor has staged stays."""
    theirs = bench.blobs / "jobs" / "j" / "successor" / "records-00001.ndjson.00001.tail"

    def overtake() -> None:
        bench.later(LEASE_SECONDS + 1)
        bench.swept()
        bench.begun()
        theirs.parent.mkdir(parents=True)
        theirs.write_text("{}\n")
        raise ErpFault("too late")

    assert isinstance(bench.run(overtake), Dropped)
    assert bench.staged() == [theirs]


def test_a_heartbeat_speaks_for_running_jobs(bench: RunnerBench) -> None:
    """While a job runs its lease is renewed, and not afterwards."""

    def beat() -> None:
        for _ in range(5):
            bench.later(LEASE_SECONDS - 1)
            bench.runner.beat()
            assert bench.swept(*Lane) == []

    assert isinstance(bench.run(beat), Done)
    bench.runner.beat()
    assert bench.row("lease_until") is None


def test_a_job_that_hangs_is_given_up(bench: RunnerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that is at work long after its job's deadline is spoken for no more."""
    monkeypatch.setattr("worker.runner.HUNG_SECONDS", -61)

    def hang() -> None:
        bench.later(LEASE_SECONDS + 1)
        bench.runner.beat()
        assert [bell.job_id for bell in bench.swept()] == ["j"]

    assert isinstance(bench.run(hang), Dropped)


def test_a_slice_that_cannot_be_rung_for_is_not_lost(bench: RunnerBench) -> None:
    """Where the broker takes no message, the sweeper sends it when the broker is back."""
    bench.broken_broker = True
    bench.use(Steps(["page", "page"]), slice_seconds=1e-6)
    assert isinstance(bench.take(), Continued)
    bench.later(GRACE_SECONDS)
    (bell,) = bench.swept(*Lane)
    assert isinstance(bench.run("page", turn=bell.turn), Done)


def test_a_job_waits_for_its_store(tmp_path: Path) -> None:
    """Without a store nothing is begun; the message goes back."""
    bench = RunnerBench("unix:///nowhere/s", tmp_path)
    bench.runner.stop()
    assert isinstance(bench.take(turn=0), HandedBack)
    bench.client.close()


def test_an_answer_of_the_store_that_is_lost_is_asked_for_again(bench: RunnerBench) -> None:
    """A job whose checkpoint was kept, and its worker not told so, goes on after that page."""

    def lose() -> None:
        bench.store.lose = True

    assert isinstance(bench.run("page", lose, AssertionError("another page")), Parked)
    done = bench.run("page")
    assert isinstance(done, Done)
    assert done.result.count == 3


KEYED: dict[str, Any] = {"idempotency_key": "order-17"}


@pytest.mark.parametrize("ends", [Done, Failed])
def test_a_second_job_of_a_key_follows_the_first(bench: RunnerBench, ends: type[Outcome]) -> None:
    """It asks the ERP nothing, waits while the first is under way, and ends as the first has ended."""
    found: list[Outcome] = []
    follow = lambda: found.append(bench.take("second", **KEYED))  # noqa: E731
    steps = [follow] if ends is Done else [follow, FilterRefused("no such field", "filter")]
    first = bench.run(*steps, **KEYED)
    assert isinstance(first, ends)
    assert isinstance(found[0], Parked)
    bench.later(7)
    assert [bell.job_id for bell in bench.swept()] == ["second"]
    second = bench.run(AssertionError("asked"), job_id="second", **KEYED)
    if isinstance(first, Done):
        assert second == first
        assert bench.jobs.result("second") == first.result
    else:
        error_of(second, FilterRefused)


def test_a_second_job_of_a_key_outlives_no_result(bench: RunnerBench) -> None:
    """Where the first job's result is kept no more, the second says so, and does not run."""
    bench.run("page", **KEYED)
    bench.store.delete("acuworker:result:j")
    error_of(bench.run(AssertionError("asked"), job_id="second", **KEYED), JobUnknown)


def test_another_job_of_a_key_is_refused(bench: RunnerBench) -> None:
    """A job under a key that is another's, asking something else, fails, and that is on record."""
    bench.run("page", **KEYED)
    error = error_of(bench.run(AssertionError("run"), job_id="k", entity="Payment", **KEYED), JobInvalid)
    assert error.field == "idempotency_key"
    assert bench.state("k").state is State.FAILED


def test_a_refused_job_is_on_record(bench: RunnerBench) -> None:
    """What was wrong with a message can be read in the job store."""
    assert isinstance(bench.runner.refuse("j", JobInvalid("no such field", "x")), Failed)
    assert isinstance(bench.state().error, JobInvalid)


def test_an_ended_job_is_told_of_once(bench: RunnerBench) -> None:
    """Once its sender was told, nobody is rung for; a store that is away is no matter."""
    bench.run("page")
    bench.store.lose = True
    bench.runner.told("j")
    bench.later(100 * GRACE_SECONDS)
    assert bench.swept(*Lane) == []

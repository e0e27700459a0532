"""The runner, on a real store and a real blob directory, with handlers that do what a test needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import redis
from pydantic import SecretStr

from tests.erp_floor import connection_to_nowhere
from worker.blobs import BlobStore
from worker.erp.client import Erp
from worker.erp.gateway import Gateway
from worker.errors import (
    DeadlineExceeded,
    EntityUnknown,
    ErpFault,
    HandlerFailed,
    JobInvalid,
    SignInRefused,
    Stopping,
    StoreUnavailable,
)
from worker.handler import Handler
from worker.job import Job, Lane, Page, Query
from worker.jobstore import JobState, JobStore, State
from worker.publisher import Publisher
from worker.registry import FALLBACK, Registry
from worker.runner import Delivery, Done, Dropped, Failed, HandedBack, Later, Runner
from worker.settings import Settings

ROW = "acuworker:job:j"


@dataclass
class Script(Handler):
    """A handler that yields, does or raises what the test wrote down."""

    entity = FALLBACK
    steps: list[object] = field(default_factory=list)

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if callable(step):
                step()
            yield Page(records=[{"OrderNbr": {"value": "000001"}}], cursor=1, strategy="one")


@dataclass
class Message:
    """A message that keeps what was done with it."""

    shown: list[object] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    broken: bool = False

    def started(self) -> None:
        self.shown.append("started")

    def progress(self, pages: int, records: int) -> None:
        self.shown.append((pages, records))

    def again(self, seconds: float) -> None:
        if self.broken:
            raise StoreUnavailable("the broker does not answer")
        self.sent.append(seconds)


class Bench:
    """A runner whose handler and message are at hand."""

    def __init__(self, store_url: str, blobs: Path) -> None:
        connection = connection_to_nowhere("https://erp.invalid/site")
        self.store = redis.Redis.from_url(store_url)
        self.jobs = JobStore(self.store)
        self.script = Script()
        self.message = Message()
        self.settings = Settings(connections={"default": connection}, store_url=SecretStr(store_url))
        gateway = Gateway(self.settings, self.store, "worker-1")
        self.runner = Runner(
            owner="worker-1",
            gateway=gateway,
            registry=Registry({FALLBACK: self.script}),
            jobs=self.jobs,
            publisher=Publisher(BlobStore(blobs)),
        )

    def run(self, *steps: object, turn: int = 0, **job: object) -> object:
        """Deliver a job to a handler that takes these steps."""
        self.script.steps = list(steps)
        asked = Job.parse({"entity": "SalesOrder", **job}).in_lane(Lane.INTERACTIVE)
        return self.runner.run(Delivery(job_id="j", job=asked, turn=turn), self.message)

    def state(self) -> JobState:
        """What is known of the job."""
        return cast(JobState, self.jobs.get("j"))


@pytest.fixture
def bench(store_url: str, tmp_path: Path) -> Iterator[Bench]:
    """A runner on an empty store."""
    bench = Bench(store_url, tmp_path)
    yield bench
    bench.store.close()


def test_a_job_that_is_done_has_its_result(bench: Bench) -> None:
    """The pages become a result, which the job store keeps and another delivery is told again."""
    outcome = bench.run("page", "page")
    assert isinstance(outcome, Done)
    assert outcome.result.count == 2
    assert outcome.result.records == '{"OrderNbr":"000001"}\n' * 2
    assert (bench.state().state, bench.state().attempts) == (State.DONE, 1)
    assert bench.run(AssertionError("run twice")) == outcome


def test_those_who_watch_see_progress(bench: Bench) -> None:
    """A job shows that it was started, and its first page; and in the store, at its end, all of them."""
    bench.run("page", "page")
    assert bench.message.shown[:2] == ["started", (1, 1)]
    assert (bench.state().pages, bench.state().records) == (2, 2)


def test_an_error_of_the_erps_ends_the_job(bench: Bench) -> None:
    """A job whose ERP failed for good ends with that error, and nothing is sent again."""
    outcome = bench.run(ErpFault("An error has occurred."))
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ErpFault)
    assert isinstance(bench.state().error, ErpFault)
    assert bench.message.sent == []


def test_an_unknown_connection_is_named(bench: Bench) -> None:
    """A job for a connection that does not exist fails with the name, before any handler is asked."""
    outcome = bench.run(AssertionError("asked"), connection="other")
    assert isinstance(outcome, Failed)
    assert "'other'" in str(outcome.error)
    assert "default" in str(outcome.error)


def test_a_handlers_fault_is_its_own(bench: Bench) -> None:
    """A handler that raises something of its own ends the job with its name, and without the values it held."""
    outcome = bench.run(KeyError("canary"))
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, HandlerFailed)
    assert str(outcome.error).endswith("test_runner.Script raised KeyError")
    assert outcome.error.__cause__ is None


def test_a_handler_may_refuse_a_job(bench: Bench) -> None:
    """A handler's own WorkerError is the job's."""
    outcome = bench.run(EntityUnknown("no such entity", "entity"))
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, EntityUnknown)


def test_a_job_waits_for_what_must_be_mended(bench: Bench) -> None:
    """A job that cannot go on is sent again, shows what it waits for, and then goes on."""
    outcome = bench.run(SignInRefused("wrong password", seconds=5))
    assert isinstance(outcome, Later)
    assert 5 <= outcome.seconds <= 6
    assert bench.message.sent == [outcome.seconds]
    assert (bench.state().state, bench.state().waiting_for) == (State.WAITING, "wrong password")
    assert isinstance(bench.run("page", turn=1), Done)


def test_a_message_that_was_given_twice_is_dropped(bench: Bench) -> None:
    """The message of a job that has since been put off does nothing."""
    bench.run(SignInRefused("wrong password"))
    assert isinstance(bench.run(AssertionError("run"), turn=0), Dropped)


def test_a_job_that_waited_too_long_says_for_what(bench: Bench) -> None:
    """At its deadline a job fails, and the error names what it waited for."""
    bench.run(SignInRefused("wrong password"))
    bench.store.hset(ROW, "deadline_at", "1")
    outcome = bench.run(AssertionError("run"), turn=1)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, DeadlineExceeded)
    assert "60 s" in str(outcome.error)
    assert "wrong password" in str(outcome.error)


def test_a_running_job_is_looked_at_again(bench: Bench) -> None:
    """A second message for a running job comes again when the first one's lease would have run out."""
    begun: list[object] = []

    def second() -> None:
        begun.append(bench.runner.run(Delivery(job_id="j", job=Job(entity="X"), turn=0), other))

    other = Message()
    outcome = bench.run(second)
    assert isinstance(outcome, Done)
    assert begun == [Later(other.sent[0])]
    assert 0 < other.sent[0] <= 15


def test_a_stopping_worker_hands_its_job_back(bench: Bench) -> None:
    """A job whose worker stops goes back, and the next worker begins it at once."""
    assert isinstance(bench.run("page", Stopping("the worker stops")), HandedBack)
    assert bench.state().state is State.ACCEPTED
    assert isinstance(bench.run("page"), Done)
    assert bench.state().attempts == 2


def test_an_attempt_that_was_overtaken_says_nothing(bench: Bench) -> None:
    """A worker that was given up for dead neither ends the job nor publishes a result."""

    def overtake() -> None:
        bench.store.hset(ROW, "attempt", "7")

    assert isinstance(bench.run(overtake), Dropped)
    assert bench.state().state is State.RUNNING
    assert bench.jobs.result("j") is None


def test_a_heartbeat_speaks_for_running_jobs(bench: Bench) -> None:
    """While a job runs its lease is renewed, and not afterwards."""
    leases: list[float] = []

    def beat() -> None:
        bench.store.hset(ROW, "lease_until", "1")
        bench.runner.beat()
        leases.append(float(bench.store.hget(ROW, "lease_until") or 0))

    bench.run(beat)
    assert leases[0] > 1
    bench.runner.beat()
    assert bench.store.hget(ROW, "lease_until") is None


def test_a_message_that_cannot_be_sent_goes_back(bench: Bench) -> None:
    """Where the broker takes no message, the one at hand goes back to its queue."""
    bench.message.broken = True
    assert isinstance(bench.run(SignInRefused("wrong password")), HandedBack)
    assert bench.state().state is State.ACCEPTED


def test_a_job_waits_for_its_store(tmp_path: Path) -> None:
    """Without a store nothing is begun; the message comes again."""
    bench = Bench("unix:///nowhere/s", tmp_path)
    assert isinstance(bench.run(AssertionError("run")), Later)
    assert bench.message.sent
    bench.store.close()


def test_a_refused_job_is_on_record(bench: Bench) -> None:
    """What was wrong with a message can be read in the job store."""
    assert isinstance(bench.runner.refuse("j", JobInvalid("no such field", "x")), Failed)
    assert isinstance(bench.state().error, JobInvalid)

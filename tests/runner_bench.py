"""A bench for tests of the runner: a real store by the test's clock, a real blob directory, and handlers that obey."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from pydantic import SecretStr

from tests.erp_floor import connection_to_nowhere
from tests.job_desk import JobDesk
from worker.blobs.directory import Directory
from worker.erp.client import Erp
from worker.erp.gateway import Gateway
from worker.errors import StoreUnavailable
from worker.handler import Handler
from worker.job import Job, Lane, NewerJob
from worker.jobstate import Bell, State
from worker.jobstore import GRACE_SECONDS
from worker.page import Attachment, Cursor, Page, Query, Sink
from worker.publisher import Publisher
from worker.registry import FALLBACK, Registry
from worker.result import Manifest, Result
from worker.runner import Delivery, Outcome, Runner
from worker.settings import Settings
from worker.work import Work


class Killed(GeneratorExit):
    """The process is gone: nothing that it would still do is done."""


@dataclass
class Steps(Handler):
    """A handler that yields, does or raises what the test wrote down."""

    entity = FALLBACK
    steps: list[object] = field(default_factory=list)

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        passed = query.after.passed if query.after else 0
        for step in self.steps:
            if isinstance(step, BaseException):
                raise step
            if callable(step):
                step()
            passed += 1
            record = {"OrderNbr": {"value": "000001"}}
            yield Page(records=[record], cursor=Cursor(strategy="one", passed=passed))


@dataclass
class Numbered(Handler):
    """A handler with so many pages of numbered records, each with a file, which goes on where it is told to."""

    entity = FALLBACK
    count: int
    text: str = ""
    yielded: list[int] = field(default_factory=list)
    before: Callable[[int], None] = lambda number: None

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        for number in range(query.after.passed if query.after else 0, self.count):
            self.before(number)
            self.yielded.append(number)
            yield self._page(number)

    def _page(self, number: int) -> Page:
        def save(sink: Sink) -> None:
            sink.write(b"file %d" % number)

        files = (Attachment(record_id=str(number), file_id=f"f{number}", name="a.txt", save=save),)
        records = [{"n": {"value": number}, "text": {"value": self.text}}]
        cursor = Cursor(strategy="batches", passed=number + 1, over=number + 1 == self.count)
        return Page(records=records, cursor=cursor, attachments=files, notes=(f"note {number}",))


@dataclass
class Message:
    """A message that keeps what was done with it."""

    shown: list[object] = field(default_factory=list)
    revoked: bool = False

    def started(self) -> None:
        self.shown.append("started")

    def progress(self, pages: int, records: int) -> None:
        self.shown.append((pages, records))


class RunnerBench(JobDesk):
    """A runner whose handler, message, bells and clock are at hand."""

    def __init__(self, store_url: str, blobs: Path) -> None:
        self.client = redis.Redis.from_url(store_url)
        super().__init__(self.client)
        settings = Settings(
            connections={"default": connection_to_nowhere("https://erp.invalid/site")},
            store_url=SecretStr(store_url),
        )
        self.blobs = blobs
        self.gateway = Gateway(settings, self.client, "worker-1")
        self.message = Message()
        self.rung: list[Bell] = []
        self.broken_broker = False
        self.use(Steps())

    def close(self) -> None:
        """Close the way to the store."""
        self.client.close()

    def use(self, handler: Handler, slice_seconds: float = 30.0) -> None:
        """Start another worker, with this handler."""
        self.runner = Runner(
            owner="worker-1",
            gateway=self.gateway,
            work=Work(self.gateway, Registry({FALLBACK: handler}), Directory(self.blobs)),
            jobs=self.jobs,
            publisher=Publisher(Directory(self.blobs)),
            ring=self._ring,
            slice_seconds=slice_seconds,
        )

    def _ring(self, bell: Bell) -> None:
        if self.broken_broker:
            raise StoreUnavailable("the broker does not answer")
        self.rung.append(bell)

    def run(self, *steps: object, job_id: str = "j", turn: int | None = None, **job: Any) -> Outcome:
        """Deliver a job to a worker whose handler takes these steps; by its latest message."""
        self.use(Steps(list(steps)))
        return self.take(job_id, turn, **job)

    def take(self, job_id: str = "j", turn: int | None = None, **job: Any) -> Outcome:
        """Deliver a job to the worker that there is."""
        asked = Job.parse({"entity": "SalesOrder", **job}).in_lane(Lane.INTERACTIVE)
        return self.deliver_as(asked, job_id, turn)

    def deliver_as(self, job: Job | NewerJob, job_id: str = "j", turn: int | None = None) -> Outcome:
        """Deliver this body of a job."""
        told = int(self.row("turn", job_id) or 0) if turn is None else turn
        return self.runner.run(Delivery(job_id=job_id, job=job, turn=told), self.message)

    def until_ended(self, handler: Numbered, slice_seconds: float = 30.0, **job: Any) -> list[Outcome]:
        """Deliver every message of a job that there is, and sweep when there is none, until it has ended.

        A message whose worker was killed comes again only where nobody knows of its job yet.
        """
        outcomes: list[Outcome] = []
        turns = [0]
        while turns:
            turn = turns.pop(0)
            self.use(handler, slice_seconds)
            try:
                outcomes.append(self.take(turn=turn, deadline_seconds=86_400, **job))
            except Killed:
                turns += [] if self.jobs.get("j") else [turn]
            turns += [bell.turn for bell in self.rung]
            self.rung.clear()
            if not turns and not self.state().ended:
                self.later(GRACE_SECONDS * 2)
                turns += [bell.turn for bell in self.swept(*Lane)]
            assert len(outcomes) < 200
        return outcomes

    def ended(self) -> list[Any]:
        """All that the caller of a job that is done gets, with the bytes of its parts and files in their place."""
        assert self.state().state is State.DONE
        result = cast(Result, self.jobs.result("j"))
        facts: list[Any] = [result.count, result.file_count, result.pages, result.strategy, result.notes]
        if result.manifest is None:
            files = [(_read(file.url), file.name, file.record_id) for file in result.files or ()]
            return [*facts, result.records, files]
        manifest = Manifest.model_validate_json(_read(result.manifest.url))
        parts = (*manifest.records, *manifest.files)
        assert [hashlib.sha256(_read(part.url)).hexdigest() for part in parts] == [
            part.sha256 for part in parts
        ]
        place = self.blobs.as_uri().encode()
        return [*facts, [(part.records, _read(part.url).replace(place, b"")) for part in parts]]

    def staged(self) -> list[Path]:
        """What is staged of any job."""
        tails = (self.blobs / "jobs").rglob("*.tail")
        return sorted((*tails, *(self.blobs / "staging").rglob("*.*")))


def _read(url: str) -> bytes:
    return Path(url.removeprefix("file://")).read_bytes()


def killing(
    patched: pytest.MonkeyPatch, owner: type, name: str, times: set[int], *, after: bool
) -> list[int]:
    """End the process before or after those calls of a method, counted from 0; returns the calls so far."""
    real = getattr(owner, name)
    calls: list[int] = []

    def call(*args: Any, **named: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] not in times:
            return real(*args, **named)
        if after:
            real(*args, **named)
        raise Killed

    patched.setattr(owner, name, call)
    return calls

"""One delivery of a job, from its parsed message to what becomes of it: an attempt, unless another one stands.

An attempt works on the job for a slice of time, and keeps a checkpoint after each page; a job that cannot go on now is
put off until its deadline, and then fails saying what it waited for. Messages may come twice, or late; the job store
says what each delivery is to do. Nothing here knows Celery.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from worker.erp.caller import Caller
from worker.erp.deadline import Deadline
from worker.errors import (
    BlobsUnavailable,
    EntityUnknown,
    HandlerFailed,
    JobCancelled,
    JobRefused,
    JobUnknown,
    Stopping,
    StoreUnavailable,
    Waiting,
    WorkerError,
    WorkerTooOld,
)
from worker.job import Asked, Lane, NewerJob
from worker.jobstate import Attempt, Bell, Dropped, Ended, Superseded
from worker.jobstore import JobStore
from worker.page import Cursor, Page
from worker.publisher import Draft, Publisher, sending_of
from worker.result import Cost, Result
from worker.sending import missed

if TYPE_CHECKING:
    from worker.erp.gateway import Gateway
    from worker.work import Work

log = structlog.get_logger(__name__)

RETRY_PAUSE = 10.0
"""Seconds to leave a job when the store does not answer or the blob directory cannot be written."""

SAME_PAUSE = 5.0
"""Seconds after which to look again at the job that speaks for another."""

PROGRESS_SECONDS = 1.0

HUNG_SECONDS = 30.0
"""An attempt that is at work so long after its job's deadline hangs: it is given up, as its thread cannot be."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery of a job's message; ``turn`` is the message's place among those that spoke for the job."""

    job_id: str
    job: Asked | NewerJob
    turn: int


@dataclass(frozen=True)
class Done:
    """The job is done; this is its result."""

    result: Result


@dataclass(frozen=True)
class Failed:
    """The job has failed."""

    error: WorkerError


@dataclass(frozen=True)
class Parked:
    """The job waits, for this; the sweeper rings when it is due."""

    reason: WorkerError


@dataclass(frozen=True)
class Continued:
    """The slice is over; another message goes on with the job."""


@dataclass(frozen=True)
class HandedBack:
    """The message itself goes back to its queue, for another worker to take at once."""


Outcome = Done | Failed | Parked | Continued | HandedBack | Dropped


class Message(Protocol):
    """What a runner may do with the message of a delivery."""

    def started(self) -> None:
        """Show that the job is being worked on."""

    def progress(self, pages: int, records: int) -> None:
        """Show how far it is."""

    @property
    def revoked(self) -> bool:
        """Whether somebody has revoked it."""


def pause_after(error: WorkerError) -> float | None:
    """Seconds to leave a job that ended its attempt with this error; None where the error is final."""
    match error:
        case Waiting():
            return error.seconds * random.uniform(1.0, 1.2)  # noqa: S311 spreads load, hides nothing
        case EntityUnknown(certain=False):
            # A worker with that entity's plugin may come.
            return WorkerTooOld.usual_seconds
        case StoreUnavailable() | BlobsUnavailable():
            return RETRY_PAUSE
    return None


class _Running:
    """An attempt under way; ``cancelled`` once somebody wants the job no more."""

    def __init__(self, attempt: Attempt, slice_seconds: float) -> None:
        self.attempt = attempt
        self.slice = Deadline(slice_seconds)
        self.cancelled = False
        self.latest = Deadline(attempt.remaining + HUNG_SECONDS)


class Runner:
    """The floors below the task, as the bootstep built them, and the jobs that are running on them."""

    def __init__(
        self,
        *,
        owner: str,
        gateway: Gateway,
        work: Work,
        jobs: JobStore,
        publisher: Publisher,
        ring: Callable[[Bell], None],
        slice_seconds: float,
    ) -> None:
        """``ring`` sends a message, and may raise StoreUnavailable."""
        self._owner = owner
        self._gateway = gateway
        self._made = work
        self._jobs = jobs
        self._publisher = publisher
        self._ring = ring
        self._slice_seconds = slice_seconds
        self._running: set[_Running] = set()
        self._stop = threading.Event()

    def beat(self) -> None:
        """Say that the jobs running here live, and hear which are to be cancelled. Raises StoreUnavailable."""
        running = [each for each in tuple(self._running) if each.latest.remaining() > 0]
        cancelled = self._jobs.renew([each.attempt for each in running])
        for each in running:
            each.cancelled = each.cancelled or each.attempt.job_id in cancelled

    def stop(self) -> None:
        """End each attempt after the page that is under way."""
        self._stop.set()

    def refuse(self, job_id: str, error: JobRefused) -> Failed:
        """End a job that was never begun."""
        with contextlib.suppress(StoreUnavailable):
            self._jobs.refuse(job_id, error)
        log.warning("job", outcome="failed", code=error.code, error=str(error))
        return Failed(error)

    def told(self, job_id: str) -> None:
        """Note that whoever sent a job has been told how it ended; if the store is away, they are told again."""
        with contextlib.suppress(StoreUnavailable):
            self._jobs.told(job_id)

    def revoke(self, job_id: str) -> None:
        """Cancel a job whose message was revoked."""
        with contextlib.suppress(StoreUnavailable):
            self._jobs.cancel(job_id)

    def run(self, delivery: Delivery, message: Message) -> Outcome:
        """Do what is to be done about one delivery, and say what becomes of its message."""
        try:
            begun = self._jobs.begin(delivery.job_id, delivery.job, self._owner, delivery.turn)
            match begun:
                case Attempt():
                    return self._attempt(delivery, begun, message)
                case Ended():
                    return _told_before(begun)
                case Dropped():
                    return begun
        except JobRefused as error:
            return self.refuse(delivery.job_id, error)
        except StoreUnavailable:
            # Nothing is known of the job, and nobody can be told: its message waits here.
            self._stop.wait(RETRY_PAUSE)
            return HandedBack()
        except Superseded:
            return Dropped()

    def _attempt(self, delivery: Delivery, attempt: Attempt, message: Message) -> Outcome:
        began = time.monotonic()
        running = _Running(attempt, self._slice_seconds)
        self._running.add(running)
        try:
            outcome = self._end(delivery, running, message, began)
        finally:
            self._running.discard(running)
        _log(delivery.job, attempt, outcome, _cost(attempt, began))
        return outcome

    def _end(self, delivery: Delivery, running: _Running, message: Message, began: float) -> Outcome:
        attempt = running.attempt
        if delivery.job.lane is Lane.BULK:
            # A short job has ended before anybody has looked, and this is a tenth of what it costs.
            message.started()
        try:
            outcome = self._work(delivery.job, running, message, began)
        except Stopping:
            self._jobs.release(attempt, attempt.spent)
            return HandedBack()
        except WorkerError as error:
            outcome = self._end_badly(attempt, error)
        if isinstance(outcome, Continued):
            turn = self._jobs.continue_(attempt, attempt.spent)
            lane = delivery.job.lane or Lane.INTERACTIVE
            bell = Bell(job_id=attempt.job_id, body=delivery.job.wire(), lane=lane, turn=turn)
            with contextlib.suppress(StoreUnavailable):  # the sweeper rings then
                self._ring(bell)
        if isinstance(outcome, Done | Failed) and not _is_only_inline(outcome, attempt):
            self._publisher.discard(attempt.job_id)
        return outcome

    def _end_badly(self, attempt: Attempt, error: WorkerError) -> Outcome:
        pause = pause_after(error)
        if pause is None:
            self._jobs.finish(attempt, error)
            return Failed(error)
        self._jobs.put_off(attempt, error, pause, attempt.spent)
        return Parked(error)

    def _follow(self, attempt: Attempt, other: str) -> Outcome:
        """What the job that speaks for this one came to, once it has ended. Raises Waiting before that."""
        state = self._jobs.get(other)
        if state and not state.ended:
            raise Waiting(f"the job {other} asks the same, and has not ended", "idempotency_key", SAME_PAUSE)
        result = self._jobs.result(other)
        if result is None:
            raise (state and state.error) or JobUnknown(
                f"the result of the job {other} is kept no more", "job_id"
            )
        self._jobs.finish(attempt, result)
        return Done(result)

    def _work(self, job: Asked | NewerJob, running: _Running, message: Message, began: float) -> Outcome:
        """Work on the job for a slice. Raises Superseded, and whatever ends the attempt."""
        attempt = running.attempt
        if attempt.remaining <= 0:
            raise missed(job, sending_of(attempt.checkpoint), attempt.waited_for)
        if isinstance(job, NewerJob):
            raise job.error
        if attempt.same_as:
            return self._follow(attempt, attempt.same_as)
        if attempt.checkpoint is None and (known := self._jobs.answer(job)):
            self._jobs.finish(attempt, known)
            return Done(known)
        with (
            self._gateway.job(job.connection),
            self._publisher.draft(attempt.job_id, job, attempt.checkpoint) as draft,
        ):
            if not self._draw(self._pages(job, running, draft), draft, running, message):
                return Continued()
            result = draft.publish().result(_cost(attempt, began))
            self._jobs.finish(attempt, result)
            return Done(result)

    def _pages(self, job: Asked, running: _Running, draft: Draft) -> Iterable[Page]:
        """Put the pages that are not in the draft yet there, one at a time.

        Raises nothing that is not in our tree: what is no page is the handler's fault too.
        """
        try:
            keep = partial(self._keep, running.attempt, draft)
            for page in self._made.pages(job, _caller(job, running), draft.after, keep):
                draft.add(page)
                yield page
        except (WorkerError, Superseded, GeneratorExit):
            raise
        except BaseException as error:
            whose = self._made.whose(job)
            log.exception("a handler failed", handler=whose)
            raise HandlerFailed(f"the handler {whose} raised {type(error).__name__}", "entity") from None

    def _keep(self, attempt: Attempt, draft: Draft, cursor: Cursor) -> None:
        """Keep how far the job is. Raises Superseded, StoreUnavailable and JobCancelled."""
        # What the ERP has done cannot be called off any more.
        with contextlib.suppress(*((JobCancelled,) if cursor.is_settled else ())):
            self._jobs.checkpoint(attempt, draft.checkpoint(cursor).text(), draft.pages, draft.records)

    def _draw(self, pages: Iterable[Page], draft: Draft, running: _Running, message: Message) -> bool:
        """Take in pages until there are none, or the slice is over; whether there are none."""
        progress = Progress(message.progress)
        for page in pages:
            if page.cursor.over:
                # What is kept now is the result.
                return True
            self._keep(running.attempt, draft, page.cursor)
            progress(draft.pages, draft.records)
            if running.cancelled or message.revoked:
                raise JobCancelled("somebody cancelled it: acuworker jobs retry ID begins it anew")
            if self._stop.is_set():
                raise Stopping("the worker is shutting down")
            if running.slice.remaining() <= 0 and not page.coming:
                return False
        return True


def _caller(job: Asked, running: _Running) -> Caller:
    attempt = running.attempt
    return Caller(
        lane=job.lane or Lane.INTERACTIVE,
        deadline=Deadline(attempt.remaining),
        job_id=attempt.job_id,
        branch=job.branch,
        slice=running.slice,
        spent=attempt.spent,
    )


class Progress:
    """Tells how far a job is: of its first page at once, and then once a second at most."""

    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self._tell = tell
        self._next = 0.0

    def __call__(self, pages: int, records: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_SECONDS
            self._tell(pages, records)


def _is_only_inline(outcome: Outcome, attempt: Attempt) -> bool:
    """Whether nothing was ever staged for the job: then the blob store, which may be far away, is not asked."""
    return isinstance(outcome, Done) and outcome.result.manifest is None and attempt.number == 1


def _told_before(ended: Ended) -> Outcome:
    """The end that the job came to before: told again, as the first time may not have been heard."""
    if ended.error:
        return Failed(ended.error)
    return Done(ended.result) if ended.result else Dropped()


def _cost(attempt: Attempt, began: float) -> Cost:
    waits = {what: round(waited, 3) for what, waited in attempt.spent.waits.items()}
    seconds = round(attempt.elapsed + time.monotonic() - began, 3)
    return Cost(requests=attempt.spent.requests, seconds=seconds, waits=waits)


def _log(job: Asked | NewerJob, attempt: Attempt, outcome: Outcome, cost: Cost) -> None:
    """The one line that says how a job went; for a delivery that did not end its job, only at debug."""
    facts: dict[str, Any] = {
        "entity": job.entity,
        "connection": job.connection,
        "lane": str(job.lane),
        "attempt": attempt.number,
        **cost.model_dump(),
    }
    match outcome:
        case Done(result):
            told = {"strategy": result.strategy, "records": result.count, "files": result.file_count}
            log.info("job", outcome="done", **facts, **told)
        case Failed(error):
            log.warning("job", outcome="failed", code=error.code, error=str(error), **facts)
        case Parked(reason):
            log.debug("job", outcome="parked", reason=str(reason), **facts)
        case _:
            log.debug("job", outcome=type(outcome).__name__, **facts)

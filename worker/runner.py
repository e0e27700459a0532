"""One delivery of a job, from its parsed message to what becomes of it: an attempt, unless another one stands.

A job that cannot go on now is put off until its deadline, and then fails saying what it waited for. Messages may come
twice, or late; the job store says what each delivery is to do. Nothing here knows Celery.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from worker.erp import query as filters
from worker.erp.caller import Caller
from worker.erp.deadline import Deadline
from worker.errors import (
    BlobsUnavailable,
    DeadlineExceeded,
    HandlerFailed,
    JobRefused,
    Stopping,
    StoreUnavailable,
    Waiting,
    WorkerError,
)
from worker.handler import Endpoint
from worker.job import Cost, Job, Lane, Result, Spent
from worker.jobstore import Attempt, Elsewhere, Ended, JobStore, Overtaken, Superseded

if TYPE_CHECKING:
    from worker.erp.gateway import Gateway
    from worker.publisher import Published, Publisher
    from worker.registry import Registry

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 15.0
"""Seconds that a message may be put off: well under the broker's visibility timeout, after which one that a worker
still holds is given to another too."""

RETRY_PAUSE = 10.0
"""Seconds to leave a job when the store does not answer or the blob directory cannot be written."""

PROGRESS_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery of a job's message; ``turn`` counts how often the message was put off before."""

    job_id: str
    job: Job
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
class Later:
    """The message was sent again, to come in so many seconds; ``reason`` is what the job waits for, if it waits."""

    seconds: float
    reason: WorkerError | None = None


@dataclass(frozen=True)
class HandedBack:
    """The message itself goes back to its queue, for another worker to take at once."""


@dataclass(frozen=True)
class Dropped:
    """The message is of no use: another one speaks for its job."""


Outcome = Done | Failed | Later | HandedBack | Dropped


class Message(Protocol):
    """What a runner may do with the message of a delivery."""

    def started(self) -> None:
        """Show that the job is being worked on."""

    def progress(self, pages: int, records: int) -> None:
        """Show how far it is."""

    def again(self, seconds: float) -> None:
        """Send the message again, to come in so many seconds. Raises StoreUnavailable."""


def pause_after(error: WorkerError) -> float | None:
    """Seconds to leave a job that ended its attempt with this error; None where the error is final."""
    match error:
        case Waiting():
            return error.seconds
        case StoreUnavailable() | BlobsUnavailable():
            return RETRY_PAUSE
    return None


def until_next_try(pause: float, remaining: float) -> float:
    """Seconds until the message is to come again: not past the job's deadline, and not all jobs at once."""
    longest = min(pause * random.uniform(1.0, 1.2), LONGEST_PAUSE)  # noqa: S311 spreads load, hides nothing
    return max(0.0, min(longest, remaining))


class Runner:
    """The floors below the task, as the bootstep built them, and the jobs that are running on them."""

    def __init__(
        self,
        *,
        owner: str,
        gateway: Gateway,
        registry: Registry,
        jobs: JobStore,
        publisher: Publisher,
    ) -> None:
        self._owner = owner
        self._gateway = gateway
        self._registry = registry
        self._jobs = jobs
        self._publisher = publisher
        self._running: set[Attempt] = set()

    def beat(self) -> None:
        """Say that the jobs running here live. Raises StoreUnavailable."""
        self._jobs.renew(tuple(self._running))

    def refuse(self, job_id: str, error: JobRefused) -> Failed:
        """End a job that was never begun."""
        with contextlib.suppress(StoreUnavailable):
            self._jobs.refuse(job_id, error)
        log.warning("job", outcome="failed", code=error.code, error=str(error))
        return Failed(error)

    def run(self, delivery: Delivery, message: Message) -> Outcome:
        """Do what is to be done about one delivery, and say what becomes of its message."""
        try:
            begun = self._jobs.begin(delivery.job_id, delivery.job, self._owner, delivery.turn)
        except StoreUnavailable as error:
            return _send_again(message, RETRY_PAUSE, error)
        match begun:
            case Attempt():
                return self._attempt(delivery, begun, message)
            case Elsewhere():
                return _send_again(message, until_next_try(begun.seconds, LONGEST_PAUSE))
            case Ended():
                return _told_before(begun)
            case Overtaken():
                return Dropped()

    def _attempt(self, delivery: Delivery, attempt: Attempt, message: Message) -> Outcome:
        began = time.monotonic()
        self._running.add(attempt)
        try:
            outcome = self._end(delivery, attempt, message, began)
        except Superseded:
            outcome = Dropped()
        except StoreUnavailable as error:
            outcome = _send_again(message, RETRY_PAUSE, error)
        finally:
            self._running.discard(attempt)
        _log(delivery.job, attempt, outcome, _cost(attempt.spent, attempt.elapsed + time.monotonic() - began))
        return outcome

    def _end(self, delivery: Delivery, attempt: Attempt, message: Message, began: float) -> Outcome:
        message.started()
        try:
            published = self._retrieve(delivery.job, attempt, message)
        except Stopping:
            self._jobs.release(attempt, attempt.spent)
            return HandedBack()
        except WorkerError as error:
            return self._end_badly(delivery, attempt, message, error)
        cost = _cost(attempt.spent, attempt.elapsed + time.monotonic() - began)
        result = published.result(attempt.job_id, delivery.job, cost)
        self._jobs.finish(attempt, result)
        return Done(result)

    def _end_badly(
        self, delivery: Delivery, attempt: Attempt, message: Message, error: WorkerError
    ) -> Outcome:
        pause = pause_after(error)
        if pause is None:
            self._jobs.finish(attempt, error)
            return Failed(error)
        # Sent before it is written down: a worker that dies between the two leaves a message too many, not none.
        outcome = _send_again(message, until_next_try(pause, attempt.remaining), error)
        if isinstance(outcome, Later):
            self._jobs.put_off(attempt, delivery.turn + 1, error, attempt.spent)
        else:
            self._jobs.release(attempt, attempt.spent)
        return outcome

    def _retrieve(self, job: Job, attempt: Attempt, message: Message) -> Published:
        if attempt.remaining <= 0:
            raise DeadlineExceeded(_missed(job, attempt.waited_for), "deadline_seconds")
        connection = self._gateway.connection(job.connection)
        handler = self._registry.handler_for(job.entity)
        try:
            bound = None if job.filter is None else filters.bind(job.filter, job.params)
            query = handler.query(job, bound, Endpoint(connection.endpoint, connection.version))
            progress = Progress(lambda pages, records: self._progress(attempt, message, pages, records))
            with self._gateway.job(job.connection):
                pages = handler.retrieve(self._gateway.erp(job.connection, _caller(job, attempt)), query)
                return self._publisher.publish(attempt.job_id, job.values, pages, progress)
        except (WorkerError, Superseded):
            raise
        except Exception as error:
            name = f"{type(handler).__module__}.{type(handler).__qualname__}"
            log.exception("a handler failed", handler=name)
            raise HandlerFailed(f"the handler {name} raised {type(error).__name__}", "entity") from None

    def _progress(self, attempt: Attempt, message: Message, pages: int, records: int) -> None:
        # How far a job is can wait for the store; the job itself need not.
        with contextlib.suppress(StoreUnavailable):
            self._jobs.progress(attempt, pages, records)
        message.progress(pages, records)


def _caller(job: Job, attempt: Attempt) -> Caller:
    return Caller(
        lane=job.lane or Lane.INTERACTIVE,
        deadline=Deadline(attempt.remaining),
        job_id=attempt.job_id,
        branch=job.branch,
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


def _send_again(message: Message, seconds: float, reason: WorkerError | None = None) -> Later | HandedBack:
    try:
        message.again(seconds)
    except StoreUnavailable:
        return HandedBack()
    return Later(seconds, reason)


def _told_before(ended: Ended) -> Outcome:
    """The end that the job came to before: told again, as the first time may not have been heard."""
    if ended.error:
        return Failed(ended.error)
    return Done(ended.result) if ended.result else Dropped()


def _missed(job: Job, waited_for: str | None) -> str:
    reason = f"while it waited: {waited_for}" if waited_for else "before a worker could begin it"
    return f"the {job.allowed_seconds} s that the job may take passed {reason}"


def _cost(spent: Spent, seconds: float) -> Cost:
    waits = {what: round(waited, 3) for what, waited in spent.waits.items()}
    return Cost(requests=spent.requests, seconds=round(seconds, 3), waits=waits)


def _log(job: Job, attempt: Attempt, outcome: Outcome, cost: Cost) -> None:
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
        case Later(_, reason):
            log.debug("job", outcome="put off", reason=str(reason), **facts)
        case _:
            log.debug("job", outcome=type(outcome).__name__, **facts)

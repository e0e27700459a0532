"""What is known of each job: the truth about it, of which the broker's messages and Celery's states are a view.

A row in the store for each job, changed only by the script in ``jobstore.lua``, one step at a time, by the store's
own clock. Each delivery that begins a job is an attempt with a number; what an attempt writes is taken only while it
is the latest, so one that was given up for dead changes nothing. A store that does not answer: StoreUnavailable.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec
import redis

from worker.erp.store import Script, answering
from worker.errors import (
    EntityUnknown,
    JobCancelled,
    JobDead,
    JobInvalid,
    Waiting,
    WorkerError,
    WorkerTooOld,
)
from worker.job import Asked, Lane, NewerJob, Question
from worker.jobstate import (
    Attempt,
    Begun,
    Bell,
    Dropped,
    Ended,
    JobState,
    Present,
    Standing,
    State,
    Superseded,
    attempt_in,
    bell_in,
    error_in,
    error_text,
    result_in,
    standing_in,
    state_in,
)
from worker.page import Spent
from worker.result import Result

LEASE_SECONDS = 15
"""A running job whose worker has not said for so long that it lives may be begun by another."""

PRESENCE_SECONDS = 15
"""A worker that has not said for so long that it lives is taken to be gone."""

GRACE_SECONDS = 15
"""After which the message of a job that nobody has begun should have come, where its queue is empty."""

MOST_CRASHES = 3
"""Attempts in a row that may end without a word and without a page: then the job is dead."""

KEPT_SECONDS = 7 * 86_400
"""A row is kept so long after its job's end; the result itself only RESULT_SECONDS."""
RESULT_SECONDS = 86_400

MOST_AT_ONCE = 100
"""Jobs that are looked at by one call."""

HOW = ("lane", "page_size", "deadline_seconds", "idempotency_key", "max_age", "form")
"""Fields of a job that say how it is to be answered, not what it asks."""

_PREFIX = "acuworker:"
_DEAD = JobDead(
    f"its worker ended without a word {MOST_CRASHES} times in a row, with no page between: look at the workers' "
    "logs, then acuworker jobs retry ID"
)
_SUSPECT = "its worker ended without a word, and a worker runs one such job at a time"
_CANCELLED = JobCancelled("somebody cancelled it: acuworker jobs retry ID begins it anew")


class JobStore:
    """The rows in the store."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        text = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
        self._script = Script(store, text, _PREFIX)

    def accept(self, job_id: str, job: Asked) -> str:
        """Make the job's row, unless it has one; from now on its deadline counts. Returns the id that it goes by.

        That is another job's where that bears the same idempotency key. Raises JobInvalid where that asks something
        else.
        """
        told = self._run("accept", id=job_id, **_facts(job))
        return _same(told) if "same_as" in told else job_id

    def withdraw(self, job_id: str) -> None:
        """Forget a job that was accepted and never begun, as no message could be sent for it."""
        self._run("withdraw", id=job_id)

    def begin(self, job_id: str, job: Asked | NewerJob, owner: str, turn: int) -> Begun:
        """What a delivery of the job is to do; the row is made where the job came without one.

        ``turn`` is the message's; one lower than the row's comes from a message that the broker gave twice. Raises
        JobInvalid where the job's idempotency key is another's, which asks something else.
        """
        told = self._run("begin", id=job_id, owner=owner, turn=turn, lease=LEASE_SECONDS, **_facts(job))
        match told["kind"]:
            case "attempt":
                return attempt_in(job_id, told)
            case "ended":
                return Ended(result_in(told.get("result")), error_in(told.get("error")))
            case "other":
                _same(told)
        return Dropped()

    def renew(self, attempts: Sequence[Attempt]) -> Collection[str]:
        """Say that these attempts live, well within LEASE_SECONDS; returns the ids of jobs that are to be cancelled."""
        if not attempts:
            return ()
        held = [{"id": attempt.job_id, "attempt": attempt.number} for attempt in attempts]
        return frozenset(self._run("renew", held=held, lease=LEASE_SECONDS)["cancelled"] or ())

    def checkpoint(self, attempt: Attempt, text: str, pages: int, records: int) -> None:
        """Keep how far the job is, for whoever goes on with it. Raises Superseded, and JobCancelled."""
        told = self._write("checkpoint", attempt, checkpoint=text, pages=pages, records=records)
        if told["cancelled"]:
            raise _CANCELLED

    def put_off(self, attempt: Attempt, reason: WorkerError, seconds: float, spent: Spent) -> None:
        """Say that the job waits, for what, and when it is due again. Raises Superseded."""
        told = {"state": waiting_state(reason), "reason": reason.message, "seconds": seconds}
        self._write("put_off", attempt, spent=_spent(spent), **told)

    def continue_(self, attempt: Attempt, spent: Spent) -> int:
        """End a slice of the job: returns the turn of the message that goes on with it. Raises Superseded."""
        return int(self._write("continue", attempt, spent=_spent(spent))["turn"])

    def release(self, attempt: Attempt, spent: Spent) -> None:
        """Give the job back, for another worker to begin at once. Raises Superseded."""
        self._write("release", attempt, spent=_spent(spent))

    def finish(self, attempt: Attempt, outcome: Result | WorkerError) -> None:
        """End the job, with its result or its error. Raises Superseded."""
        if isinstance(outcome, WorkerError):
            state = State.CANCELLED if isinstance(outcome, JobCancelled) else State.FAILED
            self._write("fail", attempt, state=state, error=error_text(outcome))
        else:
            text = msgspec.json.encode(outcome.model_dump(mode="json", exclude_none=True)).decode()
            counts = {"pages": outcome.pages, "records": outcome.count}
            is_own = outcome.job_id == attempt.job_id
            self._write("finish", attempt, result=text, is_own=is_own, **counts)

    def answer(self, job: Asked) -> Result | None:
        """The result of a job that asked the same, and began at most ``max_age`` before now."""
        if not isinstance(job, Question) or job.max_age is None:
            return None
        other = self._run("answered", question=_question(job), seconds=job.max_age)
        return self.result(str(other)) if other else None

    def refuse(self, job_id: str, error: WorkerError) -> None:
        """Note the end of a job that was refused before it had a row."""
        self._run("refuse", id=job_id, error=error_text(error))

    def told(self, job_id: str) -> None:
        """Note that whoever sent the job has been told how it ended."""
        self._run("told", id=job_id)

    def cancel(self, job_id: str) -> tuple[State | None, Bell | None]:
        """End a job that nobody runs, or have its worker end it at its next page: its state then, and the message due.

        None where there is no such job.
        """
        return _changed(self._run("cancel", id=job_id))

    def retry(self, job_id: str) -> tuple[State | None, Bell | None]:
        """Begin anew a job that has failed, died or been cancelled: its state then, and the message that is due."""
        return _changed(self._run("retry", id=job_id))

    def sweep(self, empty: Iterable[Lane]) -> list[Bell]:
        """The messages that are due: of jobs whose worker is gone, whose time has come, or whose message was lost.

        Of the last kind only those of lanes whose queue is ``empty``: a long queue loses nothing by being long.
        """
        told = self._run("sweep", empty=[str(lane) for lane in empty], most=MOST_AT_ONCE)
        return [bell_in(bell) for bell in told["bells"] or ()]

    def hurry(self, connection: str, waiting_state: str) -> int:
        """Make due the jobs of a connection that wait for something which is there now; how many."""
        return int(self._run("hurry", connection=connection, state=waiting_state, most=MOST_AT_ONCE))

    def get(self, job_id: str) -> JobState | None:
        """What is known of the job; None where there is no such job, or no longer."""
        with answering():
            row = cast(dict[bytes, bytes], self._store.hgetall(f"{_PREFIX}job:{job_id}"))
        return _view(job_id, row) if row else None

    def latest(self, states: Iterable[State]) -> Iterator[JobState]:
        """Jobs in these states, the latest to enter one first; they are looked up as they are asked for."""
        latest = heapq.merge(*map(self._entered, states), reverse=True)
        with answering():
            while some := [job_id for _, job_id in islice(latest, MOST_AT_ONCE)]:
                pipe = self._store.pipeline(transaction=False)
                for job_id in some:
                    pipe.hgetall(f"{_PREFIX}job:{job_id}")
                for job_id, row in zip(some, pipe.execute(), strict=True):
                    if row:
                        yield _view(job_id, row)

    def _entered(self, state: State) -> Iterator[tuple[float, str]]:
        """When which job has entered a state, the latest first."""
        first = 0
        while found := cast(
            list[tuple[bytes, float]],
            self._store.zrevrange(f"{_PREFIX}jobs:{state}", first, first + MOST_AT_ONCE - 1, withscores=True),
        ):
            yield from ((entered, job_id.decode()) for job_id, entered in found)
            first += MOST_AT_ONCE

    def body(self, job_id: str) -> Mapping[str, Any] | None:
        """What the job asks, as it was sent; None where that is not known."""
        with answering():
            text = cast(bytes | None, self._store.hget(f"{_PREFIX}job:{job_id}", "job"))
        return msgspec.json.decode(text) if text else None

    def result(self, job_id: str) -> Result | None:
        """The result of a job that is done; None where it is not, or is no longer kept."""
        with answering():
            return result_in(cast(bytes | None, self._store.get(f"{_PREFIX}result:{job_id}")))

    def known(self, job_ids: Sequence[str]) -> frozenset[str]:
        """Those of these jobs that have a row."""
        with answering():
            pipe = self._store.pipeline(transaction=False)
            for job_id in job_ids:
                pipe.exists(f"{_PREFIX}job:{job_id}")
            found = pipe.execute()
        return frozenset(job_id for job_id, is_there in zip(job_ids, found, strict=True) if is_there)

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state; ended ones for as long as their rows are kept."""
        with answering():
            pipe = self._store.pipeline(transaction=False)
            for state in State:
                pipe.zcard(f"{_PREFIX}jobs:{state}")
            return dict(zip(State, pipe.execute(), strict=True))

    def standing(self) -> list[Standing]:
        """Where the jobs that have not ended are. Changes nothing."""
        return [standing_in(told) for told in self._run("standing")["standing"] or ()]

    def present(self, owner: str, lanes: Iterable[Lane]) -> None:
        """Say that a worker lives, and which lanes it serves; to be said well within PRESENCE_SECONDS."""
        self._run("present", worker=_member(owner, lanes), alive=PRESENCE_SECONDS)

    def absent(self, owner: str, lanes: Iterable[Lane]) -> None:
        """Say that a worker ends."""
        self._run("absent", worker=_member(owner, lanes))

    def workers(self) -> list[Present]:
        """The workers that live. Changes nothing."""
        told = self._run("workers")["workers"] or ()
        return sorted(map(_present, told), key=lambda worker: worker.owner)

    def _write(self, operation: str, attempt: Attempt, **named: Any) -> Any:
        told = self._run(operation, id=attempt.job_id, attempt=attempt.number, **named)
        if told is False:
            raise Superseded
        return told

    def _run(self, operation: str, **named: Any) -> Any:
        rules = {
            "grace": GRACE_SECONDS,
            "kept": KEPT_SECONDS,
            "crashes": MOST_CRASHES,
            "dead": error_text(_DEAD),
            "cancelled": error_text(_CANCELLED),
            "result_kept": RESULT_SECONDS,
            "suspect": _SUSPECT,
        }
        return self._script(operation, **rules, **named)


def waiting_state(error: WorkerError) -> str:
    """The word that a watcher is shown for what a job waits for."""
    match error:
        case Waiting():
            return error.state
        case EntityUnknown():
            return WorkerTooOld.state
    return Waiting.state


def _facts(job: Asked | NewerJob) -> dict[str, Any]:
    """What the store must know of a job."""
    body = job.wire()
    asked = {name: value for name, value in body.items() if name != "idempotency_key"}
    return {
        "job": msgspec.json.encode(body).decode(),
        "entity": job.entity,
        "place": f"{job.lane or Lane.INTERACTIVE}|{job.connection}",
        "allowed": job.allowed_seconds,
        "key": job.idempotency_key,
        "question": _question(job) if isinstance(job, Question) else None,
        "digest": hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest(),
    }


def _question(job: Question) -> str:
    """What a job asks, however soon and in whatever pages."""
    asked = job.model_dump(mode="json", exclude=set(HOW))
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()


def _same(told: Mapping[str, Any]) -> str:
    """The id of the job that speaks for another. Raises JobInvalid where it asks something else."""
    if told["differs"]:
        message = (
            f"is that of the job {told['same_as']}, which asks something else: give each job a key of its own"
        )
        raise JobInvalid(message, "idempotency_key")
    return str(told["same_as"])


def _changed(told: Mapping[str, Any]) -> tuple[State | None, Bell | None]:
    state = None if told["state"] == "unknown" else State(told["state"])
    return state, bell_in(told["bell"]) if "bell" in told else None


def _view(job_id: str, row: Mapping[bytes, bytes]) -> JobState:
    return state_in(job_id, {name.decode(): value.decode() for name, value in row.items()})


def _spent(spent: Spent) -> str:
    return msgspec.json.encode(spent).decode()


def _member(owner: str, lanes: Iterable[Lane]) -> str:
    return f"{owner}|{','.join(sorted(lanes))}"


def _present(member: str) -> Present:
    owner, _, lanes = member.rpartition("|")
    return Present(owner=owner, lanes=frozenset(Lane(lane) for lane in lanes.split(",") if lane))

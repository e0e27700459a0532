"""What is known of each job: the truth about it, of which Celery's state is a view.

A row in the store for each job, changed only by the script in ``jobstore.lua``, one step at a time, by the store's
own clock. Each delivery that begins a job is an attempt with a number; what an attempt writes is taken only while it
is the latest, so one that was given up for dead changes nothing. A store that does not answer: StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import msgspec
import redis

from worker.erp.store import answering
from worker.errors import Waiting, WorkerError, error_class
from worker.job import Job, Lane, Result, Spent

LEASE_SECONDS = 15
"""A running job whose worker has not said for so long that it lives may be begun by another."""

PRESENCE_SECONDS = 15
"""A worker that has not said for so long that it lives is taken to be gone."""

KEPT_SECONDS = 7 * 86_400
"""A row is kept so long after its job's end; the result itself only RESULT_SECONDS."""
RESULT_SECONDS = 86_400


class State(StrEnum):
    """Where a job is."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What may be told of a job; times are seconds since 1970, by the store's clock."""

    job_id: str
    state: State
    entity: str | None
    connection: str | None
    accepted_at: float
    started_at: float | None
    finished_at: float | None
    attempts: int
    pages: int
    records: int
    waiting_state: str | None
    waiting_for: str | None
    error: WorkerError | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in (State.DONE, State.FAILED)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How many jobs of one lane and connection are in one state, not yet ended.

    ``longest`` is for how many seconds one of them has not got on. Of those that wait, ``waiting_state`` says for
    what in a word, and ``reason`` in the words of the one that has waited longest.
    """

    lane: Lane
    connection: str
    state: State
    count: int
    longest: float
    waiting_state: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Present:
    """A worker that lives, and the lanes that it serves."""

    owner: str
    lanes: frozenset[Lane]


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt:
    """This delivery is to run the job: for at most ``remaining`` seconds, the first of them ``elapsed`` ago.

    ``waited_for`` is what the job waited for before, ``spent`` what its earlier attempts cost.
    """

    job_id: str
    number: int
    remaining: float
    elapsed: float
    waited_for: str | None
    spent: Spent


@dataclass(frozen=True)
class Elsewhere:
    """Another delivery is running the job; unless it says that it lives, for ``seconds`` more."""

    seconds: float


@dataclass(frozen=True)
class Overtaken:
    """A later message speaks for the job: this one is to be dropped."""


@dataclass(frozen=True)
class Ended:
    """The job has ended; its result, or its error, or neither where the result is no longer kept."""

    result: Result | None
    error: WorkerError | None


Begun = Attempt | Elsewhere | Overtaken | Ended


class Superseded(Exception):
    """A later attempt has taken the job over: what this one does no longer counts."""


class JobStore:
    """The rows in the store, on a client that gives bytes."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store
        self._script = store.register_script(Path(__file__).with_suffix(".lua").read_text(encoding="utf-8"))

    def accept(self, job_id: str, job: Job) -> None:
        """Make the job's row; from now on its deadline counts. One that has a row keeps it."""
        self._run("accept", job_id, _text(job), job.allowed_seconds, _place(job))

    def withdraw(self, job_id: str) -> None:
        """Forget a job that was accepted and never begun, as no message could be sent for it."""
        self._run("withdraw", job_id)

    def begin(self, job_id: str, job: Job, owner: str, turn: int) -> Begun:
        """What a delivery of the job is to do; the row is made where the job came without one.

        ``turn`` is the number of times that the message has been put off; one lower than the row's comes from a
        message that the broker gave twice.
        """
        given = (_text(job), job.allowed_seconds, _place(job), owner, turn, LEASE_SECONDS)
        match self._run("begin", job_id, *given):
            case [b"attempt", *fields]:
                return _attempt(job_id, fields)
            case [b"elsewhere", seconds]:
                return Elsewhere(float(seconds))
            case [b"ended", result, error]:
                return Ended(_stored(result), _error(error))
        return Overtaken()

    def renew(self, attempts: Sequence[Attempt]) -> None:
        """Say that these attempts live; to be said well within LEASE_SECONDS."""
        if attempts:
            rows = [_row(attempt.job_id) for attempt in attempts]
            with answering():
                self._script(rows, ["renew", LEASE_SECONDS, *(attempt.number for attempt in attempts)])

    def progress(self, attempt: Attempt, pages: int, records: int) -> None:
        """Say how far the job is. Raises Superseded."""
        self._write("progress", attempt, pages, records)

    def put_off(self, attempt: Attempt, turn: int, reason: WorkerError, spent: Spent) -> None:
        """Say that the job waits, and for what; only a message of this turn or a later one may begin it.

        Raises Superseded.
        """
        told = (msgspec.json.encode(spent), waiting_state(reason), reason.message)
        self._write("put_off", attempt, turn, *told)

    def release(self, attempt: Attempt, spent: Spent) -> None:
        """Give the job back, for another worker to begin at once. Raises Superseded."""
        self._write("release", attempt, msgspec.json.encode(spent))

    def finish(self, attempt: Attempt, outcome: Result | WorkerError) -> None:
        """End the job, with its result or its error. Raises Superseded."""
        if isinstance(outcome, WorkerError):
            self._write("fail", attempt, _error_text(outcome), KEPT_SECONDS)
        else:
            text = msgspec.json.encode(outcome.model_dump(mode="json", exclude_none=True))
            told = (text, outcome.pages, outcome.count)
            self._write("finish", attempt, *told, KEPT_SECONDS, RESULT_SECONDS)

    def refuse(self, job_id: str, error: WorkerError) -> None:
        """Note the end of a job that was refused before it had a row."""
        self._run("refuse", job_id, _error_text(error), KEPT_SECONDS)

    def _write(self, operation: str, attempt: Attempt, *given: str | bytes | int) -> None:
        if not self._run(operation, attempt.job_id, attempt.number, *given):
            raise Superseded

    def _run(self, operation: str, job_id: str, *given: str | bytes | int) -> Any:
        with answering():
            return self._script([_row(job_id), _INDEX, _result(job_id)], [operation, job_id, *given])

    def get(self, job_id: str) -> JobState | None:
        """What is known of the job; None where there is no such job, or no longer."""
        with answering():
            row = cast(dict[bytes, bytes], self._store.hgetall(_row(job_id)))
        return _view(job_id, {name.decode(): value.decode() for name, value in row.items()}) if row else None

    def result(self, job_id: str) -> Result | None:
        """The result of a job that is done; None where it is not, or is no longer kept."""
        with answering():
            return _stored(cast(bytes | None, self._store.get(_result(job_id))))

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state; ended ones for as long as their rows are kept."""
        with answering():
            pipe = self._store.pipeline(transaction=False)
            for state in State:
                pipe.zcard(f"{_INDEX}{state}")
            return dict(zip(State, pipe.execute(), strict=True))

    def standing(self) -> list[Standing]:
        """Where the jobs that have not ended are. Changes nothing."""
        return [_standing(*facts) for facts in self._run("standing", "")]

    def present(self, owner: str, lanes: Iterable[Lane]) -> None:
        """Say that a worker lives, and which lanes it serves; to be said well within PRESENCE_SECONDS."""
        self._of_workers("present", _member(owner, lanes), PRESENCE_SECONDS)

    def absent(self, owner: str, lanes: Iterable[Lane]) -> None:
        """Say that a worker ends."""
        self._of_workers("absent", _member(owner, lanes))

    def workers(self) -> list[Present]:
        """The workers that live. Changes nothing."""
        return sorted(map(_present, self._of_workers("workers")), key=lambda worker: worker.owner)

    def _of_workers(self, operation: str, *given: str | int) -> Any:
        with answering():
            return self._script([_WORKERS], [operation, "", *given])


_INDEX = "acuworker:jobs:"
_WORKERS = "acuworker:workers"


def _row(job_id: str) -> str:
    return f"acuworker:job:{job_id}"


def _result(job_id: str) -> str:
    return f"acuworker:result:{job_id}"


def _stored(result: bytes | None) -> Result | None:
    return Result.model_validate_json(result) if result else None


def _text(job: Job) -> bytes:
    return msgspec.json.encode(job.wire())


def _place(job: Job) -> str:
    return f"{job.lane or Lane.INTERACTIVE}|{job.connection}"


def _standing(stand: bytes, count: int, longest: bytes, reason: bytes | None) -> Standing:
    state, waiting_state, lane, connection = stand.decode().split("|")
    return Standing(
        lane=Lane(lane),
        connection=connection,
        state=State(state),
        count=count,
        longest=max(0.0, float(longest)),
        waiting_state=waiting_state or None,
        reason=reason.decode() if reason else None,
    )


def _member(owner: str, lanes: Iterable[Lane]) -> str:
    return f"{owner}|{','.join(sorted(lanes))}"


def _present(member: bytes) -> Present:
    owner, _, lanes = member.decode().rpartition("|")
    return Present(owner=owner, lanes=frozenset(Lane(lane) for lane in lanes.split(",") if lane))


def waiting_state(error: WorkerError) -> str:
    """The word that a watcher is shown for what a job waits for."""
    return error.state if isinstance(error, Waiting) else Waiting.state


def _attempt(job_id: str, fields: Sequence[Any]) -> Attempt:
    number, remaining, elapsed, waited, state, waited_for, spent = fields
    so_far = msgspec.json.decode(spent, type=Spent) if spent else Spent()
    if waited:
        so_far.waited(state.decode(), float(waited))
    return Attempt(
        job_id=job_id,
        number=number,
        remaining=float(remaining),
        elapsed=float(elapsed),
        waited_for=waited_for.decode() if waited_for else None,
        spent=so_far,
    )


def _error_text(error: WorkerError) -> bytes:
    return msgspec.json.encode({"code": error.code, "field": error.field, "message": error.message})


def _error(text: bytes | str | None) -> WorkerError | None:
    if not text:
        return None
    told = msgspec.json.decode(text)
    return error_class(told["code"])(told["message"], told["field"])


def _view(job_id: str, row: Mapping[str, str]) -> JobState:
    job = msgspec.json.decode(row["job"]) if "job" in row else {}

    def time(name: str) -> float | None:
        return float(row[name]) if name in row else None

    return JobState(
        job_id=job_id,
        state=State(row["state"]),
        entity=job.get("entity"),
        connection=job.get("connection", "default") if job else None,
        accepted_at=float(row["accepted_at"]),
        started_at=time("started_at"),
        finished_at=time("finished_at"),
        attempts=int(row["attempt"]),
        pages=int(row.get("pages", 0)),
        records=int(row.get("records", 0)),
        waiting_state=row.get("waiting_state"),
        waiting_for=row.get("waiting_for"),
        error=_error(row.get("error")),
    )

"""What may be told of jobs, as values: where each is, what a delivery of it is to do, who serves the lanes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from worker.errors import DataRefused, WorkerError
from worker.job import Lane
from worker.page import Spent
from worker.result import Result


class State(StrEnum):
    """Where a job is."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"
    """Its workers ended without a word, again and again; nobody begins it any more unless it is asked for."""


ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED, State.DEAD})


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What may be told of a job; times are seconds since 1970, by the store's clock. ``owner`` is who works on it."""

    job_id: str
    state: State
    entity: str | None
    connection: str | None
    lane: Lane | None
    accepted_at: float
    started_at: float | None
    finished_at: float | None
    attempts: int
    crashes: int
    slices: int
    pages: int
    records: int
    waiting_state: str | None
    waiting_for: str | None
    error: WorkerError | None
    owner: str | None = None
    deadline_at: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in ENDED

    @property
    def where(self) -> str:
        """Where it is while it has not ended, and what it waits for if it waits."""
        if self.waiting_for is None:
            return str(self.state)
        return f"{self.waiting_state or self.state}: {self.waiting_for}"


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


@dataclass(frozen=True, kw_only=True)
class Bell:
    """A message that must be sent, so that somebody looks at a job: the job's body, and the message's turn."""

    job_id: str
    body: Mapping[str, Any]
    lane: Lane
    turn: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt:
    """This delivery is to run the job: for at most ``remaining`` seconds, the first of them ``elapsed`` ago.

    ``turn`` is the message's; ``waited_for`` what the job waited for before, ``spent`` what its earlier attempts
    cost, ``checkpoint`` how far they came, ``same_as`` the job with the same idempotency key that it is to follow.
    """

    job_id: str
    number: int
    turn: int
    remaining: float
    elapsed: float
    waited_for: str | None
    spent: Spent
    checkpoint: str | None
    same_as: str | None


@dataclass(frozen=True)
class Dropped:
    """The message is of no use: another one speaks for its job, or another delivery runs it."""


@dataclass(frozen=True)
class Ended:
    """The job has ended; its result, or its error, or neither where the result is no longer kept."""

    result: Result | None
    error: WorkerError | None


Begun = Attempt | Dropped | Ended


class Superseded(Exception):
    """A later attempt has taken the job over: what this one does no longer counts."""


def attempt_in(job_id: str, told: Mapping[str, Any]) -> Attempt:
    """An attempt, as the store tells of it."""
    spent = msgspec.json.decode(told["spent"], type=Spent) if told.get("spent") else Spent()
    if told.get("waited") is not None:
        spent.waited(told["waiting_state"], told["waited"])
    return Attempt(
        job_id=job_id,
        number=told["attempt"],
        turn=told["turn"],
        remaining=told["remaining"],
        elapsed=told["elapsed"],
        waited_for=told.get("waiting_for"),
        spent=spent,
        checkpoint=told.get("checkpoint"),
        same_as=told.get("same_as"),
    )


def bell_in(told: Mapping[str, Any]) -> Bell:
    """A bell, as the store tells of it."""
    body = msgspec.json.decode(told["job"])
    return Bell(job_id=told["id"], body=body, lane=Lane(told["lane"]), turn=told["turn"])


def standing_in(told: Mapping[str, Any]) -> Standing:
    """Where some jobs stand, as the store tells of it."""
    state, waiting_state, lane, connection = told["stand"].split("|")
    return Standing(
        lane=Lane(lane),
        connection=connection,
        state=State(state),
        count=told["count"],
        longest=max(0.0, told["longest"]),
        waiting_state=waiting_state or None,
        reason=told.get("reason"),
    )


def state_in(job_id: str, row: Mapping[str, str]) -> JobState:
    """A job's state, from its row."""
    lane, _, connection = row.get("place", "").partition("|")

    def time(name: str) -> float | None:
        return float(row[name]) if name in row else None

    return JobState(
        job_id=job_id,
        state=State(row["state"]),
        entity=row.get("entity"),
        connection=connection or None,
        lane=Lane(lane) if lane else None,
        accepted_at=float(row["accepted_at"]),
        started_at=time("started_at"),
        finished_at=time("finished_at"),
        attempts=int(row["attempt"]),
        crashes=int(row.get("crashes", 0)),
        slices=int(row.get("slices", 0)),
        pages=int(row.get("pages", 0)),
        records=int(row.get("records", 0)),
        waiting_state=row.get("waiting_state"),
        waiting_for=row.get("waiting_for"),
        error=error_in(row.get("error")),
        owner=row.get("owner"),
        deadline_at=time("deadline_at"),
    )


def result_in(text: str | bytes | None) -> Result | None:
    """A result, as the store keeps it."""
    return Result.model_validate_json(text) if text else None


def error_text(error: WorkerError) -> str:
    """An error, as the store keeps it."""
    told: dict[str, Any] = {"code": error.code, "field": error.field, "message": error.message}
    if isinstance(error, DataRefused):
        told["errors"] = error.errors
    return msgspec.json.encode(told).decode()


def error_in(text: str | None) -> WorkerError | None:
    """An error that the store has kept."""
    if not text:
        return None
    told = msgspec.json.decode(text)
    kind = error_class(told["code"])
    if issubclass(kind, DataRefused):
        return kind(told["message"], told["field"], told.get("errors", ()))
    return kind(told["message"], told["field"])


def error_class(code: str) -> type[WorkerError]:
    """The class whose ``code`` this is; WorkerError itself for one that only a newer worker knows."""
    waiting: list[type[WorkerError]] = [WorkerError]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == code:
            return kind
        waiting += kind.__subclasses__()
    return WorkerError

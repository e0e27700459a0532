"""The verdict on ``zombie``: nothing that a worker writes is taken which was stopped for longer than its lease.

A write is late when it was sent after its worker went on, by an attempt that had begun before it was stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.judge import jobs
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import SECOND, Line, Record

STOPPED_SECONDS = 30.0
"""Twice a lease."""

FEWEST_STOPS = 30
FEWEST_JOBS = 100
BOUND_SECONDS = 120.0


@dataclass(frozen=True)
class Stop:
    """A worker that was stopped, when, and when it went on."""

    pid: int
    began: int
    ended: int


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    stops = stops_of(record)
    late = [line for stop in stops for line in late_writes(record, stop)]
    puts = [line for line in late if line["kind"] == "manifest"]
    held = sum(bool(attempts_of(record, stop)) for stop in stops)
    fewest = len(record.facts["plan"]["points"]) if record.is_small else FEWEST_STOPS
    shortest = min(((stop.ended - stop.began) / SECOND for stop in stops), default=0.0)
    return [
        at_least("stops", len(stops), fewest),
        at_least("of these with a job begun", held, fewest),
        at_least("shortest stop, s", shortest, STOPPED_SECONDS),
        at_least("late writes", len(late), 1),
        at_most("late writes accepted", sum(bool(line.get("accepted")) for line in late), 0),
        told("late manifests", len(puts)),
        at_most("late manifests that stand", sum(bool(line["put"]) for line in puts), 0),
        *jobs.figures(jobs.fates(record), 1 if record.is_small else FEWEST_JOBS, BOUND_SECONDS),
    ]


def stops_of(record: Record) -> Sequence[Stop]:
    """Each worker that was stopped and went on."""
    return [
        Stop(int(mark["pid"]), int(mark["stopped"]), int(mark["at"]))
        for mark in record.facts["marks"]
        if mark["name"] == "continued"
    ]


def attempts_of(record: Record, stop: Stop) -> frozenset[tuple[str, int]]:
    """The attempts that had begun in a worker before it was stopped, and had not ended by then."""
    begun = _of(record, stop, "attempt")
    closing = {"finish", "fail", "put_off", "continue", "release"}
    over = {
        (line["id"], line["attempt"])
        for line in _of(record, stop, "write")
        if line["operation"] in closing and line["at"] < stop.began
    }
    known = {(line["id"], line["attempt"]) for line in begun if line["at"] < stop.began}
    return frozenset(known - over)


def late_writes(record: Record, stop: Stop) -> Iterator[Line]:
    """What a worker that had been stopped sent for the attempts that it had in hand."""
    attempts = attempts_of(record, stop)
    for line in _of(record, stop, "write"):
        if line["sent"] >= stop.ended and (line["id"], line["attempt"]) in attempts:
            yield line
    held = {id_ for id_, _ in attempts}
    for line in _of(record, stop, "manifest"):
        if line["sent"] >= stop.ended and line["id"] in held and not _begun_again(record, stop, line):
            yield line


def _begun_again(record: Record, stop: Stop, put: Line) -> bool:
    """Whether the worker itself has begun the job once more before it put this manifest there."""
    return any(
        line["id"] == put["id"] and stop.ended <= line["at"] <= put["sent"]
        for line in _of(record, stop, "attempt")
    )


def _of(record: Record, stop: Stop, kind: str) -> list[Line]:
    return [line for line in record.results if line["kind"] == kind and line["pid"] == stop.pid]

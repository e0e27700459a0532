"""The judge of ``once`` fails what it should: records made to be wrong in one way each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.chaos.judge import once
from tests.chaos.judge.record import Line, Record


def arrival(request: int, job: str, method: str = "PUT", path: str = "Case") -> Line:
    """A write that came in."""
    return {
        "kind": "arrival",
        "request": request,
        "request_id": job,
        "method": method,
        "path": f"/site/entity/Default/24.200.001/{path}",
    }


def result(job: str, state: str = "SUCCESS", error: str = "") -> Line:
    """What became of a job."""
    return {"kind": "job", "id": job, "state": state, "result": {"exc_type": error} if error else {}}


def record(events: Sequence[Line] = (), results: Sequence[Line] = ()) -> Record:
    """A good small play, with these events and results besides."""
    jobs = [f"job-{number}" for number in range(20)]
    ends = [result(job) for job in jobs[1:]] + [result("job-0", "FAILURE", "OutcomeUnknown")]
    sent = [arrival(number, job) for number, job in enumerate(jobs)]
    facts: dict[str, Any] = {"size": "small", "marks": [{"name": "killed", "at": 1}] * 3}
    return Record(events=[*sent, *events], facts=facts, results=[*ends, *results], oracle={})


def failed(play: Record) -> set[str]:
    """The figures that fail."""
    return {figure.name for figure in once.judge(play) if not figure.ok}


def test_a_good_play() -> None:
    """Every job is sent once, one of them when its worker was killed."""
    assert failed(record()) == set()


WRONG: list[tuple[Sequence[Line], Sequence[Line], set[str]]] = [
    ([arrival(99, "job-3")], [], {"jobs sent twice"}),
    (
        [arrival(99, "job-3"), {"kind": "end", "request": 99, "status": 500}],
        [],
        {"requests refused"},
    ),
    ([{"kind": "action", "record": "r"}] * 2, [], {"actions executed twice"}),
    ([], [result("job-x")], {"jobs done and not sent"}),
    ([], [result("job-x", "UNDER_WAY")], {"jobs not ended"}),
    ([], [result("job-x", "FAILURE", "HandlerFailed")], {"jobs ended otherwise"}),
    ([arrival(99, "job-x")], [result("job-x", "FAILURE", "JobDead")], {"dead jobs that were sent"}),
    ([{"kind": "decline", "request": 1}], [], {"declined"}),
]


@pytest.mark.parametrize(("events", "results", "figures"), WRONG)
def test_a_wrong_play(events: Sequence[Line], results: Sequence[Line], figures: set[str]) -> None:
    """Each way of breaking the promise fails the figure that is about it."""
    assert failed(record(events, results)) == figures

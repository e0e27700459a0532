"""What people are told of jobs: the lines of a list, all facts of one, and the way out of an error."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from worker.errors import (
    DeadlineExceeded,
    HandlerFailed,
    JobCancelled,
    JobDead,
    JobInvalid,
    RecordNotFound,
    WorkerError,
)
from worker.job import Lane
from worker.jobs import document, facts, how_long, lines, way_out
from worker.jobstate import JobState, State

RUNNING = JobState(
    job_id="order-17",
    state=State.RUNNING,
    entity="SalesOrder",
    connection="default",
    lane=Lane.BULK,
    accepted_at=1000.0,
    started_at=1010.0,
    finished_at=None,
    attempts=1,
    crashes=0,
    slices=0,
    pages=12,
    records=6000,
    waiting_state=None,
    waiting_for=None,
    error=None,
    owner="bulk-ab@host/1",
    deadline_at=2000.0,
)
CRASHED = replace(RUNNING, attempts=4, crashes=2, slices=3)
PARKED = replace(
    RUNNING,
    state=State.WAITING,
    owner=None,
    waiting_state="waiting_for_session",
    waiting_for="full:\n\x1b[2J9 of 9",
)
ACCEPTED = replace(RUNNING, state=State.ACCEPTED, owner=None, pages=0, records=0, waiting_for="the past")
FAILED = replace(
    RUNNING,
    state=State.FAILED,
    owner=None,
    finished_at=1065.0,
    error=RecordNotFound("no such record", "keys"),
)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (
            RUNNING,
            "    12 pages, 6,000 records, accepted 1 min 40 s ago, at bulk-ab@host/1",
        ),
        (
            CRASHED,
            "    12 pages, 6,000 records, accepted 1 min 40 s ago, 3 slices ended, attempt 4, 2 crashes in a row, "
            "at bulk-ab@host/1",
        ),
        (PARKED, "    12 pages, 6,000 records, accepted 1 min 40 s ago"),
        (ACCEPTED, "    accepted 1 min 40 s ago"),
        (FAILED, "    12 pages, 6,000 records, took 1 min 5 s, ended 35 s ago"),
    ],
)
def test_a_job_in_a_list(state: JobState, told: str) -> None:
    """The first line says what it is, the second where, how far and how long; nothing cuts them."""
    first, second, *_ = lines(state, 1100.0)
    assert first == f"order-17  {state.state}  SalesOrder  default/bulk"
    assert second == told


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RUNNING, []),
        (ACCEPTED, []),
        (PARKED, ["    waiting_for_session: full: [2J9 of 9"]),
        (FAILED, ["    RecordNotFound: keys: no such record"]),
    ],
)
def test_why_a_job_does_not_go_on_has_a_line(state: JobState, reason: list[str]) -> None:
    """What it waits for, or its error, in one line, in which a stranger's words can do nothing."""
    assert list(lines(state, 1100.0))[2:] == reason


def test_a_clock_that_differs_makes_no_time_negative() -> None:
    """A job that this machine's clock takes to be of the future was accepted now."""
    assert how_long(RUNNING, 900.0) == "accepted 0 s ago"


@pytest.mark.parametrize(
    ("error", "way"),
    [
        (None, None),
        (JobInvalid("no"), "mend the job, and submit it again"),
        (RecordNotFound("no"), "mend the job or the ERP, then: acuworker jobs retry order-17"),
        (DeadlineExceeded("late"), "mend what it waited for, or submit it with a longer --deadline"),
        (JobDead("dead"), "look at what the workers logged last, then: acuworker jobs retry order-17"),
        (JobCancelled("no more"), "acuworker jobs retry order-17 begins it anew"),
        (
            HandlerFailed("bug"),
            "mend the handler, whose fault a worker's log has in full, then: acuworker jobs retry",
        ),
        (WorkerError("?"), "mend what it names, then: acuworker jobs retry order-17"),
    ],
)
def test_an_error_has_a_way_out(error: WorkerError | None, way: str | None) -> None:
    """What to do depends on whose fault it is, and names the command with the job's id."""
    found = way_out(replace(FAILED, error=error))
    assert found == way or (found or "").startswith(f"{way} order-17")


def test_all_that_is_known_is_told() -> None:
    """Each time with how long ago it was, what was retrieved, attempts, the error and the way out."""
    told = dict(facts(FAILED, 1100.0))
    assert told["started"] == "1970-01-01 00:16:50 UTC, 1 min 30 s ago"
    assert told["attempts"] == "1, 0 crashes in a row, 0 slices ended"
    assert told["error"] == "RecordNotFound: keys: no such record"
    assert told["way out"].endswith("order-17")
    assert "deadline" not in told
    assert dict(facts(RUNNING, 1100.0))["deadline"] == "1970-01-01 00:33:20 UTC, in 15 min 0 s"
    assert dict(facts(PARKED, 1100.0))["waits for"] == "waiting_for_session: full: [2J9 of 9"


def test_machines_are_told_all_of_it() -> None:
    """The JSON has every field, the error in its parts."""
    told = json.loads(json.dumps(document(FAILED)))
    assert told["error"] == {"code": "RecordNotFound", "field": "keys", "message": "no such record"}
    assert (told["state"], told["lane"], told["crashes"]) == ("failed", "bulk", 0)

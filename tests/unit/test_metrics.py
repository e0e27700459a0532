"""The figures that operators alarm on: what they are called, what they say, and when nothing can be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.unit.test_fleet import LICENSE, MINUTE, WELL, slot, work
from worker.erp.budget import SHORTEST_STEP, step_of, wait_p95
from worker.erp.slots import State as SlotState
from worker.fleet import Fleet
from worker.job import Lane
from worker.jobstate import State
from worker.metrics import figures
from worker.settings import License


def told(fleet: Fleet | None) -> dict[tuple[str, ...], float]:
    """The figures, each by its name and its labels' values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in figures(fleet)
        for sample in metric.samples
    }


def test_the_figures() -> None:
    """Seats and arrivals of their limits, waits by lane, declined, dead, and the oldest wait."""
    fleet = replace(
        WELL,
        jobs={State.DEAD: 3},
        work=[work()],
        licenses=[
            replace(
                LICENSE,
                in_force=License(name="default", max_sessions=4),
                slots=[slot(state) for state in (SlotState.OPEN, SlotState.QUARANTINE, SlotState.FREE)],
            )
        ],
        minutes={"default": replace(MINUTE, limit=30, wait_p95={Lane.BULK: 2.5}, declined=7)},
    )
    assert told(fleet) == {
        ("acuworker_seen",): 1,
        ("acuworker_seats_used", "default"): 2,
        ("acuworker_seats_limit", "default"): 4,
        ("acuworker_arrivals", "default"): 17,
        ("acuworker_arrivals_limit", "default"): 30,
        ("acuworker_wait_p95_seconds", "default", "bulk"): 2.5,
        ("acuworker_declined_total", "default"): 7,
        ("acuworker_jobs_dead",): 3,
        ("acuworker_oldest_waiting_seconds",): 9.0,
    }


def test_limits_that_nobody_brought_to_the_store_are_the_files() -> None:
    """Before any worker has run, the limits are those of the file; where no job waits, the oldest waits for 0 s."""
    found = told(replace(WELL, licenses=[replace(LICENSE, in_force=None)]))
    assert found[("acuworker_seats_limit", "default")] == LICENSE.filed.max_sessions
    assert found[("acuworker_arrivals_limit", "default")] == LICENSE.filed.max_per_minute
    assert found[("acuworker_oldest_waiting_seconds",)] == 0


def test_a_fleet_that_cannot_be_seen_says_only_that() -> None:
    """Without the store there is one figure, which says so; none is made up."""
    assert told(None) == {("acuworker_seen",): 0}


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.01, 0.011, 0.5, 7.0, 3600.0])
def test_a_wait_is_counted_to_a_quarter(seconds: float) -> None:
    """A wait is told as no less than it was, and no more than a quarter longer."""
    found = wait_p95({f"bulk|{step_of(seconds)}": 1})[Lane.BULK]
    assert seconds <= found * 1.000001
    assert found <= max(SHORTEST_STEP, 1.2500001 * seconds)


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({}, {}),
        ({"bulk|0": 95, "bulk|9": 5}, {Lane.BULK: step_of(0.0)}),
        ({"bulk|0": 94, "bulk|9": 6}, {Lane.BULK: 9}),
        ({"bulk|10": 1, "bulk|9": 19}, {Lane.BULK: 9}),
        ({"interactive|2": 1, "bulk|9": 1}, {Lane.INTERACTIVE: 2, Lane.BULK: 9}),
    ],
)
def test_95_of_100_waited_no_longer(counts: Mapping[str, int], found: Mapping[Lane, int]) -> None:
    """Each lane has its own; a lane without requests has none."""
    assert {lane: step_of(seconds * 0.999) for lane, seconds in wait_p95(counts).items()} == found

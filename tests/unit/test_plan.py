"""Plans: what a job would cost, by what was seen of it; decisions as tables."""

from __future__ import annotations

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from worker.page import Query
from worker.plan import (
    COUNT_PAGE,
    FENCE_LOOKS,
    Count,
    Probe,
    Range,
    Sample,
    advice,
    at_once,
    counted,
    next_probe,
    on_deadline,
    paced,
    plan,
    requests,
)
from worker.planning import Report
from worker.settings import License
from worker.visit import patience

LIST = Query(entity="A", key_fields=("Nbr",))
TYPED = Query(entity="A", key_fields=("Type", "Nbr"), combos=("Type",))
LICENSE = License(name="default", max_sessions=4, max_per_minute=60)


THOUSAND = Count(1000, 1000)


def sample(count: Count = THOUSAND, **changes: object) -> Sample:
    """What was seen of a list of a thousand records in batches of a hundred."""
    seen = {"strategy": "batches", "page_size": 100, "count": count, "seconds": Range(0.5, 0.5), "rows": 20}
    return Sample(**(seen | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "probe"),
    [
        (Count(7, 7), None),
        (Count(0, 0), None),
        (Count(0, None), Probe(0, COUNT_PAGE)),
        (Count(20, None), Probe(20, COUNT_PAGE)),
        (Count(20, 100), Probe(20, 80)),
        (Count(20, 100_000), Probe(20, COUNT_PAGE)),
        (Count(520, None), Probe(4159, 1)),
        (Count(4160, None), Probe(33_279, 1)),
        (Count(4160, 33_279), Probe(11_766, 1)),
        (Count(10_000, 10_500), Probe(10_000, 500)),
    ],
)
def test_where_to_look_next(count: Count, probe: Probe | None) -> None:
    """A short list is listed, a long one is passed by leaps, then halved, and its end is listed."""
    assert next_probe(count) == probe


@pytest.mark.parametrize(
    ("count", "probe", "found", "then"),
    [
        (Count(0, None), Probe(0, 500), 7, Count(7, 7)),
        (Count(0, None), Probe(0, 500), 0, Count(0, 0)),
        (Count(0, None), Probe(0, 500), 500, Count(500, None)),
        (Count(500, None), Probe(3999, 1), 1, Count(4000, None)),
        (Count(500, None), Probe(3999, 1), 0, Count(500, 3999)),
        (Count(0, 250), Probe(0, 20), 20, Count(20, 250)),
        (Count(20, 250), Probe(20, 230), 230, Count(250, 250)),
    ],
)
def test_what_a_look_tells(count: Count, probe: Probe, found: int, then: Count) -> None:
    """Rows that came are there, and what did not come is not."""
    assert counted(count, probe, found) == then


@given(
    records=st.integers(0, 3_000_000), limit=st.none() | st.integers(1, 3_000_000), looks=st.integers(0, 40)
)
def test_the_range_is_honest_whenever_the_looking_ends(records: int, limit: int | None, looks: int) -> None:
    """After any number of looks the true number is within the range; forty looks know it."""
    count, wanted = Count(0, limit), records if limit is None else min(records, limit)
    for _ in range(looks):
        probe = next_probe(count)
        if probe is None:
            break
        assert limit is None or probe.skip + probe.top <= limit
        count = counted(count, probe, max(0, min(probe.top, records - probe.skip)))
        assert count.low <= wanted and (count.high is None or wanted <= count.high)
    assert looks < 40 or count == Count(wanted, wanted)


@given(records=st.integers(20, 1_000_000))
def test_eight_looks_come_close(records: int) -> None:
    """With what ten requests leave after a sign-in and a first page, the upper end is at most half above the lower."""
    count = Count(20, None)
    for _ in range(8):
        if probe := next_probe(count):
            count = counted(count, probe, max(0, min(probe.top, records - probe.skip)))
    assert count.high is not None and count.high <= 1.5 * count.low


@pytest.mark.parametrize(
    ("query", "seen", "count", "low", "high"),
    [
        (LIST, sample(), 0, 1, 1 + 2 + 1 + 4),
        (LIST, sample(), 1, 2, 1 + 2 + 1 + 4),
        (LIST, sample(), 100, 2, 1 + 2 + 1 + 4),
        (LIST, sample(), 1000, 11, 10 + 2 + 5 + 4),
        (LIST, sample(), 100_000, 1001, 1000 + 2 + 5 + FENCE_LOOKS + 4),
        (TYPED, sample(), 1000, 11, 10 + 8 * (2 + 5) + 4),
        (Query(entity="A", limit=1000), sample(), 1000, 10, 10 + 2 + 5 + 4),
        (Query(entity="A", fresh=True), sample(), 1000, 12, 2 * (10 + 2 + 5) + 2 + 4),
        (LIST, sample(strategy="one", page_size=None), 1000, 1, 1 + 1),
        (LIST, sample(strategy="by_key", page_size=500), 1000, 3 + 1000, 2 + 2 + 1000 + 4),
        (LIST, sample(strategy="by_key", page_size=500, awkward=True), 1000, 3 + 1000, 2 + 2 + 2000 + 4),
        (LIST, sample(files=Range(0, 2)), 1000, 11, 10 + 2 + 5 + 2000 + 4),
        (LIST, sample(files=Range(1, 1)), 1000, 11 + 1000, 10 + 2 + 5 + 1000 + 4),
        (Query(entity="A", keys=("1",)), sample(strategy="one", page_size=None), 1, 1, 1 + 1),
        (Query(entity="A", keys=("1/2",)), sample(strategy="one", page_size=None, awkward=True), 1, 1, 2 + 1),
    ],
)  # fmt: skip
def test_how_many_requests(query: Query, seen: Sample, count: int, low: int, high: int) -> None:
    """Pages, the look at the end, records by key, files; at the worst what is asked in vain, and sign-ins."""
    assert requests(query, seen, count, worst=False, seats=4) == low
    assert requests(query, seen, count, worst=True, seats=4) == high


@pytest.mark.parametrize(
    ("count", "per_minute", "bulk", "seconds"),
    [
        (1000, 0, True, 0.0),
        (1, 60, True, 0.0),
        (61, 60, True, 60.0),
        (60, 60, False, 0.0),
        (120, 60, False, 60.0),
    ],
)
def test_how_long_the_minute_makes_it(count: int, per_minute: int, bulk: bool, seconds: float) -> None:
    """Bulk goes evenly from its first request on; interactive has a whole minute's at once."""
    assert paced(count, per_minute, bulk=bulk) == seconds


def test_sessions_that_a_job_can_use() -> None:
    """One for one request, and for many as many as there are."""
    assert at_once(sample(strategy="one", page_size=None), 1, 4) == 1
    assert at_once(sample(strategy="one", page_size=None, files=Range(0, 1)), 9, 4) == 4
    assert at_once(sample(), 2, 4) == 2
    assert at_once(sample(), 11, 4) == 4


def test_a_plan() -> None:
    """The lower end is a fleet's that has nothing else to do, the upper one that of one session and of slow answers."""
    found = plan(LIST, sample(), LICENSE, bulk=True)
    assert (found.records, found.requests, found.sessions) == ((1000, 1000), (11, 21), 4)
    assert found.seconds == (10.0, 0.5 * 5 * 21 + 20)
    assert plan(LIST, sample(), LICENSE, bulk=False).seconds[0] == round(0.5 * 11 / 4, 1)


def test_a_plan_without_an_end() -> None:
    """Where nobody knows how many records there are, there is no upper end."""
    found = plan(LIST, sample(Count(5000, None)), LICENSE, bulk=True)
    assert (found.records, found.requests) == ((5000, None), (51, None))
    assert found.seconds == (50.0, None)
    told = Report(entity="A", connection="c", license=LICENSE, plan=found, notes=["n"], asked=3, budget=3)
    out = io.StringIO()
    Console(file=out, width=100).print(told.table())
    for line in ("at least 5,000", "at least 51", "up to 4 of 4", "at least 50 s, at 60 requests a minute"):
        assert line in out.getvalue()


@pytest.mark.parametrize(
    ("strategy", "count", "told"),
    [("batches", 100_000, False), ("one", 100_000, False), ("by_key", 10, False), ("by_key", 2000, True)],
)
def test_when_an_inquiry_is_cheaper(strategy: str, count: int, told: bool) -> None:
    """Only where each record is a request of its own, and there are many."""
    found = advice(sample(Count(count, count), strategy=strategy), count + 2)
    assert bool(found) == told
    assert not told or "about 5 for all" in found[0]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ((1.0, 60.0), ""),
        ((1.0, 61.0), "it may take longer"),
        ((1.0, None), "it may"),
        ((61.0, 99.0), "it takes longer"),
    ],
)
def test_a_deadline_that_is_short(seconds: tuple[float, float | None], told: str) -> None:
    """A job that would end by its deadline is told of before it is submitted."""
    assert "".join(on_deadline(seconds, 60))[: len(told) or None] == told


def test_progress_is_told_on_a_terminal() -> None:
    """Whoever waits sees what is being done, and how far it is; a file gets nothing."""
    terminal = _Heard()
    with patience("looking", Console(file=terminal, force_terminal=True), quiet_seconds=0.0) as say:
        assert terminal.heard.wait(10)
        say("3 of 10 requests")
        terminal.heard.clear()
        assert terminal.heard.wait(10)
    assert "3 of 10 requests" in terminal.getvalue()
    file = io.StringIO()
    with patience("looking", Console(file=file), quiet_seconds=0.0) as say:
        say("3 of 10 requests")
    assert file.getvalue() == ""


class _Heard(io.StringIO):
    """A terminal that says when something is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def write(self, text: str) -> int:
        """Something is written."""
        self.heard.set()
        return super().write(text)

"""The verdict on ``limits``: never over the license's limits, the minute kept full, and given up to who else comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.judge import log, oracle
from tests.chaos.judge.figures import Figure, at_least, at_most, told, within
from tests.chaos.judge.record import MINUTE, SECOND, Line, Record

FOREIGN = "foreign"
"""What the other software's requests bear as their X-Request-Id."""

SETTLE = 60 * SECOND
"""How long after its coming the other software must have what it wants."""

RETURN_SECONDS = 120.0


@dataclass(frozen=True)
class Bars:
    """What must be reached; less beside much else on the same cores."""

    share: float
    delay: float
    windows: int
    jobs: int


FULL = Bars(share=0.98, delay=0.25, windows=4, jobs=100)
SMALL = Bars(share=0.9, delay=0.25, windows=1, jobs=2)


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    ours = log.arrivals(record.events, log.others_than(FOREIGN))
    alone = log.between(ours, record.mark("begun"), record.mark("alone_until"))
    bars = SMALL if record.is_small else FULL
    return [
        *_never_over(record, ours),
        *_alone(record, alone, bars),
        *(_beside(record, ours) if record.facts["foreign_per_minute"] else ()),
        *oracle.judge(record, bars.jobs, "batches", "by_key"),
    ]


def _never_over(record: Record, ours: Sequence[Line]) -> list[Figure]:
    """The limits, all the time."""
    limits, events = record.limits, record.events
    opened = log.peak_sessions(events, log.others_than(FOREIGN))
    return [
        at_most("peak in flight", log.peak_in_flight(events, ours), limits["concurrent"]),
        at_most("peak sessions", opened, limits["sessions"]),
        at_most("most in any 60 s", log.most_within(log.times(ours), MINUTE), limits["per_minute"]),
        at_most("declined", len(log.of_requests(events, "decline", ours)), 0),
    ]


def _alone(record: Record, alone: Sequence[Line], bars: Bars) -> list[Figure]:
    """While the license is ours."""
    width = int(record.facts["window_seconds"] * SECOND)
    begin, end = record.mark("begun"), record.mark("alone_until")
    counts = log.in_windows(log.times(alone), begin, end, width)[1:]
    bar = bars.share * record.limits["per_minute"] * width / MINUTE
    return [
        at_least(f"windows of {width // SECOND} s after the first", len(counts), bars.windows),
        at_least("fewest in one of them", min(counts, default=0), bar),
        told("each of them", " ".join(map(str, counts))),
        at_most("mean imposed delay, alone", log.mean_delay(record.events, alone), bars.delay),
    ]


def _beside(record: Record, ours: Sequence[Line]) -> list[Figure]:
    """While other software spends the same minute, and after it has gone."""
    foreign = log.arrivals(record.events, log.asked_by(FOREIGN))
    left, end = record.mark("foreign_left"), record.mark("ended")
    came = min(log.times(foreign), default=record.mark("foreign_came"))
    theirs = log.in_windows(log.times(foreign), came + SETTLE, left, MINUTE)
    beside = log.in_windows(log.times(ours), came + SETTLE, left, MINUTE)
    wanted = record.facts["foreign_per_minute"]
    left_over = record.limits["per_minute"] - wanted
    meanwhile = log.between(ours, came, left)
    return [
        within("fewest of the other's a minute", min(theirs, default=0), 0.9 * wanted, 1.1 * wanted),
        at_least("fewest of ours beside it", min(beside, default=0), left_over - 10),
        at_most("most of ours beside it", max(beside, default=0), left_over),
        told("each minute beside it", " ".join(map(str, beside))),
        at_most("mean imposed delay, beside it", log.mean_delay(record.events, meanwhile), 0.5),
        at_most("back after so many s", _back_after(log.times(ours), left, end, record), RETURN_SECONDS),
    ]


def _back_after(ours: Sequence[int], left: int, end: int, record: Record) -> float:
    """Seconds after which a whole minute of ours is full again; without end where none is."""
    bar = FULL.share * record.limits["per_minute"]
    begins = [at for at in ours if left <= at and at + MINUTE <= end]
    for begin in begins:
        if sum(begin <= at < begin + MINUTE for at in ours) >= bar:
            return (begin - left) / SECOND
    return float("inf")

"""The verdict on ``lease``: cheap when they are offered, many when they are wanted, and first come first served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.judge import log
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import SECOND, Line, Record


@dataclass(frozen=True)
class Bars:
    """What must be reached; less beside much else on the same cores."""

    offered: int
    a_second: float
    p50_ms: float
    pairs: float
    waiters: int


FULL = Bars(offered=1000, a_second=99, p50_ms=1.0, pairs=1000, waiters=200)
SMALL = Bars(offered=200, a_second=10, p50_ms=1000.0, pairs=20, waiters=50)


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    bars = SMALL if record.is_small else FULL
    offered = [line for line in record.results if line["kind"] == "offered"]
    waiters = [line for line in record.results if line["kind"] == "waiter"]
    return [
        *_cost(offered, bars),
        at_least("pairs a second", _pairs_a_second(record.results), bars.pairs),
        at_least("waiters served", len(waiters), bars.waiters),
        at_most("waiters out of order", _out_of_order(waiters), 0),
    ]


def _cost(offered: Sequence[Line], bars: Bars) -> list[Figure]:
    """How long a lease and its release took, of those that were asked for in an open loop."""
    took = [(line["released"] - line["began"]) * 1000 / SECOND for line in offered]
    late = [(line["released"] - line["due"]) * 1000 / SECOND for line in offered]
    begins = sorted(line["began"] for line in offered)
    seconds = (begins[-1] - begins[0]) / SECOND if len(begins) > 1 else 0.0
    return [
        at_least("leases offered", len(offered), bars.offered),
        at_least("of them a second", (len(offered) - 1) / seconds if seconds else 0.0, bars.a_second),
        at_most("lease + release p50, ms", log.percentile(took, 0.5), bars.p50_ms),
        told("the same p99", log.percentile(took, 0.99)),
        told("p50 from when it was due", log.percentile(late, 0.5)),
    ]


def _pairs_a_second(results: Sequence[Line]) -> float:
    """Leases and releases of one process that does nothing else; the least of its measurements."""
    rates = [
        line["pairs"] * SECOND / (line["ended"] - line["began"])
        for line in results
        if line["kind"] == "hammered"
    ]
    return min(rates, default=0.0)


def _out_of_order(waiters: Sequence[Line]) -> int:
    """How many were served right after one that had come later."""
    served = sorted(waiters, key=lambda line: int(line["served"]))
    return sum(int(before["asked"] > after["asked"]) for before, after in pairwise(served))

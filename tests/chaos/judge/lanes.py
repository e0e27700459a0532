"""The verdict on ``lanes``: an interactive job hardly notices that bulk has every session, and bulk wastes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.judge import log
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import SECOND, Line, Record


@dataclass(frozen=True)
class Bars:
    """What must be reached; less beside much else on the same cores."""

    samples: int
    share: float


FULL = Bars(samples=30, share=0.9)
SMALL = Bars(samples=4, share=0.75)


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    bars = SMALL if record.is_small else FULL
    unloaded, loaded = _seconds(record, "unloaded"), _seconds(record, "loaded")
    quiet, busy = log.percentile(unloaded, 0.95), log.percentile(loaded, 0.95)
    exchange = float(record.facts["exchange_seconds"])
    return [
        at_least("unloaded samples", len(unloaded), bars.samples),
        at_least("loaded samples", len(loaded), bars.samples),
        told("unloaded p95, s", quiet),
        at_most("loaded p95, s", busy, 2 * quiet + exchange),
        told("loaded p50, s", log.percentile(loaded, 0.5)),
        *_bulk(record, exchange, bars),
        at_most("interactive jobs failed", sum(line["state"] != "SUCCESS" for line in _jobs(record)), 0),
        at_most("peak sessions", log.peak_sessions(record.events), record.limits["sessions"]),
        at_most("declined", len(log.of_requests(record.events, "decline", log.arrivals(record.events))), 0),
    ]


def _bulk(record: Record, exchange: float, bars: Bars) -> list[Figure]:
    """How much bulk got of what the sessions could do while it was there, less what interactive took."""
    begin, end = record.mark("loaded"), record.mark("ended")
    ids = {line["id"] for line in _jobs(record)}
    reads = [event for event in log.arrivals(record.events) if event["request_id"]]
    interactive = [event for event in reads if event["request_id"] in ids]
    bulk = [event for event in reads if event["request_id"] not in ids]
    mine, others = (
        len(log.between(log.of_requests(record.events, "end", each), begin, end))
        for each in (bulk, interactive)
    )
    left_over = record.limits["sessions"] / exchange * (end - begin) / SECOND - others
    return [
        told("bulk exchanges", mine),
        told("what interactive leaves", round(left_over, 1)),
        at_least("bulk's share of it", mine / left_over, bars.share),
    ]


def _jobs(record: Record) -> Sequence[Line]:
    return [line for line in record.results if line["kind"] == "interactive"]


def _seconds(record: Record, phase: str) -> list[float]:
    return [(line["ended"] - line["sent"]) / SECOND for line in _jobs(record) if line["phase"] == phase]

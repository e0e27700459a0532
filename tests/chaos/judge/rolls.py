"""The verdict on ``rolls``: no job fails for a restart, each worker is soon gone, and no session is left open."""

from __future__ import annotations

from tests.chaos.judge import jobs, log
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import SECOND, Record

FEWEST_ROLLS = 10
FEWEST_JOBS = 150
EXIT_SECONDS = 25.0
OPEN_SECONDS = 10
BOUND_SECONDS = 60.0


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    replaced = [mark for mark in record.facts["marks"] if mark["name"] == "replaced"]
    exits = [float(mark["seconds"]) if mark["gone"] else float("inf") for mark in replaced]
    rolls, fewest = (1, 1) if record.is_small else (FEWEST_ROLLS, FEWEST_JOBS)
    failed = sum(line["kind"] == "job" and line["state"] == "FAILURE" for line in record.results)
    fates = jobs.fates(record)
    crashes = sum(int(fate.row.get("crashes", 0)) for fate in fates)
    at = record.mark("terminated") + OPEN_SECONDS * SECOND
    return [
        at_least("rolls", len(record.marks("roll")), rolls),
        at_least("workers replaced", len(replaced), rolls * int(record.facts["plan"]["workers"])),
        told("an exit, p50 s", log.percentile(exits, 0.5)),
        at_most("the slowest exit, s", max(exits, default=0.0), EXIT_SECONDS),
        at_most("open 10 s after the last SIGTERM", len(log.open_at(record.events, at)), 0),
        at_most("jobs failed", failed, 0),
        at_most("jobs taken for crashed", crashes, 0),
        *jobs.figures(fates, fewest, BOUND_SECONDS),
    ]

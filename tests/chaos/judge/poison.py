"""The verdict on ``poison``: a job that kills its workers is dead after three of them, and the others are done."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.chaos.judge import jobs
from tests.chaos.judge.figures import Figure, at_least, at_most
from tests.chaos.judge.jobs import Fate
from tests.chaos.judge.record import Record

MOST_CRASHES = 3
FEWEST_JOBS = 100
BOUND_SECONDS = 120.0


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    fates = jobs.fates(record)
    poison = [fate for fate in fates if fate.id == record.facts["poison"]]
    others = [fate for fate in fates if fate.id != record.facts["poison"]]
    killed = sum(line["kind"] == "poisoned" for line in record.results)
    fewest = int(record.facts["plan"]["others"]) if record.is_small else FEWEST_JOBS
    return [
        at_least("workers that it killed", killed, MOST_CRASHES),
        at_most("at most", killed, MOST_CRASHES),
        at_least("poison jobs that are dead", _dead(poison), 1),
        at_least("whose sender was told so", _told(record, poison), 1),
        *jobs.figures(others, fewest, BOUND_SECONDS),
    ]


def _dead(poison: Sequence[Fate]) -> int:
    return sum(fate.row.get("state") == "dead" for fate in poison)


def _told(record: Record, poison: Sequence[Fate]) -> int:
    """Of how many Celery's result is a failure that says why."""
    metas = [json.loads(record.store.get(jobs.META + fate.id) or "{}") for fate in poison]
    return sum(
        meta.get("status") == "FAILURE" and meta["result"].get("exc_type") == "JobDead" for meta in metas
    )

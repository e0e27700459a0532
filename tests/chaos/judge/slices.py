"""The verdict on ``slices``: to those who watch Celery a job of many slices is one task, which ends once."""

from __future__ import annotations

from collections import Counter

from tests.chaos.judge import jobs
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import Record

SLICES, DEATHS = 40, 2
BOUND_SECONDS = 90.0
ENDS = frozenset({"task-succeeded", "task-failed", "task-rejected", "task-revoked"})
ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    plan = record.facts["plan"]
    slices, deaths = (plan["pages"] - 2, len(plan["killed_after"])) if record.is_small else (SLICES, DEATHS)
    events = [line for line in record.results if line["kind"] == "event"]
    types = Counter(str(event["type"]) for event in events)
    ends = sum(number for type_, number in types.items() if type_ in ENDS)
    states = [str(line["state"]) for line in record.results if line["kind"] == "state"]
    ended = [number for number, state in enumerate(states) if state in ENDED]
    flower = [line for line in record.results if line["kind"] == "flower"]
    fates = jobs.fates(record)
    return [
        at_least("slices", max((int(fate.row.get("slices", 0)) for fate in fates), default=0), slices),
        at_least("workers that died of it", sum(line["kind"] == "kill" for line in record.results), deaths),
        at_most("tasks that the events tell of", len({event["uuid"] for event in events}), 1),
        told("times it began, by events", types["task-started"]),
        at_least("times it succeeded, by events", types["task-succeeded"], 1),
        at_most("times it ended, by events", ends, 1),
        at_least("times it ended, by AsyncResult", len(ended), 1),
        at_least("tasks that Flower's API tells of", len(flower), 1),
        at_most("other tasks that it tells of", len(flower) - 1, 0),
        at_least("of these succeeded", sum(line["state"] == "SUCCESS" for line in flower), 1),
        at_most("states shown after its end", len(states) - 1 - ended[0] if ended else 0, 0),
        *(figure for figure in jobs.figures(fates, 1, BOUND_SECONDS) if figure.name != "of these in blobs"),
    ]

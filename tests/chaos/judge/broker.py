"""The verdict on ``broker``: whatever befalls the broker, every job is done, once. One scene for each broker."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.judge import jobs
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import SECOND, Record

RESTARTS = 10
STOPPED_SECONDS = 20.0
FEWEST_JOBS = 100
BOUND_SECONDS = 150.0
BROKERS = ("rabbitmq", "valkey")


def judge(scenes: Sequence[Record]) -> list[Figure]:
    """Every figure of the check."""
    found = {str(scene.facts["broker"]): scene for scene in scenes}
    wanted = sorted(found) if any(scene.is_small for scene in scenes) else BROKERS
    fates = [fate for scene in scenes for fate in jobs.fates(scene)]
    fewest = sum(int(s.facts["plan"]["crowd"]) if s.is_small else FEWEST_JOBS for s in scenes)
    return [
        at_least("brokers", len(found), len(wanted)),
        *(figure for name in wanted if name in found for figure in _storm(name, found[name])),
        at_most("jobs failed", sum(fate.told == "FAILURE" for fate in fates), 0),
        *jobs.figures(fates, fewest, BOUND_SECONDS),
    ]


def _storm(name: str, scene: Record) -> list[Figure]:
    """What befell one broker."""
    plan = scene.facts["plan"]
    restarts, stopped = (plan["restarts"], plan["stopped"]) if scene.is_small else (RESTARTS, STOPPED_SECONDS)
    emptied = [int(mark["messages"]) for mark in scene.facts["marks"] if mark["name"] == "emptied"]
    crowd = {line["id"] for line in scene.results if line["kind"] == "job" and "key" in line}
    after = [fate for fate in jobs.fates(scene) if fate.id in crowd]
    return [
        at_least(f"{name}: restarts", len(scene.marks("started")), int(restarts)),
        at_least(f"{name}: stopped, s", _stopped(scene), float(stopped)),
        at_least(f"{name}: messages taken away", sum(emptied), 1),
        told(f"{name}: seconds until they were done", max((fate.seconds for fate in after), default=0.0)),
    ]


def _stopped(scene: Record) -> float:
    stops = zip(scene.marks("stopped"), scene.marks("continued"), strict=True)
    return sum((end - begin) / SECOND for begin, end in stops)

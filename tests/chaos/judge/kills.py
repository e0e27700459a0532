"""The verdict on ``kills``: whatever step a worker dies at, each job is done once, with every record once.

The record is a directory of scenes. Jobs go by the key under which they were handed in: who was killed handing one in
did it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tests.chaos.judge import jobs
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import Line, Record

FEWEST_JOBS = 200
FEWEST_KILLS = 300
BOUND_SECONDS = 120.0
"""A job may lose its worker several times over; each time it costs a lease, 15 s, and what was not kept."""

AROUND = ("before", "after")
REQUEST = ("request before", "request sent", "request mid", "request after")
STEPS: Mapping[str, tuple[str, ...]] = {
    "submit": ("row before", "row after", "message before", "message after"),
    "message": ("popped", "held"),
    "begin": AROUND,
    "lease": ("lease before", "lease after", "release before", "release after"),
    "exchange": REQUEST,
    "page": ("staged before", "staged after"),
    "checkpoint": AROUND,
    "manifest": AROUND,
    "finish": AROUND,
    "answer": AROUND,
    "told": AROUND,
    "acknowledge": AROUND,
    "continue": AROUND,
    "ring": AROUND,
    "park": AROUND,
    "sweep": ("swept", "ring before", "ring after"),
    "release": AROUND,
    "requeue": AROUND,
}
POINTS = tuple(f"{step}: {moment}" for step, moments in STEPS.items() for moment in moments)


def judge(scenes: Sequence[Record]) -> list[Figure]:
    """Every figure of the check."""
    is_small = any(scene.is_small for scene in scenes)
    points = [str(point) for point in scenes[0].facts["planned"]] if is_small else POINTS
    fates = [fate for scene in scenes for fate in jobs.fates(scene)]
    fewest = sum(int(scene.facts["plan"]["jobs"]) if is_small else FEWEST_JOBS for scene in scenes)
    return [
        *hits(scenes, points),
        at_least(
            "kills", sum(len(kills_of(scene)) for scene in scenes), len(points) if is_small else FEWEST_KILLS
        ),
        *_of_each_broker(scenes, is_small),
        at_most("jobs handed in and lost", sum(map(lost, scenes)), 0),
        at_most("jobs handed in that became two", sum(map(doubled, scenes)), 0),
        *jobs.figures(fates, fewest, BOUND_SECONDS),
    ]


def kills_of(scene: Record) -> list[Line]:
    """Those that were killed, as each wrote down in its last moment."""
    return [line for line in scene.results if line["kind"] == "kill"]


def hits(scenes: Sequence[Record], points: Sequence[str]) -> list[Figure]:
    """How many kills there were at each point."""
    hit = Counter(str(kill["point"]) for scene in scenes for kill in kills_of(scene))
    return [at_least(f"kills at {point}", hit[point], 1) for point in points]


def _of_each_broker(scenes: Sequence[Record], is_small: bool) -> list[Figure]:
    counts: Counter[str] = Counter()
    for scene in scenes:
        counts[str(scene.facts["broker"])] += len(kills_of(scene))
    wanted = [] if is_small else [at_least("kinds of broker", len(counts), 2)]
    return wanted + [told(f"kills with {broker}", number) for broker, number in sorted(counts.items())]


def lost(scene: Record) -> int:
    """How many jobs somebody handed in, or was killed handing in, that nobody was ever given an id of."""
    handing = {line["key"] for line in scene.results if line["kind"] == "handing"}
    handed = {line["key"] for line in scene.results if line["kind"] == "job" and "key" in line}
    return len(handing - handed)


def doubled(scene: Record) -> int:
    """How many keys have more jobs than one that do not follow another."""
    keys = Counter(
        row["key"] for name, row in scene.store.items() if name.startswith(jobs.ROW) and "key" in row
    )
    return sum(number > 1 for number in keys.values())

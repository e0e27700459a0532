"""``zombie``: workers that are stopped for twice their lease and then go on, when others have taken their jobs over."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos import oracle
from tests.chaos.fleet import Fleet, forked
from tests.chaos.killpoints import Orders
from tests.chaos.load import Load, Tail, mixed
from tests.chaos.scene import Scene, Setting, play

IN_HAND = (
    "begin: after",
    "lease: lease after",
    "exchange: request mid",
    "page: staged before",
    "page: staged after",
    "checkpoint: before",
    "manifest: before",
    "manifest: after",
    "finish: before",
    "continue: before",
)
POINTS = (*IN_HAND, "answer: before", "ring: before")
"""At the last two its worker is done with a job, and has others yet to tell."""

STOPPED_SECONDS = 30.0
"""Twice a lease."""

AWAKE_SECONDS = 4.0
"""Left to one that goes on, so that it can write what it would."""

LOOK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many workers, how many are stopped at once, and how often at each point."""

    workers: int = 12
    at_once: int = 8
    rounds: int = 3
    points: tuple[str, ...] = POINTS
    every: float = 0.5
    patience: float = 90.0
    size: str = "full"


FULL = Plan()
CONTROL = Plan(workers=8, at_once=5, rounds=1, points=IN_HAND[3:9])
SMALL = Plan(workers=4, at_once=2, rounds=1, points=("checkpoint: before", "finish: before"), size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    setting = Setting(
        check="zombie",
        directory=directory,
        sandbox=(*oracle.DATA, "--max-sessions", "0", "--latency", "100,0,0"),
        connections={"default": {"max_sessions": 2 * plan.workers, "max_per_minute": 0}},
        guard=guard,
        size=plan.size,
        keeps_blobs=True,
        environment={"ACUWORKER_SLICE_SECONDS": "0.5"},
        facts={"plan": asdict(plan)},
    )
    with play(setting) as scene, forked(scene, "-c", "2") as fleet:
        oracle.write(directory / "oracle.json")
        fleet.keep_up(plan.workers)
        with Load(scene, plan.every, mixed) as load:
            _Stopper(scene, fleet, plan).stop_all()
            load.end(plan.patience)
        fleet.stop(25.0)


class _Stopper:
    """Has one worker after the other stopped, and lets each go on when its time is up."""

    def __init__(self, scene: Scene, fleet: Fleet, plan: Plan) -> None:
        results = scene.directory / "results.ndjson"
        self._scene = scene
        self._fleet = fleet
        self._plan = plan
        self._orders = Orders(Path(scene.environment["ACUWORKER_VAR"]), results)
        self._stops = Tail(results, "stop")
        self._stopped: list[Mapping[str, Any]] = []
        self._awake_until = 0.0

    def stop_all(self) -> None:
        """Stop one at each point so often, and wait until the last has gone on."""
        points = list(self._plan.points) * self._plan.rounds
        random.Random(5).shuffle(points)
        while points or self._stopped or time.monotonic() < self._awake_until:
            if points and not self._orders.stands and len(self._stopped) < self._plan.at_once:
                self._orders.give(points.pop(), signal.SIGSTOP)
            time.sleep(LOOK_SECONDS)
            self._fleet.keep_up(self._plan.workers)
            self._let_go_on()

    def _let_go_on(self) -> None:
        self._stopped += self._stops
        for stop in tuple(self._stopped):
            if time.monotonic_ns() - stop["at"] < STOPPED_SECONDS * 10**9:
                continue
            self._scene.mark("continued", pid=stop["pid"], stopped=stop["at"], point=stop["point"])
            with suppress(ProcessLookupError):
                # One that was stopped twice may have ended since it went on for the first time.
                os.kill(stop["pid"], signal.SIGCONT)
            self._stopped.remove(stop)
            self._awake_until = time.monotonic() + AWAKE_SECONDS

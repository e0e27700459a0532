"""``rolls``: the fleet restarted ten times under load, one worker after the other, each by SIGTERM."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos import oracle
from tests.chaos.fleet import Fleet, forked, is_alive
from tests.chaos.load import Load, mixed
from tests.chaos.scene import Scene, Setting, play

GIVEN_UP_SECONDS = 40.0
LAST_SECONDS = 12.0
"""For so long the ERP is watched after the last worker was asked to end."""

LOOK_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many workers there are, how often all are replaced, and for how many seconds a new one works before the next
    is; a job every how many seconds; for how many seconds a job is worked on at a time. ``page_size``, where it is
    given, makes every job one for all orders in such pages."""

    workers: int = 3
    rolls: int = 10
    settling: float = 1.2
    every: float = 0.3
    slice_seconds: float = 2.0
    page_size: int | None = None
    patience: float = 90.0
    size: str = "full"


FULL = Plan()
CONTROL = Plan(workers=1, rolls=1, every=1.0, slice_seconds=600.0, page_size=2, patience=1.0, size="small")
SMALL = Plan(workers=2, rolls=1, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    setting = Setting(
        check="rolls",
        directory=directory,
        sandbox=(*oracle.DATA, "--max-sessions", "0", "--latency", "200,0,0"),
        connections={"default": {"max_sessions": 6, "max_per_minute": 0}},
        guard=guard,
        size=plan.size,
        keeps_blobs=True,
        environment={"ACUWORKER_SLICE_SECONDS": str(plan.slice_seconds)},
        facts={"plan": asdict(plan)},
    )
    with play(setting) as scene, forked(scene, "-c", "4") as fleet:
        oracle.write(directory / "oracle.json")
        workers = [fleet.started() for _ in range(plan.workers)]
        with Load(scene, plan.every, partial(_job, plan.page_size)) as load:
            time.sleep(3.0)
            for number in range(plan.rolls):
                scene.mark("roll", number=number)
                workers = [_replaced(scene, fleet, pid, plan.settling) for pid in workers]
            load.end(plan.patience)
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        scene.mark("terminated")
        time.sleep(LAST_SECONDS)
        scene.mark("ended", alive=len(fleet.pids))


def _job(page_size: int | None, number: int) -> Mapping[str, Any]:
    if page_size is None:
        return mixed(number)
    return oracle.orders(oracle.FIRST_NUMBER, oracle.LAST_ORDER, page_size=page_size)


def _replaced(scene: Scene, fleet: Fleet, old: int, settling: float) -> int:
    """The worker that takes over from another, which is then asked to end, and has worked for a while."""
    new = fleet.started()
    asked = time.monotonic()
    os.kill(old, signal.SIGTERM)
    while is_alive(old) and time.monotonic() < asked + GIVEN_UP_SECONDS:
        time.sleep(LOOK_SECONDS)
    scene.mark("replaced", pid=old, seconds=time.monotonic() - asked, gone=not is_alive(old))
    time.sleep(settling)
    return new

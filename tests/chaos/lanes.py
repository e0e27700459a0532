"""``lanes``: interactive jobs, one each second, first alone and then while bulk has every session."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos import oracle
from tests.chaos.errands import Errands, errands
from tests.chaos.scene import Scene, Setting, play

SESSIONS = 2
EXCHANGE_SECONDS = 0.2
BULK_JOBS = 16
INTERACTIVE: Mapping[str, Any] = {"entity": "SalesOrder", "keys": ["SO", "000101"], "select": ["OrderNbr"]}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many seconds each part takes."""

    unloaded: int = 40
    loaded: int = 60
    every: float = 1.0
    size: str = "full"


FULL = Plan()
CONTROL = Plan(unloaded=30, loaded=40)
SMALL = Plan(unloaded=4, loaded=8, every=0.5, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    setting = Setting(
        check="lanes",
        directory=directory,
        sandbox=(
            *oracle.DATA,
            "--max-sessions",
            str(SESSIONS),
            "--latency",
            f"{EXCHANGE_SECONDS * 1000:g},0,0",
        ),
        connections={"default": {"max_sessions": SESSIONS, "max_per_minute": 0}},
        guard=guard,
        size=plan.size,
        facts={"limits": {"sessions": SESSIONS}, "exchange_seconds": EXCHANGE_SECONDS, "plan": asdict(plan)},
    )
    with play(setting) as scene, errands(scene) as jobs, errands(scene) as bulk:
        scene.start_workers(1, "-Q", "acumatica.interactive", "-c", "4")
        scene.start_workers(1, "-Q", "acumatica.bulk", "-c", "8")
        _ask_every(scene, jobs, plan.every, 3 * plan.every, "warm")
        _ask_every(scene, jobs, plan.every, plan.unloaded, "unloaded")
        for _ in range(BULK_JOBS):
            bulk.send(oracle.orders(oracle.FIRST_NUMBER, oracle.LAST_ORDER, page_size=2))
        _ask_every(scene, jobs, plan.every, 2.0, "filling")
        scene.mark("loaded")
        _ask_every(scene, jobs, plan.every, plan.loaded, "loaded")
        scene.mark("ended")
        scene.tell(*jobs.all_ended(10.0))
        scene.stop_workers()


def _ask_every(scene: Scene, jobs: Errands, every: float, seconds: float, phase: str) -> None:
    """Send an interactive job whenever one is due, whether or not those before it are done."""
    due = time.monotonic()
    until = due + seconds
    while time.monotonic() < until:
        if time.monotonic() >= due:
            jobs.send(INTERACTIVE, lane="interactive", kind="interactive", phase=phase)
            due += every
        scene.tell(*jobs.ended())
        time.sleep(0.002)

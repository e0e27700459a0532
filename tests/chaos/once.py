"""``once``: records written and actions executed by a fleet whose workers are killed, and nothing is sent twice.

Each job writes a new record, or closes a case of its own, at once or in a long operation. Workers are killed at random,
many of them while a write is in flight; whoever goes on with a job must not send it again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.errands import Errands, errands
from tests.chaos.fleet import Fleet, forked
from tests.chaos.scene import Scene, Setting, play

VERSION = "24.200.001"
SESSIONS = 60
"""More than ever work at once: a killed worker's are not lent on for the length of its lease, and one in which it may
have begun an operation is barred for five minutes, longer than a check waits."""

LOOK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many jobs, so many a second; how many workers, one of which is killed every so many seconds."""

    jobs: int = 400
    each_second: float = 5.0
    workers: int = 4
    every: float = 1.0
    patience: float = 150.0
    size: str = "full"


FULL = Plan()
CONTROL = Plan(jobs=60, every=0.5, size="small")
SMALL = Plan(jobs=30, workers=2, each_second=3.0, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    setting = Setting(
        check="once",
        directory=directory,
        sandbox=(
            *("--build", "2025R1", "--max-sessions", "0", "--latency", "20,0,0"),
            *("--write-latency", "0.8", "--operation-seconds", "1.5", "--long-action", "Case/Close"),
        ),
        connections={"default": {"version": VERSION, "max_sessions": SESSIONS, "max_per_minute": 0}},
        guard=guard,
        size=plan.size,
        facts={"plan": asdict(plan)},
    )
    with play(setting) as scene, forked(scene, "-c", "4") as fleet, errands(scene) as jobs:
        cases = [_case(scene, number) for number in range(plan.jobs // 2)]
        fleet.keep_up(plan.workers)
        _kill_meanwhile(scene, fleet, jobs, plan, cases)
        until = time.monotonic() + plan.patience
        while jobs.under_way and time.monotonic() < until:
            fleet.keep_up(plan.workers)
            scene.tell(*jobs.ended())
            time.sleep(LOOK_SECONDS)
        scene.tell(*jobs.all_ended(0.0))
        fleet.stop(25.0)


def _case(scene: Scene, number: int) -> str:
    """A case that nobody else closes."""
    record = {"CaseID": f"C{number:05}", "Subject": f"case {number}", "Status": "Open"}
    return str(scene.sandbox.control("records/Case", record)["id"])


def _kill_meanwhile(scene: Scene, fleet: Fleet, jobs: Errands, plan: Plan, cases: list[str]) -> None:
    """Hand in all jobs, one after the other, and kill a worker every few seconds."""
    dice = random.Random(plan.jobs)
    began, next_kill = time.monotonic(), time.monotonic() + 3 * plan.every
    for number in range(plan.jobs):
        while time.monotonic() < began + number / plan.each_second:
            if time.monotonic() >= next_kill and fleet.pids:
                pid = dice.choice(fleet.pids)
                os.kill(pid, signal.SIGKILL)
                scene.mark("killed", pid=pid)
                next_kill += plan.every
            fleet.keep_up(plan.workers)
            scene.tell(*jobs.ended())
            time.sleep(LOOK_SECONDS / 5)
        jobs.send(_job(number, cases), lane="interactive")


def _job(number: int, cases: list[str]) -> dict[str, Any]:
    """A job that writes a new record, or one that closes a case."""
    common = {"form": 2, "deadline_seconds": 600}
    if number % 2:
        case = {"kind": "action", "entity": "Case", "id": cases[number // 2], "action": "Close"}
        return {**case, "custom": {"FilterPreview.Reason": "Abandoned"}, **common}
    record = {"Subject": f"new {number}"}
    return {"kind": "upsert", "entity": "Case", "record": record, "mode": "insert", **common}

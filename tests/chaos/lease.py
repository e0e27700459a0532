"""``lease``: what a lease costs, how many a process can make, and in which order waiters are served."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos.scene import Setting, play


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many leases a second are offered, by how many threads, for how long; how long and by how many threads as many
    are made as can be; and how many wait in line."""

    a_second: float = 100
    threads: int = 16
    seconds: float = 20
    hammered_seconds: float = 8
    hammering: int = 2
    waiters: int = 200
    size: str = "full"


FULL = Plan()
CONTROL = Plan(seconds=4, hammered_seconds=2)
SMALL = Plan(seconds=3, hammered_seconds=2, waiters=50, size="small")

OTHERS = {"max_per_minute": 0, "idle_seconds": 3600}


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    connections = {name: {"max_sessions": count, **OTHERS} for name, count in (("five", 5), ("one", 1))}
    setting = Setting(
        check="lease",
        directory=directory,
        connections=connections,
        guard=guard,
        size=plan.size,
        facts={"plan": asdict(plan)},
    )
    with play(setting) as scene:
        told = {name: value for name, value in asdict(plan).items() if name != "size"}
        results = str((directory / "results.ndjson").absolute())
        command = [
            sys.executable,
            "-m",
            "tests.chaos.pairs",
            results,
            json.dumps(told),
            *([guard] if guard else []),
        ]
        scene.mark("begun")
        log = directory / "pairs.log"
        assert scene.spawn(command, log).wait(120) == 0, f"the measurement broke off: see {log}"
        scene.mark("ended")

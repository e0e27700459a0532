"""``thrift``: two connections share a license of one session, and their jobs come in turn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos import oracle
from tests.chaos.errands import errands
from tests.chaos.scene import Setting, play

OTHER_USER, OTHER_PASSWORD = "second", "a-second-canary"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many jobs."""

    jobs: int = 160
    size: str = "full"


FULL = Plan()
CONTROL = Plan(jobs=60)
SMALL = Plan(jobs=24, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    setting = Setting(
        check="thrift",
        directory=directory,
        sandbox=(
            *oracle.DATA,
            *("--max-sessions", "1", "--latency", "100,0,0"),
            *("--user", f"{OTHER_USER}:{OTHER_PASSWORD}"),
        ),
        connections={
            "first": {"license": "shared"},
            "second": {"license": "shared", "username": OTHER_USER, "password": OTHER_PASSWORD},
        },
        licenses={"shared": {"max_sessions": 1, "max_per_minute": 0}},
        guard=guard,
        size=plan.size,
        facts={"limits": {"sessions": 1}, "plan": asdict(plan)},
    )
    with play(setting) as scene, errands(scene) as jobs:
        oracle.write(directory / "oracle.json")
        scene.start_workers(2, "-c", "4")
        for number in range(plan.jobs):
            low = oracle.FIRST_NUMBER + number
            connection = ("first", "second")[number % 2]
            jobs.send(oracle.orders(low, low + 3, page_size=2, connection=connection))
        scene.tell(*jobs.all_ended(60.0 + plan.jobs))
        scene.stop_workers()

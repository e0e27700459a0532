"""``resume``: at each page of a list its worker is killed, before the page is kept or after, and another goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos import oracle
from tests.chaos.errands import Errands, errands
from tests.chaos.fleet import Fleet, forked
from tests.chaos.killpoints import Orders
from tests.chaos.load import finish, look
from tests.chaos.scene import Scene, Setting, play

PAGES, SIZE = 12, 5
MOMENTS = ("before", "after")
SESSIONS = 24
"""More than ever work at once: a killed worker's are not lent on for the length of its lease."""

LOOK_SECONDS = 0.02
HIT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """At which pages workers are killed, how many there are, and how long all jobs are waited for at last."""

    pages: tuple[int, ...] = tuple(range(1, PAGES + 1))
    workers: int = 4
    patience: float = 90.0
    size: str = "full"


FULL = Plan()
CONTROL = Plan(pages=(6, 11), workers=3, size="small")
SMALL = Plan(pages=(2,), workers=3, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    setting = Setting(
        check="resume",
        directory=directory,
        sandbox=(*oracle.DATA, "--max-sessions", "0", "--latency", "20,0,0"),
        connections={"default": {"max_sessions": SESSIONS, "max_per_minute": 0}},
        guard=guard,
        size=plan.size,
        facts={"plan": asdict(plan)},
    )
    with play(setting) as scene, forked(scene, "-c", "1") as fleet, errands(scene) as jobs:
        oracle.write(directory / "oracle.json")
        for page in plan.pages:
            for moment in MOMENTS:
                for way in ("batches", "by_key"):
                    _kill_at(scene, fleet, jobs, plan, _Point(way, page, moment))
        until = time.monotonic() + plan.patience
        while jobs.under_way and time.monotonic() < until:
            fleet.keep_up(plan.workers)
            look(scene, jobs)
            time.sleep(LOOK_SECONDS)
        finish(scene, jobs, until)
        fleet.stop(25.0)


@dataclass(frozen=True)
class _Point:
    """The job whose worker dies, and when: before a page of it is kept, or after."""

    way: str
    page: int
    moment: str

    @property
    def job_id(self) -> str:
        """A job for each point."""
        return f"{self.way}-{self.page}-{self.moment}"

    @property
    def job(self) -> Mapping[str, Any]:
        """Twelve pages of orders, or of payments that cannot be listed."""
        make = oracle.orders if self.way == "batches" else oracle.payments
        return make(oracle.FIRST_NUMBER, oracle.FIRST_NUMBER + PAGES * SIZE - 1, page_size=SIZE)


def _kill_at(scene: Scene, fleet: Fleet, jobs: Errands, plan: Plan, point: _Point) -> None:
    """Hand the job in, and have whoever does it killed there."""
    orders = Orders(Path(scene.environment["ACUWORKER_VAR"]), scene.directory / "results.ndjson")
    fleet.keep_up(plan.workers)
    orders.give(f"{point.job_id}: page {point.page} {point.moment}")
    told: dict[str, Any] = {"way": point.way, "page": point.page, "moment": point.moment}
    jobs.send(point.job, id_=point.job_id, **told)
    until = time.monotonic() + HIT_SECONDS
    while orders.stands and time.monotonic() < until:
        look(scene, jobs)
        time.sleep(LOOK_SECONDS)
    if orders.take_back():
        scene.mark("missed", point=point.job_id)

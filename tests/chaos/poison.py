"""``poison``: one job of a hundred kills whichever worker begins it; all others are done."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.chaos import oracle
from tests.chaos.errands import errands
from tests.chaos.fleet import forked
from tests.chaos.load import finish, look, mixed
from tests.chaos.scene import Setting, play

LOOK_SECONDS = 0.05
POISON: Mapping[str, Any] = {"entity": "Poison", "select": ["OrderNbr"]}
POISONED = "poison"

METADATA = "Metadata-Version: 2.1\nName: acme-poison\nVersion: 1.0\n"
ENTRY_POINTS = "[acumatica_worker.handlers]\nPoison = acme_poison:Poison\n"
HANDLER = """
import json, os, signal, time
from worker.handler import Handler

class Poison(Handler):
    entity = "Poison"

    def pages(self, erp, query):
        line = {"kind": "poisoned", "at": time.monotonic_ns(), "pid": os.getpid()}
        with open(os.environ["POISONED"], "a") as file:
            file.write(json.dumps(line) + "\\n")
        os.kill(os.getpid(), signal.SIGKILL)
        yield
"""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many other jobs there are, by how many workers, and how long all are waited for."""

    others: int = 100
    workers: int = 4
    patience: float = 150.0
    size: str = "full"


FULL = Plan()
CONTROL = Plan(others=10, workers=3, patience=70.0, size="small")
SMALL = Plan(others=10, workers=3, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    with TemporaryDirectory(prefix="acu", dir="/tmp") as installed:
        _install(Path(installed))
        setting = Setting(
            check="poison",
            directory=directory,
            sandbox=(*oracle.DATA, "--max-sessions", "0", "--latency", "100,0,0"),
            connections={"default": {"max_sessions": 16, "max_per_minute": 0}},
            guard=guard,
            size=plan.size,
            keeps_blobs=True,
            environment={
                "PYTHONPATH": installed,
                "POISONED": str((directory / "results.ndjson").absolute()),
                "ACUWORKER_SLICE_SECONDS": "1",
            },
            facts={"plan": asdict(plan), "poison": POISONED},
        )
        _play(setting, plan)


def _play(setting: Setting, plan: Plan) -> None:
    with play(setting) as scene, forked(scene, "-c", "4") as fleet, errands(scene) as jobs:
        oracle.write(scene.directory / "oracle.json")
        fleet.keep_up(plan.workers)
        for number in range(plan.others):
            if number == plan.others // 2:
                jobs.send(POISON, id_=POISONED)
            jobs.send(mixed(number))
        until = time.monotonic() + plan.patience
        while jobs.under_way and time.monotonic() < until:
            fleet.keep_up(plan.workers)
            look(scene, jobs)
            time.sleep(LOOK_SECONDS)
        finish(scene, jobs, until)
        fleet.stop(25.0)


def _install(directory: Path) -> None:
    """Put a third party's handler where a worker finds it."""
    facts = directory / "acme_poison-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(METADATA)
    (facts / "entry_points.txt").write_text(ENTRY_POINTS)
    (directory / "acme_poison.py").write_text(HANDLER)

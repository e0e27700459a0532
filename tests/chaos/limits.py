"""``limits``: more work than the license allows, for a fleet of processes; then other software comes and goes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos import oracle
from tests.chaos.errands import Errands, errands
from tests.chaos.scene import ROOT, Scene, Setting, play

SESSIONS, PER_MINUTE = 5, 300
LOOK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long each part takes, in seconds, and by how many workers."""

    workers: int = 8
    threads: int = 2
    alone: float = 300
    foreign_per_minute: int = 150
    beside: float = 125
    after: float = 182
    window: float = 60
    size: str = "full"


FULL = Plan()
CONTROL = Plan(alone=125, foreign_per_minute=0)
BESIDE = Plan(alone=20, after=0)
SMALL = Plan(workers=2, alone=12, foreign_per_minute=0, window=4, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    setting = Setting(
        check="limits",
        directory=directory,
        sandbox=(
            *oracle.DATA,
            *("--max-sessions", str(SESSIONS + 1), "--max-concurrent", str(SESSIONS)),
            *("--max-per-minute", str(PER_MINUTE), "--latency", "100,0,0"),
        ),
        connections={"default": {"max_sessions": SESSIONS, "max_per_minute": PER_MINUTE}},
        guard=guard,
        size=plan.size,
        facts={
            "limits": {"sessions": SESSIONS, "concurrent": SESSIONS, "per_minute": PER_MINUTE},
            "window_seconds": plan.window,
            "foreign_per_minute": plan.foreign_per_minute,
            "plan": asdict(plan),
        },
    )
    with play(setting) as scene, errands(scene) as jobs:
        oracle.write(directory / "oracle.json")
        scene.start_workers(plan.workers, "-c", str(plan.threads))
        work = _Work(scene, jobs, 2 * plan.workers * plan.threads)
        scene.mark("begun")
        work.keep_up(plan.alone)
        scene.mark("alone_until")
        if plan.foreign_per_minute:
            with _foreign(scene, plan.foreign_per_minute):
                scene.mark("foreign_came")
                work.keep_up(plan.beside)
                scene.mark("foreign_left")
            work.keep_up(plan.after)
        scene.mark("ended")
        work.end()
        scene.stop_workers()


class _Work:
    """Always so many jobs that are not done."""

    def __init__(self, scene: Scene, jobs: Errands, depth: int) -> None:
        self._scene = scene
        self._jobs = jobs
        self._depth = depth
        self._wanted = _jobs(random.Random(1))

    def keep_up(self, seconds: float) -> None:
        """Send another job for each that is done."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._scene.tell(*self._jobs.ended())
            while self._jobs.under_way < self._depth:
                self._jobs.send(next(self._wanted))
            time.sleep(LOOK_SECONDS)

    def end(self) -> None:
        """Write down what is under way too; its workers are about to stop."""
        self._scene.tell(*self._jobs.all_ended(0.0))


def _jobs(dice: random.Random) -> Iterator[Mapping[str, Any]]:
    """Lists in batches, and lists that must go by key, in turn."""
    while True:
        low = dice.randint(oracle.FIRST_NUMBER, oracle.LAST_ORDER - 40)
        yield oracle.orders(low, low + dice.randint(20, 40), page_size=10)
        low = dice.randint(oracle.FIRST_NUMBER, oracle.LAST_PAYMENT - 4)
        yield oracle.payments(low, low + 3, page_size=10)


@contextmanager
def _foreign(scene: Scene, per_minute: int) -> Iterator[None]:
    """Other software on the license, which leaves at the end."""
    command = [sys.executable, "-m", "tests.chaos.foreign", str(per_minute)]
    log = scene.directory / "foreign.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=output) as process,
    ):
        assert process.stdin is not None
        known = ("url", "ca_file", "client_id", "client_secret", "username", "password")
        process.stdin.write(
            json.dumps({name: getattr(scene.sandbox, name) for name in known}).encode() + b"\n"
        )
        process.stdin.flush()
        try:
            yield
            assert process.poll() is None, f"the other software has ended early: see {log}"
        finally:
            process.terminate()

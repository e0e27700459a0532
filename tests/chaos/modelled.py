"""``model``: the table of slots searched for a broken promise, its ways on the real Lua, and the real pool at play.

The search finds none in the table, and one in each table that lacks a guard, or whose workers lack a habit, or of which
time takes one step less; a state machine of hypothesis then drives the real pools against the sandbox.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.model.catalogue import SMALL, VARIANTS, deletions
from tests.chaos.model.machine import Sessions, Tell
from tests.chaos.model.rules import HABITS
from tests.chaos.model.search import BY_TIME
from tests.chaos.model.searches import Task, searched
from tests.chaos.model.stage import Stage, staged
from tests.chaos.scene import Scene, Setting, play
from worker.erp import slots

SLOW = ("refreshed", "not_renewable")
"""Steps whose guards are missed only after a long time."""

SANDBOX = ("--max-sessions", "0", "--dead-token-logout", "401", "--lock-after", "0")
"""The license's seats are changed as it is played; a sign-out that did nothing is not said to have done something."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which worlds are searched, whether without each guard too, and how many runs of how many steps are played.

    Of those that hypothesis plays some are short; and the first step is the setting.
    """

    variants: tuple[str, ...] = tuple(VARIANTS)
    deletes: bool = True
    slow: bool = True
    runs: int = 660
    steps: int = 32
    size: str = "full"


FULL = Plan()
CONTROL = Plan(variants=SMALL, deletes=False, runs=0, size="control")
LESS = Plan(variants=SMALL, slow=False, runs=10, size="small")


def run(directory: Path, plan: Plan = FULL, guard: tuple[str, str] | None = None) -> None:
    """Search and play, and leave in ``directory`` what the judge needs; ``guard`` is a step's that the table lacks."""
    setting = Setting(
        check="model",
        directory=directory,
        sandbox=SANDBOX,
        guard="/".join(guard) if guard else None,
        size=plan.size,
        facts={"plan": asdict(plan), "table": _table(), "habits": HABITS, "time": BY_TIME},
    )
    with play(setting) as scene:
        scene.mark("search")
        for lines in _searches(scene, plan, setting.guard or ""):
            scene.tell(*lines)
        scene.mark("play")
        if plan.runs:
            _play(scene, plan)
        scene.mark("ended")


def _table() -> list[Mapping[str, Any]]:
    return [
        {
            "name": step.name,
            "before": sorted(step.before),
            "after": step.after,
            "guards": dict(step.guards),
            "writes": dict(step.writes),
        }
        for step in slots.TRANSITIONS
    ]


def _searches(scene: Scene, plan: Plan, control: str) -> Iterator[list[Mapping[str, Any]]]:
    url = _store_url(scene)
    tasks = [Task(store_url=url, variant=name, control=control) for name in plan.variants]
    if plan.deletes:
        wanted = enumerate(deletions(slots.TRANSITIONS))
        numbers = [number for number, each in wanted if plan.slow or each.step not in SLOW]
        tasks += [Task(store_url=url, deletion=number) for number in numbers]
    # A search is a matter of one core; what another process has imported is not shared.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        yield from processes.map(searched, tasks)


def _store_url(scene: Scene) -> str:
    return f"unix://{scene.environment['ACUWORKER_VAR']}/valkey.sock"


def _play(scene: Scene, plan: Plan) -> None:
    try:
        with staged(scene.sandbox, _store_url(scene), scene.directory / "events.ndjson") as stage:
            play_runs(stage, scene.tell, how(plan.runs, plan.steps, at_random=plan.size == "full"))
    except AssertionError as error:
        scene.tell({"what": "broken", "promise": str(error)[:500]})
    except FlakyFailure as error:
        # What breaks once in a while is broken.
        told = "; ".join(f"{type(each).__name__}: {each}" for each in error.exceptions)
        scene.tell({"what": "broken", "promise": told[:500]})


def play_runs(stage: Stage, tell: Tell, playing: settings) -> None:
    """Let hypothesis play. Raises AssertionError when a promise breaks."""
    parts = {"stage": stage, "tell": staticmethod(tell), "numbers": itertools.count(1)}
    machine: type[Sessions] = type("Machine", (Sessions,), parts)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        run_state_machine_as_test(machine, settings=playing)
    finally:
        structlog.reset_defaults()


def how(runs: int, steps: int, *, at_random: bool) -> settings:
    """How hypothesis is to play: so many runs, and none again to find a shorter one."""
    return settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=not at_random,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )

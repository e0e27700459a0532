"""``model``: every order of steps in a model of the table that the Lua is rendered from, and the real pool at random.

The table as it is must break no promise; with any guard taken out one must break. Then hypothesis drives the real pools
of a few processes against the real sandbox.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.model import machine
from tests.chaos.model.catalogue import SMALL, VARIANTS, Deletion, deletions
from tests.chaos.model.search import search
from tests.chaos.model.stage import staged
from tests.chaos.model.table import Table, without
from tests.sandbox_process import start_sandbox
from tests.store_process import start_store
from worker.erp.slots import TRANSITIONS

OPTIONS = ("--control", "--max-sessions", "0", "--dead-token-logout", "401", "--lock-after", "0")
STEPS = 30

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which worlds are searched, how many of the deletions, and how many runs of the real pool."""

    variants: tuple[str, ...] = tuple(VARIANTS)
    deletions: int | None = None
    runs: int = 500
    size: str = "full"


FULL = Plan()
CONTROL = Plan(variants=("tokens",), deletions=0, runs=0, size="control")
LESS = Plan(variants=SMALL, deletions=2, runs=5, size="small")


def run(directory: Path, plan: Plan = FULL, guard: tuple[str, str] | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs; ``guard`` is a step's that is taken out."""
    directory.mkdir(parents=True, exist_ok=True)
    table = without(TRANSITIONS, *guard) if guard else TRANSITIONS
    (directory / "facts.json").write_text(
        json.dumps({"size": plan.size, "steps": [each.name for each in table]})
    )
    events = directory / "events.ndjson"
    events.touch()
    with (directory / "results.ndjson").open("w", encoding="utf-8") as results:

        def tell(line: Mapping[str, Any]) -> None:
            results.write(json.dumps(line) + "\n")
            results.flush()

        _search(table, plan, tell)
        for deletion in deletions(table)[: plan.deletions]:
            _delete(deletion, tell)
        if plan.runs:
            _drive(plan, events, tell)
    (directory / "store.json").write_text("{}")


def _search(table: Table, plan: Plan, tell: Tell) -> None:
    for name in plan.variants:
        found = search(VARIANTS[name].rules(table))
        promise = found.promise and str(found.promise)
        steps = sorted(found.steps)
        tell(
            {"what": "searched", "variant": name, "worlds": found.worlds, "promise": promise, "steps": steps}
        )


def _delete(deletion: Deletion, tell: Tell) -> None:
    """Look for what breaks without one guard, in one kind of world after the other."""
    promise, where = None, ""
    for where in deletion.variants():
        found = search(VARIANTS[where].rules(deletion.table, deletion.habits), deletion.heeded)
        promise = found.promise and str(found.promise)
        if promise:
            break
    of = {"kind": deletion.kind, "step": deletion.step, "name": deletion.name}
    tell({"what": "deleted", **of, "variant": where, "promise": promise})


def _drive(plan: Plan, events: Path, tell: Tell) -> None:
    with (
        start_sandbox(*OPTIONS, "--events", str(events)) as sandbox,
        start_store() as url,
        staged(sandbox, url, events) as stage,
    ):
        body = {"stage": stage, "tell": staticmethod(tell), "numbers": itertools.count(1)}
        run_state_machine_as_test(
            type("Driven", (machine.Sessions,), body),
            settings=settings(
                max_examples=plan.runs,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            ),
        )

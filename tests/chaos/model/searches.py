"""The searches of the ``model`` check, each a task for a process of its own, and what is written down of each.

A whole table's search ends without a broken promise, and the shortest ways to each of its steps are taken again on the
real Lua; a table's that lacks something ends where a promise breaks, and that way is taken again too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from tests.chaos.model.catalogue import VARIANTS, Deletion, Variant, deletions
from tests.chaos.model.replay import Lua, Settling, replay
from tests.chaos.model.rules import Move, Rules
from tests.chaos.model.search import Found, search, walked
from tests.chaos.model.table import Table, without
from worker.erp import slots

Line = Mapping[str, Any]
Told = tuple[str, Move]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One search: of a variant of the whole table, or for what breaks without the deletion of that number.

    ``control`` is a guard that the whole table lacks on purpose, as STEP/GUARD.
    """

    store_url: str
    variant: str = ""
    deletion: int = -1
    control: str = ""


def searched(task: Task) -> list[Line]:
    """What a search came to. Raises redis.RedisError where the store does not answer."""
    with redis.Redis.from_url(task.store_url) as store:
        if task.deletion >= 0:
            return list(_without(deletions(slots.TRANSITIONS)[task.deletion], store))
        table = without(slots.TRANSITIONS, *task.control.split("/")) if task.control else slots.TRANSITIONS
        return list(_whole(task.variant, table, store))


def _whole(name: str, table: Table, store: redis.Redis) -> Iterator[Line]:
    variant = VARIANTS[name]
    rules = variant.rules(table)
    began = time.monotonic()
    found = search(rules)
    told = list(walked(rules, found.way)) if found.promise else []
    yield {"what": "search", "variant": name, **_result(found, began), "way": _way(told)}
    for step, way in found.steps.items():
        told = list(walked(rules, way, step))
        yield {"what": "step", "variant": name, "step": step, **_replayed(store, variant, rules, table, told)}
    settling = Settling(store, _prefix(), table)
    rows = [settling.compare(rules, row) for row in found.rows]
    yield {"what": "settled", "variant": name, "rows": rows}


def _without(deletion: Deletion, store: redis.Redis) -> Iterator[Line]:
    looked: list[Line] = []
    for name in deletion.variants():
        variant = VARIANTS[name]
        rules = variant.rules(deletion.table, deletion.habits)
        began = time.monotonic()
        found = search(rules, deletion.heeded)
        looked.append({"variant": name, **_result(found, began)})
        if found.promise:
            break
    told = list(walked(rules, found.way)) if found.promise else []
    line = {
        "what": "deletion",
        "kind": deletion.kind,
        "step": deletion.step,
        "name": deletion.name,
        "looked": looked,
    }
    # The Lua knows of guards only.
    lua = _replayed(store, variant, rules, deletion.table, told) if deletion.kind == "guard" else {}
    yield {**line, "promise": found.promise, "way": _way(told), **lua}


def _result(found: Found, began: float) -> Line:
    seconds = round(time.monotonic() - began, 1)
    return {"worlds": found.worlds, "rows": len(found.rows), "promise": found.promise, "seconds": seconds}


def _way(told: Iterable[Told]) -> list[Line]:
    """A way as people read it, with what it comes to: the slot's state, and how many sessions are open."""
    return [
        {
            "who": who,
            "does": move.told,
            "steps": [said.name for said in move.steps],
            "state": move.world.row[0],
            "open": sum(session.open for session in move.world.sessions),
        }
        for who, move in told
    ]


def _replayed(store: redis.Redis, variant: Variant, rules: Rules, table: Table, told: Iterable[Told]) -> Line:
    mutated, whole = Lua(store, _prefix(), table), Lua(store, _prefix(), slots.TRANSITIONS)
    steps = [
        {"step": each.said.name, "model": each.model, "store": each.store, "allowed": each.allowed}
        for each in replay(variant, mutated, whole, told)
    ]
    return {"replayed": steps}


def _prefix() -> str:
    # Searches run side by side.
    return f"acuworker:{{model-{os.getpid()}}}:"

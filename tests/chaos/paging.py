"""``paging``: ten thousand lists that are read while their rows move, each by a number that it can be played again by.

Its controls are what anybody would write first, and ours where whatever comes first in a page is taken for its anchor.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import structlog

from tests.chaos import sabotage
from tests.chaos.moving import Game

AT_ONCE = 50
"""Games to a task of a process."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many games, by how many processes, and the way of all of them, if it is not drawn."""

    games: int = 10_000
    processes: int = 2
    way: str | None = None
    size: str = "full"


FULL = Plan()
CONTROL = Plan(games=200, size="small")
PLAIN = Plan(games=200, way="plain", size="small")
SMALL = Plan(games=100, processes=1, size="small")


@dataclass(frozen=True)
class _Task:
    """Some games, one after the other."""

    numbers: range
    way: str | None


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play all games, and leave in ``directory`` what the judge needs."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tasks = [
        _Task(range(first, min(plan.games, first + AT_ONCE)), plan.way)
        for first in range(0, plan.games, AT_ONCE)
    ]
    with (
        (directory / "results.ndjson").open("w", encoding="utf-8") as results,
        ProcessPoolExecutor(plan.processes, get_context("spawn"), _begin, (guard,)) as processes,
    ):
        for lines in processes.map(_played, tasks):
            results.write("".join(json.dumps(line) + "\n" for line in lines))
    # No process of a sandbox, no store: their part of the record is empty.
    (directory / "events.ndjson").touch()
    (directory / "store.json").write_text("{}")
    facts: Mapping[str, Any] = {
        "check": "paging",
        "guard": guard,
        "games": plan.games,
        "size": plan.size,
        "marks": [],
    }
    (directory / "facts.json").write_text(json.dumps({**facts, "plan": asdict(plan)}, indent=1))


def _begin(guard: str | None) -> None:
    """Take the guard out of this process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if guard:
        sabotage.GUARDS[guard]()


def _played(task: _Task) -> Sequence[Mapping[str, Any]]:
    return [Game(number, task.way).play() for number in task.numbers]

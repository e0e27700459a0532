"""A list that moves while it is read, a row a page: who loses rows that were there throughout, or has them twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.benchmarks.bench.bars import Bar, Latency, torn, whole
from tests.benchmarks.bench.contenders import ORDERS, UNTHROTTLED, Way, easy, loop, ours
from tests.benchmarks.bench.measure import Run
from tests.benchmarks.bench.report import Report
from tests.benchmarks.bench.site import site
from tests.benchmarks.bench.speed import in_turn, name_of

ORDER_COUNT = 2000
LATENCY = Latency(20, 0, 0)
"""So that pages which are read side by side are under way at the same time."""

LOOP, EASY = "loop with $skip", "easy-acumatica, unthrottled"
OURS: Mapping[str, Way] = {name_of(count): ours(count) for count in (1, 5)}
WAYS: Mapping[str, Way] = {LOOP: loop, EASY: easy(UNTHROTTLED), **OURS}
CHANGES = ("delete", "insert")


def loses() -> Report:
    """One delete a page, and one insert a page."""
    runs: dict[str, Sequence[Run]] = {}
    for change in CHANGES:
        ask = replace(ORDERS, plan=({"each_page": change, "entity": ORDERS.entity, "row": "first"},))
        for name, way in WAYS.items():
            # Everybody finds the same data, as nobody has changed it yet.
            with site(LATENCY, "--orders", str(ORDER_COUNT)) as sandbox:
                found = in_turn(sandbox, {name: (way, ask)}, f"{change} a page", 1)
            runs[f"{name}, {change}"] = found[name]
    return Report("loses", runs, {}, _bars(runs))


def _bars(runs: Mapping[str, Sequence[Run]]) -> list[Bar]:
    mine = [run for name in OURS for change in CHANGES for run in runs[f"{name}, {change}"]]
    theirs = [run for change in CHANGES for run in runs[f"{EASY}, {change}"]]
    kept = whole("loses", mine)
    control = torn("against-easy-loses", theirs)
    both = Bar(control.name, f"easy-acumatica {control.figure}; acuworker {kept.figure}", kept.is_met)
    return [
        kept,
        *(torn(f"loses-loop-{change}", runs[f"{LOOP}, {change}"]) for change in CHANGES),
        replace(both, is_met=kept.is_met and control.is_met),
    ]

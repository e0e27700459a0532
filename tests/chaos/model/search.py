"""Breadth first through every world that can come about, until a promise breaks or none is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.chaos.model import erp, fleet
from tests.chaos.model.promises import HOLDS, Promise, broken
from tests.chaos.model.rules import Move, Rules, Said
from tests.chaos.model.table import Row, free_row
from tests.chaos.model.waiting import SETTLES, kept_back
from tests.chaos.model.world import FORGOTTEN, IDLE, World, later

BY_TIME = (*SETTLES, "lapsed")

Way = tuple[int, ...]
"""The marks of the worlds that lead somewhere, from the beginning on."""


class TooMany(Exception):
    """There are more worlds than one search should see."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search came to: how many worlds and rows there are, and how each step was first taken.

    ``promise`` is the one that breaks, ``way`` how; where it breaks by waiting, the way ends where the waiting begins.
    """

    worlds: int
    rows: Mapping[Row, int]
    steps: Mapping[str, Way]
    promise: Promise | None = None
    way: Way = ()


def beginning(rules: Rules) -> World:
    """Nothing is signed in, and nobody wants to be."""
    return World(free_row(rules.spans), (), (), (IDLE, IDLE))


def moves(rules: Rules, world: World) -> Iterator[tuple[str, Move]]:
    """Everything that may happen now, and who does it."""
    for place, move in fleet.moves(rules, world):
        yield f"worker {place + 1}", move
    for name in BY_TIME:
        row = rules.step(world.row, name)
        if row is not None and row != world.row:
            yield "time", Move(name, world._replace(row=row), (Said(name),))
    for told, after in erp.moves(world, rules.spans, rules.chances):
        yield "the ERP", Move(told, after)
    after_it = later(world, rules.spans)
    if after_it is not None:
        yield "time", Move("passes", after_it)
    if rules.chances.empties:
        yield "the store", _emptied(rules, world)


def _emptied(rules: Rules, world: World) -> Move:
    """The store is emptied, and the first who knew it has the slot quarantined."""
    said = Said("mourn", world.fresh_name())
    blank = world._replace(row=free_row(rules.spans))
    mourned = rules.take(blank, said) or blank
    workers = (each._replace(note=FORGOTTEN) if each.at in HOLDS else each for each in world.workers)
    return Move("is emptied", mourned._replace(workers=tuple(workers)), (said,))


def search(rules: Rules, heeded: frozenset[Promise] = frozenset(Promise), most: int = 2_000_000) -> Found:
    """Every world there is, or all until one of the heeded promises breaks. Raises TooMany."""
    first = beginning(rules)
    before: dict[int, int] = {hash(first): 0}
    rows = {first.row: hash(first)}
    steps: dict[str, Way] = {}
    ahead = deque([first])
    while ahead:
        world = ahead.popleft()
        mark = hash(world)
        for _, move in moves(rules, world):
            after = rules.same(move.world)
            known = hash(after)
            for said in move.steps:
                steps.setdefault(said.name, (mark, known))
            wrong = move.broken if move.broken in heeded else None
            if known not in before:
                before[known] = mark
                ahead.append(after)
                wrong = wrong or _one_of(heeded, broken(after))
                if after.row not in rows:
                    rows[after.row] = known
                    wrong = wrong or _one_of(heeded, kept_back(rules, after.row))
            if wrong:
                way = (*_way(before, mark), known)
                return Found(worlds=len(before), rows=rows, steps={}, promise=wrong, way=way)
        if len(before) > most:
            raise TooMany(f"more than {most} worlds")
    ways = {name: (*_way(before, mark), known) for name, (mark, known) in steps.items()}
    return Found(worlds=len(before), rows=rows, steps=ways)


def _one_of(heeded: frozenset[Promise], promise: Promise | None) -> Promise | None:
    return promise if promise in heeded else None


def _way(before: Mapping[int, int], mark: int) -> Way:
    way = [mark]
    while before[way[-1]]:
        way.append(before[way[-1]])
    return tuple(reversed(way))


def walked(rules: Rules, way: Way, last: str = "") -> Iterator[tuple[str, Move]]:
    """The moves of a way, with names that stay the same throughout; the last of them takes the step ``last``."""
    world = beginning(rules)
    for number, mark in enumerate(way[1:], 2):
        wanted = last if number == len(way) else ""
        who, move = _next(rules, world, mark, wanted)
        yield who, move
        world = move.world


def _next(rules: Rules, world: World, mark: int, wanted: str) -> tuple[str, Move]:
    for who, move in moves(rules, world):
        fits = not wanted or any(said.name == wanted for said in move.steps)
        if fits and hash(rules.same(move.world)) == mark:
            return who, move
    raise AssertionError("a way that was found can be walked")

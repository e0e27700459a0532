"""The verdict on ``paging``: each row that was there throughout came exactly once, whatever else came and went.

A line tells of one game: the rows that were ``throughout``, those that were ``got``, as often as they were, and their
versions: what came, and, of a list that was to be fresh, what was ``due`` when the first pass was over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import Line, Record

GAMES = 10_000
KINDS: dict[str, frozenset[object]] = {
    "entity": frozenset({"SalesOrder", "Payment", "StockItem"}),
    "way": frozenset({"batches", "by_key"}),
    "seats": frozenset({1, 2, 3, 5}),
    "collation": frozenset({"sql", "word", "letters-first", "accents", "accents-ignored", "binary"}),
    "combos": frozenset({"code/code", "code/label", "label/label", "label/code"}),
    "across_views": frozenset({True, False}),
    "is_chased": frozenset({True, False}),
    "knows_keys": frozenset({True, False}),
    "fresh": frozenset({True, False}),
    "by_place": frozenset({True, False}),
    "fenced": frozenset({True, False}),
}
"""What there must be some games of."""

GAVE_UP = 0.001
"""The share of games whose job may say that it has lost its place: nothing that was read last is left."""


def judge(record: Record) -> Sequence[Figure]:
    """Every figure of the check."""
    games = [line for line in record.results if line["kind"] == "game"]
    whole = [game for game in games if not game["broke"]]
    fewest = int(record.facts["games"]) if record.is_small else GAMES
    moved = [game for game in games if game["changes"]]
    return [
        at_least("games", len(games), fewest),
        at_least("games whose rows moved", len(moved), fewest // 3),
        at_least("games that were resumed", sum(bool(game["resumed"]) for game in games), fewest // 20),
        *(
            at_least(f"kinds of {kind}", len(_of(games, kind) & seen), len(seen))
            for kind, seen in _kinds(record)
        ),
        at_most("games broken off", sum(game["broke"] not in ("", "moved") for game in games), 0),
        at_most("games given up", sum(game["broke"] == "moved" for game in games), GAVE_UP * len(games)),
        at_most("rows lost", sum(map(_lost, whole)), 0),
        at_most("rows doubled", sum(map(_doubled, games)), 0),
        at_most("rows not fresh", sum(map(_stale, whole)), 0),
        at_least("fresh games that had to repair", sum(bool(game["due"]) for game in games), fewest // 20),
        told("rows", sum(len(game["throughout"]) for game in whole)),
        told("requests", sum(game["requests"] for game in games)),
        told("changes", sum(game["changes"] for game in games)),
    ]


def _kinds(record: Record) -> list[tuple[str, frozenset[object]]]:
    """Those of the full check; a small one is too short for some of them."""
    return [] if record.is_small else list(KINDS.items())


def _of(games: Sequence[Line], kind: str) -> set[object]:
    return {game[kind] for game in games}


def _lost(game: Line) -> int:
    """How many rows were there throughout and never came."""
    return len(set(game["throughout"]) - set(game["got"]))


def _doubled(game: Line) -> int:
    """How many came twice, whether they were there throughout or not."""
    return sum(times > 1 for times in Counter(game["got"]).values())


def _stale(game: Line) -> int:
    """How many came in an older version than there was when all had been read once."""
    if game["promised"] != "fresh":
        return 0
    due, versions = game["due"], game["versions"]
    return sum(
        versions[row] < due[row] for row in map(str, game["throughout"]) if row in due and row in versions
    )

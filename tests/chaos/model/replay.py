"""Ways through the model, taken again on the real Lua: after each step the store's row is the model's.

The Lua is what ``slots.render`` makes of the table, with the clock replaced by the model's; around it only what reads a
row, takes a step and tells the row after it. A tick is a second. A store that does not answer raises redis.RedisError.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from tests.chaos.model.catalogue import Variant
from tests.chaos.model.rules import Move, Rules, Said
from tests.chaos.model.table import EVER, FIELDS, TIMES, Row, Spans, Table, free, take
from tests.chaos.model.waiting import settled
from worker.erp import slots
from worker.erp.store import source

BEGAN = 1_800_000_000_000
"""A moment of the store's clock."""

TICK = 1000
STEP = """
local args = cjson.decode(ARGV[2])
local row = read(1)
local taken = steps[operation](row, args)
row = read(1)
row.slot = nil
return cjson.encode({taken = taken, row = row})
"""
SETTLE = """
local row = settled(1)
row.slot = nil
return cjson.encode({row = row})
"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a way as it went on the Lua: the rows after it, and whether the whole table's Lua allows it too."""

    said: Said
    model: Mapping[str, Any]
    store: Mapping[str, Any]
    allowed: bool


class Lua:
    """A rendered table in a store, and one slot."""

    def __init__(self, store: redis.Redis, prefix: str, table: Table, text: str = STEP) -> None:
        rendered = slots.render(table)
        assert rendered.count("redis.call('TIME')") == 1
        self.table = table
        self._store = store
        self._prefix = prefix
        clock = f"{{redis.call('GET', '{prefix}now') / 1000, 0}}"
        self._script = store.register_script(rendered.replace("redis.call('TIME')", clock) + text)

    def run(self, name: str, given: Mapping[str, Any], now: int) -> dict[str, Any]:
        """What it answers at a moment."""
        self._store.set(f"{self._prefix}now", now)
        reply: dict[str, Any] = json.loads(self._script(keys=[self._prefix], args=[name, json.dumps(given)]))
        return reply

    def put(self, row: Mapping[str, Any]) -> None:
        """Have the slot be as in this row."""
        self._store.delete(f"{self._prefix}slot:1")
        if row["state"] != "free":
            self._store.hset(f"{self._prefix}slot:1", items=[each for pair in row.items() for each in pair])


def replay(variant: Variant, lua: Lua, whole: Lua, way: Iterable[tuple[str, Move]]) -> Iterator[Step]:
    """A way that was found over a table, on its Lua, and what the whole table's Lua makes of each step."""
    steps = {step.name: step for step in lua.table}
    row, now = free(), BEGAN
    for who, move in way:
        now += TICK if move.told == "passes" else 0
        row = free() if who == "the store" else row
        for said in move.steps:
            given = arguments(variant.spans, said)
            whole.put(row)
            allowed = whole.run(said.name, given, now)["taken"]
            lua.put(row)
            row = take(steps[said.name], row, given, now) or row
            store = lua.run(said.name, given, now)["row"]
            yield Step(said=said, model=row, store=store, allowed=allowed)
        assert relative(variant.spans, row, now) == seen(variant.spans, move.world.row), move.told


class Settling:
    """What the store does to a slot as time passes (``settled`` in license.lua), beside what the search does."""

    def __init__(self, store: redis.Redis, prefix: str, table: Table) -> None:
        self._lua = Lua(store, prefix, table, source("license.lua") + SETTLE)

    def compare(self, rules: Rules, row: Row) -> Mapping[str, Any]:
        """A row of the search, settled by either, both as the search sees them."""
        spans = rules.spans
        self._lua.put(absolute(row))
        found = self._lua.run("", {}, BEGAN)["row"]
        return {"model": seen(spans, settled(rules, row)), "store": relative(spans, found, BEGAN)}


def absolute(row: Row) -> dict[str, Any]:
    """A row of the search as the store would have it at the beginning."""
    told = {name: _absolute(name, value) for name, value in zip(FIELDS, row, strict=True)}
    return free() | told


def _absolute(name: str, value: Any) -> Any:
    if name in TIMES:
        return BEGAN + value * TICK
    if name in EVER or name == "stays":
        return value * TICK
    if name in ("lease", "grant"):
        return f"{name} {value}" if value else ""
    return value


def arguments(spans: Spans, said: Said) -> dict[str, Any]:
    """What a step is given on the store's clock."""
    given = {name: value * TICK for name, value in spans.arguments().items()}
    renew = 0 if said.late else spans.life - spans.lease
    unknown = spans.life + (0 if said.late else spans.queue)
    return {
        **given,
        "renew_ms": renew * TICK,
        "unknown_ms": unknown * TICK,
        "generation": said.generation,
        "lease": f"lease {said.lease}",
        "grant": f"grant {said.grant}",
        "owner": "worker",
        "connection": "default#1",
        "chain": "",
        "long": 0,
        "renewable": 1,
    }


def relative(spans: Spans, row: Mapping[str, Any], now: int) -> dict[str, Any]:
    """A whole row as the search would see it."""
    return {name: _relative(spans, name, row[name], now) for name in FIELDS if _is_seen(spans, name)}


def _relative(spans: Spans, name: str, value: Any, now: int) -> Any:
    if name in EVER:
        return int(bool(value))
    if name in TIMES:
        return max(spans.floor, (value - now) // TICK)
    if name == "stays":
        return value // TICK
    if name in ("lease", "grant"):
        return int(value.rpartition(" ")[2]) if value else 0
    return value


def seen(spans: Spans, row: Row) -> dict[str, Any]:
    """A row of the search, by the names of its fields."""
    return {name: value for name, value in zip(FIELDS, row, strict=True) if _is_seen(spans, name)}


def _is_seen(spans: Spans, name: str) -> bool:
    # The renewal of cookies, which need none, does not grow older in the search.
    return not (spans.stays and name == "renew")

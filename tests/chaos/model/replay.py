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
from worker.erp import slots

PREFIX, KEY = "acuworker:{model}:", "acuworker:{model}:slot:1"
BEGAN = 1_800_000_000_000
"""A moment of the store's clock."""

TICK = 1000
OURS = """
local args = cjson.decode(ARGV[2])
local row = read(1)
local taken = steps[operation](row, args)
row = read(1)
row.slot = nil
return cjson.encode({taken = taken, row = row})
"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a way, as it went on the Lua: the rows after it, and what the whole table's Lua made of it."""

    said: Said
    now: int
    model: Mapping[str, Any]
    store: Mapping[str, Any]
    allowed: bool

    @property
    def agrees(self) -> bool:
        """Whether model and store have come to the same."""
        return self.model == self.store


class Lua:
    """The rendered table in a store."""

    def __init__(self, store: redis.Redis, table: Table) -> None:
        text = slots.render(table)
        assert text.count("redis.call('TIME')") == 1
        clock = "{redis.call('GET', 'model-now') / 1000, 0}"
        self._store = store
        self._script = store.register_script(text.replace("redis.call('TIME')", clock) + OURS)

    def take(self, name: str, given: Mapping[str, Any], now: int) -> tuple[bool, dict[str, Any]]:
        """Whether a step is taken at a moment, and the row after it."""
        self._store.set("model-now", now)
        reply = json.loads(self._script(keys=[PREFIX], args=[name, json.dumps(given)]))
        return reply["taken"], reply["row"]


def replay(
    store: redis.Redis, variant: Variant, rules: Rules, table: Table, way: Iterable[tuple[str, Move]]
) -> Iterator[Step]:
    """A way that was found over ``table``, on its Lua. What the whole table's Lua says of each step is asked first."""
    mutated, whole = Lua(store, table), Lua(store, slots.TRANSITIONS)
    steps = {step.name: step for step in table}
    store.delete(KEY)
    row, now = free(), BEGAN
    for who, move in way:
        if move.told == "passes":
            now += TICK
        if who == "the store":
            store.delete(KEY)
            row = free()
        for said in move.steps:
            given = arguments(variant.spans, said)
            before: Any = store.hgetall(KEY)
            allowed, _ = whole.take(said.name, given, now)
            store.delete(KEY)
            if before:
                store.hset(KEY, mapping=before)
            row = take(steps[said.name], row, given, now) or row
            _, found = mutated.take(said.name, given, now)
            yield Step(said=said, now=now, model=row, store=found, allowed=allowed)
        assert relative(variant.spans, row, now) == seen(variant.spans, move.world.row), move.told


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

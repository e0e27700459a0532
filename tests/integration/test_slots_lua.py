"""The real Lua of the table of slots beside the model: step by step, refusal by refusal, and as time passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.chaos.model.catalogue import Variant
from tests.chaos.model.replay import Lua, Settling, replay
from tests.chaos.model.rules import Chances
from tests.chaos.model.search import search, walked
from tests.chaos.model.table import Spans, without
from tests.store_process import start_store
from worker.erp.slots import TRANSITIONS

PREFIX = "acuworker:{model}:"
TOKENS = Variant(spans=Spans(life=2))
CLOSING = Variant(spans=Spans(life=2), chances=Chances(closes=True))


@pytest.fixture(scope="module")
def store() -> Iterator[redis.Redis]:
    """A store for all ways."""
    with start_store() as url, redis.Redis.from_url(url) as running:
        yield running


def test_every_step_is_taken_by_the_lua_as_by_the_model(store: redis.Redis) -> None:
    """On the shortest way to each step, and after time has passed, the store's row is the model's."""
    rules = TOKENS.rules(TRANSITIONS)
    lua = Lua(store, PREFIX, TRANSITIONS)
    found = search(rules)
    for name, way in found.steps.items():
        steps = list(replay(TOKENS, lua, lua, walked(rules, way, name)))
        assert [(step.store, step.allowed) for step in steps] == [(step.model, True) for step in steps]
    settling = Settling(store, PREFIX, TRANSITIONS)
    compared = [settling.compare(rules, row) for row in found.rows]
    assert [each["store"] for each in compared] == [each["model"] for each in compared]


@pytest.mark.parametrize(
    ("variant", "step", "guard"),
    [
        (TOKENS, "lend", "nobody's"),
        (TOKENS, "opened", "same generation"),
        (TOKENS, "not_opened", "never opened"),
        (TOKENS, "outlived", "nothing at work"),
        (TOKENS, "closed", "same generation"),
        (CLOSING, "given_up", "nothing at work"),
    ],
)
def test_the_lua_refuses_what_a_guard_is_for(
    store: redis.Redis, variant: Variant, step: str, guard: str
) -> None:
    """The step that breaks a promise is taken by the Lua without the guard, and refused by the Lua as it is."""
    table = without(TRANSITIONS, step, guard)
    rules = variant.rules(table)
    way = walked(rules, search(rules).way)
    steps = list(replay(variant, Lua(store, PREFIX, table), Lua(store, PREFIX, TRANSITIONS), way))
    assert [each.store for each in steps] == [each.model for each in steps]
    assert [each.said.name for each in steps if not each.allowed] == [step]

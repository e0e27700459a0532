"""Filters written in Python find what they say: by the worker's reader of filters, the sandbox's own, and a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.filter_model import (
    ENTITIES,
    HOSTILE,
    KEYS,
    MADE,
    TEXTS,
    Kind,
    Node,
    built,
    holds,
    listed,
    moment,
    records,
    value_of,
)
from worker.erp.query import bind
from worker.job import Job

EACH = 1000
"""Filters for each entity: there are five, which makes five thousand, and as many of hostile values."""

ORDERED = ("lt", "le", "gt", "ge")
SEARCHES = ("startswith", "endswith", "contains")
MOST_NESTING = 3

OFFSETS = st.sampled_from(
    [None, UTC, timezone(timedelta(hours=-5, minutes=-30)), timezone(timedelta(hours=3))]
)
NAIVE = st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1))  # noqa: DTZ001
MOMENTS = st.builds(lambda moment, zone: moment.replace(tzinfo=zone), NAIVE, OFFSETS)
NUMBERS = (
    st.decimals(-10000, 10000, places=4)
    | st.integers(-100, 3000)
    | st.floats(-100, 3000).map(lambda number: round(number, 3))
)


def texts_of(known: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Texts that there are, parts of them, and others."""
    some = st.sampled_from(known)
    return some | some.map(str.swapcase) | st.tuples(some, some).map("".join) | st.text(max_size=8)


TAME, WILD = texts_of(TEXTS), texts_of(HOSTILE)


def values(kind: Kind, *, hostile: bool) -> st.SearchStrategy[Any]:
    """Values to compare such a field with."""
    there = st.sampled_from([value for value in MADE[kind.type] if value is not None])
    match kind.type:
        case "String":
            return WILD if hostile else TAME
        case "Boolean":
            return st.booleans()
        case "Int":
            return there | st.integers(-50, 50)
        case "Decimal":
            return there.map(Decimal) | NUMBERS
        case "Guid":
            return there.map(UUID) | st.uuids()
    return there.map(moment) | there.map(lambda raw: moment(raw).date()) | MOMENTS


ALL = {
    (kind.type, hostile): values(kind, hostile=hostile)
    for entity in ENTITIES.values()
    for kind in entity.kinds
    for hostile in (False, True)
}


@st.composite
def expressions(draw: st.DrawFn, entity: str, hostile: bool) -> Node:
    """An expression over an entity's fields."""
    kinds = ENTITIES[entity].kinds

    def node(nesting: int, turned: bool) -> Node:
        how = draw(st.integers(0, 9))
        if nesting and how < 4:
            return ("and" if how % 2 else "or", node(nesting - 1, turned), node(nesting - 1, turned))
        if nesting and how == 4:
            return ("not", node(nesting - 1, True))
        return leaf(kinds[draw(st.integers(0, len(kinds) - 1))], turned)

    def leaf(kind: Kind, turned: bool) -> Node:
        some = ALL[kind.type, hostile]
        words = ["eq", "ne", "in", "is"]
        words += ORDERED if kind.type not in ("Boolean", "Guid") else ()
        words += SEARCHES if kind.type == "String" and not turned else ()
        match word := draw(st.sampled_from(words)):
            case "in":
                return ("in", kind, draw(st.lists(some | st.none(), min_size=1, max_size=3)))
            case "is":
                return (draw(st.sampled_from(["eq", "ne"])), kind, None)
        return (word, kind, draw(some))

    return node(MOST_NESTING, False)


def check(entity: str, node: Node) -> None:
    """The filter finds exactly the records that the model says, written either way."""
    condition = built(node)
    job = Job(entity=entity, filter=condition.text, params=condition.params)
    text = bind(str(job.filter), Job.parse(job.wire()).params)
    assert bind(str(condition), {}) == text
    found = listed(entity, {"$filter": text, "$select": KEYS[entity][-1]})
    expected = [row["id"] for row in records(entity) if holds(node, row)]
    assert [row["id"] for row in found] == expected, text


@pytest.mark.parametrize("entity", ENTITIES)
@settings(max_examples=EACH, deadline=None)
@given(data=st.data())
def test_a_filter_finds_what_it_says(entity: str, data: st.DataObject) -> None:
    """Builder, text, the worker's reader, the sandbox's: the rows are those of a model that shares none of them."""
    check(entity, data.draw(expressions(entity, False)))


@pytest.mark.parametrize("entity", ENTITIES)
@settings(max_examples=EACH, deadline=None)
@given(data=st.data())
def test_hostile_values_stay_values(entity: str, data: st.DataObject) -> None:
    """Quotes, percent signs, control characters and OData's own words find the records that hold them, and no more."""
    check(entity, data.draw(expressions(entity, True)))


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_records_are_worth_asking_for(entity: str) -> None:
    """Fields have a value in some records and none in others, but for keys and stamps: no filter is right by chance."""
    always = (*KEYS[entity], "LastModified", "LastModifiedDateTime")
    for kind in ENTITIES[entity].kinds:
        empty = {value_of(row, kind) is None for row in records(entity)}
        assert empty == ({False} if kind.path[-1] in always else {True, False}), kind

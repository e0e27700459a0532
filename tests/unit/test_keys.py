"""Filters over keys: what they find, as the sandbox's own parser and database read them, beside a model in Python.

The collation of these tests is binary, so that Python's order of strings is the database's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.collation import COLLATIONS
from deploy.sandbox.filters import Comparison, Literal, parse
from deploy.sandbox.instance import Instance, Variants
from deploy.sandbox.ordering import Ordering
from tests.erp_desk import instance_of
from worker.erp import keys

PAIR = ("OrderType", "OrderNbr")
BINARY = Variants(ordering=Ordering(collation=COLLATIONS["binary"]))

text = st.text(st.sampled_from("aAbZ09'%- \"/\\&?#+=()é\U0001f600"), min_size=1, max_size=4).filter(
    # The ERP trims what it shows, and has no empty key.
    lambda value: value == value.strip()
)
pairs = st.lists(st.tuples(text, text), unique=True, max_size=8)

Key = tuple[str, str]


def orders_of(found: Sequence[Key]) -> Instance:
    """An instance with orders of these keys."""
    return instance_of(
        "SalesOrder", ({"OrderType": kind, "OrderNbr": number} for kind, number in found), BINARY
    )


def found_by(instance: Instance, rendered: str) -> list[Key]:
    """The keys of the orders that a filter finds, in the ERP's order."""
    ids = instance.list("SalesOrder", {"$filter": rendered, "$select": "OrderNbr"}).ids
    named = (instance.keys_of("SalesOrder", each) for each in ids)
    return [(key["OrderType"], key["OrderNbr"]) for key in named]


@settings(max_examples=60, deadline=None)
@given(rows=pairs, anchor=st.tuples(text, text))
@pytest.mark.parametrize(
    ("render", "holds"),
    [
        (keys.from_on, lambda row, anchor: row >= anchor),
        (keys.up_to, lambda row, anchor: row <= anchor),
        (keys.equal, lambda row, anchor: row == anchor),
    ],
)
def test_a_filter_over_two_keys_finds_what_tuples_do(
    render: Callable[[Sequence[str], Sequence[str]], str],
    holds: Callable[[Key, Key], bool],
    rows: list[Key],
    anchor: Key,
) -> None:
    """From an anchor on, up to it, or itself: the order of two keys is that of a tuple, whatever is in them."""
    rows = [*rows, anchor] if anchor not in rows else rows
    wanted = sorted(row for row in rows if holds(row, anchor))
    assert found_by(orders_of(rows), render(PAIR, anchor)) == wanted


@settings(max_examples=60, deadline=None)
@given(rows=pairs, groups=st.lists(text, min_size=1, max_size=3, unique=True))
def test_groups_that_are_behind_are_left_out(rows: list[Key], groups: list[str]) -> None:
    """What is left are the rows of no known group."""
    rendered = keys.of_none(PAIR[:1], [(each,) for each in groups])
    assert found_by(orders_of(rows), rendered) == sorted(row for row in rows if row[0] not in groups)


@settings(max_examples=60, deadline=None)
@given(rows=pairs, groups=st.lists(st.tuples(text, text), min_size=1, max_size=3, unique=True))
def test_a_group_of_two_keys_is_left_out_as_a_whole(rows: list[Key], groups: list[Key]) -> None:
    """A row is of a group only where all of its keys are the group's."""
    rendered = keys.of_none(PAIR, groups)
    assert found_by(orders_of(rows), rendered) == sorted(set(rows) - set(groups))


@settings(max_examples=60, deadline=None)
@given(rows=pairs, low=st.tuples(text, text), high=st.tuples(text, text), kind=text)
def test_filters_that_are_put_together_keep_their_sense(
    rows: list[Key], low: Key, high: Key, kind: str
) -> None:
    """An ``or`` inside one of them does not reach into the others."""
    own = f"OrderType eq {keys.literal(kind)} or OrderNbr eq {keys.literal(low[1])}"
    rendered = keys.both(own, keys.from_on(PAIR, low), None, keys.up_to(PAIR, high), "")
    wanted = [row for row in rows if low <= row <= high and (row[0] == kind or row[1] == low[1])]
    assert found_by(orders_of(rows), rendered) == sorted(wanted)


@given(value=st.text(max_size=20) | st.integers(-(10**12), 10**12))
def test_a_literal_is_one_literal_and_the_value_itself(value: str | int) -> None:
    """Whatever a key holds, it ends where its literal ends, and nothing of it becomes syntax."""
    read = parse(f"Key eq {keys.literal(value)}")
    assert isinstance(read, Comparison)
    assert read.literal == Literal("Edm.String" if isinstance(value, str) else "Edm.Int32", value)


@pytest.mark.parametrize(
    ("rendered", "wanted"),
    [
        (keys.from_on(("ID",), ("A'B",)), "ID ge 'A''B'"),
        (keys.from_on(("ID",), (7,)), "ID ge 7"),
        (keys.from_on(PAIR, ("SO", "1")), "(OrderType eq 'SO' and OrderNbr ge '1') or OrderType gt 'SO'"),
        (keys.up_to(PAIR, ("SO", "1")), "(OrderType eq 'SO' and OrderNbr le '1') or OrderType lt 'SO'"),
        (keys.of_none(("T",), [("A",), ("B",)]), "(T ne 'A') and (T ne 'B')"),
        (keys.of_none(("T",), []), ""),
        (keys.both(), ""),
        (keys.both(None, "", "A eq 1"), "A eq 1"),
        (keys.both("A eq 1 or B eq 2", "C eq 3"), "(A eq 1 or B eq 2) and (C eq 3)"),
    ],
)
def test_how_filters_are_written(rendered: str, wanted: str) -> None:
    """As the vendor's guide writes them, with no more parentheses than they need."""
    assert rendered == wanted


def test_three_keys_are_compared_one_after_the_other() -> None:
    """Each key counts where those before it are equal."""
    assert keys.from_on(("A", "B", "C"), ("1", "2", "3")) == (
        "(A eq '1' and B eq '2' and C ge '3') or (A eq '1' and B gt '2') or A gt '1'"
    )

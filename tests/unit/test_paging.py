"""Decisions of paging, as values: what to ask after a cursor, how a page joins, what a cursor keeps."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.page import Cursor, Query, Record
from worker.paging import (
    KEPT_BY_KEY,
    KEPT_BY_PLACE,
    Join,
    Listed,
    Marks,
    Stretch,
    after_group,
    by_place,
    goes_by_key,
    join,
    key_of,
    mark,
    of_one_group,
    stretch,
)

ORDERS = Query(entity="SalesOrder", key_fields=("OrderType", "OrderNbr"), filter="Status eq 'Open'")
PAYMENTS = Query(entity="Payment", key_fields=("Type", "ReferenceNbr"), combos=("Type",))
FIELDS = ("OrderType", "OrderNbr")


def order(number: int, kind: str = "SO") -> Record:
    """An order as the ERP writes it."""
    return {"id": f"id-{number}", "OrderType": {"value": kind}, "OrderNbr": {"value": f"{number:06}"}}


def cursor(**more: Any) -> Cursor:
    """A cursor of a list in batches."""
    return Cursor(strategy="batches", **more)


@pytest.mark.parametrize(
    ("count", "last", "from_anchor", "how"),
    [
        (3, 0, True, Join.NEW),
        (3, 1, False, Join.NEW),
        (1, 0, True, Join.END),
        (1, 0, False, Join.END),
        (3, 2, False, Join.PASSED),
        (3, 1, True, Join.ASTRAY),
        (3, 2, True, Join.ASTRAY),
        (3, None, True, Join.APART),
        (0, None, False, Join.APART),
    ],
)
def test_how_a_page_joins(count: int, last: int | None, from_anchor: bool, how: Join) -> None:
    """What follows the last row that was passed is new; a page without any such row proves nothing."""
    assert join(count, last, from_anchor=from_anchor) is how


def test_a_list_begins_with_the_jobs_own_filter() -> None:
    """Before anything was passed there is nothing to overlap with."""
    assert stretch(ORDERS, cursor()) == Stretch(filter="Status eq 'Open'", skip=0, overlap=0)


def test_a_list_goes_on_from_its_anchor_and_keeps_the_jobs_filter_whole() -> None:
    """The job's filter is put in parentheses before the key is added, so that an ``or`` in it stays its own."""
    asked = stretch(ORDERS, cursor(passed=1, anchor=("SO", "000001")))
    on = "(OrderType eq 'SO' and OrderNbr ge '000001') or OrderType gt 'SO'"
    assert asked == Stretch(filter=f"(Status eq 'Open') and ({on})", skip=0, overlap=1)


def test_a_fence_ends_the_list_at_its_key() -> None:
    """What comes after the fence is not asked for."""
    query = Query(entity="StockItem", key_fields=("InventoryID",))
    asked = stretch(query, cursor(passed=1, anchor=("A",), fence=("Z",)))
    assert asked.filter == "(InventoryID ge 'A') and (InventoryID le 'Z')"


def test_a_combo_is_fixed_and_never_compared() -> None:
    """Within a group its label is equal; the next group is one that is none of those behind."""
    within = stretch(PAYMENTS, cursor(passed=1, anchor=("Payment", "000001")))
    assert within.filter == "(Type eq 'Payment') and (ReferenceNbr ge '000001')"
    after = after_group(PAYMENTS, cursor(passed=1, anchor=("Payment", "000001"), fence=("Payment", "9")))
    assert (after.anchor, after.fence, after.done, after.over) == ((), (), (("Payment",),), False)
    assert stretch(PAYMENTS, after) == Stretch(filter="Type ne 'Payment'", skip=0, overlap=0)


def test_after_its_last_row_a_list_without_groups_is_over() -> None:
    """Where there are no combos there is one group."""
    assert after_group(ORDERS, cursor(passed=1, anchor=("SO", "1"))).over


def test_by_places_a_list_goes_on_from_the_place_of_the_last_row() -> None:
    """No key is in its filter, and its first row is one that was passed."""
    moved = by_place(cursor(passed=7, anchor=("SO", "000007"), fence=("SO", "9")))
    assert (moved.at, moved.fence) == (6, ())
    assert stretch(ORDERS, moved) == Stretch(filter="Status eq 'Open'", skip=6, overlap=1)


@given(size=st.integers(1, 50), overlap=st.integers(0, 1), skip=st.integers(0, 50), pages=st.integers(1, 6))
def test_pages_ahead_overlap_by_one_row_each(size: int, overlap: int, skip: int, pages: int) -> None:
    """On rows that do not move, each page begins with the last row of the one before, and none is left out."""
    asked = Stretch(filter="", skip=skip, overlap=overlap)
    spans = [asked.page(ahead, size) for ahead in range(pages)]
    assert spans[0] == (skip, size + overlap)
    for (first, top), (second, _) in itertools.pairwise(spans):
        assert second == first + top - 1


@pytest.mark.parametrize(
    ("key_fields", "combos", "at", "is_so"),
    [
        (("A", "B"), (), None, True),
        (("A", "B"), ("A",), None, True),
        (("A", "B"), ("A", "B"), None, False),
        (("A", "B"), ("B",), None, False),
        ((), (), None, False),
        (("A",), (), 3, False),
    ],
)
def test_when_a_list_goes_by_keys(
    key_fields: tuple[str, ...], combos: tuple[str, ...], at: int | None, is_so: bool
) -> None:
    """Keys are compared where they are known and something is left of them when the leading combos are fixed."""
    query = Query(entity="E", key_fields=key_fields, combos=combos)
    assert goes_by_key(query, cursor(at=at)) is is_so


def test_rows_up_to_another_group() -> None:
    """The first page of a group ends where the next group begins, which may come again later."""
    keys = [(kind, "1") for kind in "AABA"]
    assert of_one_group(keys, 1) == 2
    assert of_one_group(keys[:2], 1) == 2


@pytest.mark.parametrize("value", [{}, {"value": ""}, {"value": None}, {"value": 1.5}, 5, None])
def test_a_row_without_a_whole_key_has_none(value: object) -> None:
    """A key of which a part is missing names nothing; such a row is known again by its id."""
    row = {**order(1), "OrderNbr": value}
    assert key_of(row, FIELDS) == ()
    assert mark(row, FIELDS) == mark({"id": "id-1"}, ()) != mark(order(1), FIELDS)


def test_marks_tell_keys_apart_that_read_alike() -> None:
    """What a row is known by depends on its values and on where one ends."""
    rows = [order(1, kind) for kind in ("SO", "so", "S", "é")]
    assert len({mark(row, FIELDS) for row in rows}) == len(rows)
    assert mark(order(1), FIELDS) == mark({**order(1), "id": "another"}, FIELDS)


@given(count=st.integers(0, 30), size=st.integers(1, 10), more=st.integers(0, 10))
def test_the_rows_that_were_passed_last_are_known(count: int, size: int, more: int) -> None:
    """So many are remembered, the newest; among other rows the last of them is found."""
    marks = Marks(size, [])
    passed = [order(number) for number in range(count)]
    known = [mark(row, FIELDS) for row in passed]
    marks.add(known)
    ahead = [mark(order(count + number), FIELDS) for number in range(more)]
    assert len(marks) == min(count, size)
    assert marks.last_in([*known, *ahead]) == (count - 1 if count else None)
    assert marks.last_in(known[: max(0, count - size)] + ahead) is None


@given(count=st.integers(1, 700), taken=st.integers(0, 700), by_key=st.booleans())
def test_a_cursor_after_any_row_of_a_page(count: int, taken: int, by_key: bool) -> None:
    """It names the last row that was taken, and keeps what is needed to know that row and some before it again."""
    taken = min(taken, count)
    before = cursor(passed=5, recent=("older",), at=None if by_key else 4)
    rows = [order(number) for number in range(count)]
    marks = [mark(row, FIELDS) for row in rows]
    listed = Listed(
        rows=rows, named=rows, marks=marks, before=before, at=None if by_key else 5, query=ORDERS, clock=None
    )
    after = listed.cursor(taken)
    if not taken:
        assert after == before
        return
    assert (after.passed, after.anchor, after.over) == (5 + taken, key_of(rows[taken - 1], FIELDS), False)
    assert after.at == (None if by_key else 4 + taken)
    assert after.recent[-1] == mark(rows[taken - 1], FIELDS)
    assert len(after.recent) == min(taken + 1, KEPT_BY_KEY if by_key else KEPT_BY_PLACE)


def test_at_the_jobs_limit_a_cursor_is_over() -> None:
    """Nobody goes on after as many rows as the job wants."""
    query = Query(entity="SalesOrder", key_fields=FIELDS, limit=3)
    rows, marks = [order(number) for number in range(3)], ("a", "b", "c")
    listed = Listed(rows=rows, named=rows, marks=marks, before=cursor(), at=None, query=query, clock=None)
    assert [listed.cursor(count).over for count in (1, 2, 3)] == [False, False, True]

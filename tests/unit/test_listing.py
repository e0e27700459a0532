"""Reading a list whose rows come and go between two requests, on the sandbox's data in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from deploy.sandbox.instance import Instance, Variants
from deploy.sandbox.ordering import Ordering
from tests.erp_desk import Desk, instance_of, names, orders, query_of
from worker import listing
from worker.erp.client import Rows
from worker.errors import ErpFault, ListMoved
from worker.listing import Listing
from worker.page import Cursor, Query, Record
from worker.strategies import batches, by_key

ORDERS = query_of("SalesOrder")
PLACES = replace(ORDERS, key_fields=())
PAYMENTS = query_of("Payment")
BEGIN = Cursor(strategy="batches")

Change = Callable[[Instance], object]


class Scripted(Desk):
    """A desk at which certain things happen before its so-manyth request, counted from 1."""

    def __init__(self, instance: Instance, script: Mapping[int, Change], seats: int = 1) -> None:
        super().__init__(instance, seats, self._act)
        self._script = script

    def _act(self) -> None:
        if change := self._script.get(len(self.asked)):
            change(self.instance)


def scripted(count: int, script: Mapping[int, Change], seats: int = 1, **fields: object) -> Scripted:
    """Such a desk with so many orders."""
    return Scripted(instance_of("SalesOrder", orders(count, **fields)), script, seats)


def gone(*keys: int | str) -> Change:
    """These orders are deleted."""

    def delete(instance: Instance) -> None:
        for key in keys:
            name = key if isinstance(key, str) else f"{key:06}"
            instance.delete("SalesOrder", instance.id_of("SalesOrder", ("SO", name)))

    return delete


def new(*keys: str) -> Change:
    """These orders are there now."""

    def insert(instance: Instance) -> None:
        for key in keys:
            instance.insert("SalesOrder", {"OrderType": "SO", "OrderNbr": key})

    return insert


def read(desk: Desk, query: Query, size: int = 2, cursor: Cursor = BEGIN) -> tuple[list[str], Cursor]:
    """The names of all rows of a list, and the cursor after the last."""
    found: list[Record] = []
    for listed in Listing(desk.erp, query, size, cursor, desk.seats):
        found += listed.rows
        cursor = listed.cursor(len(listed.rows))
    return names(found, query_of(query.entity).key_fields[-1]), cursor


def numbered(*numbers: int) -> list[str]:
    """The names of these orders."""
    return [f"{number:06}" for number in numbers]


def goes_by_place(cursor: Cursor) -> bool:
    """Whether the list went by places at last."""
    return cursor.at is not None


def test_rows_that_go_before_the_anchor_shift_nothing() -> None:
    """By keys a list goes on after the anchor, wherever that is now."""
    desk = scripted(8, {2: gone(1), 3: gone(2, 3)})
    found, cursor = read(desk, ORDERS)
    assert (found, goes_by_place(cursor)) == (numbered(*range(1, 9)), False)


def test_an_anchor_that_is_gone_is_looked_for_once() -> None:
    """What comes after it is new; one look makes sure that the ERP does find what it has."""
    desk = scripted(8, {3: gone(4)})
    found, cursor = read(desk, ORDERS)
    assert (found, goes_by_place(cursor)) == (numbered(*range(1, 9)), False)
    assert len(desk.asked) == 4 + 1 + 1
    assert desk.lists[3].filter == "OrderType eq 'SO' and OrderNbr eq '000004'"


def test_an_anchor_that_is_gone_at_once_proves_nothing() -> None:
    """Nobody has seen yet that the ERP finds rows by their keys: such a list goes by places, and loses nothing."""
    found, cursor = read(scripted(8, {2: gone(2)}), ORDERS)
    assert (found, goes_by_place(cursor)) == (numbered(*range(1, 9)), True)


class Blind(Scripted):
    """A view that finds nothing by key, and does not say so."""

    def rows(self, query: Query, *, top: int | None = None, skip: int = 0) -> Rows:
        """As the client's."""
        found = super().rows(query, top=top, skip=skip)
        return Rows(records=[], clock=found.clock) if "OrderNbr" in (query.filter or "") else found


@pytest.mark.parametrize("filter_", [None, "CustomerID eq 'C1'"])
@pytest.mark.parametrize("seats", [1, 4])
def test_a_view_that_finds_nothing_by_key_is_read_by_places(filter_: str | None, seats: int) -> None:
    """That the anchor cannot be found does not mean that it is gone, nor that the list is over."""
    desk = Blind(instance_of("SalesOrder", orders(9, CustomerID="C1")), {}, seats)
    found, cursor = read(desk, replace(ORDERS, filter=filter_))
    assert (found, goes_by_place(cursor)) == (numbered(*range(1, 10)), True)


def test_a_filter_that_does_not_go_with_keys_is_read_by_places() -> None:
    """Some views answer an empty list to a filter over fields of two of them (reported)."""
    instance = instance_of("SalesOrder", orders(9, LocationID="L"), Variants(match_across_views=False))
    found, cursor = read(Desk(instance), replace(ORDERS, filter="LocationID eq 'L'"))
    assert (found, goes_by_place(cursor)) == (numbered(*range(1, 10)), True)


def kinds(*types: str) -> list[dict[str, object]]:
    """Two payments of each of these types."""
    return [{"Type": kind, "ReferenceNbr": f"{kind[0]}{n}"} for kind in types for n in (1, 2)]


TYPES = ("Balance WO", "Payment", "Voided Payment")
BY_CODE = ["P1", "P2", "V1", "V2", "B1", "B2"]


@pytest.mark.parametrize("compare", ["code", "label"])
@pytest.mark.parametrize("seats", [1, 4])
def test_a_combo_may_be_ordered_by_what_nobody_sees(compare: Any, seats: int) -> None:
    """Payments are in the order of a code that is never shown; each group of them is read by keys, in any order."""
    variants = Variants(ordering=Ordering(combo_order="code", combo_compare=compare))
    desk = Desk(instance_of("Payment", kinds(*TYPES), variants), seats)
    found, cursor = read(desk, PAYMENTS)
    assert (found, goes_by_place(cursor)) == (BY_CODE, False)
    # How a group begins is known before anything is asked for that is to follow.
    assert {each.skip for each in desk.lists if " ne " in each.filter} == {0}


def test_a_comparison_that_goes_astray_is_seen() -> None:
    """Where rows that were passed come after the anchor, keys are not compared any more."""
    variants = Variants(ordering=Ordering(combo_order="code", combo_compare="label"))
    instance = instance_of("Payment", kinds("Balance WO", "Payment"), variants)
    found, cursor = read(Desk(instance), replace(PAYMENTS, combos=()), size=3)
    assert (found, goes_by_place(cursor)) == (["P1", "P2", "B1", "B2"], True)


def test_a_short_list_of_several_groups_costs_two_requests() -> None:
    """That it is all that there is, is seen at once and not for each group."""
    desk = Desk(instance_of("Payment", kinds(*TYPES)))
    assert (read(desk, PAYMENTS, size=10)[0], len(desk.asked)) == (BY_CODE, 2)


@pytest.mark.parametrize("seats", [2, 5])
def test_rows_that_come_before_a_page_ahead_double_nothing(seats: int) -> None:
    """A page that was asked for by its place is not taken where it does not join; the list stays with its keys."""
    script = {number: new(*(f"0000{number:02}{n}" for n in range(3))) for number in (3, 5, 8)}
    found, cursor = read(scripted(20, script, seats), ORDERS)
    assert sorted(set(found)) == sorted(found)
    assert set(numbered(*range(1, 21))) <= set(found)
    assert not goes_by_place(cursor)


def test_rows_that_come_before_the_anchor_lead_nobody_back() -> None:
    """A page ahead that ends among new rows before the anchor is not taken for what comes after it."""

    def move() -> None:
        # The third page from the second order on: when its turn comes, the fourth order is the anchor.
        if coming and (desk.asked[-1].skip == 2 or len(coming) == 1):
            new(*coming.pop(0))(instance)

    coming = [("0000025", "0000035"), tuple(f"000003{n}" for n in range(5))]
    instance = instance_of("SalesOrder", orders(12))
    desk = Desk(instance, 3, move)
    found, cursor = read(desk, ORDERS, size=1)
    assert [name for name in found if len(name) == 6] == numbered(*range(1, 13))
    assert (coming, goes_by_place(cursor)) == ([], False)


def test_by_places_rows_that_go_are_followed_back() -> None:
    """What has shifted is found again by a row that was passed, and nothing between is left out."""
    found, cursor = read(scripted(12, {3: gone(1, 2, 3)}), PLACES)
    assert (found, goes_by_place(cursor)) == (numbered(*range(1, 13)), True)


def test_by_places_rows_that_come_double_nothing() -> None:
    """Rows that were passed are known again, however far they have moved; what came before them may come or not."""
    found, _ = read(scripted(9, {3: new(*(f"00000{n}x" for n in range(1, 4)))}), PLACES)
    assert [name for name in found if "x" not in name] == numbered(*range(1, 10))


def test_where_all_that_was_passed_is_gone_the_rest_is_new() -> None:
    """A list that still remembers all that it has passed begins anew."""
    found, _ = read(scripted(8, {3: gone(1, 2, 3, 4)}), PLACES)
    assert found == numbered(*range(1, 9))


def test_a_row_that_hid_from_the_search_is_not_doubled() -> None:
    """While it is looked for, rows may come before it and go again: then it is there when the list begins anew."""
    some = ("0000001", "0000002", "0000003")
    found, _ = read(scripted(8, {3: gone(2, 3, 4), 5: new(*some), 6: gone(*some)}), PLACES)
    assert found == numbered(*range(1, 9))


def test_nobody_goes_on_from_nowhere() -> None:
    """Where none is left of the rows that are remembered, and there were more, the list says that it is lost."""
    desk = scripted(6, {1: gone(4)})
    lost = replace(BEGIN, passed=4, at=3, recent=("unknown",))
    with pytest.raises(ListMoved, match="nobody knows where to go on"):
        read(desk, PLACES, cursor=lost)


@pytest.fixture
def soon_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fences are put up after three pages."""
    monkeypatch.setattr(listing, "FENCE_PAGES", 3)


def chased(count: int, seats: int = 1) -> Desk:
    """A desk with so many orders, to whose end as many are added with each request as fit on a page."""
    instance = instance_of("SalesOrder", orders(count))
    numbers = iter(range(count + 1, 10**6))
    return Desk(instance, seats, lambda: new(*(f"{next(numbers):06}" for _ in range(2)))(instance))


@pytest.mark.usefixtures("soon_fenced")
@pytest.mark.parametrize("seats", [1, 4])
def test_a_list_that_is_chased_ends(seats: int) -> None:
    """Rows that are added at its end as fast as it is read do not keep it going."""
    desk = chased(20, seats)
    found, cursor = read(desk, ORDERS)
    assert set(numbered(*range(1, 21))) <= set(found)
    assert (cursor.fence != (), goes_by_place(cursor)) == (True, False)


@pytest.mark.usefixtures("soon_fenced")
def test_a_fence_is_put_up_by_those_who_go_on_as_well() -> None:
    """A job of many short slices is not chased for ever: the pages of all of them count."""
    desk, cursor, found = chased(20), BEGIN, list[str]()
    for _ in range(300):
        listed = next(iter(Listing(desk.erp, ORDERS, 2, cursor, width=1)), None)
        if listed is None:
            break
        found += names(listed.rows)
        cursor = listed.cursor(len(listed.rows))
    assert cursor.fence
    assert listed is None
    assert set(numbered(*range(1, 21))) <= set(found)


@pytest.mark.usefixtures("soon_fenced")
@pytest.mark.parametrize("count", range(6, 16))
def test_a_fence_is_the_last_row(count: int) -> None:
    """It is found by looks at two rows each, twice the logarithm of the list's length at most."""
    desk = scripted(count, {})
    found, cursor = read(desk, ORDERS)
    assert found == numbered(*range(1, count + 1))
    assert cursor.fence == ("SO", f"{count:06}")
    assert len([each for each in desk.lists if each.skip]) <= 8


@pytest.mark.usefixtures("soon_fenced")
def test_where_nothing_is_left_there_is_no_fence() -> None:
    """If all rows from the anchor on go while the end is looked for, nobody looks for long."""
    desk = scripted(6, {4: gone(5, 6)})
    found, cursor = read(desk, ORDERS)
    assert (found, cursor.fence) == (numbered(*range(1, 7)), ())
    assert len(desk.asked) < 10


def test_pages_on_their_way_are_as_many_as_there_are_sessions() -> None:
    """Three sessions ask for three pages at once, from the anchor that is sure; a long list has one more waiting."""
    for count, skipped in ((18, {0, 2, 4}), (40, {0, 2, 4, 6})):
        desk = scripted(count, {}, seats=3)
        assert read(desk, ORDERS)[0] == numbered(*range(1, count + 1))
        assert {each.skip for each in desk.lists} == skipped


def test_once_a_slice_is_over_nothing_more_is_asked_for_ahead() -> None:
    """What is on its way is used first, and each page says how many there are, so that no request is thrown away."""
    desk = scripted(30, {}, seats=3)
    listing_ = iter(Listing(desk.erp, ORDERS, 2, Cursor(strategy="batches"), 3))
    coming = [next(listing_).coming for _ in range(3)]
    desk.looks_ahead = False
    left = [next(listing_).coming for _ in range(coming[-1])]
    asked = len(desk.asked)
    listing_.close()
    assert (coming[-1], left) == (3, [2, 1, 0])
    assert len(desk.asked) == asked == 6


def test_heavy_pages_are_not_held_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in memory is bounded in bytes: where one page is as much, one is asked for at a time."""
    monkeypatch.setattr(listing, "AHEAD_BYTES", 1)
    desk = scripted(10, {}, seats=5)
    assert read(desk, ORDERS)[0] == numbered(*range(1, 11))
    assert {each.skip for each in desk.lists} == {0}


def fail(_: Instance) -> None:
    """As an ERP that breaks down."""
    raise ErpFault("the ERP failed")


def alive() -> list[threading.Thread]:
    """The threads that ask ahead."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize("seats", [1, 5])
def test_a_page_ahead_that_fails_fails_in_its_turn(seats: int) -> None:
    """Pages before it come first, and nothing is left running."""
    found: list[str] = []
    with pytest.raises(ErpFault) as caught:
        found.extend(
            name
            for page in batches(scripted(20, {4: fail}, seats).erp, replace(ORDERS, page_size=2))
            for name in names(page.records)
        )
    assert (found == numbered(*range(1, len(found) + 1)), alive()) == (True, [])
    assert len(found) <= 6
    assert caught.value.code


@pytest.mark.parametrize("way", [batches, by_key])
def test_who_stops_in_the_middle_leaves_nothing_running(way: Any) -> None:
    """No thread outlives the generator that it works for."""
    with closing(way(scripted(40, {}, 4).erp, replace(ORDERS, page_size=2))) as pages:
        next(pages)
        assert alive()
    assert alive() == []


def test_a_record_that_fails_leaves_nothing_running() -> None:
    """Neither who reads records nor who lists their keys, though somebody keeps the exception."""

    def fail_at_the_third() -> None:
        if desk.asked[-1].keys == ("SO", "000003"):
            raise ErpFault("the ERP failed")

    desk = Desk(instance_of("SalesOrder", orders(40)), 4, fail_at_the_third)
    with pytest.raises(ErpFault) as kept:
        list(by_key(desk.erp, replace(ORDERS, page_size=2)))
    assert (kept.value.message, alive()) == ("the ERP failed", [])

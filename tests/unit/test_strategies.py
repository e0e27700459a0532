"""Strategies turn a query into requests and pages; the sandbox's data, in this process, answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.instance import Instance, Variants
from tests.erp_desk import THEN, Desk, instance_of, names, orders, query_of
from worker.ahead import READY
from worker.erp.client import Erp
from worker.errors import ErpFault, NotOptimizable
from worker.job import Consistency, OnOptimizationError
from worker.listing import LONG_PAGES
from worker.page import Cursor, Page, Query
from worker.strategies import BATCH, KEY_BATCH, batches, by_key, one, repaired, unless_optimized

Way = Callable[[Erp, Query], Iterator[Page]]

ORDERS = query_of("SalesOrder")
PAYMENTS = query_of(
    "Payment",
    select=("Type", "ReferenceNbr", "Status", "ApplicationHistory/DisplayRefNbr"),
    expand=("ApplicationHistory",),
)
CAUSE = "ApplicationHistory.DisplayRefNbr: View Adjustments_History has BQL delegate"


def payments(count: int) -> list[dict[str, object]]:
    """So many payments, numbered from 1."""
    return [{"Type": "Payment", "ReferenceNbr": f"{n:06}", "Status": "Open"} for n in range(1, count + 1)]


def desk_with(count: int, seats: int = 1) -> Desk:
    """A desk with so many orders."""
    return Desk(instance_of("SalesOrder", orders(count)), seats)


def numbers(pages: Sequence[Page]) -> list[int]:
    """The numbers of all records, in the order in which they came."""
    return [int(name) for page in pages for name in names(page.records)]


def pages_of(desk: Desk, query: Query, way: Way = batches) -> list[Page]:
    """All pages of a query, by a handler's way."""
    return list(unless_optimized(desk.erp, query, partial(way, desk.erp)))


def test_one_asks_once_for_a_list() -> None:
    """The whole list is one request and one page, up to the job's limit."""
    desk = desk_with(9)
    (page,) = one(desk.erp, replace(ORDERS, limit=4))
    assert (numbers([page]), page.cursor) == ([1, 2, 3, 4], Cursor(strategy="one", passed=4, over=True))
    assert [(each.top, each.skip) for each in desk.lists] == [(4, 0)]


def test_one_reads_the_record_that_keys_name() -> None:
    """With keys there is no list at all."""
    desk = desk_with(9)
    (page,) = one(desk.erp, replace(ORDERS, keys=("SO", "000007")))
    assert (numbers([page]), desk.read, desk.lists) == ([7], ["SO/000007"], [])


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 40),
    size=st.integers(1, 12),
    limit=st.none() | st.integers(1, 45),
    seats=st.integers(1, 5),
    way=st.sampled_from([batches, by_key]),
    known=st.booleans(),
)
def test_a_list_is_the_whole_list(
    count: int, size: int, limit: int | None, seats: int, way: Way, known: bool
) -> None:
    """Whatever the sizes and however many sessions, every record comes once and in order, and the limit is exact."""
    query = replace(ORDERS, page_size=size, limit=limit, key_fields=ORDERS.key_fields if known else ())
    pages = list(way(desk_with(count, seats).erp, query))
    wanted = count if limit is None else min(count, limit)
    assert numbers(pages) == list(range(1, wanted + 1))
    assert [page.cursor.passed for page in pages] == [min(end, wanted) for end in _ends(wanted, size)]


def _ends(wanted: int, size: int) -> list[int]:
    return list(range(size, wanted + size, size)) or [0]


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 40), size=st.integers(1, 12))
def test_one_session_wastes_a_request_at_most(count: int, size: int) -> None:
    """So many pages cost one request more, which sees the end, and a long list a few; an empty list costs one."""
    desk = desk_with(count)
    pages = list(batches(desk.erp, replace(ORDERS, page_size=size)))
    in_vain = 2 + READY if count >= LONG_PAGES * size else 1
    assert len(pages) <= len(desk.asked) <= (len(pages) + in_vain if count else 1)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 30),
    size=st.integers(1, 8),
    limit=st.integers(1, 35),
    way=st.sampled_from([batches, by_key]),
)
def test_nothing_is_asked_for_beyond_the_limit(count: int, size: int, limit: int, way: Way) -> None:
    """No request with five sessions goes for a row that the job does not want, and the last page asks for no end."""
    desk = desk_with(count, seats=5)
    list(way(desk.erp, replace(ORDERS, page_size=size, limit=limit)))
    assert all(each.top is not None and each.skip + each.top <= limit + 1 for each in desk.lists)
    if count >= limit:
        assert len(desk.lists) == (-(-limit // size) if way is batches else 1)


@pytest.mark.parametrize("way", [batches, by_key])
def test_an_empty_list_is_one_empty_page(way: Any) -> None:
    """A list without records still says that it was read, and how."""
    (page,) = way(desk_with(0).erp, ORDERS)
    assert (list(page.records), page.cursor) == ([], Cursor(strategy=way.__name__, passed=0, over=True))


def test_by_key_lists_keys_alone_and_reads_whole_records() -> None:
    """The list asks for nothing that could fail to optimize; each record is then read with all that is wanted."""
    desk = Desk(instance_of("Payment", payments(3)))
    (page,) = by_key(desk.erp, PAYMENTS)
    assert desk.read == [f"Payment/00000{number}" for number in (1, 2, 3)]
    assert {(each.query.select, each.query.expand) for each in desk.lists} == {(("Type", "ReferenceNbr"), ())}
    assert all("ApplicationHistory" in record for record in page.records)


def test_by_key_keeps_the_order_with_any_number_of_sessions() -> None:
    """Records are read side by side and come one after the other, in pages that a watcher sees every few seconds."""
    pages = list(by_key(desk_with(120, seats=5).erp, ORDERS))
    assert numbers(pages) == list(range(1, 121))
    assert [len(page.records) for page in pages] == [KEY_BATCH, KEY_BATCH, 20]


def test_by_key_lists_no_more_than_the_next_page_of_keys() -> None:
    """However many sessions read records, keys cost a request for five hundred and one that sees the end."""
    desk = desk_with(2 * BATCH + 1, seats=5)
    assert numbers(list(by_key(desk.erp, replace(ORDERS, page_size=5)))) == list(range(1, 2 * BATCH + 2))
    assert (len(desk.lists), len(desk.read)) == (3 + 1, 2 * BATCH + 1)


@pytest.mark.parametrize(
    ("select", "expand", "asked"),
    [
        ((), (), ()),
        (
            ("Details/InventoryID", "custom.Total", "Details", "OrderTotal", "Date"),
            ("Details",),
            ("OrderTotal",),
        ),
        (("Details/InventoryID",), ("Details",), ()),
    ],
)
def test_by_key_reads_by_id_where_key_fields_are_unknown(
    select: tuple[str, ...], expand: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    """Without key fields, the list asks for one field of the job's own at most, and records go by their id."""
    desk = desk_with(2)
    pages = by_key(desk.erp, Query(entity="SalesOrder", select=select, expand=expand))
    shown = next(pages).records
    assert desk.read == [record["id"] for record in shown]
    assert desk.lists[0].query.select == asked


def test_by_key_notes_what_is_gone() -> None:
    """A record that goes between the list and its reading is left out, and the page says which."""
    instance = instance_of("SalesOrder", orders(3))

    def take_away() -> None:
        if desk.asked[-1].keys == ("SO", "000002"):
            instance.delete("SalesOrder", instance.id_of("SalesOrder", ("SO", "000002")))

    desk = Desk(instance, between=take_away)
    (page,) = by_key(desk.erp, ORDERS)
    assert (numbers([page]), page.cursor.passed, page.gone) == ([1, 3], 3, (("SO", "000002"),))
    assert page.notes == ("SO/000002 was listed, and gone before it could be read",)


def test_a_list_that_cannot_be_optimized_goes_on_by_key() -> None:
    """The optimization error is an answer: every record comes all the same, and a note says what list would do."""
    pages = pages_of(Desk(instance_of("Payment", payments(3))), PAYMENTS)
    assert [names(page.records, "ReferenceNbr") for page in pages] == [["000001", "000002", "000003"]]
    assert {page.cursor.strategy for page in pages} == {"by_key"}
    reason, proposal = pages[0].notes
    assert CAUSE in reason
    assert proposal == "without ApplicationHistory.DisplayRefNbr it can be listed"


def test_a_list_may_drop_what_cannot_be_optimized() -> None:
    """Where the job wants that, the list comes without the fields that fail, and a note names them."""
    desk = Desk(instance_of("Payment", payments(3)))
    query = replace(PAYMENTS, on_optimization_error=OnOptimizationError.DROP)
    (page,) = pages_of(desk, query)
    assert (page.cursor.strategy, desk.read) == ("batches", [])
    assert all("Status" in record and "ApplicationHistory" not in record for record in page.records)
    (note,) = page.notes
    assert note == "the list could not be optimized, and goes without ApplicationHistory.DisplayRefNbr"


@pytest.mark.parametrize("select", [PAYMENTS.select, ()])
def test_a_job_may_fail_of_the_optimization_error(select: tuple[str, ...]) -> None:
    """Where the job wants that it fails, with the ERP's words and the fields without which it would do."""
    query = replace(PAYMENTS, select=select, on_optimization_error=OnOptimizationError.FAIL)
    with pytest.raises(NotOptimizable, match=r"BQL delegate.*; without .* it can be listed") as caught:
        pages_of(Desk(instance_of("Payment", payments(3))), query)
    assert caught.value.field == "select"


def test_what_names_no_field_cannot_be_dropped() -> None:
    """An error that says nothing of fields ends such a job: nobody knows what to leave out."""

    def failing(asked: Query) -> Iterator[Page]:
        yield from map(not_at_all, [asked])

    def not_at_all(_: Query) -> Page:
        raise NotOptimizable("it cannot")

    query = replace(ORDERS, on_optimization_error=OnOptimizationError.DROP)
    with pytest.raises(NotOptimizable, match="it cannot; no field can be left out"):
        list(unless_optimized(desk_with(1).erp, query, failing))


def test_a_list_that_is_optimized_goes_on_as_it_is() -> None:
    """Where the list can be read, nothing is read by key."""
    desk = desk_with(3)
    (page,) = pages_of(desk, ORDERS)
    assert (page.cursor.strategy, page.notes, desk.read) == ("batches", (), [])


def test_going_on_by_key_repeats_no_page() -> None:
    """If the error comes after some pages, the rest goes by key from where they ended."""
    desk = desk_with(5)

    def one_then_the_error(query: Query) -> Iterator[Page]:
        yield next(batches(desk.erp, query))
        raise NotOptimizable("Total")

    pages = list(unless_optimized(desk.erp, replace(ORDERS, page_size=2), one_then_the_error))
    assert numbers(pages) == [1, 2, 3, 4, 5]
    assert desk.read == ["SO/000003", "SO/000004", "SO/000005"]


def test_another_error_is_not_taken_for_the_optimization_error() -> None:
    """Only the one answer that records by key can mend is mended so."""

    def failing(_: Query) -> Iterator[Page]:
        yield Page(records=[], cursor=Cursor(strategy="batches", passed=0))
        raise ErpFault("the ERP failed")

    desk = desk_with(5)
    with pytest.raises(ErpFault):
        list(unless_optimized(desk.erp, ORDERS, failing))
    assert desk.read == []


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 30),
    size=st.integers(1, 8),
    limit=st.none() | st.integers(1, 35),
    seats=st.integers(1, 4),
    way=st.sampled_from([batches, by_key]),
    known=st.booleans(),
    kept=st.integers(0, 40),
)
def test_a_list_goes_on_after_any_page(
    count: int, size: int, limit: int | None, seats: int, way: Way, known: bool, kept: int
) -> None:
    """From the cursor after any of its pages, as a checkpoint keeps it, a list goes on with the very next record."""
    query = replace(ORDERS, page_size=size, limit=limit, key_fields=ORDERS.key_fields if known else ())
    instance = instance_of("SalesOrder", orders(count))
    whole = pages_of(Desk(instance, seats), query, way)
    before = whole[: 1 + kept % len(whole)]
    kept_cursor = msgspec.json.decode(msgspec.json.encode(before[-1].cursor), type=Cursor)
    desk = Desk(instance, seats)
    rest = pages_of(desk, replace(query, after=kept_cursor), way)
    assert numbers([*before, *rest]) == numbers(whole)
    assert not kept_cursor.over or desk.asked == []


@pytest.mark.parametrize("way", [one, batches, by_key])
def test_after_its_end_a_list_asks_for_nothing(way: Any) -> None:
    """A retrieval that was over when it was interrupted makes no request, and yields no page again."""
    desk = desk_with(3)
    over = Cursor(strategy=way.__name__, passed=3, over=True)
    assert list(way(desk.erp, replace(ORDERS, after=over))) == []
    assert desk.asked == []


FRESH = replace(
    ORDERS, fresh=True, stamp="LastModified", page_size=2, select=("OrderType", "OrderNbr", "Description")
)


@dataclass
class Changing:
    """An ERP whose first order is changed, an hour later, before the so-manyth request."""

    instance: Instance
    before: int

    def __call__(self) -> None:
        self.before -= 1
        if self.before == 0:
            first = self.instance.id_of("SalesOrder", ("SO", "000001"))
            stamp = THEN + timedelta(hours=1)
            self.instance.change("SalesOrder", first, {"Description": "new", "LastModified": stamp})


def changing_desk(before: int = 3, clock: datetime | None = THEN, **variants: Any) -> Desk:
    """A desk with five old orders, of which the first changes after it was read."""
    old = orders(5, Description="old", LastModified=THEN - timedelta(days=30), CustomerID="C1")
    instance = instance_of("SalesOrder", old, Variants(**variants))
    return Desk(instance, between=Changing(instance, before), clock=lambda: clock)


def repaired_pages(desk: Desk, query: Query) -> list[Page]:
    """All pages of a query, with what has changed meanwhile."""
    return list(repaired(query, partial(batches, desk.erp)))


@pytest.mark.parametrize("own", [None, "CustomerID eq 'C1'"])
def test_a_fresh_list_reads_again_what_has_changed(own: str | None) -> None:
    """What was changed after it was read comes once more, and nothing else does."""
    pages = repaired_pages(changing_desk(), replace(FRESH, filter=own))
    assert numbers([page for page in pages if not page.is_repair]) == [1, 2, 3, 4, 5]
    (repair,) = (page for page in pages if page.is_repair)
    assert [(each["OrderNbr"]["value"], each["Description"]["value"]) for each in repair.records] == [
        ("000001", "new")
    ]
    assert {page.promised for page in pages} == {Consistency.FRESH}
    assert [page.cursor.over for page in pages[:-1]] == [False] * (len(pages) - 1)


def test_a_fresh_list_of_one_answer_is_repaired_as_any_other() -> None:
    """The whole list in one page is over only when its repair is."""
    desk = changing_desk(before=2)
    main, repair = repaired(replace(FRESH, page_size=None), partial(one, desk.erp))
    assert (main.cursor.over, numbers([main]), main.promised) == (False, [1, 2, 3, 4, 5], Consistency.FRESH)
    assert (repair.cursor.over, numbers([repair]), repair.is_repair) == (True, [1], True)


def test_a_fresh_list_goes_on_with_its_repair() -> None:
    """Whoever goes on after the last page repairs all the same, and after the repair there is nothing left."""
    desk = changing_desk()
    pages = repaired_pages(desk, FRESH)
    last = [page for page in pages if not page.is_repair][-1]
    rest = repaired_pages(desk, replace(FRESH, after=last.cursor))
    assert [(page.is_repair, numbers([page])) for page in rest] == [(True, [1])]
    asked = len(desk.asked)
    ended = replace(rest[-1].cursor, over=True)
    assert repaired_pages(desk, replace(FRESH, after=ended)) == []
    assert len(desk.asked) == asked


def test_a_stable_list_reads_nothing_again() -> None:
    """What nobody asked for costs nothing."""
    desk = changing_desk()
    pages = repaired_pages(desk, replace(FRESH, fresh=False))
    assert (len(desk.asked), {page.promised for page in pages}) == (4, {Consistency.STABLE})


@pytest.mark.parametrize(("stamp", "clock"), [(None, THEN), ("LastModified", None)])
def test_without_a_stamp_or_a_clock_a_list_promises_less(stamp: str | None, clock: datetime | None) -> None:
    """Where nobody can tell what has changed, the result does not say that it is fresh."""
    pages = repaired_pages(changing_desk(clock=clock), replace(FRESH, stamp=stamp))
    assert {page.promised for page in pages} == {Consistency.STABLE}
    assert not any(page.is_repair for page in pages)
    assert pages[-1].cursor.began is None


def test_a_filter_that_the_stamp_does_not_go_with_promises_less() -> None:
    """An ERP that finds nothing by fields of two views together is not taken for one where nothing has changed."""
    pages = repaired_pages(
        changing_desk(match_across_views=False), replace(FRESH, filter="CustomerID eq 'C1'")
    )
    assert numbers(pages) == [1, 2, 3, 4, 5]
    assert (pages[-1].promised, pages[-1].cursor.over) == (Consistency.STABLE, True)
    assert "the filter and LastModified find nothing together" in pages[-1].notes[0]

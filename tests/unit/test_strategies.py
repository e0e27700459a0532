"""Strategies turn a query into requests and pages; a shelf of records stands in for the ERP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.erp.client import Erp
from worker.errors import AnswerMalformed, ErpFault, NotOptimizable, RecordNotFound
from worker.job import Cursor, Page, Query, Record, Sink
from worker.strategies import attachments, batches, by_key, one, or_by_key

QUERY = Query(entity="Order", key_fields=("Type", "Number"), select=("Number", "Total"), expand=("Lines",))
AFTER_ONE = Cursor(strategy="one", passed=1)


@dataclass
class Shelf:
    """Answers as the ERP does: a list in its own order, a record by key or id; and remembers what was asked."""

    rows: list[Record]
    gone: set[str] = field(default_factory=set)
    optimizes: bool = True
    lists: list[tuple[Query, int | None, int]] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    def list(self, query: Query, *, top: int | None = None, skip: int = 0) -> Sequence[Record]:
        """The rows from ``skip`` on."""
        self.lists.append((query, top, skip))
        if not self.optimizes and query.expand:
            raise NotOptimizable("Lines.Item: View Lines has BQL delegate")
        return self.rows[skip:][:top]

    def get(self, query: Query, keys: Sequence[str]) -> Record:
        """The record with these keys."""
        return self._read("/".join(keys), [row for row in self.rows if _keys(row) == list(keys)])

    def get_by_id(self, query: Query, record_id: str) -> Record:
        """The record with this id."""
        return self._read(record_id, [row for row in self.rows if row["id"] == record_id])

    def download(self, href: str, sink: Sink) -> None:
        """The address itself is the content."""
        sink.write(href.encode())

    def _read(self, name: str, found: Sequence[Record]) -> Record:
        self.read.append(name)
        if name in self.gone:
            raise RecordNotFound("no record has these keys", "keys")
        return {**found[0], "read": name}


@dataclass
class Written:
    """A sink that shows what was written to it."""

    told: bytes = b""

    def write(self, chunk: bytes) -> None:
        """Add some bytes."""
        self.told += chunk

    def restart(self) -> None:
        """Forget them."""
        self.told = b""


def _keys(row: Record) -> list[str]:
    return [str(row[name].get("value")) for name in ("Type", "Number")]


def shelf_of(count: int, **changes: Any) -> Shelf:
    """A shelf with so many orders."""
    return Shelf([order(number) for number in range(count)], **changes)


def order(number: int) -> Record:
    """An order as the ERP writes it; its number is one."""
    return {"id": f"id-{number}", "Type": {"value": "SO"}, "Number": {"value": number}}


def erp(shelf: Shelf) -> Erp:
    """The shelf, as what a strategy is given."""
    return cast(Erp, shelf)


def numbers(pages: Sequence[Page]) -> list[int]:
    """The numbers of all records, in order."""
    return [record["Number"]["value"] for page in pages for record in page.records]


def test_one_asks_once_for_a_list() -> None:
    """The whole list is one request and one page, up to the job's limit."""
    shelf = shelf_of(9)
    (page,) = one(erp(shelf), Query(entity="Order", limit=4))
    assert (numbers([page]), page.cursor) == ([0, 1, 2, 3], Cursor(strategy="one", passed=4, over=True))
    assert [(top, skip) for _, top, skip in shelf.lists] == [(4, 0)]


def test_one_reads_the_record_that_keys_name() -> None:
    """With keys there is no list at all."""
    shelf = shelf_of(9)
    (page,) = one(erp(shelf), Query(entity="Order", keys=("SO", "7")))
    assert (numbers([page]), shelf.read, shelf.lists) == ([7], ["SO/7"], [])


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 12),
    limit=st.none() | st.integers(1, 45),
    way=st.sampled_from([batches, by_key]),
)
def test_a_list_in_batches_is_the_whole_list(count: int, size: int, limit: int | None, way: Any) -> None:
    """Whatever the sizes, every record comes once and in order, the limit holds, and no request is wasted."""
    shelf = shelf_of(count)
    pages = list(
        way(erp(shelf), Query(entity="Order", key_fields=("Type", "Number"), page_size=size, limit=limit))
    )
    wanted = count if limit is None else min(count, limit)
    assert numbers(pages) == list(range(wanted))
    assert [page.cursor.passed for page in pages] == [min(end, wanted) for end in _ends(wanted, size)]
    assert all(top is not None and top <= size for _, top, _ in shelf.lists)
    asks_for_the_end = wanted % size == 0 and limit != wanted and wanted > 0
    assert len(shelf.lists) == len(pages) + asks_for_the_end


def _ends(wanted: int, size: int) -> list[int]:
    return list(range(size, wanted + size, size)) or [0]


@pytest.mark.parametrize("way", [batches, by_key])
def test_an_empty_list_is_one_empty_page(way: Any) -> None:
    """A list without records still says that it was read, and how."""
    (page,) = way(erp(shelf_of(0)), QUERY)
    assert (list(page.records), page.cursor) == ([], Cursor(strategy=way.__name__, passed=0, over=True))


def test_by_key_lists_keys_alone_and_reads_whole_records() -> None:
    """The list asks for nothing that could fail to optimize; each record is then read with all that is wanted."""
    shelf = shelf_of(3)
    (page,) = by_key(erp(shelf), QUERY)
    assert shelf.read == ["SO/0", "SO/1", "SO/2"]
    ((listed, _, _),) = shelf.lists
    assert (listed.select, listed.expand, listed.custom) == (("Type", "Number"), (), ())
    assert all("read" in record for record in page.records)


@pytest.mark.parametrize(
    ("select", "expand", "asked"),
    [
        ((), (), ()),
        (("Lines/Item", "custom.Total", "Lines", "Total", "Date"), ("Lines",), ("Total",)),
        (("Lines/Item",), ("Lines",), ()),
    ],
)
def test_by_key_reads_by_id_where_key_fields_are_unknown(
    select: tuple[str, ...], expand: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    """Without key fields, the list asks for one field of the job's own at most, and records go by their id."""
    shelf = shelf_of(2)
    list(by_key(erp(shelf), Query(entity="Order", select=select, expand=expand)))
    assert shelf.read == ["id-0", "id-1"]
    assert shelf.lists[0][0].select == asked


@pytest.mark.parametrize("value", [{}, {"value": ""}])
def test_by_key_reads_a_row_without_a_key_by_its_id(value: dict[str, str]) -> None:
    """A row whose key is empty cannot be named by a URL, but its id names it."""
    shelf = Shelf([order(0), {**order(1), "Number": value}])
    list(by_key(erp(shelf), QUERY))
    assert shelf.read == ["SO/0", "id-1"]


def test_by_key_notes_what_is_gone() -> None:
    """A record that goes between the list and its reading is left out, and the result says which."""
    shelf = shelf_of(3, gone={"SO/1"})
    (page,) = by_key(erp(shelf), QUERY)
    assert numbers([page]) == [0, 2]
    assert page.cursor.passed == 3
    assert page.notes == ("SO/1 was listed, and gone before it could be read",)


def test_a_list_that_cannot_be_optimized_goes_on_by_key() -> None:
    """The optimization error is an answer: every record comes all the same, with the ERP's words as a note."""
    shelf = shelf_of(3, optimizes=False)
    pages = list(or_by_key(erp(shelf), QUERY, batches(erp(shelf), QUERY)))
    assert numbers(pages) == [0, 1, 2]
    assert {page.cursor.strategy for page in pages} == {"by_key"}
    assert all("Lines.Item: View Lines has BQL delegate" in page.notes[0] for page in pages)


def test_a_list_that_is_optimized_goes_on_as_it_is() -> None:
    """Where the list can be read, nothing is read by key."""
    shelf = shelf_of(3)
    (page,) = or_by_key(erp(shelf), QUERY, batches(erp(shelf), QUERY))
    assert (page.cursor.strategy, page.notes, shelf.read) == ("batches", (), [])


def test_going_on_by_key_repeats_no_page() -> None:
    """If the error comes after some pages, the rest goes by key from where they ended."""

    def two_then_the_error(shelf: Shelf) -> Iterator[Page]:
        yield Page(records=shelf.rows[:2], cursor=Cursor(strategy="batches", passed=2))
        raise NotOptimizable("Total")

    shelf = shelf_of(5)
    assert numbers(list(or_by_key(erp(shelf), QUERY, two_then_the_error(shelf)))) == [0, 1, 2, 3, 4]
    assert shelf.read == ["SO/2", "SO/3", "SO/4"]


def test_another_error_is_not_taken_for_the_optimization_error() -> None:
    """Only the one answer that records by key can mend is mended so."""

    def failing() -> Iterator[Page]:
        yield Page(records=[], cursor=Cursor(strategy="batches", passed=0))
        raise ErpFault("the ERP failed")

    shelf = shelf_of(5)
    with pytest.raises(ErpFault):
        list(or_by_key(erp(shelf), QUERY, failing()))
    assert shelf.read == []


@given(
    count=st.integers(0, 30),
    size=st.integers(1, 8),
    limit=st.none() | st.integers(1, 35),
    optimizes=st.booleans(),
    kept=st.integers(0, 40),
)
def test_a_list_goes_on_after_any_page(
    count: int, size: int, limit: int | None, optimizes: bool, kept: int
) -> None:
    """From the cursor after any of its pages a list goes on as if it had never been interrupted, by the same way."""

    def pages(query: Query) -> list[Page]:
        shelf = erp(shelf_of(count, optimizes=optimizes))
        return list(or_by_key(shelf, query, batches(shelf, query)))

    query = replace(QUERY, page_size=size, limit=limit)
    whole = pages(query)
    before = whole[: 1 + kept % len(whole)]
    rest = pages(replace(query, after=before[-1].cursor))
    assert numbers([*before, *rest]) == numbers(whole)
    assert [page.cursor for page in (*before, *rest)] == [page.cursor for page in whole]


@pytest.mark.parametrize("way", [one, batches, by_key])
def test_after_its_end_a_list_asks_for_nothing(way: Any) -> None:
    """A retrieval that was over when it was interrupted makes no request, and yields no page again."""
    shelf = shelf_of(3)
    last = list(way(erp(shelf), QUERY))[-1]
    asked = len(shelf.lists)
    assert list(way(erp(shelf), replace(QUERY, after=last.cursor))) == []
    assert (last.cursor.over, len(shelf.lists)) == (True, asked)


def a_file(number: int) -> dict[str, str]:
    """A file as the ERP lists it."""
    return {"id": f"f{number}", "filename": f"Orders (1)\\{number}.jpg", "href": f"/files/{number}"}


def test_attachments_are_found_at_every_depth() -> None:
    """Files of the record, of its detail lines and of its linked entities come with the id of their own row."""
    record = {
        "id": "top",
        "note": {"value": "files"},
        "files": [a_file(1), a_file(2)],
        "Lines": [{"id": "line-1", "files": [a_file(3)]}, {"id": "line-2", "files": []}],
        "Contact": {"id": "contact", "Address": {"id": "address", "files": [a_file(4)]}},
        "custom": {"files": {"x": {"type": "CustomStringField", "value": "y"}}},
        "_links": {"files:put": "/files/{filename}"},
    }
    untouched = Page(records=[record], cursor=AFTER_ONE, notes=("kept",))
    (page,) = attachments(erp(shelf_of(0)), iter([untouched]))
    assert [(found.record_id, found.file_id) for found in page.attachments] == [
        ("top", "f1"),
        ("top", "f2"),
        ("line-1", "f3"),
        ("address", "f4"),
    ]
    assert page.attachments[0].name == "Orders (1)\\1.jpg"
    assert (page.records, page.notes) == ([record], ("kept",))


def test_an_attachment_saves_its_own_bytes() -> None:
    """Saving downloads from the address that the ERP gave for that file."""

    record = {"id": "top", "files": [a_file(1), a_file(2)]}
    (page,) = attachments(erp(shelf_of(0)), iter([Page(records=[record], cursor=AFTER_ONE)]))
    saved: list[Written] = []
    for found in page.attachments:
        saved.append(Written())
        found.save(saved[-1])
    assert [sink.told for sink in saved] == [b"/files/1", b"/files/2"]


@pytest.mark.parametrize("entry", [{}, {"id": "1", "filename": "a"}, {**a_file(1), "href": None}, "a.jpg"])
def test_a_file_without_an_address_is_malformed(entry: object) -> None:
    """A file that does not say what it is makes the answer malformed, and the record is named."""
    page = Page(records=[{"id": "top", "files": [entry]}], cursor=AFTER_ONE)
    with pytest.raises(AnswerMalformed, match="a file of the record top"):
        list(attachments(erp(shelf_of(0)), iter([page])))

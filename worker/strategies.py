"""Ways to retrieve: each a generator that turns a query into pages.

A strategy owns only "what is next?". Whatever the ERP client raises passes through, except for the two answers
that a strategy knows a way on from: a list that cannot be optimized, and a record that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from worker.ahead import Ahead
from worker.erp import keys
from worker.erp.client import Erp
from worker.erp.optimizer import narrowed
from worker.errors import NotOptimizable, RecordNotFound
from worker.job import Consistency, OnOptimizationError
from worker.listing import Listing
from worker.page import Cursor, Page, Query, Record
from worker.paging import Listed, key_of

BATCH = 500
"""Records to a page where the job does not say; a size that live instances are known to serve well."""

KEY_BATCH = 50
"""The same where each record is a request of its own, so that a watcher sees it move every few seconds."""

SPARE = 2
"""Calls beside those that there are sessions for: while some are done with theirs, these get it."""

STABLE, FRESH = Consistency.STABLE, Consistency.FRESH

LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
"""No record was changed before."""

MOST_SKEW = timedelta(hours=26, minutes=5)
"""The ERP prints a stamp by the clock of the API user, with the server's offset (recorded 2019 R2, 2020 R1): it may be
off by as much as two zones can differ. What is read again in vain is seen to be the same."""


def one(erp: Erp, query: Query) -> Iterator[Page]:
    """A single page from a single GET: the record that the keys name, or the whole list."""
    if query.after is None:
        found = None if query.keys else erp.rows(query, top=query.limit)
        records = found.records if found else [erp.get(query, query.keys or ())]
        cursor = Cursor(strategy="one", passed=len(records), over=True)
        yield Page(records=records, cursor=cursor, at=_text(found.clock) if found else None)


def batches(erp: Erp, query: Query) -> Iterator[Page]:
    """A list in pages of ``page_size``; as many at once as there are sessions."""
    for listed in Listing(erp, query, query.page_size or BATCH, _begin(query, "batches"), erp.seats):
        yield Page(
            records=listed.rows,
            cursor=listed.cursor(len(listed.rows)),
            coming=listed.coming,
            at=_text(listed.clock),
        )


def by_key(erp: Erp, query: Query, notes: tuple[str, ...] = ()) -> Iterator[Page]:
    """A list whose rows give only their keys, and one GET for each record; as many at once as there are sessions.

    This is the vendor's way round a list that cannot be optimized (course I320, lesson 2.3). Every page carries the
    ``notes``. A record that is gone by the time it is read is left out, and its page says so.
    """
    naming = replace(query, select=_naming_fields(query), expand=(), custom=())
    # Keys are cheap, however few records make a page. While those of a page are read, the next one comes.
    listing = Listing(
        erp, naming, max(query.page_size or 0, BATCH), _begin(query, "by_key"), width=1, spare=0
    )
    size = min(query.page_size or KEY_BATCH, KEY_BATCH)
    with Ahead(erp.seats + SPARE) as ahead, closing(_rows(listing)) as rows:
        found: list[_Read] = []
        for row, record in ahead.each(partial(_read, erp, query), rows):
            found.append(_Read(row, record))
            if len(found) == size or row.is_last:
                yield _read_page(found, notes)
                found = []


@dataclass(frozen=True)
class _Row:
    """A row of a list of keys: the so-many-th of a page of it; there is none in a page without rows."""

    listed: Listed
    number: int

    @property
    def is_last(self) -> bool:
        """Whether it is the last of its page."""
        return self.number >= len(self.listed.rows)


@dataclass(frozen=True)
class _Read:
    """A row, and the record that it names; None where that is gone, or where there is no row."""

    row: _Row
    record: Record | None


def _rows(listing: Listing) -> Generator[_Row]:
    with closing(iter(listing)) as every:
        for listed in every:
            for number in range(1, len(listed.rows) + 1) or (0,):
                yield _Row(listed, number)


def _read(erp: Erp, query: Query, row: _Row) -> Record | None:
    """The record that a row names."""
    if not row.number:
        return None
    named = row.listed.named[row.number - 1]
    key = key_of(named, query.key_fields)
    try:
        return erp.get(query, [str(part) for part in key]) if key else erp.get_by_id(query, named["id"])
    except RecordNotFound:
        return None


def _read_page(found: Sequence[_Read], notes: tuple[str, ...]) -> Page:
    last = found[-1].row
    gone = [_name(each.row) for each in found if each.record is None and each.row.number]
    return Page(
        records=[each.record for each in found if each.record is not None],
        cursor=last.listed.cursor(last.number),
        notes=(*notes, *(f"{'/'.join(name)} was listed, and gone before it could be read" for name in gone)),
        gone=tuple(gone),
        at=_text(last.listed.clock),
    )


def _name(row: _Row) -> tuple[str, ...]:
    named = row.listed.named[row.number - 1]
    key = key_of(named, row.listed.query.key_fields)
    return tuple(map(str, key)) or (str(named["id"]),)


def unless_optimized(erp: Erp, query: Query, pages: Callable[[Query], Iterator[Page]]) -> Iterator[Page]:
    """The pages of a query; where the ERP cannot optimize their list, what the job wants then.

    By key by itself, and a note gives the reason, and what to leave out for the list to do. Raises NotOptimizable where
    the job is to fail, or the fields cannot be left out.
    """
    after = query.after
    if after and after.strategy == "by_key":
        yield from by_key(erp, query)
        return
    try:
        for page in pages(query):
            yield page
            after = page.cursor
    except NotOptimizable as error:
        yield from _way_on(erp, replace(query, after=after), error, pages)


def _way_on(
    erp: Erp, query: Query, error: NotOptimizable, pages: Callable[[Query], Iterator[Page]]
) -> Iterator[Page]:
    less = narrowed(query, error.fields)
    without = f"without {', '.join(error.fields)} it can be listed" if less else "no field can be left out"
    match query.on_optimization_error:
        case OnOptimizationError.BY_KEY:
            note = f"the list could not be optimized, so its records were read one by one: {error.message}"
            rest = replace(query, after=query.after and replace(query.after, strategy="by_key"))
            yield from by_key(erp, rest, (note, without) if less else (note,))
        case OnOptimizationError.DROP if less:
            note = f"the list could not be optimized, and goes without {', '.join(error.fields)}"
            yield from (replace(page, notes=(*page.notes, note)) for page in pages(less))
        case _:
            raise NotOptimizable(f"{error.message}; {without}", "select", fields=error.fields)


def repaired(query: Query, pages: Callable[[Query], Iterator[Page]]) -> Iterator[Page]:
    """The pages of a query; then, for a fresh one, those records again that have changed since the first page.

    They are found by the time of their last change, which some entities lack; then the result promises less.
    """
    is_fresh = query.fresh and query.stamp is not None
    began = query.after.began if query.after else None
    if not (query.after and query.after.repairs):
        for page in pages(query):
            began = (began or page.at) if is_fresh else None
            cursor = replace(page.cursor, began=began, over=page.cursor.over and not began)
            yield replace(page, cursor=cursor, promised=FRESH if began else STABLE)
    if began:
        yield from _repairs(query, pages, began)


def _repairs(query: Query, pages: Callable[[Query], Iterator[Page]], began: str) -> Iterator[Page]:
    after = query.after if query.after and query.after.repairs else None
    if query.filter and not after:
        known = next(iter(pages(replace(query, filter=_changed(query, LONG_AGO), limit=1, after=None))))
        if not known.records:
            note = f"the filter and {query.stamp} find nothing together: what changed meanwhile is as it was"
            cursor = Cursor(strategy=known.cursor.strategy, over=True)
            yield Page(records=(), cursor=cursor, notes=(note,), is_repair=True, promised=STABLE)
            return
    changed = _changed(query, datetime.fromisoformat(began) - MOST_SKEW)
    for page in pages(replace(query, filter=changed, after=after)):
        cursor = replace(page.cursor, began=began, repairs=True)
        yield replace(page, cursor=cursor, is_repair=True, promised=FRESH)


def _changed(query: Query, since: datetime) -> str:
    """The query's filter, and that a record was changed since then."""
    return keys.both(query.filter, f"{query.stamp} ge datetimeoffset'{since:%Y-%m-%dT%H:%M:%SZ}'")


def _text(clock: datetime | None) -> str | None:
    return None if clock is None else clock.isoformat()


def _begin(query: Query, strategy: str) -> Cursor:
    return query.after or Cursor(strategy=strategy)


def _naming_fields(query: Query) -> tuple[str, ...]:
    """What to select so that rows can be told apart: the keys; where nobody knows them, next to nothing.

    A row's ``id`` comes whatever is selected, but it is no field that could be selected itself.
    """
    if query.key_fields:
        return query.key_fields
    own = (name for name in query.select if name not in query.expand and not {"/", "."} & set(name))
    return tuple(own)[:1]

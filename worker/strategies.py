"""Ways to retrieve: each a generator that turns a query into pages, one request at a time.

A strategy owns only "what is next?". Whatever the ERP client raises passes through, except for the two answers
that a strategy knows a way on from: a list that cannot be optimized, and a record that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from worker.erp.client import Erp
from worker.errors import AnswerMalformed, NotOptimizable, RecordNotFound
from worker.job import Attachment, Cursor, Page, Query, Record

BATCH = 500
"""Records to a page where the job does not say; a size that live instances are known to serve well."""

KEY_BATCH = 50
"""The same where each record is a request of its own, so that a watcher sees it move every few seconds."""


def one(erp: Erp, query: Query) -> Iterator[Page]:
    """A single page from a single GET: the record that the keys name, or the whole list."""
    if query.after is None:
        records = [erp.get(query, query.keys)] if query.keys else erp.list(query, top=query.limit)
        yield Page(records=records, cursor=Cursor(strategy="one", passed=len(records), over=True))


def batches(erp: Erp, query: Query) -> Iterator[Page]:
    """A list in pages of ``page_size``; a page that comes back short is the last."""
    for rows, cursor in _listing(erp, query, query.page_size or BATCH, "batches"):
        yield Page(records=rows, cursor=cursor)


def by_key(erp: Erp, query: Query, notes: tuple[str, ...] = ()) -> Iterator[Page]:
    """A list whose rows give only their keys, and one GET for each record.

    This is the vendor's way round a list that cannot be optimized (course I320, lesson 2.3). Every page carries the
    ``notes``. A record that is gone by the time it is read is left out, and a note of its page says so.
    """
    naming = replace(query, select=_naming_fields(query), expand=(), custom=())
    for rows, cursor in _listing(erp, naming, query.page_size or KEY_BATCH, "by_key"):
        records, gone = _read_each(erp, query, rows)
        yield Page(records=records, cursor=cursor, notes=(*notes, *_gone_notes(gone)))


def or_by_key(erp: Erp, query: Query, pages: Iterator[Page]) -> Iterator[Page]:
    """These pages; where the ERP cannot optimize their list, it goes on by key and a note gives its reason."""
    if query.after and query.after.strategy == "by_key":
        yield from by_key(erp, query)
        return
    passed = query.after.passed if query.after else 0
    try:
        for page in pages:
            yield page
            passed = page.cursor.passed
    except NotOptimizable as error:
        note = f"the list could not be optimized, so its records were read one by one: {error.message}"
        rest = replace(query, after=Cursor(strategy="by_key", passed=passed))
        yield from by_key(erp, rest, (note,))


def attachments(erp: Erp, pages: Iterator[Page]) -> Iterator[Page]:
    """These pages, with the files that their records and detail lines list.

    Raises AnswerMalformed for a file without id, name or address.
    """
    for page in pages:
        listed = (entry for record in page.records for entry in _files(record))
        yield replace(page, attachments=tuple(_attachment(erp, *entry) for entry in listed))


def _listing(erp: Erp, query: Query, size: int, strategy: str) -> Iterator[tuple[list[Record], Cursor]]:
    """Rows in the ERP's own order and the cursor after them; a list without rows is one empty page."""
    cursor = query.after or Cursor(strategy=strategy, passed=0)
    while not cursor.over:
        top = _at_most(size, query.limit, cursor.passed)
        rows = erp.list(query, top=top, skip=cursor.passed)
        passed = cursor.passed + len(rows)
        cursor = Cursor(strategy=strategy, passed=passed, over=len(rows) < top or passed == query.limit)
        if rows or not passed:
            yield rows, cursor


def _at_most(size: int, limit: int | None, passed: int) -> int:
    return size if limit is None else min(size, limit - passed)


def _naming_fields(query: Query) -> tuple[str, ...]:
    """What to select so that rows can be told apart: the keys; where nobody knows them, next to nothing.

    A row's ``id`` comes whatever is selected, but it is no field that could be selected itself.
    """
    if query.key_fields:
        return query.key_fields
    own = (name for name in query.select if name not in query.expand and not {"/", "."} & set(name))
    return tuple(own)[:1]


def _read_each(erp: Erp, query: Query, rows: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The records of these rows, and the names of those that are gone."""
    records: list[Record] = []
    gone: list[str] = []
    for row in rows:
        keys = _keys(row, query.key_fields)
        try:
            records.append(erp.get(query, keys) if keys else erp.get_by_id(query, row["id"]))
        except RecordNotFound:
            gone.append("/".join(keys) or row["id"])
    return records, gone


def _keys(row: Record, key_fields: Sequence[str]) -> tuple[str, ...]:
    """The row's key values; empty where one of them is missing, as then only its id names the record."""
    values = [row.get(name, {}).get("value") for name in key_fields]
    return () if None in values or "" in values else tuple(str(value) for value in values)


def _gone_notes(gone: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name} was listed, and gone before it could be read" for name in gone)


def _files(record: Record) -> Iterator[tuple[str, Any]]:
    """Each entry of the ``files`` in a record and in the rows under it, with the id of its row."""
    for entry in record.get("files") or ():
        yield record["id"], entry
    for name, member in record.items():
        if name not in ("files", "custom"):
            for row in member if isinstance(member, list) else (member,):
                if isinstance(row, dict):
                    yield from _files(row)


def _attachment(erp: Erp, record_id: str, entry: object) -> Attachment:
    match entry:
        case {"id": str(file_id), "filename": str(name), "href": str(href)}:
            save = partial(erp.download, href)
            return Attachment(record_id=record_id, file_id=file_id, name=name, save=save)
    raise AnswerMalformed(f"a file of the record {record_id} comes without its id, filename or href")

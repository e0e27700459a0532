"""Reads a list: asks for its pages, some ahead of time, and sees that each joins the one before it.

Pages ahead are asked for from the last row that is sure; one that does not join is asked for anew, from there. Raises
whatever the ERP client raises, and ListMoved where no row that was passed can be found again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import structlog

from worker.ahead import Ahead
from worker.erp import keys
from worker.erp.client import Erp, Glanced, Rows, Unread
from worker.erp.keys import Key
from worker.errors import ListMoved
from worker.page import Cursor, Query, Record
from worker.paging import (
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

log = structlog.get_logger(__name__)

AHEAD_BYTES = 32 * 1024 * 1024
"""What pages that were asked for ahead may take, as the ERP sent them."""

LONG_PAGES = 10
"""After so many pages in a row a list is long: what is asked for in vain where it ends counts for little beside it."""

FENCE_PAGES = 1000
"""After so many pages it is seen where the list, or each group of it, ends: what comes after was not there before."""

MOST_LOOKS = 64
"""How often the end of a list is looked for, which needs twice the logarithm of its length; more, and it moves."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A page as it came, how it was asked for, and how many others were between it and the cursor then."""

    stretch: Stretch
    ahead: int
    skip: int
    sent: Unread


@dataclass(frozen=True, kw_only=True)
class _Page:
    """A page that was read, and how it was asked for."""

    asked: _Asked
    found: Glanced
    marks: Sequence[str]


class Listing:
    """One list, from where a cursor says, so many pages at once; a long one has ``spare`` more on their way."""

    def __init__(self, erp: Erp, query: Query, size: int, cursor: Cursor, width: int, spare: int = 1) -> None:
        self._erp = erp
        self._query = query
        self._size = size
        self._cursor = cursor
        self._marks = Marks(max(2 * KEPT_BY_PLACE, 3 * size), cursor.recent)
        self._width = width
        self._spare = spare
        self._heaviest = 1
        self._in_a_row = 0
        self._fence_due = FENCE_PAGES

    def __iter__(self) -> Generator[Listed]:
        """New rows, a page at a time; a list without any is one page without rows."""
        with Ahead(self._width + self._spare) as ahead:
            while not self._cursor.over:
                yield from self._joined(ahead)

    def _joined(self, ahead: Ahead) -> Iterator[Listed]:
        """Pages that join one another, from the cursor on, until one does not."""
        asked: deque[Future[_Asked]] = deque()
        try:
            while not self._cursor.over:
                if not asked:
                    self._ask_for(0, ahead, asked)
                self._ask_ahead(ahead, asked)
                found = self._new_in(self._read(asked.popleft().result()))
                if isinstance(found, Cursor):
                    self._cursor = found
                    return
                self._pass(found)
                if self._fenced():
                    # What is on its way may lie beyond the fence.
                    yield replace(found, before=replace(found.before, fence=self._cursor.fence))
                    return
                if len(found.rows) < self._size:
                    # It seems to be the last: what was asked for beyond it begins elsewhere, if anywhere.
                    yield found
                    return
                self._ask_ahead(ahead, asked)
                yield replace(found, coming=len(asked))
        finally:
            for each in asked:
                each.cancel()

    def _ask_ahead(self, ahead: Ahead, asked: deque[Future[_Asked]]) -> None:
        """Have as many pages on their way as may be."""
        while self._wants(len(asked)):
            self._ask_for(len(asked), ahead, asked)

    def _ask_for(self, place: int, ahead: Ahead, asked: deque[Future[_Asked]]) -> None:
        asked.append(ahead.call(self._ask, stretch(self._query, self._cursor), place, self._left))

    def _wants(self, ahead: int) -> bool:
        """Whether one more page is to be on its way, beside so many; none before it is known how a list begins."""
        has_begun = bool(self._cursor.anchor) or self._cursor.at is not None
        is_wanted = not self._cursor.over and (self._left is None or self._left > ahead * self._size)
        return has_begun and is_wanted and ahead < self._window and self._erp.looks_ahead

    @property
    def _window(self) -> int:
        """How many pages may be on their way, or wait to be read: one more with each page that joins."""
        most = self._width if self._in_a_row < LONG_PAGES else self._width + self._spare
        return min(1 + self._in_a_row, most, max(1, AHEAD_BYTES // self._heaviest))

    @property
    def _left(self) -> int | None:
        """How many more rows the job wants; None: all."""
        limit = self._query.limit
        return None if limit is None else limit - self._cursor.passed

    def _ask(self, base: Stretch, ahead: int, left: int | None) -> _Asked:
        size = self._size if left is None else min(self._size, left - ahead * self._size)
        skip, top = base.page(ahead, self._size)
        query = replace(self._query, filter=base.filter or None)
        sent = self._erp.ask(query, top=top - self._size + size, skip=skip)
        return _Asked(stretch=base, ahead=ahead, skip=skip, sent=sent)

    def _read(self, asked: _Asked) -> _Page:
        self._heaviest = max(self._heaviest, asked.sent.size)
        found = asked.sent.open()
        return _Page(asked=asked, found=found, marks=self._marks_of(found.named))

    def _marks_of(self, rows: Sequence[Record]) -> Sequence[str]:
        return [mark(row, self._query.key_fields) for row in rows]

    def _rows(self, text: str, skip: int, top: int) -> Rows:
        return self._erp.rows(replace(self._query, filter=text or None), top=top, skip=skip)

    def _new_in(self, page: _Page) -> Listed | Cursor:
        """What of a page is new; where nothing is, the cursor to go on from."""
        if not page.asked.stretch.overlap and not page.asked.ahead:
            return self._begun(page)
        last = self._marks.last_in(page.marks)
        is_next, is_by_key = page.asked.ahead == 0, goes_by_key(self._query, self._cursor)
        if last is not None and is_by_key:
            if is_next:
                self._cursor = replace(self._cursor, proven=True)
            elif page.marks[last] != self._cursor.recent[-1]:
                # A row that came in before the anchor would lead back.
                last = None
        match join(len(page.marks), last, from_anchor=is_next and is_by_key):
            case Join.NEW if last is not None:
                return self._listed(page, last + 1)
            case Join.END:
                return self._ended()
            case Join.ASTRAY:
                return self._by_place("the ERP compares its keys otherwise than it orders them")
            case Join.PASSED if is_next and last is not None:
                return replace(self._cursor, at=page.asked.skip + last)
            case Join.APART if is_next:
                return self._without_anchor(page) if is_by_key else self._found_again()
        # Rows came or went before it since it was asked for: the next one is asked for alone.
        self._in_a_row = 0
        return self._cursor

    def _begun(self, page: _Page) -> Listed | Cursor:
        """The beginning of a list, or of what is left of it after some groups."""
        last = self._marks.last_in(page.marks)
        if last is not None:
            # It is begun anew, and a row that was passed is there after all.
            return replace(self._cursor, at=last)
        if page.found.records:
            return self._listed(page, 0)
        over = replace(self._cursor, over=True)
        if over.passed:
            return over
        return Listed(rows=(), named=(), marks=(), before=over, at=None, query=self._query, clock=None)

    def _listed(self, page: _Page, first: int) -> Listed | Cursor:
        named = page.found.named[first:]
        by_key = goes_by_key(self._query, self._cursor) and not self._is_all(page)
        keys = [key_of(row, self._query.key_fields) for row in named] if by_key else []
        if by_key and not self._cursor.anchor:
            keys = keys[: of_one_group(keys, len(self._query.combos))]
        if not all(keys):
            return self._by_place("a row has no key")
        count = len(keys) if by_key else len(named)
        end = first + (count if self._left is None else min(count, self._left))
        return Listed(
            rows=page.found.records[first:end],
            named=page.found.named[first:end],
            marks=page.marks[first:end],
            before=self._cursor,
            at=None if by_key else page.asked.skip + first,
            query=self._query,
            clock=page.found.clock,
        )

    def _is_all(self, page: _Page) -> bool:
        """Whether a list of several groups seems to end with its first page: its end is then seen by places."""
        is_first = not (self._cursor.anchor or self._cursor.done)
        return is_first and bool(self._query.combos) and len(page.found.records) < self._size

    def _pass(self, listed: Listed) -> None:
        """Go on after these rows."""
        self._marks.add(listed.marks)
        self._cursor = listed.cursor(len(listed.rows))
        if len(listed.rows) >= self._size:
            self._in_a_row += 1

    def _fenced(self) -> bool:
        """Put up the fence where it is due; whether it was."""
        cursor = self._cursor
        is_wanted = goes_by_key(self._query, cursor) and not (cursor.fence or cursor.over)
        if cursor.pages < self._fence_due or not is_wanted:
            return False
        self._fence_due = cursor.pages + FENCE_PAGES
        self._cursor = replace(cursor, fence=self._last_key())
        return True

    def _ended(self) -> Cursor:
        if goes_by_key(self._query, self._cursor):
            return after_group(self._query, self._cursor)
        return replace(self._cursor, over=True)

    def _by_place(self, why: str) -> Cursor:
        log.info("a list goes on by places", entity=self._query.entity, reason=why)
        return by_place(self._cursor)

    def _without_anchor(self, page: _Page) -> Listed | Cursor:
        """The anchor did not come, though it was asked for by its key: it is gone, or the filters do not do."""
        if not self._cursor.proven:
            return self._by_place("the ERP was not seen to find a row by its key")
        itself = keys.equal(self._query.key_fields, self._cursor.anchor)
        if self._rows(keys.both(self._query.filter, itself), 0, 1).records:
            return self._by_place("the ERP does not find a key that it has")
        return self._listed(page, 0) if page.found.records else self._ended()

    def _found_again(self) -> Cursor:
        """Back by places to a row that was passed; where none is, from the beginning on."""
        text, at = self._query.filter or "", self._cursor.at or 0
        for place in (*range(at - self._size, 0, -self._size), 0):
            if (found := self._standing(text, place)) is not None:
                return found
        if self._cursor.passed <= len(self._marks):
            # None that was passed is left: what is there now is new.
            return replace(self._cursor, at=None, anchor=())
        place = self._size
        while self._rows(text, place, 1).records:
            if (found := self._standing(text, place)) is not None:
                return found
            place += self._size
        raise ListMoved("no row that was read last is in the list any more, so nobody knows where to go on")

    def _standing(self, text: str, place: int) -> Cursor | None:
        """The cursor at the last row that was passed of the page at this place, if there is one."""
        last = self._marks.last_in(self._marks_of(self._rows(text, place, self._size + 1).records))
        return None if last is None else replace(self._cursor, at=place + last)

    def _last_key(self) -> tuple[Key, ...]:
        """The key of the row that the list ends with, by looks at two rows each; nothing where it moves too much."""
        text = stretch(self._query, self._cursor).filter
        low, place = 0, self._size
        end: int | None = None
        for _ in range(MOST_LOOKS):
            rows = self._rows(text, place, 2).records
            if len(rows) == 1:
                return key_of(rows[0], self._query.key_fields)
            if rows:
                low, end = place + 1, None if end is None or end <= place + 1 else end
            else:
                low, end = 0 if low >= place else low, place
            if end == 0:
                break
            place = 2 * low if end is None else (low + end) // 2
        return ()

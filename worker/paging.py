"""How a list is paged so that each row that exists throughout comes exactly once, though rows move between requests.

A page is asked for from a row that was passed, the *anchor*, and must join it: a row that was passed comes first, and
what follows it without a gap is new. By keys the anchor is named by its key (``OrderNbr ge …``), and no request is
dearer than another; by places (``$skip``) it goes where there is no key that the ERP can compare. The end is a page
that holds the anchor alone. Nothing here asks anything: these are the decisions, as values.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from hashlib import blake2b

from worker.erp import keys
from worker.erp.keys import Key
from worker.page import Cursor, Query, Record

KEPT_BY_KEY, KEPT_BY_PLACE = 50, 500
"""How many marks of rows a cursor keeps, to know a row again by; by keys the anchor alone does, as a rule."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What is asked to go on after a cursor: of the rows that a filter matches, those after ``skip`` of them.

    ``overlap`` is 1 where the first of them is one that was passed, 0 at the beginning.
    """

    filter: str
    skip: int
    overlap: int

    def page(self, ahead: int, size: int) -> tuple[int, int]:
        """The ``$skip`` and ``$top`` of a page of so many new rows, with so many pages between it and the cursor."""
        if not ahead:
            return self.skip, size + self.overlap
        return self.skip + ahead * size + self.overlap - 1, size + 1


@dataclass(frozen=True, kw_only=True)
class Listed:
    """New rows, and their marks, after a cursor; ``at`` is the first one's place in a list that goes by places.

    ``named`` has of each row its keys and its id alone. ``coming`` is how many pages after it are on their way.
    """

    rows: Sequence[Record]
    named: Sequence[Record]
    marks: Sequence[str]
    before: Cursor
    at: int | None
    query: Query
    clock: datetime | None
    coming: int = 0

    def cursor(self, count: int) -> Cursor:
        """The cursor after so many of the rows."""
        if not count:
            return self.before
        kept = KEPT_BY_KEY if self.at is None else KEPT_BY_PLACE
        passed = self.before.passed + count
        return replace(
            self.before,
            passed=passed,
            pages=self.before.pages + 1,
            over=passed == self.query.limit,
            anchor=key_of(self.named[count - 1], self.query.key_fields),
            recent=(*self.before.recent, *self.marks[:count])[-kept:],
            at=None if self.at is None else self.at + count - 1,
        )


class Join(Enum):
    """How a page joins what was passed."""

    NEW = "new"
    """Rows follow the last one that was passed."""
    END = "end"
    """It holds one row that was passed, and nothing after it."""
    PASSED = "passed"
    """It holds only rows that were passed."""
    ASTRAY = "astray"
    """Rows that were passed come after the anchor: the ERP compares keys otherwise than it orders them."""
    APART = "apart"
    """It holds no row that was passed."""


def join(count: int, last: int | None, *, from_anchor: bool) -> Join:
    """How a page of so many rows joins: ``last`` is the place of the last that was passed.

    ``from_anchor`` says that it was asked for by the anchor's key, which then must come first.
    """
    if last is None:
        return Join.APART
    if from_anchor and last:
        return Join.ASTRAY
    if last + 1 < count:
        return Join.NEW
    return Join.END if count == 1 else Join.PASSED


class Marks:
    """The rows that were passed last, by their marks."""

    def __init__(self, size: int, marks: Iterable[str]) -> None:
        self._order = deque(marks, maxlen=size)
        self._known = set(self._order)

    def add(self, marks: Iterable[str]) -> None:
        """Remember some more, and forget as many."""
        for each in marks:
            if len(self._order) == self._order.maxlen:
                self._known.discard(self._order[0])
            self._order.append(each)
            self._known.add(each)

    def last_in(self, marks: Sequence[str]) -> int | None:
        """The place of the last of these that is remembered."""
        places = range(len(marks) - 1, -1, -1)
        return next((place for place in places if marks[place] in self._known), None)

    def __len__(self) -> int:
        return len(self._order)


def key_of(row: Record, key_fields: Sequence[str]) -> tuple[Key, ...]:
    """The row's key; empty where a part of it is missing."""
    members = [row.get(name) for name in key_fields]
    values = [member.get("value") for member in members if isinstance(member, dict)]
    usable = [value for value in values if isinstance(value, str | int) and value != ""]
    return tuple(usable) if len(usable) == len(key_fields) else ()


def mark(row: Record, key_fields: Sequence[str]) -> str:
    """What a row is known again by: its key, or its id where it has none."""
    name = key_of(row, key_fields) or (str(row.get("id")),)
    return blake2b(repr(name).encode(), digest_size=8).hexdigest()


def goes_by_key(query: Query, cursor: Cursor) -> bool:
    """Whether a list goes on by keys: they are known, and the ERP can compare those that are no combos."""
    combos = len(query.combos)
    leads = query.key_fields[:combos] == query.combos
    return cursor.at is None and leads and combos < len(query.key_fields)


def stretch(query: Query, cursor: Cursor) -> Stretch:
    """What to ask after a cursor."""
    if not goes_by_key(query, cursor):
        overlap = int(cursor.at is not None)
        return Stretch(filter=query.filter or "", skip=cursor.at or 0, overlap=overlap)
    combos = len(query.combos)
    group, rest = query.key_fields[:combos], query.key_fields[combos:]
    if not cursor.anchor:
        left = keys.both(query.filter, keys.of_none(group, cursor.done))
        return Stretch(filter=left, skip=0, overlap=0)
    of_group = keys.equal(group, cursor.anchor[:combos])
    on = keys.from_on(rest, cursor.anchor[combos:])
    to = keys.up_to(rest, cursor.fence[combos:]) if cursor.fence else ""
    return Stretch(filter=keys.both(query.filter, of_group, on, to), skip=0, overlap=1)


def of_one_group(keys: Sequence[tuple[Key, ...]], combos: int) -> int:
    """How many rows begin a list until there comes one of another group, by their keys."""
    groups = [key[:combos] for key in keys]
    return next((place for place, group in enumerate(groups) if group != groups[0]), len(groups))


def by_place(cursor: Cursor) -> Cursor:
    """The cursor of a list that went by keys, to go on by places; the place is a guess, which is then made sure."""
    return replace(cursor, at=max(0, cursor.passed - 1), fence=())


def after_group(query: Query, cursor: Cursor) -> Cursor:
    """The cursor after the last row of its group: of a list without groups, its end."""
    if not query.combos:
        return replace(cursor, over=True)
    group = cursor.anchor[: len(query.combos)]
    return replace(cursor, anchor=(), fence=(), done=(*cursor.done, group))

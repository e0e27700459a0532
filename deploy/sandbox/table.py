"""The rows of one entity in the order of its keys, found by key, by id or by a filter."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Protocol

from deploy.sandbox.ordering import Ordering
from deploy.sandbox.predicates import Bound
from deploy.sandbox.rows import Row, Scalar
from deploy.sandbox.schema import TopLevel
from deploy.sandbox.spans import Key, Reach, Span, reach

_INTEGERS = frozenset({"Int", "Short", "Long", "Byte"})
_MADE = 32_768  # rows that are kept of those that can be made again


class Unmade(Protocol):
    """Rows that are made from their number, when they are wanted and each time alike."""

    @property
    def count(self) -> int:
        """How many there are, numbered from 0."""

    def keys(self, index: int) -> tuple[Scalar, ...]:
        """The keys of one."""

    def id(self, index: int) -> str:
        """The id of one."""

    def make(self, index: int) -> Row:
        """One row."""


class Table:
    """A sorted list of rows with an index by id; keys and ids are unique.

    In the list a row that is not made yet is its number. Without keys the rows are in the order of their ids.
    """

    def __init__(
        self, entity: TopLevel, ordering: Ordering, rows: Iterable[Row], unmade: Unmade | None = None
    ) -> None:
        self._entity = entity
        self._names = entity.form.keys
        fields = [entity.fields[name] for name in entity.form.keys]
        self._columns = [(field.index, ordering.sorted_by(field)) for field in fields]
        self._types = [int if field.kind in _INTEGERS else str for field in fields]
        entries: list[tuple[Key, str, Row | int]] = [(self._key_of(row), row.id, row) for row in rows]
        self._made: Callable[[int], Row] = _nothing_unmade
        if unmade is not None:
            self._made = lru_cache(_MADE)(unmade.make)
            numbers = range(unmade.count)
            entries += ((self._key(unmade.keys(n)) or (unmade.id(n),), unmade.id(n), n) for n in numbers)
        entries.sort(key=lambda entry: entry[0])
        self._keys = [key for key, _, _ in entries]
        self._rows = [row for _, _, row in entries]
        self._key_by_id = {row_id: key for key, row_id, _ in entries}

    def __iter__(self) -> Iterator[Row]:
        return (self._row(at) for at in range(len(self._rows)))

    def page(self, bound: Bound | None, skip: int, top: int | None) -> tuple[list[Row], int]:
        """The matching rows after the first `skip`, at most `top`, and how many were passed over."""
        everything = Reach((Span(0, len(self._keys)),), exact=True)
        found = everything if bound is None else reach(self._keys, bound.keys)
        if bound is None or found.exact:
            return self._cut(found.spans, skip, top)
        places = chain.from_iterable(range(*span) for span in found.spans)
        matching = filter(bound.test, map(self._row, places))
        passed = sum(1 for _ in islice(matching, skip))
        return list(islice(matching, top)), passed

    def _cut(self, spans: Sequence[Span], skip: int, top: int | None) -> tuple[list[Row], int]:
        """The rows of these spans after the first `skip`, without a look at those, and how many these are."""
        passed, rows = 0, list[Row]()
        for span in spans:
            step = min(skip - passed, span.last - span.first)
            end = span.last if top is None else min(span.last, span.first + step + top - len(rows))
            rows += (self._row(at) for at in range(span.first + step, end))
            passed += step
        return rows, passed

    def by_id(self, row_id: str) -> Row | None:
        """The row with this id, or None."""
        key = self._key_by_id.get(row_id.lower())
        return None if key is None else self._row(bisect_left(self._keys, key))

    def by_keys(self, values: Sequence[str]) -> Row | None:
        """The row with these key values as a URL gives them, or None; one value too many or too few finds nothing."""
        if not values or len(values) != len(self._columns):
            return None
        try:
            key = self._key([convert(value) for convert, value in zip(self._types, values, strict=True)])
        except ValueError:
            return None
        at = bisect_left(self._keys, key)
        return self._row(at) if at < len(self._keys) and self._keys[at] == key else None

    def add(self, row: Row) -> None:
        """Puts a row where its key belongs; raises ValueError when a key is empty or taken, or the id is."""
        key = self._key_of(row)
        at = bisect_left(self._keys, key)
        if row.id in self._key_by_id or (at < len(self._keys) and self._keys[at] == key):
            raise ValueError(
                f"{self._entity.name} has a record with the key {key} or the id {row.id} already"
            )
        self._keys.insert(at, key)
        self._rows.insert(at, row)
        self._key_by_id[row.id] = key

    def replace(self, row: Row) -> None:
        """Puts a changed row in the place of the one with its id, moving it when its key changed."""
        old = self.remove(row.id)
        try:
            self.add(row)
        except ValueError:
            self.add(old)
            raise

    def remove(self, row_id: str) -> Row:
        """Takes a row out and returns it; raises LookupError when there is none with this id."""
        key = self._key_by_id.pop(row_id.lower(), None)
        if key is None:
            raise LookupError(f"{self._entity.name} has no record with the id {row_id}")
        at = bisect_left(self._keys, key)
        row = self._row(at)
        del self._keys[at], self._rows[at]
        return row

    def _row(self, at: int) -> Row:
        row = self._rows[at]
        return self._made(row) if isinstance(row, int) else row

    def _key(self, values: Iterable[Scalar]) -> Key:
        return tuple([measure(value) for (_, measure), value in zip(self._columns, values, strict=True)])

    def _key_of(self, row: Row) -> Key:
        values = []
        for index, _ in self._columns:
            value = row.values[index]
            if value is None or isinstance(value, tuple):
                raise ValueError(f"a record of {self._entity.name} needs its keys: {', '.join(self._names)}")
            values.append(value)
        return self._key(values) or (row.id,)


def _nothing_unmade(index: int) -> Row:
    raise IndexError(f"there is no row {index} that could be made")

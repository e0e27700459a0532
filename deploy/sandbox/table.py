"""The rows of one entity in the order of its keys, found by key, by id or by a filter."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from deploy.sandbox.collation import Collate
from deploy.sandbox.predicates import Bound, Comparable, comparable_by
from deploy.sandbox.rows import Row
from deploy.sandbox.schema import TopLevel

Key = tuple[Comparable, ...]


class Table:
    """A sorted list of rows with an index by id; keys and ids are unique."""

    def __init__(self, entity: TopLevel, collate: Collate, rows: Iterable[Row]) -> None:
        self._entity = entity
        self._names = entity.form.keys
        fields = [entity.fields[name] for name in entity.form.keys]
        self._columns = [(field.index, comparable_by(field, collate)) for field in fields]
        pairs = sorted(((self._key_of(row), row) for row in rows), key=lambda pair: pair[0])
        self._keys = [key for key, _ in pairs]
        self._rows = [row for _, row in pairs]
        self._key_by_id = {row.id: key for key, row in pairs}

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def page(self, bound: Bound | None, skip: int, top: int | None) -> tuple[list[Row], int]:
        """The matching rows after the first `skip`, at most `top`, and how many were passed over."""
        if bound is None:
            end = None if top is None else skip + top
            return self._rows[skip:end], min(skip, len(self._rows))
        matching = filter(bound.test, self._span(bound))
        passed = sum(1 for _ in islice(matching, skip))
        return list(islice(matching, top)), passed

    def by_id(self, row_id: str) -> Row | None:
        """The row with this id, or None."""
        key = self._key_by_id.get(row_id.lower())
        return None if key is None else self._rows[bisect_left(self._keys, key)]

    def by_keys(self, values: Sequence[str]) -> Row | None:
        """The row with these key values as a URL gives them, or None; one value too many or too few finds nothing."""
        if len(values) != len(self._columns):
            return None
        key = tuple(comparable(value) for (_, comparable), value in zip(self._columns, values, strict=True))
        at = bisect_left(self._keys, key)
        return self._rows[at] if at < len(self._keys) and self._keys[at] == key else None

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
        del self._keys[at]
        return self._rows.pop(at)

    def _span(self, bound: Bound) -> Iterator[Row]:
        """The stretch of rows in which all matches are."""
        width = len(bound.fixed)
        first = bisect_left(self._keys, bound.start)
        last = bisect_right(self._keys, bound.fixed, key=lambda key: key[:width])
        return islice(self._rows, first, last)

    def _key_of(self, row: Row) -> Key:
        key = []
        for index, comparable in self._columns:
            value = row.values[index]
            if value is None or isinstance(value, tuple):
                raise ValueError(f"a record of {self._entity.name} needs its keys: {', '.join(self._names)}")
            key.append(comparable(value))
        return tuple(key)

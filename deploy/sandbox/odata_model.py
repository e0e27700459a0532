"""What OData serves: feeds of rows with typed columns, and the refusal of what cannot be served. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from deploy.sandbox.named import Record
from deploy.sandbox.ordering import STAMPS
from deploy.sandbox.rows import Scalar

Dialect = Literal["v3", "v4"]
Kind = Literal["String", "Decimal", "DateTime", "Boolean", "Int", "Guid"]
Line = Mapping[str, Scalar | None]
"""A row of a feed by the names of its columns."""


class BadQuery(Exception):
    """A query that OData refuses with 400; the argument says why."""


class EmptyBody(Exception):
    """A query that is answered with 200 and nothing at all (reported for filters on calculated columns)."""


@dataclass(frozen=True)
class Column:
    """A column. `source` is the field it shows; `../` is of the record that a detail row is in, `*` a product."""

    name: str
    kind: Kind
    source: str
    length: int = 0
    """To which a string is padded in the database; 0: it is not."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """For a combo box: the stored code of each label."""

    @property
    def calculated(self) -> bool:
        """Whether the database does not hold it."""
        return "*" in self.source


@dataclass(frozen=True)
class Feed:
    """An entity set: a generic inquiry, or the table of a data access class. Its rows are those of an entity, or of
    its details. `parameters` are those of an inquiry, each with the column that it filters by equality."""

    name: str
    entity: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    detail: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    exposed: bool = True
    long_name: str = ""
    """Of a data access class, the name with its namespace, as the older interface has it."""

    def column(self, name: str) -> Column | None:
        """The column of this name; case counts."""
        return next((column for column in self.columns if column.name == name), None)


Records = Callable[[str], Iterator[Record]]
"""The records of an entity."""


@dataclass(frozen=True)
class Manner:
    """How an interface shows values: combo boxes by code or label, moments by the clock of its dialect."""

    dialect: Dialect
    by_code: bool

    def shown(self, column: Column, value: Scalar | None) -> Scalar | None:
        """A value as a row has it. A moment has the offset 0: stamps are in UTC in v4 and by the server's clock in v3;
        a day of business is its midnight in both."""
        if isinstance(value, datetime):
            stamp = self.dialect == "v4" and column.source.rpartition("/")[2] in STAMPS
            return value.astimezone(UTC) if stamp else value.replace(tzinfo=UTC)
        return column.codes.get(str(value), value) if self.by_code and value is not None else value


def lines(feed: Feed, records: Records, given: Mapping[str, Scalar | None], manner: Manner) -> Iterator[Line]:
    """The rows of a feed with these values of its parameters. Raises BadQuery for a parameter that it lacks."""
    unknown = sorted(given.keys() - feed.parameters.keys())
    if unknown:
        raise BadQuery(f"The inquiry '{feed.name}' has no parameter '{unknown[0]}'.")
    wanted = {feed.parameters[name]: value for name, value in given.items() if value is not None}
    return _lines(feed, records, wanted, manner)


def _lines(feed: Feed, records: Records, wanted: Line, manner: Manner) -> Iterator[Line]:
    for record in records(feed.entity):
        for one in record.details(feed.detail) if feed.detail else (record,):
            line = {column.name: manner.shown(column, one.read(column.source)) for column in feed.columns}
            if is_at(line, wanted):
                yield line


def is_at(line: Line, wanted: Line) -> bool:
    """Whether a row has these values, which are in the form in which they compare."""
    return all(comparable(line[name]) == value for name, value in wanted.items())


def comparable(value: Scalar | None) -> Any:
    """A value in the form in which the database compares it: texts without case and without blanks at their end."""
    return value.rstrip().casefold() if isinstance(value, str) else value

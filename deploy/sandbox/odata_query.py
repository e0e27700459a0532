"""A query of OData, read and applied to a feed's rows. Pure; fails with BadQuery and EmptyBody."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from deploy.sandbox.odata_filters import Test, compile_filter, literal_of
from deploy.sandbox.odata_model import BadQuery, Column, Dialect, Feed, Line, comparable
from deploy.sandbox.rows import Scalar

_OPTIONS: Mapping[Dialect, frozenset[str]] = {
    "v3": frozenset({"$filter", "$orderby", "$select", "$top", "$skip", "$inlinecount", "$format"}),
    "v4": frozenset({"$filter", "$orderby", "$select", "$top", "$skip", "$count", "$format"}),
}


@dataclass(frozen=True)
class Query:
    """What is asked of a feed. `order` has columns, each with whether it descends."""

    test: Test | None
    order: tuple[tuple[Column, bool], ...]
    columns: tuple[Column, ...]
    top: int | None
    skip: int
    count: bool


@dataclass(frozen=True)
class Page:
    """The rows of an answer. `count` is of all that match, if asked for; `rest` says that there are more than fit."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    count: int | None
    rest: bool


def read_query(feed: Feed, options: Mapping[str, str], dialect: Dialect) -> Query:
    """Read the query options. Those that begin with `$` and are unknown are refused, others are not looked at."""
    for name in options:
        if name.startswith("$") and name not in _OPTIONS[dialect]:
            raise BadQuery(f"The query parameter '{name}' is not supported.")
    text = options.get("$filter", "").strip()
    counts = options.get("$count") == "true" or options.get("$inlinecount") == "allpages"
    return Query(
        compile_filter(text, feed, dialect) if text else None,
        tuple(_direction(feed, part) for part in _parts(options.get("$orderby", ""))),
        _selected(feed, options.get("$select", "")),
        _count(options, "$top"),
        _count(options, "$skip") or 0,
        counts,
    )


def answer(query: Query, feed: Feed, lines: Iterable[Line], cap: int) -> Page:
    """The page that a query asks for; at most `cap` rows of it, if that is not 0."""
    matching: Iterable[Line] = (line for line in lines if query.test is None or query.test(line))
    if (
        cap and not query.order and not query.count
    ):  # no more rows are made than it takes to know that there are more
        matching = islice(matching, query.skip + cap + 1)
    found = list(matching)
    count = len(found) if query.count else None
    for column, descends in reversed((*query.order, *_by_keys(feed, query))):
        found.sort(key=lambda line: _rank(line[column.name]), reverse=descends)
    wanted = found[query.skip :][: query.top]
    page = wanted[:cap] if cap else wanted
    return Page(query.columns, tuple(page), count, len(page) < len(wanted))


def read_arguments(text: str, dialect: Dialect) -> dict[str, Scalar | None]:
    """`Name='v',Other=1` of a key or of parameters; a lone literal has the name ``."""
    found: dict[str, Scalar | None] = {}
    for part in _split(text):
        name, equals, value = part.partition("=")
        if not equals or "'" in name:
            name, value = "", part
        found[name.strip()] = literal_of(value.strip(), dialect)
    return found


def _split(text: str) -> list[str]:
    """The parts between the commas that are in no string."""
    parts, inside = [""], False
    for character in text:
        inside ^= character == "'"
        if character == "," and not inside:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]


def _by_keys(feed: Feed, query: Query) -> list[tuple[Column, bool]]:
    """Rows that are alike come in the order of the keys; without an order of its own, the feed keeps its own."""
    if not query.order:
        return []
    return [(column, False) for column in feed.columns if column.name in feed.keys]


def _direction(feed: Feed, part: str) -> tuple[Column, bool]:
    name, _, direction = part.partition(" ")
    if direction.strip() not in ("", "asc", "desc"):
        raise BadQuery(f"Syntax error at '{direction}' in the $orderby.")
    return _column(feed, name), direction.strip() == "desc"


def _selected(feed: Feed, text: str) -> tuple[Column, ...]:
    wanted = [_column(feed, name) for name in _parts(text) if name != "*"]
    return tuple(column for column in feed.columns if column in wanted) if wanted else feed.columns


def _column(feed: Feed, name: str) -> Column:
    column = feed.column(name)
    if column is None:
        raise BadQuery(f"Could not find a property named '{name}' on type '{feed.name}'.")
    return column


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _count(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name, "").strip()
    if not text:
        return None
    if not (text.isdecimal() and len(text) < 10):
        raise BadQuery(f"Invalid value '{text}' for {name} query option found.")
    return int(text)


def _rank(value: Scalar | None) -> tuple[bool, Scalar]:
    """Empty values come first, as in the database."""
    if value is None:
        return (False, Decimal(0))
    return (True, comparable(value))

"""The sandbox's OData: filters against a model, pages, and names."""

import operator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.odata_feeds import CLASSES, INQUIRIES
from deploy.sandbox.odata_filters import compile_filter
from deploy.sandbox.odata_model import BadQuery, Column, Dialect, EmptyBody, Feed, Line
from deploy.sandbox.odata_paths import target
from deploy.sandbox.odata_query import answer, read_arguments, read_query

FEED = Feed(
    "F",
    "E",
    (
        Column("Name", "String", "Name"),
        Column("Size", "Decimal", "Size"),
        Column("On", "Boolean", "On"),
        Column("Day", "DateTime", "Day"),
        Column("Worth", "Decimal", "Size*Size"),
    ),
    ("Name",),
)
COMPARE = {name: getattr(operator, name) for name in ("eq", "ne", "gt", "ge", "lt", "le")}
NAMES = st.text(alphabet="aAbB'é ()", max_size=4)
SIZES = st.decimals(-9, 9, places=1)
DAYS = st.datetimes(datetime(2020, 1, 1), datetime(2020, 1, 3), timezones=st.just(UTC))  # noqa: DTZ001 - a bound
LINES = st.fixed_dictionaries(
    {
        "Name": st.none() | NAMES,
        "Size": st.none() | SIZES,
        "On": st.none() | st.booleans(),
        "Day": st.none() | DAYS,
        "Worth": SIZES,
    }
)


def same(text: str) -> str:
    """A text as the database compares it."""
    return text.rstrip().casefold()


@st.composite
def comparisons(draw: st.DrawFn, dialect: Dialect) -> tuple[str, Any]:
    """A comparison as text, and as a test of a line."""
    name = draw(st.sampled_from(sorted(COMPARE)))
    compare = COMPARE[name]
    column, literal, wanted = draw(
        st.one_of(
            NAMES.map(lambda text: ("Name", "'" + text.replace("'", "''") + "'", same(text))),
            SIZES.map(lambda size: ("Size", f"{size}{'M' if dialect == 'v3' else ''}", size)),
            DAYS.map(lambda day: ("Day", moment(day, dialect), day)),
        )
    )

    def test(line: dict[str, Any]) -> bool:
        value = line[column]
        if value is None:
            return name == "ne"
        return bool(compare(same(value) if column == "Name" else value, wanted))

    return f"{column} {name} {literal}", test


def moment(day: datetime, dialect: Dialect) -> str:
    """A moment as a literal."""
    text = day.replace(tzinfo=None).isoformat()
    return f"datetime'{text}'" if dialect == "v3" else f"{text}Z"


@st.composite
def matches(draw: st.DrawFn, dialect: Dialect) -> tuple[str, Any]:
    """A function of a text and a needle."""
    needle = draw(NAMES)
    quoted, sought = "'" + needle.replace("'", "''") + "'", same(needle)
    contains = f"substringof({quoted},Name)" if dialect == "v3" else f"contains(Name,{quoted})"
    text, found = draw(
        st.sampled_from(
            [
                (contains, lambda value: sought in value),
                (f"startswith(tolower(Name),{quoted})", lambda value: value.startswith(sought)),
                (f"endswith(Name,{quoted})", lambda value: value.endswith(sought)),
            ]
        )
    )
    return text, lambda line: line["Name"] is not None and found(same(line["Name"]))


def conditions(dialect: Dialect) -> st.SearchStrategy[tuple[str, Any]]:
    """Filters of any depth."""
    leaves = comparisons(dialect) | matches(dialect) | st.just(("On", lambda line: bool(line["On"])))

    def joined(inner: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[tuple[str, Any]]:
        both = st.tuples(inner, inner)
        return st.one_of(
            both.map(lambda p: (f"({p[0][0]}) and {p[1][0]}", lambda line: p[0][1](line) and p[1][1](line))),
            both.map(lambda p: (f"({p[0][0]} or ({p[1][0]}))", lambda line: p[0][1](line) or p[1][1](line))),
            inner.map(lambda one: (f"not ({one[0]})", lambda line: not one[1](line))),
        )

    return st.recursive(leaves, joined, max_leaves=6)


def in_either() -> st.SearchStrategy[tuple[Dialect, tuple[str, Any]]]:
    """A filter, and the dialect that it is written in."""
    dialects: list[Dialect] = ["v3", "v4"]
    return st.one_of(*(st.tuples(st.just(dialect), conditions(dialect)) for dialect in dialects))


@given(in_either(), LINES)
def test_filters_find_what_a_model_finds(
    found: tuple[Dialect, tuple[str, Any]], line: dict[str, Any]
) -> None:
    """In both dialects, at any depth, with empty values and awkward texts."""
    dialect, (text, model) = found
    assert compile_filter(text, FEED, dialect)(line) == model(line)


@given(st.text(alphabet="Name '()eqand,1.0Mot", max_size=30), st.sampled_from(["v3", "v4"]))
def test_any_other_text_is_refused_or_read(text: str, dialect: Dialect) -> None:
    """Nothing else comes of it."""
    try:
        compile_filter(text, FEED, dialect)
    except BadQuery as why:
        assert str(why)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("contains(Name,'a')", "v3"),
        ("substringof('a',Name)", "v4"),
        ("Size eq 1M", "v4"),
        ("Day eq 2020-01-01", "v3"),
        ("Day eq datetime'2020-01-01'", "v4"),
        ("Day eq datetime'yesterday'", "v3"),
        ("Name eq 1", "v4"),
        ("Size", "v4"),
        ("Size eq", "v4"),
        ("(Size eq 1", "v4"),
        ("Size eq 1 Name", "v4"),
        ("name eq 'a'", "v4"),
        ("startswith(Size,'a')", "v4"),
    ],
)
def test_what_a_dialect_does_not_know_is_refused(text: str, dialect: Dialect) -> None:
    """The words of the other dialect, wrong types, names in another case, and loose ends."""
    with pytest.raises(BadQuery):
        compile_filter(text, FEED, dialect)


def test_calculated_columns() -> None:
    """v4 answers a filter on one with nothing; v3 filters by it."""
    with pytest.raises(EmptyBody):
        compile_filter("Name eq 'a' or Worth gt 1", FEED, "v4")
    assert compile_filter("Worth gt 1", FEED, "v3")({"Worth": Decimal(2)})


@given(st.lists(SIZES), st.integers(0, 6), st.none() | st.integers(0, 6), st.integers(0, 4))
def test_pages_are_what_a_slice_is(sizes: list[Decimal], skip: int, top: int | None, cap: int) -> None:
    """Skipped, then cut, then capped; a page that the cap has cut says so, with an order and without."""
    lines: list[Line] = [{"Name": f"{at:02}", "Size": size} for at, size in enumerate(sizes)]
    options = {"$skip": str(skip), **({} if top is None else {"$top": str(top)}), "$select": "Name,Size"}
    for order in ({}, {"$orderby": "Size desc"}, {"$count": "true"}):
        page = answer(read_query(FEED, {**options, **order}, "v4"), FEED, lines, cap)
        inorder = (
            sorted(lines, key=lambda line: -Decimal(str(line["Size"]))) if "$orderby" in order else lines
        )
        wanted = inorder[skip:][:top]
        assert list(page.lines) == (wanted[:cap] if cap else wanted)
        assert page.rest == bool(cap and len(wanted) > cap)
        assert page.count == (len(lines) if "$count" in order else None)


@pytest.mark.parametrize(
    "options",
    [
        {"$apply": "x"},
        {"$top": "-1"},
        {"$skip": "x"},
        {"$orderby": "Size down"},
        {"$orderby": "x"},
        {"$select": "x"},
    ],
)
def test_a_query_that_cannot_be_read_is_refused(options: dict[str, str]) -> None:
    """An option that is not there, a count that is none, a column or direction that is not known."""
    with pytest.raises(BadQuery):
        read_query(FEED, options, "v4")


def test_keys_and_parameters_are_read() -> None:
    """Named or alone, with commas and quotes within; they compare as the database does."""
    assert read_arguments("A='O''Brien, X',B=2,C=null", "v4") == {
        "A": "o'brien, x",
        "B": Decimal(2),
        "C": None,
    }
    assert read_arguments("'A=B'", "v4") == {"": "a=b"}
    assert read_arguments("", "v4") == {}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("odata", ("v3", "", "")),
        ("odata/MyStore", ("v3", "MyStore", "")),
        ("OData/mystore/BI-Inventory", ("v3", "mystore", "BI-Inventory")),
        ("odata/BI-Inventory", ("v3", "", "BI-Inventory")),
        ("odatav4/PX_Objects_SO_SOOrder", ("v4", "", "PX_Objects_SO_SOOrder")),
        ("t/Other/api/odata/dac/SOOrder", ("v4", "Other", "SOOrder")),
        ("t/Other/api/odata/gi", ("v4", "Other", "")),
        ("t/Other/api/odata", None),
        ("t/Other/api/odata/x/SOOrder", None),
        ("odata/Other/BI-Inventory", None),
        ("t", None),
    ],
)
def test_paths(path: str, found: tuple[str, str, str] | None) -> None:
    """Which service they name, in which tenant, and what of it."""
    named = target(path.split("/"), ["MyStore"])
    assert (named and (named.manner.dialect, named.tenant, named.resource)) == found


def test_every_feed_has_its_keys_and_parameters_among_its_columns() -> None:
    """And every data access class its older name."""
    for feed in (*INQUIRIES, *CLASSES):
        names = {column.name for column in feed.columns}
        assert {*feed.keys, *feed.parameters.values()} <= names
    assert all(feed.long_name.startswith("PX_Objects_") for feed in CLASSES)

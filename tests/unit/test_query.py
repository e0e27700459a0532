"""Filters: what parses, what is refused and with which words, and that a value never becomes syntax."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.erp.keys import both, equal
from worker.erp.query import MAX_NESTING, bind
from worker.errors import FilterInvalid, JobRefused, ParameterInvalid
from worker.params import Param

GUID = "6b29fc40-ca47-1067-b31d-00dd010662da"

WRITTEN = [
    ("CustomerID eq 'C000000003'", "CustomerID eq 'C000000003'"),
    (
        "Type  eq 'Payment'\n and CustomerID eq 'C000000003'",
        "Type eq 'Payment' and CustomerID eq 'C000000003'",
    ),
    ("CustomerName eq 'O''Hara'", "CustomerName eq 'O''Hara'"),
    ("CustomerName eq ''", "CustomerName eq ''"),
    ("Note eq 'it is :not a parameter'", "Note eq 'it is :not a parameter'"),
    ("MainContact/Email eq 'info@example.com'", "MainContact/Email eq 'info@example.com'"),
    ("MainContact/Address/City ne 'Oslo'", "MainContact/Address/City ne 'Oslo'"),
    (
        "cf.Decimal(f='Document.CuryBalanceWOTotal') eq 0M",
        "cf.Decimal(f='Document.CuryBalanceWOTotal') eq 0M",
    ),
    ("OrderTotal gt 100 and OrderTotal le 10.50", "OrderTotal gt 100 and OrderTotal le 10.50"),
    ("Balance lt -0.5m or Balance ge 1", "Balance lt -0.5m or Balance ge 1"),
    ("Active eq true and Hold ne false", "Active eq true and Hold ne false"),
    ("trueName eq 1 and nullable eq 2", "trueName eq 1 and nullable eq 2"),
    ("CustomerOrder eq null or CustomerOrder ne null", "CustomerOrder eq null or CustomerOrder ne null"),
    (f"NoteID eq guid'{GUID}'", f"NoteID eq guid'{GUID}'"),
    ("Date ge datetimeoffset'2022-12-31'", "Date ge datetimeoffset'2022-12-31'"),
    ("Date ge datetimeoffset'2022-09-24T00:00:00.000'", "Date ge datetimeoffset'2022-09-24T00:00:00.000'"),
    (
        "Date lt datetimeoffset'2024-08-18T23:59:59.9999999+04:00'",
        "Date lt datetimeoffset'2024-08-18T23:59:59.9999999+04:00'",
    ),
    ("Date lt datetimeoffset'2024-08-18T23:59Z'", "Date lt datetimeoffset'2024-08-18T23:59Z'"),
    ("Date eq date'2025-06-17'", "Date eq date'2025-06-17'"),
    ("substringof( 'lego' , InventoryID )", "substringof('lego',InventoryID)"),
    ("startswith(InventoryID,'AA')", "startswith(InventoryID,'AA')"),
    ("endswith(MainContact/Email,'.com')", "endswith(MainContact/Email,'.com')"),
    (
        "startswith(cf.String(f='Item.UsrColour'), 'red')",
        "startswith(cf.String(f='Item.UsrColour'),'red')",
    ),
    ("(((A eq 1)))", "A eq 1"),
    ("A eq 1 or B eq 2 and C eq 3", "A eq 1 or B eq 2 and C eq 3"),
    ("A eq 1 or (B eq 2 and C eq 3)", "A eq 1 or B eq 2 and C eq 3"),
    ("(A eq 1 or B eq 2)and(C eq 3)", "(A eq 1 or B eq 2) and C eq 3"),
    ("A eq 1 and (B eq 2 and C eq 3)", "A eq 1 and (B eq 2 and C eq 3)"),
    ("contains eq 'x' and datetime ne 'y'", "contains eq 'x' and datetime ne 'y'"),
]

REFUSED = [
    ("", 1, "a condition such as CustomerID eq :customer"),
    ("   ", 4, "the filter ends"),
    ("CustomerID", 11, "eq, ne, gt, ge, lt or le"),
    ("CustomerID eq", 14, "a value: 'text'"),
    ("CustomerID eq OtherID", 15, "found 'OtherID'"),
    ("CustomerID EQ 'x'", 12, "eq, ne, gt, ge, lt or le"),
    ("CustomerID in ('x')", 12, "eq, ne, gt, ge, lt or le"),
    ("A add 1 eq 2", 3, "eq, ne, gt, ge, lt or le"),
    ("A eq 1 AND B eq 2", 8, "and, or, or the end of the filter"),
    ("A eq 1 and", 11, "a condition"),
    ("A eq 1)", 7, "found ')'"),
    ("(A eq 1", 8, "and, or, or )"),
    ("()", 2, "a condition"),
    ("and eq 1", 1, "a condition"),
    ("'x' eq A", 1, "write the field first"),
    (":x eq A", 1, "write the field first"),
    ("true eq A", 1, "write the field first"),
    ("A eq 'x", 6, "no closing quote"),
    ("A eq 'x''", 6, "no closing quote"),
    ('A eq "x"', 6, "single quotes"),
    ("A = 'x'", 3, "a comparison is written eq"),
    ("A eq :", 6, "a parameter is written :name"),
    ("A eq :1", 6, "a parameter is written :name"),
    ("A eq 1e5", 6, "a number is written 10, -10.5 or 10.5M"),
    ("A eq 1.", 6, "a number is written"),
    ("A eq 5L", 6, "a number is written"),
    ("A eq +5", 6, "'+' is no part of a filter"),
    ("A eq %27x%27", 6, "not percent-encoded"),
    ("A eq 1;B eq 2", 7, "';' is no part of a filter"),
    ("Å eq 1", 1, "is no part of a filter"),
    ("A/ eq 1", 2, "MainContact/Email"),
    ("A eq 1\x00", 7, r"'\x00' is no part of a filter"),
    ("cf.Money(f='Document.Total') eq 1", 3, "Boolean, DateTime, Guid"),
    ("cf.String(f='Document') eq 'x'", 3, "cf.Type(f='View.Field')"),
    ("cf.String(f='a.b'' or 1 eq 1') eq 'x'", 3, "cf.Type(f='View.Field')"),
    ("not A eq 1", 1, "turn the comparison round"),
    ("not (A eq 1)", 1, "turn the comparison round"),
    ("A eq 1 and not startswith(B,'x')", 12, "turn the comparison round"),
    ("contains(A,'x')", 1, "substringof('text', Field)"),
    ("tolower(A) eq 'x'", 1, "compares text without case"),
    ("A eq toupper('x')", 6, "compares text without case"),
    ("length(A) eq 1", 1, "startswith(Field, 'text')"),
    ("substringof('x',A) eq true", 20, "write substringof('text', Field) alone"),
    ("startswith(A,'x') ne false", 19, "write startswith(Field, 'text') alone"),
    ("substringof(A,'x')", 13, "the text of substringof('text', Field)"),
    ("startswith('x',A)", 12, "the field of startswith(Field, 'text')"),
    ("substringof('x' A)", 17, "the comma of"),
    ("endswith(A,'x',B)", 15, "the closing parenthesis of"),
    ("startswith(A,null)", 14, "looks for a text"),
    ("substringof(5,A)", 13, "looks for a text"),
    ("A gt null", 6, "null has no order"),
    ("A le true", 6, "true has no order"),
    ("A eq guid'6b29fc40'", 6, f"guid'{GUID}'"),
    ("A eq date'2025-02-30'", 6, "date'2025-06-17'"),
    ("A eq datetimeoffset'2024-08-18T25:00:00'", 6, "datetimeoffset'2024-08-18'"),
    ("A eq datetimeoffset'2024-08-18T23%3A59%3A59'", 6, "datetimeoffset'2024-08-18'"),
    ("A eq datetime'2024-08-18'", 6, "datetimeoffset'"),
    ("A eq " + "1" * 29, 6, "at most 28 digits"),
]

BOUND: list[tuple[str, Param, str]] = [
    ("A eq :x", "C000000003", "A eq 'C000000003'"),
    ("A eq :x", "' or 1 eq 1 or A eq '", "A eq ''' or 1 eq 1 or A eq '''"),
    ("A eq :x", "", "A eq ''"),
    ("A eq :x", "line\nbreak\x00\u202e", "A eq 'line\nbreak\x00\u202e'"),
    ("substringof(:x,A)", "50%", "substringof('50%',A)"),
    ("endswith(A,:x)", ":x", "endswith(A,':x')"),
    ("A ge :x", 12, "A ge 12"),
    ("A lt :x", -12, "A lt -12"),
    ("A eq :x", Decimal("2200.0000"), "A eq 2200.0000"),
    ("A eq :x", Decimal("1E+3"), "A eq 1000"),
    ("A eq :x", Decimal("1E-7"), "A eq 0.0000001"),
    ("A eq :x", True, "A eq true"),
    ("A ne :x", False, "A ne false"),
    ("A ne :x", None, "A ne null"),
    ("A eq :x", UUID(GUID), f"A eq guid'{GUID}'"),
    ("A ge :x", date(2025, 6, 17), "A ge date'2025-06-17'"),
    ("A ge :x", datetime(2022, 12, 31), "A ge datetimeoffset'2022-12-31T00:00:00'"),  # noqa: DTZ001 naive is meant
    ("A ge :x", datetime(2022, 12, 31, tzinfo=UTC), "A ge datetimeoffset'2022-12-31T00:00:00+00:00'"),
    (
        "A ge :x",
        datetime(2024, 8, 18, 23, 59, 59, 999000, timezone(timedelta(hours=4))),
        "A ge datetimeoffset'2024-08-18T23:59:59.999000+04:00'",
    ),
]

UNBINDABLE: list[tuple[str, dict[str, Param], str, str]] = [
    ("A eq :x", {}, "params.x", "params does not have it"),
    ("A eq :x", {"X": 1}, "params.x", "params does not have it"),
    ("A eq :x", {"x": 1, "y": 2}, "params.y", "it has :x"),
    ("A eq 1", {"y": 2}, "params.y", "it has no parameters"),
    ("A gt :x", {"x": None}, "params.x", "null has no order"),
    ("A le :x", {"x": False}, "params.x", "false has no order"),
    ("substringof(:x,A)", {"x": 5}, "params.x", "looks for a text"),
    ("startswith(A,:x)", {"x": None}, "params.x", "looks for a text"),
    ("A eq :x", {"x": 10**28}, "params.x", "at most 28 digits"),
    ("A eq :x", {"x": 10**10_000}, "params.x", "at most 28 digits"),
    ("A eq :x", {"x": Decimal("1E+999999999999")}, "params.x", "at most 28 digits"),
    ("A eq :x", {"x": Decimal("1E-999999999999")}, "params.x", "at most 28 digits"),
    ("A eq :x", {"x": Decimal("1." + "1" * 28)}, "params.x", "at most 28 digits"),
    (
        "A eq :x",
        {"x": datetime(2024, 8, 18, tzinfo=timezone(timedelta(seconds=61)))},
        "params.x",
        "no such datetimeoffset",
    ),
]


@pytest.mark.parametrize(("text", "expected"), WRITTEN)
def test_a_filter_of_the_grammar_is_rendered_with_the_same_meaning(text: str, expected: str) -> None:
    """What Acumatica takes comes out as it went in, but for blanks and needless parentheses."""
    assert bind(text, {}) == expected


@pytest.mark.parametrize(("text", "character", "allowed"), REFUSED)
def test_a_filter_outside_the_grammar_is_refused_with_the_way_out(
    text: str, character: int, allowed: str
) -> None:
    """The error names the field, the place of the fault, and what would be right there."""
    with pytest.raises(FilterInvalid) as raised:
        bind(text, {})
    assert raised.value.field == "filter"
    assert raised.value.message.startswith(f"character {character}: ")
    assert allowed in raised.value.message


@pytest.mark.parametrize(("text", "value", "expected"), BOUND)
def test_a_parameter_is_written_by_the_type_of_its_value(text: str, value: Param, expected: str) -> None:
    """Each type of value has its own literal, and no value is ever more than one literal."""
    assert bind(text, {"x": value}) == expected


@pytest.mark.parametrize(("text", "params", "field", "message"), UNBINDABLE)
def test_a_parameter_that_does_not_fit_is_refused_by_name(
    text: str, params: Mapping[str, Param], field: str, message: str
) -> None:
    """A missing, unused, unfit or monstrous parameter is refused, and the error names it."""
    with pytest.raises(ParameterInvalid) as raised:
        bind(text, params)
    assert raised.value.field == field
    assert message in raised.value.message


def test_a_parameter_may_be_used_more_than_once() -> None:
    """One value serves every place that names it."""
    assert bind("A eq :x or startswith(B,:x)", {"x": "y"}) == "A eq 'y' or startswith(B,'y')"


def test_a_value_is_never_shown_in_an_error() -> None:
    """A value may be somebody's data; the error names the parameter only."""
    with pytest.raises(ParameterInvalid) as raised:
        bind("A eq 1", {"x": "confidential"})
    assert "confidential" not in str(raised.value)


def test_nesting_is_bounded_on_both_sides_of_the_bound() -> None:
    """Deep nesting is refused long before the stack ends; the deepest that is allowed survives rendering."""
    deepest = "A eq 1"
    for _ in range(MAX_NESTING):
        deepest = f"B eq 2 and (C eq 3 or {deepest})"
    assert bind(bind(deepest, {}), {}) == deepest
    for text in ("(" * (MAX_NESTING + 1) + "A eq 1" + ")" * (MAX_NESTING + 1), "(" * 100_000):
        with pytest.raises(FilterInvalid, match=f"character {MAX_NESTING + 1}: more than 64 parentheses"):
            bind(text, {})


def test_a_long_chain_of_conditions_is_no_nesting() -> None:
    """Thousands of conditions side by side are allowed, as a list of keys may need them."""
    text = " or ".join(f"OrderNbr eq '{number:06}'" for number in range(2000))
    assert bind(text, {}) == text
    assert bind(text.replace("OrderNbr", "(OrderNbr").replace(" or", ") or") + ")", {}) == text


def test_keys_become_equalities_of_texts() -> None:
    """A key's value is quoted whatever it holds."""
    assert (
        equal(["Type", "ReferenceNbr"], ["Payment", "0'1"]) == "Type eq 'Payment' and ReferenceNbr eq '0''1'"
    )


def test_two_filters_are_joined_without_changing_either() -> None:
    """Each keeps its own precedence."""
    assert both("A eq 1 or B eq 2", "C eq 3") == "(A eq 1 or B eq 2) and (C eq 3)"


# What follows judges by a reader of its own, which shares nothing with the code under test: it walks the
# characters one by one, as the OData specification describes a quoted text.


def read(text: str) -> list[str | tuple[str]]:
    """The words of a filter; a quoted text is a tuple of its value, so that no word can be mistaken for it."""
    words: list[str | tuple[str]] = []
    place = 0
    while place < len(text):
        char = text[place]
        if char == "'":
            value, place = _read_quoted(text, place + 1)
            words.append((value,))
        elif char in "(), ":
            words.extend(char.strip())
            place += 1
        else:
            start = place
            while place < len(text) and text[place] not in "(), '":
                place += 1
            words.append(text[start:place])
    return words


def _read_quoted(text: str, place: int) -> tuple[str, int]:
    value = ""
    while True:
        end = text.index("'", place)
        value += text[place:end]
        if text[end + 1 : end + 2] != "'":
            return value, end + 1
        value += "'"
        place = end + 2


@given(first=st.text(), second=st.text())
def test_any_text_stays_one_value(first: str, second: str) -> None:
    """Whatever a text holds, a reader of the rendered filter finds that text, whole, and nothing beside it."""
    rendered = bind("A eq :a and (substringof(:b,B) or C ne :a)", {"a": first, "b": second})
    expected = ["A", "eq", (first,), "and", "(", "substringof", "(", (second,), ",", "B", ")"]
    assert read(rendered) == [*expected, "or", "C", "ne", (first,), ")"]


@given(keys=st.lists(st.text(), min_size=1, max_size=3))
def test_any_key_stays_one_value(keys: list[str]) -> None:
    """Whatever the keys hold, the filter for them compares each field with its whole key and no more."""
    fields = [f"Key{place}" for place in range(len(keys))]
    words = read(equal(fields, keys))
    assert words[0::4] == fields
    assert words[1::4] == ["eq"] * len(keys)
    assert words[2::4] == [(key,) for key in keys]
    assert words[3::4] == ["and"] * (len(keys) - 1)


@given(value=st.integers(-(10**28) + 1, 10**28 - 1) | st.decimals(-(10**13), 10**13, places=6))
def test_any_number_of_a_sane_size_keeps_its_value(value: int | Decimal) -> None:
    """A number is written plainly and exactly, with its scale."""
    word = bind("A eq :x", {"x": value}).removeprefix("A eq ")
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", word)
    assert Decimal(word) == value
    assert Decimal(word).as_tuple().exponent == Decimal(value).as_tuple().exponent


OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(value=st.datetimes(timezones=st.none() | OFFSETS))
def test_any_moment_keeps_its_value(value: datetime) -> None:
    """A moment is written with the offset that it has, or with none."""
    word = bind("A ge :x", {"x": value})
    read_back = datetime.fromisoformat(word.removeprefix("A ge datetimeoffset'").removesuffix("'"))
    assert (read_back, read_back.utcoffset()) == (value, value.utcoffset())


FRAGMENTS = st.sampled_from(
    [
        *["A", "B/C", "cf.Int(f='V.F')", "cf.", "eq", "ne", "gt", "and", "or", "not", "(", ")", ","],
        *["'", "''", "'x'", ":x", "5", "-1.5M", "true", "null", "guid'", "date'2025-06-17'"],
        *["substringof", "startswith", "contains", "%", "\n", "\x00", "é"],
    ]
)


@given(text=st.text() | st.lists(FRAGMENTS, max_size=30).map(" ".join) | st.lists(FRAGMENTS).map("".join))
def test_any_garbage_parses_or_is_refused(text: str) -> None:
    """No text raises anything but a refusal, and what is rendered once is rendered the same again."""
    try:
        once = bind(text, {"x": "value"} if ":x" in text else {})
    except JobRefused:
        return
    assert bind(once, {}) == once


NAMES = st.sampled_from(["A", "Bc_1", "MainContact/Email", "cf.String(f='View.Field')"])
LITERALS = (
    st.text().map(lambda text: "'" + text.replace("'", "''") + "'")
    | st.integers(-(10**20), 10**20).map(str)
    | st.sampled_from(["1.50M", f"guid'{GUID}'", "date'2025-06-17'", "datetimeoffset'2022-12-31'"])
)
COMPARISONS = st.builds(
    "{} {} {}".format, NAMES, st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]), LITERALS
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda part: st.builds("({}) and ({})".format, part, part) | st.builds("{} or {}".format, part, part),
    max_leaves=20,
)


@given(text=FILTERS)
def test_any_filter_of_the_grammar_is_settled_by_one_rendering(text: str) -> None:
    """Every filter that the grammar makes is accepted, and rendering is idempotent."""
    once = bind(text, {})
    assert bind(once, {}) == once

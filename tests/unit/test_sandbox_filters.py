"""The sandbox's $filter language: what is read, what is refused, and that no text can break it."""

import string
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.filters import (
    OPERATORS,
    Comparison,
    Condition,
    CustomField,
    Every,
    Literal,
    Match,
    Path,
    Some,
    parse,
)
from deploy.sandbox.instance import Instance
from deploy.sandbox.refusal import Refusal

SERVER = timezone(timedelta(hours=3))
INSTANCE = Instance(BUILDS["2022R1"], "MyStoreInstance")


def equals(field: str, type_name: str, value: str | bool | int | Decimal | datetime | None) -> Comparison:
    """`field eq literal`."""
    return Comparison(Path((field,)), "eq", Literal(type_name, value))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("A eq 'x'", equals("A", "Edm.String", "x")),
        ("A eq 'O''Brien'", equals("A", "Edm.String", "O'Brien")),
        ("A eq ''", equals("A", "Edm.String", "")),
        ("  A   eq\t5 ", equals("A", "Edm.Int32", 5)),
        ("A eq -5", equals("A", "Edm.Int32", -5)),
        ("A eq 2.50", equals("A", "Edm.Decimal", Decimal("2.50"))),
        ("A eq 0M", equals("A", "Edm.Decimal", Decimal(0))),
        ("A eq true", equals("A", "Edm.Boolean", True)),
        ("A eq null", equals("A", "Edm.Null", None)),
        (
            "A eq guid'C01087CA-7281-E511-80C0-00155D012302'",
            equals("A", "Edm.Guid", "c01087ca-7281-e511-80c0-00155d012302"),
        ),
        (
            "A eq datetimeoffset'2022-12-31'",
            equals("A", "Edm.DateTimeOffset", datetime.fromisoformat("2022-12-31")),
        ),
        (
            "A eq datetimeoffset'2024-08-18T23:59:59.999+04:00'",
            equals("A", "Edm.DateTimeOffset", datetime(2024, 8, 18, 22, 59, 59, 999_000, SERVER)),
        ),
        (
            "MainContact/Email ne 'x'",
            Comparison(Path(("MainContact", "Email")), "ne", Literal("Edm.String", "x")),
        ),
        (
            "cf.Decimal(f='Document.CuryBalanceWOTotal') eq 0M",
            Comparison(
                CustomField("Decimal", "Document.CuryBalanceWOTotal"),
                "eq",
                Literal("Edm.Decimal", Decimal(0)),
            ),
        ),
        ("substringof('x',A)", Match("substringof", Path(("A",)), Literal("Edm.String", "x"))),
        ("startswith(A, 'x')", Match("startswith", Path(("A",)), Literal("Edm.String", "x"))),
        (
            "substringof('x',A) eq true",
            Match("substringof", Path(("A",)), Literal("Edm.String", "x"), compared=True),
        ),
    ],
)
def test_a_term_is_read(text: str, tree: Condition) -> None:
    """Every form of comparison, literal and function in the vendor's documentation is understood."""
    assert parse(text) == tree


def test_and_binds_closer_than_or() -> None:
    """`a or b and c` is `a or (b and c)`, and parentheses change that."""
    a, b, c = (equals(name, "Edm.Int32", 1) for name in "abc")
    assert parse("a eq 1 or b eq 1 and c eq 1") == Some((a, Every((b, c))))
    assert parse("(a eq 1 or b eq 1) and c eq 1") == Every((Some((a, b)), c))


def test_only_nesting_counts_as_depth() -> None:
    """Hundreds of conditions side by side are no deeper than one."""
    wide = parse(" or ".join(["(A eq 1)"] * 300))
    assert isinstance(wide, Some)
    assert len(wide.parts) == 300


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("contains(CustomerID,'x')", "unknown function with name 'contains'"),
        ("tolower(CustomerID) eq 'x'", "unknown function with name 'tolower'"),
        ("toupper(CustomerID) eq 'X'", "unknown function with name 'toupper'"),
        ("not substringof('x',CustomerID)", "operator kind 'Not'"),
        ("not (CustomerID eq 'x')", "operator kind 'Not'"),
        ("CustomerID eq date'2025-06-17'", "Unrecognized 'date' literal"),
        ("Date eq datetimeoffset'2022-13-01'", "Unrecognized 'Edm.DateTimeOffset' literal"),
        ("Date eq datetimeoffset'0001-01-01T00:00:00+14:00'", "Unrecognized 'Edm.DateTimeOffset' literal"),
        ("Date eq datetimeoffset'2024-08-18T23:59:59 04:00'", "Unrecognized 'Edm.DateTimeOffset' literal"),
        ("CustomerID eq guid'7'", "Unrecognized 'guid' literal"),
        ("CustomerID EQ 'x'", "Syntax error"),
        ("CustomerID eq x", "A literal was expected"),
        ("CustomerID eq 'x' and", "Expression expected"),
        ("CustomerID eq 'x", "Syntax error"),
        ("CustomerID", "Expression expected"),
        ("CustomerID eq 'x' CustomerID", "Syntax error"),
        ("(CustomerID eq 'x'", "Expression expected"),
        ("'x' eq CustomerID", "Syntax error"),
        ("OrderTotal add 1 eq 2", "Syntax error"),
        ("(" * 101 + "CustomerID eq 'x'" + ")" * 101, "Recursion depth"),
    ],
)
def test_what_the_erp_does_not_take_is_refused_with_500(text: str, words: str) -> None:
    """Unsupported functions, `not`, malformed text and malformed literals are server errors that say what is wrong."""
    with pytest.raises(Refusal) as caught:
        parse(text)
    assert caught.value.status == 500
    assert words in str(caught.value.body["exceptionMessage"])


def rendered(condition: Condition) -> str:
    """A tree as a filter."""
    match condition:
        case Comparison(operand, operator, literal):
            return f"{_operand(operand)} {operator} {_literal(literal)}"
        case Match("substringof", operand, needle):
            return f"substringof({_literal(needle)},{_operand(operand)})" + " eq true" * condition.compared
        case Match(function, operand, needle):
            return f"{function}({_operand(operand)},{_literal(needle)})" + " eq true" * condition.compared
        case Every(parts):
            return " and ".join(f"({rendered(part)})" for part in parts)
        case Some(parts):
            return " or ".join(f"({rendered(part)})" for part in parts)


def _operand(operand: Path | CustomField) -> str:
    if isinstance(operand, Path):
        return "/".join(operand.parts)
    return f"cf.{operand.type}(f='{operand.name}')"


def _literal(literal: Literal) -> str:
    match literal.type, literal.value:
        case "Edm.String", str(text):
            return "'" + text.replace("'", "''") + "'"
        case "Edm.Boolean", flag:
            return "true" if flag else "false"
        case "Edm.Null", _:
            return "null"
        case "Edm.Decimal", number:
            return f"{number}M"
        case "Edm.DateTimeOffset", datetime() as moment:
            return f"datetimeoffset'{moment.isoformat()}'"
        case "Edm.Guid", guid:
            return f"guid'{guid}'"
        case _, value:
            return str(value)


WORDS = st.text(string.ascii_letters, min_size=1, max_size=8).filter(
    lambda word: word not in {*OPERATORS, "and", "or", "not", "null", "true", "false", "cf"}
)
PATHS = st.lists(WORDS, min_size=1, max_size=3).map(lambda parts: Path(tuple(parts)))
CUSTOM = st.builds(CustomField, WORDS, st.builds("{}.{}".format, WORDS, WORDS))
STRINGS = st.builds(Literal, st.just("Edm.String"), st.text(max_size=10))
LITERALS = st.one_of(
    STRINGS,
    st.builds(Literal, st.just("Edm.Boolean"), st.booleans()),
    st.just(Literal("Edm.Null", None)),
    st.builds(Literal, st.just("Edm.Int32"), st.integers(-(2**31), 2**31)),
    st.builds(Literal, st.just("Edm.Decimal"), st.decimals(-(10**9), 10**9, places=4)),
    st.builds(Literal, st.just("Edm.Guid"), st.uuids().map(str)),
    st.builds(
        Literal,
        st.just("Edm.DateTimeOffset"),
        st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(SERVER)),  # noqa: DTZ001
    ),
)
TERMS: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Comparison, PATHS | CUSTOM, st.sampled_from(sorted(OPERATORS)), LITERALS),
    st.builds(
        Match,
        st.sampled_from(["substringof", "startswith", "endswith"]),
        PATHS | CUSTOM,
        STRINGS,
        st.booleans(),
    ),
)
CONDITIONS = st.recursive(
    TERMS,
    lambda inner: st.builds(
        lambda kind, parts: kind(tuple(parts)),
        st.sampled_from([Every, Some]),
        st.lists(inner, min_size=2, max_size=3),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(CONDITIONS)
def test_what_is_written_is_what_is_read(condition: Condition) -> None:
    """A tree rendered as text and parsed is the same tree, whatever its strings contain."""
    assert parse(rendered(condition)) == condition


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_gets_an_answer(text: str) -> None:
    """No filter makes the sandbox raise: it answers with rows or with a refusal."""
    assert INSTANCE.list("SalesOrder", {"$filter": text}).status in (200, 500)


FRAGMENTS = st.sampled_from(
    [
        *[
            "CustomerID",
            "OrderNbr",
            "Date",
            "Hold",
            "OrderTotal",
            "Details/OrderQty",
            "Totals/TaxTotal",
            "Nope",
        ],
        *[
            "eq",
            "ne",
            "gt",
            "le",
            "and",
            "or",
            "not",
            "(",
            ")",
            ",",
            "substringof(",
            "startswith(",
            "contains(",
        ],
        *[
            "'SO'",
            "'",
            "''",
            "5",
            "0M",
            "1e5",
            "1e999",
            "-",
            "true",
            "null",
            "guid'x'",
            "datetimeoffset'2022-10-29'",
        ],
        *[
            "cf.String(f='Document.AttributePRODUCT')",
            "cf.Decimal(f='x",
            "datetime'2022-01-01'",
            "/",
            "\0",
            "é",
        ],
    ]
)


@settings(deadline=None)
@given(st.lists(FRAGMENTS, max_size=12).map(" ".join))
def test_any_sequence_of_fragments_gets_an_answer(text: str) -> None:
    """Filters that are nearly right are answered too, with rows or with a refusal."""
    assert INSTANCE.list("SalesOrder", {"$filter": text}).status in (200, 500)

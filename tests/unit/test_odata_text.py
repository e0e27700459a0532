"""What a job says in the dialects of OData: a value stays a value, and means to the sandbox's parser what was meant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.odata_filters import compile_filter
from deploy.sandbox.odata_model import Column
from deploy.sandbox.odata_model import Feed as Served
from deploy.sandbox.odata_paths import target
from deploy.sandbox.odata_query import read_arguments
from worker.erp import urls
from worker.erp.odata_text import Dialect, call, written
from worker.erp.query import bind
from worker.errors import FilterInvalid, JobRefused, ParameterInvalid

EDM = {
    "Name": "Edm.String",
    "Amount": "Edm.Decimal",
    "Ratio": "Edm.Double",
    "Number": "Edm.Int32",
    "Open": "Edm.Boolean",
    "Stamp": "Edm.DateTimeOffset",
    "Id": "Edm.Guid",
}
SERVED = Served(
    "Demo",
    "",
    (
        Column("Name", "String", ""),
        Column("Amount", "Decimal", ""),
        Column("Number", "Int", ""),
        Column("Open", "Boolean", ""),
        Column("Stamp", "DateTime", ""),
        Column("Id", "Guid", ""),
    ),
    (),
)
ID = "c01087ca-7281-e511-80c0-00155d012302"
BOTH = pytest.mark.parametrize("dialect", Dialect)

V3 = {
    "substringof('a',Name)": "substringof('a',Name)",
    "startswith(Name,'a') and endswith(Name,'b')": "startswith(Name,'a') and endswith(Name,'b')",
    "Amount gt 10.5 or Number eq 3": "Amount gt 10.5M or Number eq 3",
    "Amount gt 10.5M": "Amount gt 10.5M",
    "Ratio gt 10.5": "Ratio gt 10.5",
    f"Id eq guid'{ID}'": f"Id eq guid'{ID}'",
    "Stamp ge datetimeoffset'2024-08-18T10:00:00'": "Stamp ge datetime'2024-08-18T10:00:00'",
    "Stamp ge datetimeoffset'2024-08-18'": "Stamp ge datetime'2024-08-18T00:00:00'",
    "Stamp ge date'2024-08-18'": "Stamp ge datetime'2024-08-18T00:00:00'",
    "Open eq true and Name ne null": "Open eq true and Name ne null",
}
V4 = {
    "substringof('a',Name)": "contains(Name,'a')",
    "(substringof('a,b',Name) or Name eq 'it''s') and Number lt 3": (
        "(contains(Name,'a,b') or Name eq 'it''s') and Number lt 3"
    ),
    "Name eq 'substringof' and startswith(Name,'and')": "Name eq 'substringof' and startswith(Name,'and')",
    "Amount gt 10.5M": "Amount gt 10.5",
    f"Id eq guid'{ID}'": f"Id eq {ID}",
    "Stamp ge datetimeoffset'2024-08-18T10:00:00+04:00'": "Stamp ge 2024-08-18T10:00:00+04:00",
    "Stamp ge datetimeoffset'2024-08-18T10:00:00.5Z'": "Stamp ge 2024-08-18T10:00:00.5Z",
    "Stamp ge date'2024-08-18'": "Stamp ge 2024-08-18",
}


@pytest.mark.parametrize(
    ("dialect", "text", "told"),
    [(Dialect.V3, *each) for each in V3.items()] + [(Dialect.V4, *each) for each in V4.items()],
)
def test_a_filter_in_a_dialect(dialect: Dialect, text: str, told: str) -> None:
    """Functions and literals are written as the dialect has them, and nothing else changes."""
    assert written(bind(text, {}), dialect, EDM) == told


@pytest.mark.parametrize(
    ("dialect", "text", "words"),
    [
        (Dialect.V3, "Stamp gt datetimeoffset'2024-08-18T10:00:00Z'", "leave the zone out"),
        (Dialect.V4, "Stamp gt datetimeoffset'2024-08-18T10:00:00'", "with a zone"),
        *[(dialect, "Nmae eq 'a'", "did you mean Name") for dialect in Dialect],
        *[(dialect, "name eq 'a'", "did you mean Name") for dialect in Dialect],
        *[(dialect, "Linked/Name eq 'a'", "no column Linked/Name") for dialect in Dialect],
        *[(dialect, "cf.Int(f='Document.UsrX') eq 1", "no custom fields") for dialect in Dialect],
        *[(dialect, "Amount eq '10'", "Edm.Decimal") for dialect in Dialect],
        *[(dialect, "substringof('1',Number)", "Edm.Int32") for dialect in Dialect],
        *[(dialect, "Name eq true", "Edm.String") for dialect in Dialect],
        *[(dialect, f"Name eq guid'{ID}'", "Edm.String") for dialect in Dialect],
    ],
)
def test_what_a_dialect_cannot_say_is_refused(dialect: Dialect, text: str, words: str) -> None:
    """An unknown column, another type, or a time that the dialect has no form for is named."""
    with pytest.raises(FilterInvalid, match=words):
        written(bind(text, {}), dialect, EDM)


def test_columns_that_are_not_known_are_not_checked() -> None:
    """Where the ERP does not tell the columns a filter goes as it is, in the dialect."""
    bound = bind("substringof('1',Any) and Amount gt 1.5", {})
    assert written(bound, Dialect.V4, {}) == "contains(Any,'1') and Amount gt 1.5"
    assert written(bound, Dialect.V3, {}) == "substringof('1',Any) and Amount gt 1.5M"


PIECES = [
    "'",
    "''",
    " or ",
    "Name ne '",
    ")",
    "(",
    ",",
    "contains(",
    "substringof(",
    "null",
    "a",
    "%27",
    "\n",
    "M",
]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.lists(
    st.sampled_from(PIECES), max_size=6
).map("".join)
ROW: dict[str, Any] = {
    "Name": "it's a 'name'",
    "Amount": Decimal("10.5"),
    "Number": 3,
    "Open": True,
    "Stamp": datetime(2024, 8, 18, 10, tzinfo=UTC),
    "Id": ID,
}
SEEKS: dict[str, Callable[[str, str], bool]] = {
    "Name eq :value": str.__eq__,
    "substringof(:value,Name)": str.__contains__,
    "startswith(Name,:value)": str.startswith,
    "endswith(Name,:value)": str.endswith,
}


@BOTH
@given(value=TEXTS, name=TEXTS, seek=st.sampled_from(sorted(SEEKS)))
def test_a_text_stays_a_text(dialect: Dialect, value: str, name: str, seek: str) -> None:
    """Whatever a text holds, the sandbox's parser reads one comparison with it, and finds what Python finds."""
    told = written(bind(seek, {"value": value}), dialect, EDM)
    found = compile_filter(told, SERVED, dialect.value)({**ROW, "Name": name})
    assert found == SEEKS[seek](name.rstrip().casefold(), value.rstrip().casefold())


@BOTH
@given(
    number=st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9),
    whole=st.integers(-(2**31), 2**31 - 1),
    id_=st.uuids(),
)
def test_numbers_and_ids_mean_what_they_meant(
    dialect: Dialect, number: Decimal, whole: int, id_: UUID
) -> None:
    """The sandbox's parser reads the same decimals, whole numbers and ids that the job gave."""
    bound = bind("Amount eq :a and Number eq :n and Id eq :i", {"a": number, "n": whole, "i": id_})
    row = {**ROW, "Amount": number, "Number": whole, "Id": str(id_)}
    test = compile_filter(written(bound, dialect, EDM), SERVED, dialect.value)
    assert test(row)
    assert not test({**row, "Amount": number + 1})


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.text("'/\\%&:.()=,$ #?*<>|", max_size=8)
)


def as_read(name: str, value: Any) -> Any:
    """A value as the sandbox compares it: texts without case and without blanks at their end."""
    if name == "Name":
        return value.rstrip().casefold()
    return value if isinstance(value, bool) else Decimal(str(value))


@BOTH
@given(values=st.dictionaries(st.sampled_from(["Name", "Amount", "Open", "Number"]), PLAIN))
def test_parameters_stay_in_their_segment(dialect: Dialect, values: dict[str, Any]) -> None:
    """Whatever a parameter holds, it is in one segment behind the service, and the sandbox reads the value there."""
    types = {name: EDM[name] for name in ("Name", "Amount", "Open", "Number")}
    try:
        segment = call("Demo_WithParameters", values, types, dialect)
    except ParameterInvalid as error:
        assert error.field in {"parameters", *(f"parameters.{name}" for name in values)}
        return
    path = urls.path("t", "T", "api", "odata", "gi", segment)
    parts = [unquote(part) for part in path.strip("/").split("/")]
    assert path.isascii()
    assert len(parts) == 6
    served = target(parts, ["T"])
    assert served is not None
    assert served.resource == segment
    read = read_arguments(segment.removeprefix("Demo_WithParameters(")[:-1], dialect.value)
    assert list(read) == list(types)
    assert {name: value for name, value in read.items() if value is not None} == {
        name: as_read(name, value) for name, value in values.items() if value is not None
    }


@pytest.mark.parametrize(
    ("value", "type_", "dialect", "told"),
    [
        ("2024-08-18", "Edm.DateTime", Dialect.V3, "datetime'2024-08-18T00:00:00'"),
        ("2024-08-18", "Edm.DateTimeOffset", Dialect.V4, "2024-08-18"),
        ("2024-08-18T10:00:00Z", "Edm.DateTimeOffset", Dialect.V4, "2024-08-18T10:00:00Z"),
        (ID, "Edm.Guid", Dialect.V3, f"guid'{ID}'"),
        (ID, "Edm.Guid", Dialect.V4, ID),
        ("12.50", "Edm.Decimal", Dialect.V3, "12.50M"),
        (12.5, "Edm.Double", Dialect.V3, "12.5"),
        (1e3, "Edm.Int32", Dialect.V4, "1000"),
    ],
)
def test_a_parameter_of_each_type(value: object, type_: str, dialect: Dialect, told: str) -> None:
    """A plain value of JSON is written as a literal of the parameter's type."""
    assert call("F", {"P": value}, {"P": type_}, dialect) == f"F(P={told})"


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("yesterday", "Edm.DateTime"),
        ("2024-13-01", "Edm.DateTime"),
        ("2024-W01-1", "Edm.DateTime"),
        ("x", "Edm.Guid"),
        ("many", "Edm.Decimal"),
        (1.5, "Edm.Int32"),
        (float("nan"), "Edm.Decimal"),
        (1e300, "Edm.Decimal"),
        ("1E+999999", "Edm.Decimal"),
        (True, "Edm.Decimal"),
        (1, "Edm.Boolean"),
        (1, "Edm.String"),
        ([1], ""),
        ("a" * 300, "Edm.String"),
        ("50%", "Edm.String"),
        ("x", "Edm.Duration"),
    ],
)
def test_a_parameter_of_another_type_is_refused(value: object, type_: str) -> None:
    """What is no value of the type, or fits no URL, is refused by the parameter's name."""
    with pytest.raises(ParameterInvalid) as caught:
        call("F", {"P": value}, {"P": type_}, Dialect.V4)
    assert caught.value.field == "parameters.P"


def test_parameters_longer_than_a_url() -> None:
    """Parameters that each fit a URL, and all of them do not, are refused."""
    with pytest.raises(ParameterInvalid, match="all of them together"):
        call("F", {"A": "a" * 150, "B": "b" * 150}, None, Dialect.V4)


def test_parameters_that_are_not_known_go_by_their_json() -> None:
    """Where the service does not tell its parameters, each is written as what JSON says that it is."""
    assert call("F", {"A": "x'y", "B": 1.5, "C": True, "D": None}, None, Dialect.V3) == (
        "F(A='x''y',B=1.5M,C=true,D=null)"
    )


def test_an_unknown_parameter_is_refused_with_its_like() -> None:
    """A parameter that the inquiry does not have is named, with those that are like it."""
    with pytest.raises(JobRefused, match="did you mean Item"):
        call("F", {"Itm": "x"}, {"Item": "Edm.String"}, Dialect.V4)

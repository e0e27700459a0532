"""What a job says, in the two dialects of OData: the filter, and the values of a feed's parameters.

What the feed does not have, and what the dialect cannot say, is refused before anything is sent: FilterInvalid or
ParameterInvalid.

Sources: OData 3.0 and 4.0, URL Conventions (literals); reported by live instances for v4: ``contains``, dates without
quotes, no ``substringof``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from worker.erp import urls
from worker.erp.keys import literal
from worker.erp.query import MAX_DIGITS, Token, lexed
from worker.erp.schema import like
from worker.errors import FilterInvalid, ParameterInvalid


class Dialect(StrEnum):
    """The version of OData that a service speaks."""

    V3 = "v3"
    V4 = "v4"


LONGEST_CALL = 260
"""Bytes of a feed with its parameters, quoted; what IIS takes in its default setting."""

_WORDS = frozenset({"and", "or", "eq", "ne", "gt", "ge", "lt", "le", "substringof", "startswith", "endswith"})
_NUMBERS = frozenset(
    f"Edm.{name}" for name in ("Byte", "SByte", "Int16", "Int32", "Int64", "Single", "Double", "Decimal")
)
_WHOLE = _NUMBERS - {"Edm.Single", "Edm.Double", "Edm.Decimal"}
_MOMENTS = frozenset({"Edm.DateTime", "Edm.DateTimeOffset", "Edm.Date"})
_KINDS: Mapping[str, frozenset[str]] = {
    "Edm.String": frozenset({"string"}),
    "Edm.Boolean": frozenset({"boolean"}),
    "Edm.Guid": frozenset({"guid"}),
    **dict.fromkeys(_NUMBERS, frozenset({"number"})),
    **dict.fromkeys(_MOMENTS, frozenset({"datetimeoffset", "date"})),
}
"""The literals of a filter that a column of each type is compared with."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,7})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_ZONE = re.compile(r"T.*(Z|[+-]\d\d:\d\d)$")


def written(bound: str, dialect: Dialect, columns: Mapping[str, str]) -> str:
    """A filter that ``query.bind`` has made, over these columns with their types. Raises FilterInvalid."""
    tokens = lexed(bound)
    words = [_word(tokens, at, dialect, columns) for at in range(len(tokens))]
    for at, token in enumerate(tokens):
        if token.text == "substringof" and token.kind == "name" and dialect is Dialect.V4:
            # substringof ( 'text' , Column )
            words[at], words[at + 2], words[at + 4] = "contains", words[at + 4], words[at + 2]
    text, end = "", 0
    for token, word in zip(tokens, words, strict=True):
        text += bound[end : token.at] + word
        end = token.at + len(token.text)
    return text


def _word(tokens: list[Token], at: int, dialect: Dialect, columns: Mapping[str, str]) -> str:
    token = tokens[at]
    match token.kind:
        case "name" if token.text not in _WORDS:
            return _column(token.text, columns)
        case "name" | "sign" | "end" | "null":
            return token.text
        case "custom":
            raise FilterInvalid(
                f"{token.text}: the rows of OData have columns alone, no custom fields", "filter"
            )
    type_ = _compared_with(tokens, at, columns)
    if token.kind not in _KINDS.get(type_, {token.kind}):
        raise FilterInvalid(f"{token.text[:80]}: the column is of the type {type_}", "filter")
    return _value(token, type_, dialect)


def _column(name: str, columns: Mapping[str, str]) -> str:
    if columns and name not in columns:
        raise FilterInvalid(f"there is no column {name}{like(name, columns)}", "filter")
    return name


def _compared_with(tokens: list[Token], at: int, columns: Mapping[str, str]) -> str:
    """The type of the column that a value stands beside; empty where it is not known."""
    # Column eq 'text', startswith ( Column , 'text', and substringof ( 'text' , Column
    before, after = tokens[at - 2], tokens[min(at + 2, len(tokens) - 1)]
    return columns.get((after if before.text == "substringof" else before).text, "")


def _value(token: Token, type_: str, dialect: Dialect) -> str:
    match token.kind:
        case "number":
            return _number(token.text, dialect, type_)
        case "guid" if dialect is Dialect.V4:
            return token.text[len("guid'") : -1]
        case "datetimeoffset" | "date":
            return _moment(token.text.partition("'")[2][:-1], dialect, "filter")
    return token.text


def _number(text: str, dialect: Dialect, type_: str) -> str:
    bare = text.rstrip("Mm")
    # In v3 a number with a point is a double, and a double is no match for a decimal.
    is_decimal = dialect is Dialect.V3 and "." in bare and type_ not in ("Edm.Double", "Edm.Single")
    return f"{bare}M" if is_decimal else bare


def _moment(text: str, dialect: Dialect, at: str) -> str:
    """A day, or a moment, of ISO 8601. Raises FilterInvalid, or ParameterInvalid, where the dialect cannot say it."""
    refusal = FilterInvalid if at == "filter" else ParameterInvalid
    if dialect is Dialect.V3:
        if _ZONE.search(text):
            raise refusal(
                f"{text}: this OData (v3) has times without a zone, by the clock of the API user: leave the zone out",
                at,
            )
        return f"datetime'{text}'" if "T" in text else f"datetime'{text}T00:00:00'"
    if "T" in text and not _ZONE.search(text):
        raise refusal(f"{text}: this OData (v4) has times with a zone, as in {text}Z or {text}+04:00", at)
    return text


def call(function: str, values: Mapping[str, Any], types: Mapping[str, str] | None, dialect: Dialect) -> str:
    """A feed with its parameters, as one segment of a path, not quoted yet: ``Name_WithParameters(Item='A')``.

    ``types`` are those of the parameters; one that is not given is null. None: they are not known. Raises
    ParameterInvalid.
    """
    unknown = [name for name in values if types is not None and name not in types]
    if unknown:
        raise ParameterInvalid(
            f"there is no such parameter{like(unknown[0], types or ())}", f"parameters.{unknown[0]}"
        )
    known = types if types is not None else dict.fromkeys(values, "")
    parts = []
    for name, type_ in known.items():
        text = _argument(values.get(name), type_, dialect, f"parameters.{name}")
        # A moment has colons, which a server may refuse too; there is no other way to write it.
        if type_ not in _MOMENTS and not urls.fits_a_segment(f"{name}={text}"):
            why = "the ERP's server refuses such characters in a path however they are quoted, or so many of them"
            raise ParameterInvalid(f"no URL can carry this value: {why}", f"parameters.{name}")
        parts.append(f"{name}={text}")
    segment = f"{function}({','.join(parts)})"
    if len(urls.path(segment)) > LONGEST_CALL:
        raise ParameterInvalid(
            "all of them together are longer than the ERP's server takes in a URL", "parameters"
        )
    return segment


def _argument(value: Any, type_: str, dialect: Dialect, at: str) -> str:
    """A plain value of JSON as a literal of this type; where that is not known, of what JSON makes of it."""
    match value:
        case None:
            return "null"
        case bool() if type_ in ("", "Edm.Boolean"):
            return str(value).lower()
        case str() if type_ in ("", "Edm.String"):
            return literal(value)
        case str() if type_ in _MOMENTS and _is_moment(value):
            return _moment(value, dialect, at)
        case str() if type_ == "Edm.Guid" and urls.is_id(value):
            return f"guid'{value}'" if dialect is Dialect.V3 else value
        case int() | float() | str() | Decimal() if not isinstance(value, bool) and type_ in {"", *_NUMBERS}:
            return _number(_digits(value, type_, at), dialect, type_)
    raise ParameterInvalid(f"must be a value for {type_ or 'a parameter'}", at)


def _digits(value: Any, type_: str, at: str) -> str:
    """A number without an exponent."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("nan")
    if (
        not number.is_finite()
        or abs(number.adjusted()) >= MAX_DIGITS
        or len(number.as_tuple().digits) > MAX_DIGITS
    ):
        raise ParameterInvalid(f"must be a number of at most {MAX_DIGITS} digits", at)
    if type_ in _WHOLE and number != number.to_integral_value():
        raise ParameterInvalid("must be a whole number", at)
    return f"{number.to_integral_value() if type_ in _WHOLE else number:f}"


def _is_moment(text: str) -> bool:
    try:
        return _MOMENT.fullmatch(text) is not None and bool(datetime.fromisoformat(text))
    except ValueError:
        return False

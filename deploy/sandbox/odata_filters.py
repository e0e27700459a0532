"""OData's `$filter` in both dialects, text to a test of a row. Fails with BadQuery.

    condition   = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | "(" condition ")" | operand [ operator operand ]
    operand     = literal | Column | function "(" operand { "," operand } ")"

v3 writes `datetime'…'`, `guid'…'`, `1.5M` and `substringof(needle, Column)`; v4 bare dates and guids, and
`contains(Column, needle)`. Strings compare as in the database: without case and without blanks at their end.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from deploy.sandbox.odata_model import BadQuery, Column, Dialect, EmptyBody, Feed, Line, comparable
from deploy.sandbox.predicates import COMPARE
from deploy.sandbox.rows import Scalar

Test = Callable[[Line], bool]

_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_DATE = r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?"
_TOKEN = re.compile(
    rf"""\s*(?:(?P<typed>(?P<prefix>[a-z]+)'(?P<inner>[^']*)') | (?P<string>'(?:[^']|'')*')
    | (?P<guid>{_GUID})(?!\w) | (?P<date>{_DATE})(?!\w) | (?P<number>-?\d+(?:\.\d+)?[MmLlDdFf]?)(?!\w)
    | (?P<name>[^\W\d][\w.]*) | (?P<mark>[(),]))""",
    re.VERBOSE,
)
_TYPES = {"String": "string", "Decimal": "number", "Int": "number", "DateTime": "date", "Boolean": "boolean"}


@dataclass(frozen=True)
class Operand:
    """A value of a row, and its type: string, number, date, guid, boolean, or null."""

    type: str
    read: Callable[[Line], Any]


def compile_filter(text: str, feed: Feed, dialect: Dialect) -> Test:
    """The test that a `$filter` describes. Raises EmptyBody for one on a calculated column in v4."""
    parser = _Parser(text, feed, dialect)
    condition = parser.whole()
    if dialect == "v4" and any(column.calculated for column in parser.used):
        raise EmptyBody(text)
    return lambda line: bool(condition.read(line))


def literal_of(text: str, dialect: Dialect) -> Scalar | None:
    """A literal on its own, as in a key or a parameter."""
    operand = _Parser(text, Feed("", "", (), ()), dialect).alone()
    found: Scalar | None = operand.read({})
    return found


class _Parser:
    """Recursive descent over the tokens; `used` are the columns that it has met."""

    def __init__(self, text: str, feed: Feed, dialect: Dialect) -> None:
        self.used: list[Column] = []
        self._feed = feed
        self._dialect = dialect
        self._tokens = _tokens(text)
        self._at = 0

    def whole(self) -> Operand:
        condition = self._boolean(self._condition())
        self._end()
        return condition

    def alone(self) -> Operand:
        operand = self._operand()
        self._end()
        return operand

    def _end(self) -> None:
        if self._at < len(self._tokens):
            raise BadQuery(f"Syntax error at '{self._tokens[self._at].group().strip()}'.")

    def _condition(self) -> Operand:
        parts = [self._conjunction()]
        while self._take("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else self._joined(parts, any)

    def _conjunction(self) -> Operand:
        parts = [self._negation()]
        while self._take("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else self._joined(parts, all)

    def _joined(self, parts: Sequence[Operand], join: Callable[[Any], bool]) -> Operand:
        tests = [self._boolean(part).read for part in parts]
        return Operand("boolean", lambda line: join(test(line) for test in tests))

    def _negation(self) -> Operand:
        if self._take("not"):
            inner = self._boolean(self._negation()).read
            return Operand("boolean", lambda line: not inner(line))
        if self._take("("):
            condition = self._condition()
            self._expect(")")
            return condition
        left = self._operand()
        for name in COMPARE:
            if self._take(name):
                return _comparison(name, left, self._operand())
        return left

    def _boolean(self, operand: Operand) -> Operand:
        if operand.type != "boolean":
            raise BadQuery("The $filter expression must evaluate to a single boolean value.")
        return operand

    def _operand(self) -> Operand:
        if self._at >= len(self._tokens):
            raise BadQuery("Expression expected at the end of the filter.")
        token = self._tokens[self._at]
        self._at += 1
        if token["name"] is None:
            return self._literal(token)
        name = token["name"]
        if name in ("null", "true", "false"):
            return _constant({"null": None, "true": True, "false": False}[name])
        return self._function(name) if self._take("(") else self._column(name)

    def _column(self, name: str) -> Operand:
        column = self._feed.column(name)
        if column is None:
            raise BadQuery(f"Could not find a property named '{name}' on type '{self._feed.name}'.")
        self.used.append(column)
        kind = _TYPES.get(column.kind, "guid")
        return Operand(kind, lambda line: comparable(line[name]))

    def _function(self, name: str) -> Operand:
        arguments = [self._operand()]
        while self._take(","):
            arguments.append(self._operand())
        self._expect(")")
        if any(argument.type not in ("string", "null") for argument in arguments):
            raise BadQuery(f"No function signature for the function with name '{name}' matches.")
        return _call(name, [argument.read for argument in arguments], self._dialect)

    def _literal(self, token: re.Match[str]) -> Operand:
        if token["string"] is not None:
            return _constant(token["string"][1:-1].replace("''", "'"))
        if token["number"] is not None and (self._dialect == "v3" or token["number"][-1].isdigit()):
            return _constant(Decimal(token["number"].rstrip("MmLlDdFf")))
        if token["typed"] is not None and self._dialect == "v3":
            return _typed(token["prefix"], token["inner"])
        if token["guid"] is not None and self._dialect == "v4":
            return _guid(token["guid"])
        if token["date"] is not None and self._dialect == "v4":
            return _constant(_moment(token["date"]))
        raise BadQuery(f"Syntax error at '{token.group().strip()}'.")

    def _take(self, text: str) -> bool:
        taken = self._at < len(self._tokens) and text in (
            self._tokens[self._at]["name"],
            self._tokens[self._at]["mark"],
        )
        self._at += taken
        return taken

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise BadQuery(f"'{text}' expected.")


def _tokens(text: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadQuery(f"Syntax error at position {position} in '{text}'.")
        found.append(match)
        position = match.end()
    return found


def _constant(value: Scalar | None) -> Operand:
    names = {str: "string", bool: "boolean", Decimal: "number", datetime: "date"}
    return Operand(names.get(type(value), "null"), lambda _line: comparable(value))


def _guid(text: str) -> Operand:
    return Operand("guid", lambda _line: text.lower())


def _typed(prefix: str, inner: str) -> Operand:
    if prefix in ("datetime", "datetimeoffset"):
        return _constant(_moment(inner))
    if prefix == "guid" and re.fullmatch(_GUID, inner):
        return _guid(inner)
    raise BadQuery(f"Unrecognized '{prefix}' literal '{prefix}'{inner}''.")


def _moment(text: str) -> datetime:
    """A moment; without an offset it is by the clock that the rows show."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadQuery(f"Unrecognized 'Edm.DateTime' literal '{text}'.") from None


def _comparison(name: str, left: Operand, right: Operand) -> Operand:
    if left.type != right.type and "null" not in (left.type, right.type):
        raise BadQuery(
            "A binary operator with incompatible types was detected. "
            f"Found operand types '{left.type}' and '{right.type}' for operator kind '{name}'."
        )
    compare, of_null = COMPARE[name], {"eq": True, "ne": False}.get(name)

    def test(line: Line) -> bool:
        first, second = left.read(line), right.read(line)
        if first is None or second is None:
            return of_null is not None and (first is second) is of_null
        return compare(first, second)

    return Operand("boolean", test)


def _contains(text: str, needle: str) -> bool:
    return needle in text


def _call(name: str, arguments: Sequence[Callable[[Line], Any]], dialect: Dialect) -> Operand:
    """A function of strings; `substringof` is of v3 alone, `contains` of v4 (reported)."""
    finders: dict[str, Callable[[str, str], bool]] = {"startswith": str.startswith, "endswith": str.endswith}
    if name in ("tolower", "toupper") and len(arguments) == 1:
        return Operand("string", arguments[0])  # strings compare without case
    if name == "substringof" and dialect == "v3" and len(arguments) == 2:
        arguments = arguments[::-1]
        finders[name] = _contains
    elif name == "contains" and dialect == "v4":
        finders[name] = _contains
    if name not in finders or len(arguments) != 2:
        raise BadQuery(f"An unknown function with name '{name}' was found.")
    finder, (text, needle) = finders[name], arguments

    def test(line: Line) -> bool:
        value, sought = text(line), needle(line)
        return value is not None and sought is not None and finder(value, sought)

    return Operand("boolean", test)

"""The `$filter` language, OData v3 as far as the ERP takes it: text to a tree.

    condition  = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term       = "(" condition ")" | comparison | match
    comparison = operand ("eq" | "ne" | "gt" | "ge" | "lt" | "le") literal
    match      = ("substringof" | "startswith" | "endswith") "(" argument "," argument ")" [operator literal]
    operand    = Name { "/" Name } | cf.Type(f='View.Field')

Whatever else OData knows (`not`, `contains`, `tolower`, arithmetic, …) is refused with a 500, as live instances do.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from deploy.sandbox.refusal import bad_filter, incompatible_types
from deploy.sandbox.rows import SERVER_ZONE

OPERATORS = {
    "eq": "Equal",
    "ne": "NotEqual",
    "gt": "GreaterThan",
    "ge": "GreaterThanOrEqual",
    "lt": "LessThan",
    "le": "LessThanOrEqual",
}
"""The operators, with the names that the OData library's messages give them."""

_MATCHES = ("substringof", "startswith", "endswith")
_NOT_REFUSED = (
    "A unary operator with an incompatible type was detected: operator kind 'Not' is not supported."
)
_FUNCTION_REFUSED = (
    "An unknown function with name '{}' was found. "
    "This may also be a key lookup on a navigation property, which is not allowed."
)
_MAX_DEPTH = 100
"""The nesting at which the OData library gives up."""


@dataclass(frozen=True)
class Literal:
    """A constant with its Edm type; the value of `null` is None."""

    type: str
    value: str | bool | int | Decimal | datetime | None


@dataclass(frozen=True)
class Path:
    """A field, or a field of a nested entity (`MainContact/Email`)."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class CustomField:
    """`cf.Type(f='View.Field')`."""

    type: str
    name: str


@dataclass(frozen=True)
class Comparison:
    """`operand operator literal`."""

    operand: Path | CustomField
    operator: str
    literal: Literal


@dataclass(frozen=True)
class Match:
    """A string function on its own; `compared` when it was written with `eq true`, which matches nothing."""

    function: str
    operand: Path | CustomField
    needle: Literal
    compared: bool = False


@dataclass(frozen=True)
class Every:
    """Conditions joined by `and`."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True)
class Some:
    """Conditions joined by `or`."""

    parts: "tuple[Condition, ...]"


Condition = Comparison | Match | Every | Some


def parse(text: str) -> Condition:
    """The tree of a filter; raises Refusal (500) for anything outside the language."""
    return _Parser(text).whole()


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<custom>cf\.(?P<cf_type>\w+)\(\s*f\s*=\s*'(?P<cf_name>(?:[^']|'')*)'\s*\))
    | (?P<typed>(?P<prefix>[A-Za-z]\w*)'(?P<inner>(?:[^']|'')*)')
    | (?P<string>'(?:[^']|'')*')
    | (?P<number>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?[MmLlDdFf]?(?![\w.]))
    | (?P<name>[^\W\d]\w*(?:/[^\W\d]\w*)*)
    | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    match: re.Match[str]


def _tokens(text: str) -> list[_Token]:
    found = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise bad_filter(f"Syntax error at position {position} in '{text}'.")
        kind = next(
            name
            for name in ("custom", "typed", "string", "number", "name", "mark")
            if match[name] is not None
        )
        found.append(_Token(kind, match[kind], match))
        position = match.end()
    return found


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._condition()
        if self._at < len(self._tokens):
            raise self._syntax_error()
        return condition

    def _condition(self) -> Condition:
        parts = [self._conjunction()]
        while self._take("name", "or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _conjunction(self) -> Condition:
        parts = [self._term()]
        while self._take("name", "and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _term(self) -> Condition:
        if self._peek("name", "not"):
            raise bad_filter(_NOT_REFUSED)
        if self._take("mark", "("):
            return self._in_parentheses()
        if self._peek("name") and self._peek("mark", "(", ahead=1):
            return self._match()
        operand = self._operand()
        return Comparison(operand, self._operator(), self._literal())

    def _in_parentheses(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise bad_filter("Recursion depth exceeded allowed limit.")
        condition = self._condition()
        self._expect("mark", ")")
        self._depth -= 1
        return condition

    def _match(self) -> Match:
        function = self._next("name").text
        if function not in _MATCHES:
            raise bad_filter(_FUNCTION_REFUSED.format(function))
        self._expect("mark", "(")
        needle_first = function == "substringof"
        first = self._literal() if needle_first else self._operand()
        self._expect("mark", ",")
        second = self._operand() if needle_first else self._literal()
        self._expect("mark", ")")
        operand, needle = (second, first) if needle_first else (first, second)
        if not isinstance(needle, Literal) or isinstance(operand, Literal):
            raise self._syntax_error()
        return Match(function, operand, needle, compared=self._comparison_follows())

    def _comparison_follows(self) -> bool:
        """Whether a match is written `… eq true`, taking that much; bare is the only form that works."""
        if not any(self._peek("name", operator) for operator in OPERATORS):
            return False
        operator, literal = self._operator(), self._literal()
        if literal.type not in ("Edm.Boolean", "Edm.Null"):
            raise incompatible_types("Edm.Boolean", literal.type, OPERATORS[operator])
        return True

    def _operand(self) -> Path | CustomField:
        if self._peek("custom"):
            match = self._next("custom").match
            return CustomField(match["cf_type"], match["cf_name"])
        return Path(tuple(self._next("name").text.split("/")))

    def _operator(self) -> str:
        operator = self._next("name").text
        if operator not in OPERATORS:
            raise self._syntax_error()
        return operator

    def _literal(self) -> Literal:
        if self._at >= len(self._tokens):
            raise self._syntax_error()
        token = self._tokens[self._at]
        self._at += 1
        return _literal_of(token)

    def _peek(self, kind: str, text: str | None = None, ahead: int = 0) -> bool:
        at = self._at + ahead
        return (
            at < len(self._tokens) and self._tokens[at].kind == kind and text in (None, self._tokens[at].text)
        )

    def _take(self, kind: str, text: str) -> bool:
        taken = self._peek(kind, text)
        self._at += taken
        return taken

    def _next(self, kind: str) -> _Token:
        if not self._peek(kind):
            raise self._syntax_error()
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, kind: str, text: str) -> None:
        if not self._take(kind, text):
            raise self._syntax_error()

    def _syntax_error(self) -> Exception:
        if self._at >= len(self._tokens):
            return bad_filter(f"Expression expected at position {len(self._text)} in '{self._text}'.")
        position = self._tokens[self._at].match.end()
        return bad_filter(f"Syntax error at position {position} in '{self._text}'.")


_WORDS = {
    "null": Literal("Edm.Null", None),
    "true": Literal("Edm.Boolean", True),
    "false": Literal("Edm.Boolean", False),
}


def _literal_of(token: _Token) -> Literal:
    if token.kind == "string":
        return Literal("Edm.String", token.text[1:-1].replace("''", "'"))
    if token.kind == "number":
        return _number_of(token.text)
    if token.kind == "typed":
        return _typed_of(token.match["prefix"], token.match["inner"])
    if token.text in _WORDS:
        return _WORDS[token.text]
    raise bad_filter(f"A literal was expected where '{token.text}' was found.")


def _number_of(text: str) -> Literal:
    """A number of any length: Decimal reads one that int refuses, and the two compare as numbers do."""
    digits = text.rstrip("MmLlDdFf")
    whole = digits == text and digits.lstrip("+-").isdigit()
    return Literal("Edm.Int32" if whole else "Edm.Decimal", Decimal(digits))


def _typed_of(prefix: str, inner: str) -> Literal:
    """Literals with a prefix. `date'…'` is of newer builds than these; `datetime'…'` is read and fits no field."""
    if prefix == "datetimeoffset":
        return Literal("Edm.DateTimeOffset", _moment_of(inner))
    if prefix == "guid" and re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", inner):
        return Literal("Edm.Guid", inner.lower())
    if prefix == "datetime":
        return Literal("Edm.DateTime", inner)
    raise bad_filter(f"Unrecognized '{prefix}' literal '{prefix}'{inner}''.")


def _moment_of(text: str) -> datetime:
    """A date or stamp; an offset is honoured (unknown, contested), and without one the moment has none."""
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(SERVER_ZONE)
    except (ValueError, OverflowError):
        raise bad_filter(f"Unrecognized 'Edm.DateTimeOffset' literal 'datetimeoffset'{text}''.") from None

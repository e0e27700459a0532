"""Filters: a job's text is parsed, checked, bound to its parameters and rendered again, so that nothing but a
comparison reaches the ERP and no value becomes syntax. Raises FilterInvalid or ParameterInvalid.

The grammar is the part of OData v3 that Acumatica answers rightly, with ``:name`` wherever a value may stand::

    filter     = both { "or" both }
    both       = one { "and" one }
    one        = "(" filter ")" | function | field operator value
    function   = "substringof(" value "," field ")" | "startswith(" field "," value ")" | "endswith(" … ")"
    field      = Name | Linked/Name | cf.Type(f='View.Field')
    operator   = "eq" | "ne" | "gt" | "ge" | "lt" | "le"
    value      = 'text' | 10 | 10.5 | 10.5M | true | false | null | guid'…' | datetimeoffset'…' | date'…' | :name

What the ERP answers wrongly is not in it (vendor's guide, Parameters for Retrieving Records; reported by live
instances): ``substringof(…) eq true`` gets an empty list, ``not``, ``contains``, ``tolower`` and ``toupper`` get
a 500.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from worker.erp.keys import literal
from worker.errors import FilterInvalid, ParameterInvalid
from worker.params import Param

MAX_NESTING = 64
"""Parentheses within parentheses; far below what Python's stack would bear."""
MAX_DIGITS = 28
"""Of a number: what .NET's decimal, the ERP's type for money, surely holds."""

_EQUALITY = ("eq", "ne")
_OPERATORS = (*_EQUALITY, "gt", "ge", "lt", "le")
_FUNCTIONS = {
    "substringof": "substringof('text', Field)",
    "startswith": "startswith(Field, 'text')",
    "endswith": "endswith(Field, 'text')",
}
_RESERVED = ("and", "or", "not", *_OPERATORS)
_VALUES = ("string", "number", "boolean", "null", "guid", "datetimeoffset", "date", "param")
_CUSTOM_TYPES = ("String", "Int", "Long", "Short", "Byte", "Decimal", "Double", "Boolean", "DateTime", "Guid")

_TOKEN = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<custom>cf\.(?:{"|".join(_CUSTOM_TYPES)})\(f='[A-Za-z_]\w*\.[A-Za-z_]\w*'\))
    | (?P<guid>guid'[^']*')
    | (?P<datetimeoffset>datetimeoffset'[^']*')
    | (?P<date>date'[^']*')
    | (?P<string>'[^']*+(?:''[^']*+)*+')
    | (?P<number>-?\d+(?:\.\d+)?[Mm]?(?![\w.]))
    | (?P<boolean>(?:true|false)(?![\w/]))
    | (?P<null>null(?![\w/]))
    | (?P<param>:[A-Za-z_]\w*)
    | (?P<name>[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*)
    | (?P<sign>[(),])
    """,
    re.VERBOSE | re.ASCII,
)

_A_CONDITION = "a condition such as CustomerID eq :customer"
_A_VALUE = "a value: 'text', 10.5, true, null, guid'…', datetimeoffset'…', date'…' or :name"
_AN_OPERATOR = "eq, ne, gt, ge, lt or le"
_TOO_LONG = f"a number has at most {MAX_DIGITS} digits"

_INSTEAD = {
    "not": "the ERP does not answer not: turn the comparison round (ne for eq, lt for ge)",
    "contains": "the ERP does not answer contains: use substringof('text', Field)",
    "tolower": "the ERP compares text without case: use the field alone, or substringof('text', Field)",
    "toupper": "the ERP compares text without case: use the field alone, or substringof('text', Field)",
    "datetime": "a point in time is written datetimeoffset'2024-08-18T23:59:59+04:00'",
}
"""What to write for words of OData that the ERP does not take."""

_NUMBER_FORM = "a number is written 10, -10.5 or 10.5M"
_COMPARISON_FORM = f"a comparison is written {_AN_OPERATOR}"
_CHARACTERS = {
    "'": "the text has no closing quote; a quote inside it is doubled: 'O''Hara'",
    '"': "a text stands in single quotes: 'text'",
    ".": f"a custom field is written cf.Type(f='View.Field'), its Type one of {', '.join(_CUSTOM_TYPES)}",
    ":": "a parameter is written :name",
    "/": "a field of a linked entity is written MainContact/Email",
    "%": "a filter is written plainly, not percent-encoded",
    **dict.fromkeys("-0123456789", _NUMBER_FORM),
    **dict.fromkeys("=<>!", _COMPARISON_FORM),
}
"""What a character that begins no token was probably meant for."""

_SHAPES = {
    "guid": re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "datetimeoffset": re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
        r"(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,7})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
    ),
}
_EXAMPLES = {
    "guid": "guid'6b29fc40-ca47-1067-b31d-00dd010662da'",
    "date": "date'2025-06-17'",
    "datetimeoffset": "datetimeoffset'2024-08-18T23:59:59.999+04:00' or datetimeoffset'2024-08-18'",
}


@dataclass(frozen=True)
class Token:
    """A word of a filter; ``at`` is its place in the text, counted from 0."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class _Comparison:
    field: str
    operator: str
    value: Token


@dataclass(frozen=True)
class _Call:
    function: str
    field: str
    needle: Token


@dataclass(frozen=True)
class _Group:
    """Two or more conditions joined by one word, ``and`` or ``or``."""

    word: str
    parts: tuple[_Node, ...]


_Node = _Comparison | _Call | _Group


def bind(text: str, params: Mapping[str, Param]) -> str:
    """The filter with its parameters' values in their place, as the ERP reads it.

    Raises FilterInvalid (with the place of the fault) or ParameterInvalid (with the parameter's name).
    """
    tokens = lexed(text)
    tree = _Parser(tokens).filter()
    _match(tokens, params)
    return _rendered(tree, params)


@dataclass(frozen=True)
class Compared:
    """A field of a filter, the operator or function that it stands in, and the kind of the value: ``string``, …"""

    field: str
    use: str
    kind: str

    @property
    def is_sought(self) -> bool:
        """Whether a text is looked for in it, as substringof does."""
        return self.use in _FUNCTIONS


def compared(bound: str) -> tuple[Compared, ...]:
    """The fields of a filter that ``bind`` has made, each as often as it is in there."""
    return tuple(_compared(_Parser(lexed(bound)).filter()))


def _compared(node: _Node) -> Iterator[Compared]:
    match node:
        case _Comparison(field, operator, value):
            yield Compared(field, operator, value.kind)
        case _Call(function, field, needle):
            yield Compared(field, function, needle.kind)
        case _Group(_, parts):
            for part in parts:
                yield from _compared(part)


def lexed(text: str) -> list[Token]:
    """The words of a filter, the last of them its end. Raises FilterInvalid."""
    tokens = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _invalid(at, _CHARACTERS.get(text[at], f"{text[at]!a} is no part of a filter"))
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match[0], at))
        at = match.end()
    return [*tokens, Token("end", "", at)]


class _Parser:
    """Recursive descent: a method for each rule of the grammar, each leaving the cursor behind what it took."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._cursor = 0
        self._nesting = 0

    def filter(self) -> _Node:
        """The whole text as a tree."""
        tree = self._either()
        if self._token.kind != "end":
            raise self._refusal("and, or, or the end of the filter")
        return tree

    @property
    def _token(self) -> Token:
        return self._tokens[self._cursor]

    def _take(self) -> Token:
        token = self._token
        self._cursor += 1
        return token

    def _take_sign(self, sign: str, allowed: str) -> None:
        if self._token.text != sign:
            raise self._refusal(allowed)
        self._take()

    def _refusal(self, allowed: str) -> FilterInvalid:
        token = self._token
        found = f"found {token.text[:40]!a}" if token.kind != "end" else "the filter ends"
        return _invalid(token.at, _INSTEAD.get(token.text, f"{found}; allowed here: {allowed}"))

    def _either(self) -> _Node:
        return self._joined("or", self._both)

    def _both(self) -> _Node:
        return self._joined("and", self._one)

    def _joined(self, word: str, part: Callable[[], _Node]) -> _Node:
        parts = [part()]
        while self._token.text == word:
            self._take()
            parts.append(part())
        return _Group(word, tuple(parts)) if len(parts) > 1 else parts[0]

    def _one(self) -> _Node:
        if self._token.text == "(":
            return self._nested()
        if self._token.kind == "name" and self._tokens[self._cursor + 1].text == "(":
            return self._call()
        return self._comparison()

    def _nested(self) -> _Node:
        if self._nesting == MAX_NESTING:
            raise _invalid(self._token.at, f"more than {MAX_NESTING} parentheses within one another")
        self._take()
        self._nesting += 1
        tree = self._either()
        self._take_sign(")", "and, or, or )")
        self._nesting -= 1
        return tree

    def _call(self) -> _Call:
        if self._token.text not in _FUNCTIONS:
            raise self._refusal(", ".join(_FUNCTIONS.values()))
        function = self._take().text
        form = _FUNCTIONS[function]
        self._take_sign("(", form)
        if function == "substringof":
            needle = self._value(f"the text of {form}")
            self._take_sign(",", f"the comma of {form}")
            field = self._field(f"the field of {form}")
        else:
            field = self._field(f"the field of {form}")
            self._take_sign(",", f"the comma of {form}")
            needle = self._value(f"the text of {form}")
        self._take_sign(")", f"the closing parenthesis of {form}")
        if self._token.text in _OPERATORS:
            raise _invalid(
                self._token.at, f"write {form} alone; the ERP finds nothing by one that is compared"
            )
        return _Call(function, field, needle)

    def _comparison(self) -> _Comparison:
        if self._token.kind in _VALUES:
            raise _invalid(self._token.at, "write the field first, as in CustomerID eq 'C000000003'")
        field = self._field(_A_CONDITION)
        if self._token.text not in _OPERATORS:
            raise self._refusal(_AN_OPERATOR)
        return _Comparison(field, self._take().text, self._value(_A_VALUE))

    def _field(self, allowed: str) -> str:
        token = self._token
        if token.kind not in ("name", "custom") or token.text in _RESERVED:
            raise self._refusal(allowed)
        return self._take().text

    def _value(self, allowed: str) -> Token:
        if self._token.kind not in _VALUES:
            raise self._refusal(allowed)
        return self._take()


def _match(tokens: Sequence[Token], params: Mapping[str, Param]) -> None:
    """Refuses parameters that are missing or left over."""
    used = dict.fromkeys(token.text[1:] for token in tokens if token.kind == "param")
    for name in used:
        if name not in params:
            raise ParameterInvalid(f"the filter uses :{name}, and params does not have it", f"params.{name}")
    for name in params:
        if name not in used:
            known = ", ".join(f":{other}" for other in used) or "no parameters"
            raise ParameterInvalid(f"the filter does not use it; it has {known}", f"params.{name}")


def _rendered(node: _Node, params: Mapping[str, Param]) -> str:
    match node:
        case _Comparison(field, operator, value):
            return f"{field} {operator} {_bound(value, operator, params)}"
        case _Call("substringof", field, needle):
            return f"substringof({_bound(needle, 'substringof', params)},{field})"
        case _Call(function, field, needle):
            return f"{function}({field},{_bound(needle, function, params)})"
        case _Group(word, parts):
            return f" {word} ".join(_rendered_part(part, word, params) for part in parts)


def _rendered_part(part: _Node, word: str, params: Mapping[str, Param]) -> str:
    text = _rendered(part, params)
    # ``and`` binds tighter, so that only one under ``or`` does without parentheses.
    needless = not isinstance(part, _Group) or (part.word, word) == ("and", "or")
    return text if needless else f"({text})"


def _bound(value: Token, use: str, params: Mapping[str, Param]) -> str:
    """The value as the ERP reads it, once it is fit for its use: an operator or a function."""
    if value.kind != "param":
        flaw = _flaw(value.kind, value.text, use)
        if flaw:
            raise _invalid(value.at, flaw)
        return value.text
    name = value.text[1:]
    kind, text = _literal(params[name], name)
    flaw = _flaw(kind, text, use)
    if flaw:
        raise ParameterInvalid(flaw, f"params.{name}")
    return text


def _literal(value: Param, name: str) -> tuple[str, str]:
    """A parameter's value as a literal: its kind and its text."""
    match value:
        case str():
            return "string", literal(value)
        case bool():
            return "boolean", str(value).lower()
        case None:
            return "null", "null"
        case datetime():
            return "datetimeoffset", f"datetimeoffset'{value.isoformat()}'"
        case date():
            return "date", f"date'{value.isoformat()}'"
        case UUID():
            return "guid", f"guid'{value}'"
        case int() | Decimal():
            return "number", _plain(Decimal(value), name)


def _plain(number: Decimal, name: str) -> str:
    """The number without an exponent."""
    # Refused before it is written out: 1E+999999 would be a megabyte of zeros.
    if abs(number.adjusted()) >= MAX_DIGITS or len(number.as_tuple().digits) > MAX_DIGITS:
        raise ParameterInvalid(_TOO_LONG, f"params.{name}")
    return f"{number:f}"


def _flaw(kind: str, text: str, use: str) -> str | None:
    """What is wrong with a literal where it is used, or None."""
    if use in _FUNCTIONS and kind != "string":
        return f"{use} looks for a text, as in {_FUNCTIONS[use]}"
    if kind in ("boolean", "null") and use not in _EQUALITY:
        return f"{text} has no order: use eq or ne"
    if kind == "number" and sum(char.isdigit() for char in text) > MAX_DIGITS:
        return _TOO_LONG
    if kind in _SHAPES and not _is_shaped(kind, text[len(kind) + 1 : -1]):
        return f"no such {kind}; it is written as in {_EXAMPLES[kind]}"
    return None


def _is_shaped(kind: str, content: str) -> bool:
    if not _SHAPES[kind].fullmatch(content):
        return False
    try:
        return kind == "guid" or bool(datetime.fromisoformat(content))
    except ValueError:
        return False


def _invalid(at: int, what: str) -> FilterInvalid:
    return FilterInvalid(f"character {at + 1}: {what}", "filter")

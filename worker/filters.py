"""Filters written in Python: ``F.Status == "Open"``, joined by ``&`` and ``|``, turned round by ``~``.

Each becomes the text with named parameters that a job takes, so that no value becomes syntax. A wrong use of Python
raises TypeError, and what the ERP cannot answer FilterInvalid, both where it is written.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NoReturn, get_args
from uuid import UUID

from worker.erp import query
from worker.errors import FilterInvalid, JobRefused
from worker.params import Param

Ordered = str | int | float | Decimal | date | datetime
"""What a field can be less or greater than. A float is taken for the digits that it prints."""

Value = Ordered | bool | UUID | None
"""What a field can be equal to."""

CustomType = Literal[
    "String", "Int", "Long", "Short", "Byte", "Decimal", "Double", "Boolean", "DateTime", "Guid"
]
"""The types of custom fields, as a filter names them (vendor's guide, Parameters for Retrieving Records)."""

_CUSTOM_TYPES: Mapping[type, CustomType] = MappingProxyType(
    {
        str: "String",
        int: "Int",
        float: "Double",
        Decimal: "Decimal",
        bool: "Boolean",
        datetime: "DateTime",
        UUID: "Guid",
    }
)
_NAME = re.compile(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
_CUSTOM_NAME = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*", re.ASCII)

_OPPOSITES: Mapping[str, str] = MappingProxyType(
    {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
)
_NO_TRUTH = (
    "only the ERP knows whether it is so: join conditions by & and | in place of and, or; turn one round by ~ in place "
    "of not; write 1 < F.A < 3 as (F.A > 1) & (F.A < 3)"
)
_PARENTHESES = "put each comparison into parentheses, as in (F.A == 1) & (F.B == 2)"


class Condition(ABC):
    """What a filter asks of a record. A job takes its ``text`` and ``params``, or ``str()`` of it, which has both."""

    @property
    def text(self) -> str:
        """The filter, with ``:v1``, ``:v2``, … where its values stand."""
        return self._written([])

    @property
    def params(self) -> Mapping[str, Param]:
        """The values, by the names that the text has for them."""
        values: list[Param] = []
        self._written(values)
        return {f"v{number}": value for number, value in enumerate(values, 1)}

    def __str__(self) -> str:
        """The filter with its values in it, as the ERP reads it."""
        return query.bind(self.text, self.params)

    def __and__(self, other: Condition) -> Condition:
        """Both hold."""
        return _joined("and", self, other) if isinstance(other, Condition) else NotImplemented

    def __or__(self, other: Condition) -> Condition:
        """One of them holds, or both."""
        return _joined("or", self, other) if isinstance(other, Condition) else NotImplemented

    @abstractmethod
    def __invert__(self) -> Condition:
        """The opposite, of which the ERP knows no word: each comparison is turned round. An empty field meets neither.

        Raises FilterInvalid where it has none.
        """

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_TRUTH)

    @abstractmethod
    def _written(self, values: list[Param]) -> str:
        """Its text; the values are put at the end of the list, where the text's names count from."""


@dataclass(frozen=True)
class _Comparison(Condition):
    """A field compared with a value. Raises FilterInvalid where it cannot be."""

    field: str
    operator: str
    value: Param

    def __post_init__(self) -> None:
        _require_answerable(self)

    def __invert__(self) -> Condition:
        return _Comparison(self.field, _OPPOSITES[self.operator], self.value)

    def _written(self, values: list[Param]) -> str:
        return f"{self.field} {self.operator} {_name_of(self.value, values)}"


@dataclass(frozen=True)
class _Search(Condition):
    """A text looked for in a field, which ``substringof``, ``startswith`` and ``endswith`` do."""

    field: str
    function: str
    needle: str

    def __post_init__(self) -> None:
        _require_answerable(self)

    def __invert__(self) -> Condition:
        raise FilterInvalid(
            f"the ERP finds what {self.function} finds, and never what it does not find: read the others too, and "
            "leave these out yourself",
            "filter",
        )

    def _written(self, values: list[Param]) -> str:
        needle = _name_of(self.needle, values)
        if self.function == "substringof":
            return f"substringof({needle},{self.field})"
        return f"{self.function}({self.field},{needle})"


@dataclass(frozen=True)
class _Group(Condition):
    """Two or more conditions joined by one word, ``and`` or ``or``; none of them is joined by the same."""

    word: str
    parts: tuple[Condition, ...]

    def __invert__(self) -> Condition:
        other = "or" if self.word == "and" else "and"
        return _joined(other, *(~part for part in self.parts))

    def _written(self, values: list[Param]) -> str:
        written = ((part, part._written(values)) for part in self.parts)
        return f" {self.word} ".join(
            f"({text})" if isinstance(part, _Group) else text for part, text in written
        )


class Field:
    """A field to compare with a value, or a linked entity whose fields are had from it: ``F.MainContact.Email``.

    Text is compared without case. A field that is empty meets ``== None`` and nothing else, ``!=`` least of all. A date
    is the midnight that it begins with, as the ERP has dates; a datetime without an offset is in the server's zone.
    """

    __slots__ = ("_name",)
    __hash__ = None  # type: ignore[assignment]  # == tells nothing of two fields

    def __init__(self, name: str) -> None:
        """``name`` is as a filter has it, and known to be a name; ``F`` sees to that."""
        self._name = name

    def __getattr__(self, name: str) -> Field:
        if name.startswith("_"):
            # Python itself asks for these, as in copying; a field of such a name is had by F["_Name"].
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Field:
        """The field of a linked entity by its name."""
        return Field(f"{self._name}/{_required_name(name)}")

    def __eq__(self, value: Value) -> Condition:  # type: ignore[override]
        return self._compared("eq", value)

    def __ne__(self, value: Value) -> Condition:  # type: ignore[override]
        return self._compared("ne", value)

    def __lt__(self, value: Ordered) -> Condition:
        return self._compared("lt", value)

    def __le__(self, value: Ordered) -> Condition:
        return self._compared("le", value)

    def __gt__(self, value: Ordered) -> Condition:
        return self._compared("gt", value)

    def __ge__(self, value: Ordered) -> Condition:
        return self._compared("ge", value)

    def is_(self, value: bool | None) -> Condition:
        """As ``==``, for linters that take ``F.Hold == True`` and ``F.CustomerOrder == None`` for a slip."""
        return self._compared("eq", value)

    def in_(self, values: Iterable[Value]) -> Condition:
        """It is one of these. Raises FilterInvalid where there are none."""
        if isinstance(values, str | Mapping):
            raise TypeError(f"in_ takes a list of values, as in F.{self._name}.in_(['Open', 'Hold'])")
        every = [self._compared("eq", value) for value in values]
        if not every:
            raise FilterInvalid(f"{self._name} can be none of no values: there is nothing to ask", "filter")
        return _joined("or", *every)

    def startswith(self, text: str) -> Condition:
        """It begins with the text."""
        return _Search(self._name, "startswith", _required_text(text))

    def endswith(self, text: str) -> Condition:
        """It ends with the text."""
        return _Search(self._name, "endswith", _required_text(text))

    def contains(self, text: str) -> Condition:
        """It has the text in it."""
        return _Search(self._name, "substringof", _required_text(text))

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"F.{self._name} is no condition: compare it, as in F.{self._name} == 'Open'. {_NO_TRUTH}"
        )

    def __repr__(self) -> str:
        return f"<field {self._name}>"

    def _compared(self, operator: str, value: Value) -> Condition:
        return _Comparison(self._name, operator, _param(self._name, value))

    if not TYPE_CHECKING:
        # A type checker knows that there are no such operators, and must not be told otherwise.
        def __and__(self, other: object) -> NoReturn:
            raise TypeError(_PARENTHESES)

        __rand__ = __or__ = __ror__ = __and__


class Fields:
    """Any field of any entity, by its name: ``F.Status``, or ``F["Status"]``."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Field:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Field:
        """The field with this name; ``F["MainContact/Email"]`` is that of a linked entity. Raises FilterInvalid."""
        return Field(_required_name(name))

    def custom(self, name: str, type_: type[Value] | CustomType) -> Field:
        """A custom field, named as in ``Document.AttributeCOLOR``, of a Python type or one of the ERP's.

        Raises FilterInvalid where it is no such name, TypeError where the ERP has no such type.
        """
        kind = type_ if isinstance(type_, str) else _CUSTOM_TYPES.get(type_)
        if kind not in get_args(CustomType):
            raise TypeError(
                f"a custom field is of no type {type_!r}: give str, int, Decimal, bool, datetime, UUID, …"
            )
        if not _CUSTOM_NAME.fullmatch(name):
            raise FilterInvalid(
                f"{name!a} is no name of a custom field; one is Document.AttributeCOLOR", "filter"
            )
        return Field(f"cf.{kind}(f='{name}')")


F: Final = Fields()
"""Any field of any entity."""


def _joined(word: str, *conditions: Condition) -> Condition:
    parts: list[Condition] = []
    for each in conditions:
        parts += each.parts if isinstance(each, _Group) and each.word == word else [each]
    return _Group(word, tuple(parts)) if len(parts) > 1 else parts[0]


def _require_answerable(condition: Condition) -> None:
    """Raise FilterInvalid where the ERP could not answer it, as the worker's own reader of filters knows."""
    try:
        str(condition)
    except JobRefused as error:
        raise FilterInvalid(f"{condition.text}: {error.message}", "filter") from None


def _name_of(value: Param, values: list[Param]) -> str:
    values.append(value)
    return f":v{len(values)}"


def _required_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise FilterInvalid(f"{name!a} is no name of a field; one is Status, or MainContact/Email", "filter")
    return name


def _required_text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a text can be looked for, and not a {type(text).__name__}")
    return str.__str__(text)


def _param(field: str, value: Value) -> Param:
    """The value as a job's parameter. Raises TypeError where it is of no type that the ERP knows."""
    match value:
        case bool() | None | datetime() | UUID():
            return value
        case str():
            # Of an enumeration, the text itself.
            return str.__str__(value)
        case int():
            return int(value)
        case float() | Decimal():
            return _number(field, Decimal(str(value)))
        case date():
            # A literal of its own for dates is known to new builds only; this form is recorded since 2019.
            return datetime.combine(value, time())
    raise TypeError(f"{field}: {_instead_of(value)}")


def _number(field: str, number: Decimal) -> Decimal:
    if not number.is_finite():
        raise FilterInvalid(f"{field}: nothing is compared with {number}", "filter")
    return number


def _instead_of(value: object) -> str:
    match value:
        case Field():
            return "the ERP compares a field with a value, and never with another field"
        case Condition():
            return _PARENTHESES
        case list() | tuple() | set() | frozenset():
            return "it can be one of several values by .in_([…])"
    return f"it can be a text, a number, a date, a datetime, a UUID, a bool or None, and not a {type(value).__name__}"

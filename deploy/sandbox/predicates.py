"""A filter's tree bound to an entity: a test of rows, and what it says about their keys.

Comparisons are SQL's: without case, and an empty field compares with nothing but `eq null` and `ne null`.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
)
from deploy.sandbox.ordering import Comparable, Measure, Ordering
from deploy.sandbox.refusal import bad_filter, incompatible_types
from deploy.sandbox.rows import Row, Scalar
from deploy.sandbox.schema import LINKED, Entity, Field, TopLevel
from deploy.sandbox.spans import AllOf, AnyOf, Anything, KeyCondition, KeyIs

Test = Callable[[Row], bool]

_EDM_TYPES: Mapping[str, str] = {
    "String": "Edm.String",
    "Boolean": "Edm.Boolean",
    "DateTime": "Edm.DateTimeOffset",
    "Decimal": "Edm.Decimal",
    "Int": "Edm.Int32",
    "Short": "Edm.Int16",
    "Long": "Edm.Int64",
    "Byte": "Edm.Byte",
    "Guid": "Edm.Guid",
}
_NUMBERS = frozenset({"Edm.Decimal", "Edm.Int64", "Edm.Int32", "Edm.Int16", "Edm.Byte"})
_UNORDERED = frozenset({"Edm.Boolean", "Edm.Guid"})
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
"""What the words mean that compare, in every kind of filter."""


@dataclass(frozen=True)
class Bound:
    """A filter ready to run over an entity's rows."""

    test: Test
    paths: tuple[tuple[str, ...], ...]
    """The fields it names: they join the output even when `$select` leaves them out (recorded)."""
    keys: KeyCondition
    """What it says about the keys of the rows that it can find."""


@dataclass(frozen=True)
class _Operand:
    """Where a filter's operand is in a row, and how its values compare."""

    type: str
    view: str
    read: Callable[[Row], Scalar | None] | None
    """None for a field of detail rows, which filters cannot reach."""
    measure: Callable[[str], Measure]
    """How its values compare by an operator."""


class Binder:
    """Binds filters to one entity of one database."""

    def __init__(self, entity: TopLevel, ordering: Ordering, across_views: bool) -> None:
        """`across_views` is whether an `and` over two data views matches (reported: on some forms it never does)."""
        self._entity = entity
        self._ordering = ordering
        self._across_views = across_views

    def bind(self, condition: Condition) -> Bound:
        """Raises Refusal for unknown fields and for literals of the wrong type."""
        paths = tuple(leaf.operand.parts for leaf in _leaves(condition) if isinstance(leaf.operand, Path))
        return Bound(self._test(condition), paths, self._keys(condition))

    def _test(self, condition: Condition) -> Test:
        match condition:
            case Comparison():
                return self._comparison(condition)
            case Match():
                return self._match(condition)
            case Every(parts):
                return self._every(parts)
            case Some(parts):
                return _any_of([self._test(part) for part in parts])

    def _every(self, parts: tuple[Condition, ...]) -> Test:
        tests = [self._test(part) for part in parts]
        views = {self._operand(leaf.operand).view for part in parts for leaf in _leaves(part)}
        return _all_of(tests) if self._across_views or len(views) == 1 else _never

    def _comparison(self, condition: Comparison) -> Test:
        operand = self._operand(condition.operand)
        _check_types(operand.type, condition.literal, condition.operator)
        compare, read = COMPARE[condition.operator], operand.read
        if read is None:
            return _never
        if condition.literal.value is None:
            return _null_test(condition.operator, read)
        measure = operand.measure(condition.operator)
        wanted = self._wanted(condition.literal.value, measure)

        def test(row: Row) -> bool:
            value = read(row)
            return value is not None and compare(measure(value), wanted)

        return test

    def _wanted(self, literal: Scalar, measure: Measure) -> Comparable:
        """A literal in the form in which it compares; a moment is written as moments print."""
        return self._ordering.zones.read(literal) if isinstance(literal, datetime) else measure(literal)

    def _match(self, condition: Match) -> Test:
        operand = self._operand(condition.operand)
        if operand.type != "Edm.String" or condition.needle.type != "Edm.String":
            raise bad_filter(
                f"No function signature for the function with name '{condition.function}' matches."
            )
        read = operand.read
        if read is None or condition.compared:
            return _never
        fold, found = self._ordering.collation.fold, _FINDERS[condition.function]
        needle = fold(str(condition.needle.value))
        return lambda row: (value := read(row)) is not None and found(fold(str(value)), needle)

    def _operand(self, operand: Path | CustomField) -> _Operand:
        return self._custom(operand) if isinstance(operand, CustomField) else self._path(operand)

    def _custom(self, operand: CustomField) -> _Operand:
        defined = self._entity.custom.get(operand.name)
        if defined is None or defined != operand.type:
            raise bad_filter(f"Could not find a custom field '{operand.name}' of type '{operand.type}'.")
        field = Field(operand.name, 0, defined)
        return _Operand(
            _EDM_TYPES[defined], "", lambda row: row.custom.get(operand.name), self._measured(field)
        )

    def _path(self, path: Path) -> _Operand:
        entity: Entity = self._entity
        steps, view = [], ""
        for name in path.parts[:-1]:
            step = _field_of(entity, name)
            if step.nested is None:
                raise _no_property(path.parts[-1], _EDM_TYPES[step.kind])
            steps.append(step)
            entity, view = step.nested, step.view
        field = _field_of(entity, path.parts[-1])
        if field.nested is not None:
            raise bad_filter(f"The property '{field.name}' is a navigation property and cannot be compared.")
        reachable = all(step.kind == LINKED for step in steps)
        read = _reader([*steps, field]) if reachable else None
        return _Operand(_EDM_TYPES[field.kind], view or field.view, read, self._measured(field))

    def _measured(self, field: Field) -> Callable[[str], Measure]:
        return lambda operator_name: self._ordering.compared_by(field, operator_name)

    def _keys(self, condition: Condition) -> KeyCondition:
        match condition:
            case Comparison():
                return self._key(condition)
            case Every(parts):
                return AllOf(tuple(self._keys(part) for part in _flat(parts)))
            case Some(parts):
                return AnyOf(tuple(self._keys(part) for part in parts))
            case Match():
                return Anything()

    def _key(self, comparison: Comparison) -> KeyCondition:
        """A comparison of a key, where the rows that it finds lie together."""
        operand, name, value = comparison.operand, comparison.operator, comparison.literal.value
        keys = self._entity.form.keys
        if not isinstance(operand, Path) or len(operand.parts) > 1 or operand.parts[0] not in keys:
            return Anything()
        field = self._entity.fields[operand.parts[0]]
        if value is None or name == "ne" or not self._ordering.agrees(field, name):
            return Anything()
        return KeyIs(keys.index(field.name), name, self._ordering.sorted_by(field)(value))


def _flat(parts: tuple[Condition, ...]) -> Iterator[Condition]:
    """The parts of an `and`, and those of each `and` among them."""
    for part in parts:
        if isinstance(part, Every):
            yield from _flat(part.parts)
        else:
            yield part


def _leaves(condition: Condition) -> Iterator[Comparison | Match]:
    if isinstance(condition, Comparison | Match):
        yield condition
    else:
        for part in condition.parts:
            yield from _leaves(part)


def _field_of(entity: Entity, name: str) -> Field:
    field = entity.fields.get(name)
    if field is None:
        raise _no_property(name, f"Default.{entity.name}")
    return field


def _no_property(name: str, owner: str) -> Exception:
    return bad_filter(f"Could not find a property named '{name}' on type '{owner}'.")


def _reader(steps: list[Field]) -> Callable[[Row], Scalar | None]:
    """Reads the field at the end of a path through linked entities."""
    if len(steps) == 1:
        index = steps[0].index
        return lambda row: row.values[index]  # type: ignore[return-value]
    first, rest = steps[0].index, _reader(steps[1:])

    def read(row: Row) -> Scalar | None:
        linked = row.values[first]
        return rest(linked) if isinstance(linked, Row) else None

    return read


def _check_types(field_type: str, literal: Literal, operator_name: str) -> None:
    same = literal.type in (field_type, "Edm.Null") or {field_type, literal.type} <= _NUMBERS
    ordered = operator_name in ("eq", "ne") or field_type not in _UNORDERED
    if not (same and ordered):
        raise incompatible_types(field_type, literal.type, OPERATORS[operator_name])


def _null_test(operator_name: str, read: Callable[[Row], Scalar | None]) -> Test:
    """`eq null` and `ne null`; any other comparison with null is never true."""
    if operator_name == "eq":
        return lambda row: read(row) is None
    if operator_name == "ne":
        return lambda row: read(row) is not None
    return _never


def _never(row: Row) -> bool:
    return False


def _all_of(tests: list[Test]) -> Test:
    return lambda row: all(test(row) for test in tests)


def _any_of(tests: list[Test]) -> Test:
    return lambda row: any(test(row) for test in tests)


def _contains(text: str, needle: str) -> bool:
    return needle in text


_FINDERS: Mapping[str, Callable[[str, str], bool]] = {
    "substringof": _contains,
    "startswith": str.startswith,
    "endswith": str.endswith,
}

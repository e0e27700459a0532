"""A filter's tree bound to an entity: a test of rows, and the first key at which a matching row can be.

Comparisons are SQL's: without case, and an empty field compares with nothing but `eq null` and `ne null`.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.collation import Collate, fold
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
from deploy.sandbox.refusal import bad_filter, incompatible_types
from deploy.sandbox.rows import Row, Scalar
from deploy.sandbox.schema import LINKED, Entity, Field, TopLevel

Test = Callable[[Row], bool]
Comparable = Any
"""A scalar in the form in which the database orders it: a sort key, a number, a moment."""

_EDM_TYPES: Mapping[str, str] = {
    "String": "Edm.String",
    "Boolean": "Edm.Boolean",
    "DateTime": "Edm.DateTimeOffset",
    "Decimal": "Edm.Decimal",
    "Int": "Edm.Int32",
    "Short": "Edm.Int16",
    "Guid": "Edm.Guid",
}
_NUMBERS = frozenset({"Edm.Decimal", "Edm.Int32", "Edm.Int16"})
_UNORDERED = frozenset({"Edm.Boolean", "Edm.Guid"})
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


@dataclass(frozen=True)
class Bound:
    """A filter ready to run over an entity's rows."""

    test: Test
    paths: tuple[tuple[str, ...], ...]
    """The fields it names: they join the output even when `$select` leaves them out (recorded)."""
    start: tuple[Comparable, ...]
    """No row whose key sorts before this prefix can match; empty when nothing is known."""
    fixed: tuple[Comparable, ...]
    """The part of `start` that a matching row's key begins with."""


@dataclass(frozen=True)
class _Operand:
    """Where a filter's operand is in a row, and how its values compare."""

    type: str
    view: str
    read: Callable[[Row], Scalar | None] | None
    """None for a field of detail rows, which filters cannot reach."""
    comparable: Callable[[Scalar], Comparable]


def comparable_by(field: Field, collate: Collate) -> Callable[[Scalar], Comparable]:
    """How a field's values are put in order: combo boxes by the stored code, other strings by the collation."""
    if field.kind != "String":
        return _as_it_is
    if not field.codes:
        return lambda value: collate(str(value))
    by_label = {fold(label): collate(code) for label, code in field.codes.items()}
    return lambda value: by_label.get(fold(str(value))) or collate(str(value))


def _as_it_is(value: Scalar) -> Comparable:
    return value


class Binder:
    """Binds filters to one entity under one collation."""

    def __init__(self, entity: TopLevel, collate: Collate, across_views: bool) -> None:
        """`across_views` is whether an `and` over two data views matches (reported: on some forms it never does)."""
        self._entity = entity
        self._collate = collate
        self._across_views = across_views

    def bind(self, condition: Condition) -> Bound:
        """Raises Refusal for unknown fields and for literals of the wrong type."""
        paths = tuple(leaf.operand.parts for leaf in _leaves(condition) if isinstance(leaf.operand, Path))
        test = self._test(condition)
        start, fixed = self._range(condition)
        return Bound(test, paths, start, fixed)

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
        compare, read = _COMPARE[condition.operator], operand.read
        if read is None:
            return _never
        if condition.literal.value is None:
            return _null_test(condition.operator, read)
        comparable = operand.comparable
        wanted = comparable(condition.literal.value)

        def test(row: Row) -> bool:
            value = read(row)
            return value is not None and compare(comparable(value), wanted)

        return test

    def _match(self, condition: Match) -> Test:
        operand = self._operand(condition.operand)
        if operand.type != "Edm.String" or condition.needle.type != "Edm.String":
            raise bad_filter(
                f"No function signature for the function with name '{condition.function}' matches."
            )
        read = operand.read
        if read is None or condition.compared:
            return _never
        needle, found = fold(str(condition.needle.value)), _FINDERS[condition.function]
        return lambda row: (value := read(row)) is not None and found(fold(str(value)), needle)

    def _operand(self, operand: Path | CustomField) -> _Operand:
        return self._custom(operand) if isinstance(operand, CustomField) else self._path(operand)

    def _custom(self, operand: CustomField) -> _Operand:
        defined = self._entity.custom.get(operand.name)
        if defined is None or defined != operand.type:
            raise bad_filter(f"Could not find a custom field '{operand.name}' of type '{operand.type}'.")
        comparable = _as_it_is if defined != "String" else lambda value: self._collate(str(value))
        return _Operand(_EDM_TYPES[defined], "", lambda row: row.custom.get(operand.name), comparable)

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
        return _Operand(_EDM_TYPES[field.kind], view, read, comparable_by(field, self._collate))

    def _range(self, condition: Condition) -> tuple[tuple[Comparable, ...], tuple[Comparable, ...]]:
        """The longest prefix of the keys bound from below by conditions joined by `and`, and its part fixed by `eq`."""
        parts = condition.parts if isinstance(condition, Every) else (condition,)
        leaves = [part for part in parts if isinstance(part, Comparison)]
        start: list[Comparable] = []
        for name in self._entity.form.keys:
            bounds = {leaf.operator: leaf.literal.value for leaf in leaves if leaf.operand == Path((name,))}
            lower = next((bounds[name] for name in ("eq", "ge", "gt") if bounds.get(name) is not None), None)
            if lower is None:
                break
            start.append(comparable_by(self._entity.fields[name], self._collate)(lower))
            if "eq" not in bounds:
                return tuple(start), tuple(start[:-1])
        return tuple(start), tuple(start)


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

"""Plain JSON values in the form of the wire, as an endpoint's schema has them: ``5`` becomes ``{"value": 5}``.

What the schema knows that the ERP would refuse raises JobInvalid, naming the field; nothing is sent then. Where there
is no schema the values go as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from worker.erp import urls
from worker.erp.schema import SCALARS, Schema, is_detail, like, nested_in
from worker.errors import JobInvalid
from worker.page import Record

_RANGES = {"Byte": (0, 2**8 - 1), "Short": (-(2**15), 2**15 - 1), "Int": (-(2**31), 2**31 - 1)}
_LONG = (-(2**63), 2**63 - 1)
_NUMBER = re.compile(r"-?\d{1,28}(\.\d{1,28})?")
_CUSTOM = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
_BARE = {"id": str, "delete": bool}
"""Members of a row that the ERP takes without a wrapping (contract-based API, version 4; recorded in course I330)."""


def record(plain: Mapping[str, Any], entity: str, schema: Schema | None, at: str = "record") -> Record:
    """A record, or a row of details, of an entity; ``at`` is where the job has it."""
    return {name: _member(name, value, entity, schema, f"{at}.{name}") for name, value in plain.items()}


def values(plain: Mapping[str, Any], types: Mapping[str, str] | None, at: str) -> Record:
    """The parameters of an action or an inquiry."""
    return {name: _value(value, _type(name, types, at), f"{at}.{name}") for name, value in plain.items()}


def custom(plain: Mapping[str, Any], at: str) -> Record:
    """Custom fields by ``View.Field``; their type is the value's, unless ``{"type": …, "value": …}`` says it.

    Source: the vendor's guide, Execute a Custom Action (CustomStringField and its like).
    """
    views: Record = {}
    for path, value in plain.items():
        if not _CUSTOM.fullmatch(path):
            raise JobInvalid(
                "a custom field is named View.Field, as in Document.AttributeCOLOR", f"{at}.{path[:64]}"
            )
        view, _, name = path.partition(".")
        views.setdefault(view, {})[name] = _custom(value, f"{at}.{path}")
    return views


def _member(name: str, value: Any, entity: str, schema: Schema | None, at: str) -> Any:
    if name in _BARE:
        if not isinstance(value, _BARE[name]):
            raise JobInvalid(f"must be {'true or false' if name == 'delete' else 'an id'}", at)
        return value
    if name == "custom":
        return custom(_object(value, at), at)
    if name == "note":
        return _value(value, "String", at)
    if schema is None:
        return _untyped(value, at)
    type_ = _type(name, schema.fields(entity), at.rpartition(".")[0])
    if type_ is None or type_ in SCALARS:
        return _value(value, type_, at)
    if not is_detail(type_):
        return record(_object(value, at), type_, schema, at)
    if not isinstance(value, list):
        raise JobInvalid("must be a list of rows", at)
    rows = (_object(row, f"{at}[{number}]") for number, row in enumerate(value))
    return [record(row, nested_in(type_), schema, f"{at}[{number}]") for number, row in enumerate(rows)]


def _untyped(value: Any, at: str) -> Any:
    match value:
        case dict():
            return record(value, "", None, at)
        case list():
            return [record(_object(row, f"{at}[{n}]"), "", None, f"{at}[{n}]") for n, row in enumerate(value)]
    return {"value": value}


def _object(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise JobInvalid("must be an object with the values of its fields", at)
    return value


def _type(name: str, types: Mapping[str, str] | None, at: str) -> str | None:
    if types is None:
        return None
    if name not in types:
        raise JobInvalid(f"there is no such field{like(name, types)}", f"{at}.{name[:64]}")
    return types[name]


def _value(value: Any, type_: str | None, at: str) -> Record:
    check = None if value is None or type_ is None else _CHECKS.get(type_)
    return {"value": value if check is None else check(value, at)}


def _text(value: Any, at: str) -> Any:
    if not isinstance(value, str):
        raise JobInvalid("must be a text", at)
    return value


def _boolean(value: Any, at: str) -> Any:
    if not isinstance(value, bool):
        raise JobInvalid("must be true or false", at)
    return value


def _whole(low: int, high: int) -> Callable[[Any, str], Any]:
    def check(value: Any, at: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise JobInvalid(f"must be a whole number from {low} to {high}", at)
        return value

    return check


def _number(value: Any, at: str) -> Any:
    """A number; as a text it keeps every digit, which JSON's own may lose on their way."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise JobInvalid('must be a number, as in 12.5 or "12.50"', at)


def _moment(value: Any, at: str) -> Any:
    try:
        if isinstance(value, str) and datetime.fromisoformat(value):
            return value
    except ValueError:
        pass
    raise JobInvalid("must be a date or a moment, as in 2026-11-21 or 2026-11-21T10:30:00+01:00", at)


def _guid(value: Any, at: str) -> Any:
    if not (isinstance(value, str) and urls.is_id(value)):
        raise JobInvalid("must be a GUID, as in c01087ca-7281-e511-80c0-00155d012302", at)
    return value


_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "String": _text,
    "Boolean": _boolean,
    "Decimal": _number,
    "Double": _number,
    "DateTime": _moment,
    "DateOnly": _moment,
    "Guid": _guid,
    "Long": _whole(*_LONG),
    **{name: _whole(*bounds) for name, bounds in _RANGES.items()},
}


def _custom(value: Any, at: str) -> Record:
    match value:
        case {"type": str(type_), "value": inner} if len(value) == 2:
            return {"type": type_, "value": inner}
        case bool():
            return {"type": "CustomBooleanField", "value": value}
        case int():
            return {"type": "CustomIntField", "value": value}
        case float():
            return {"type": "CustomDecimalField", "value": value}
        case str() | None:
            return {"type": "CustomStringField", "value": value}
    raise JobInvalid('must be a plain value, or {"type": "CustomDateTimeField", "value": "2026-11-21"}', at)

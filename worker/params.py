"""The values that a job gives for its filter's parameters, and how JSON tells their types.

What JSON has no type for says its type: ``{"datetimeoffset": "2026-11-01T00:00:00Z"}``. A value of another form is
refused with a ValueError that says which forms there are; pydantic turns it into an error of the job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

Param = str | bool | int | Decimal | None | datetime | date | UUID
"""A value for the filter; its type decides how it is written, so it can never become syntax."""


_TYPED: Mapping[str, Callable[[str], Param]] = {
    "datetimeoffset": datetime.fromisoformat,
    "date": date.fromisoformat,
    "guid": UUID,
    "decimal": Decimal,
}


def _param(value: object) -> Param:
    match value:
        case dict() if len(value) == 1 and next(iter(value)) in _TYPED:
            ((kind, text),) = value.items()
            return _typed(kind, text)
        case bool() | None | str() | int() | datetime() | date() | UUID():
            return value
        case float() | Decimal():
            number = Decimal(str(value))
            if number.is_finite():
                return number
    raise ValueError(
        "must be a string, a number, true, false, null, or one of "
        + ", ".join(f'{{"{kind}": "…"}}' for kind in _TYPED)
    )


def _typed(kind: str, text: object) -> Param:
    try:
        value = _TYPED[kind](text) if isinstance(text, str) else None
    except (ValueError, ArithmeticError):
        value = None
    if value is None or (isinstance(value, Decimal) and not value.is_finite()):
        raise ValueError(f"is not a {kind}")
    return value


def _param_on_the_wire(value: Param) -> object:
    match value:
        case datetime():
            return {"datetimeoffset": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case UUID():
            return {"guid": str(value)}
        case Decimal():
            return {"decimal": str(value)}
    return value


def _params_on_the_wire(params: Mapping[str, Param]) -> dict[str, object]:
    return {name: _param_on_the_wire(value) for name, value in params.items()}


Params = Annotated[
    Mapping[str, Annotated[Any, BeforeValidator(_param)]],
    AfterValidator(MappingProxyType),
    PlainSerializer(_params_on_the_wire, return_type=dict[str, Any]),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": ["string", "number", "boolean", "null"]},
                    *(
                        {
                            "type": "object",
                            "properties": {kind: {"type": "string"}},
                            "required": [kind],
                            "additionalProperties": False,
                        }
                        for kind in _TYPED
                    ),
                ]
            },
        }
    ),
]
"""The parameters of a job, by name; frozen."""

"""Plain values to rows: what the demo records, the generator and the control API give becomes typed and scaled.

A value that does not fit its field raises ValueError naming the field, and a name the entity lacks raises it too.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from deploy.sandbox.rows import NO_CUSTOM_VALUES, SERVER_ZONE, Row, Scalar, Value
from deploy.sandbox.schema import DETAIL, LINKED, Entity, Field, TopLevel

_PRICE_SCALE = Decimal("0.000001")
_RATE_SCALE = Decimal("0.00000001")
_AMOUNT_SCALE = Decimal("0.0001")
_NESTED_ONLY = frozenset({"id", "custom"})


def scale_of(field: str) -> Decimal:
    """The last place of a decimal field: 6 places for quantities and unit prices, 4 for amounts (recorded lengths).

    Rates have 8, as the database column does; no recording shows one.
    """
    if field.endswith("Rate"):
        return _RATE_SCALE
    if "Qty" in field or field.endswith(("UnitPrice", "UnitCost", "Weight", "Volume")):
        return _PRICE_SCALE
    return _AMOUNT_SCALE


def row_of(entity: Entity, record: Mapping[str, object], row_id: str | None = None) -> Row:
    """A new row from plain values; its id is `row_id`, or the record's `id`, or a new one."""
    new_id = row_id or _id_of(record)
    given = {**_implied(entity, new_id, record), **record} if isinstance(entity, TopLevel) else record
    return changed(entity, Row(new_id, tuple(entity.empty_values())), given)


def _implied(entity: TopLevel, row_id: str, record: Mapping[str, object]) -> Mapping[str, object]:
    """What follows from the rest of a record: its note's id, and the second of two stamps of its change."""
    found = {"NoteID": row_id, "LastModifiedDateTime": record.get("LastModified")}
    return {name: value for name, value in found.items() if value and name in entity.fields}


def changed(entity: Entity, row: Row, record: Mapping[str, object]) -> Row:
    """A copy of the row with the given fields set; a list of detail rows replaces the whole list."""
    values: list[Value] = list(row.values)
    for name, raw in record.items():
        if name in _NESTED_ONLY:
            continue
        field = entity.fields.get(name)
        if field is None:
            raise ValueError(f"{entity.name} has no field {name!r}; it has {', '.join(entity.fields)}")
        values[field.index] = _value_of(field, raw)
    custom = record.get("custom")
    return row._replace(
        values=tuple(values),
        custom=row.custom if custom is None else {**row.custom, **_custom_of(entity, custom)},
    )


def _id_of(record: Mapping[str, object]) -> str:
    given = record.get("id")
    return str(uuid.uuid4()) if given is None else _guid_of("id", given)


def _value_of(field: Field, raw: object) -> Value:
    if raw is None:
        return None
    if field.nested is None:
        return scalar_of(field.name, field.kind, raw)
    if field.kind == LINKED and isinstance(raw, Mapping):
        return row_of(field.nested, raw)
    if field.kind == DETAIL and isinstance(raw, Sequence) and all(isinstance(item, Mapping) for item in raw):
        return tuple(row_of(field.nested, item) for item in raw)
    wanted = "an object" if field.kind == LINKED else "a list of objects"
    raise ValueError(f"{field.name} takes {wanted}, not {raw!r}")


def _custom_of(entity: Entity, given: object) -> Mapping[str, Scalar]:
    """User-defined fields from `{"View": {"Field": value}}`."""
    if not isinstance(given, Mapping) or not all(isinstance(fields, Mapping) for fields in given.values()):
        raise ValueError(f"custom takes an object of views, each an object of fields, not {given!r}")
    flat = {f"{view}.{name}": raw for view, fields in given.items() for name, raw in fields.items()}
    unknown = sorted(flat.keys() - entity.custom.keys())
    if unknown:
        raise ValueError(
            f"{entity.name} has no custom field {unknown[0]}; it has {', '.join(entity.custom) or 'none'}"
        )
    return {name: scalar_of(name, entity.custom[name], raw) for name, raw in flat.items()} or NO_CUSTOM_VALUES


def scalar_of(name: str, kind: str, raw: object) -> Scalar:
    """One plain value as the type of its field."""
    match kind, raw:
        case "String", str():
            return raw.rstrip()
        case "Boolean", bool():
            return raw
        case (("Int" | "Short" | "Long" | "Byte"), int()) if not isinstance(raw, bool):
            return raw
        case "Decimal", (int() | float() | str() | Decimal()) if not isinstance(raw, bool):
            return _decimal_of(name, raw)
        case "DateTime", (str() | date()):
            return _moment_of(name, raw)
        case "Guid", str():
            return _guid_of(name, raw)
    raise ValueError(f"{name} is of type {kind} and cannot be {raw!r}")


def _guid_of(name: str, raw: object) -> str:
    try:
        return str(uuid.UUID(str(raw)))
    except ValueError:
        raise ValueError(f"{name} is of type Guid and cannot be {raw!r}") from None


def _decimal_of(name: str, raw: int | float | str | Decimal) -> Decimal:
    try:
        number = Decimal(str(raw)).quantize(scale_of(name), ROUND_HALF_UP)
    except InvalidOperation:
        number = Decimal("nan")
    if number.is_nan():
        raise ValueError(f"{name} is of type Decimal and cannot be {raw!r}")
    return number


def _moment_of(name: str, raw: str | date) -> datetime:
    """A date or a stamp in the server's zone; without an offset it is taken to be in that zone already."""
    try:
        moment = datetime.fromisoformat(raw if isinstance(raw, str) else raw.isoformat())
        return moment.replace(tzinfo=SERVER_ZONE) if moment.tzinfo is None else moment.astimezone(SERVER_ZONE)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is of type DateTime and cannot be {raw!r}; an ISO date can") from None

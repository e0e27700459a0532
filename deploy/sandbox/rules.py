"""What the forms do to a record that is saved: numbers, defaults, references that must exist, totals, stamps.

A small part of the ERP's business rules, chosen so that a saved record looks like one. Nothing here fails.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from deploy.sandbox.course import PRICES
from deploy.sandbox.rows import SERVER_ZONE, Row, Scalar, Value
from deploy.sandbox.schema import Entity, Field, TopLevel
from deploy.sandbox.values import scale_of

Exists = Callable[[str, str], bool]
"""Whether an entity has a record with this key."""

STAMPS: Final = ("LastModified", "LastModifiedDateTime")
READ_ONLY: Final = frozenset(
    {*STAMPS, "CreatedDateTime", "NoteID", "OrderTotal", "OrderedQty", "QtyOnHand", "Balance"}
)
"""Fields that a form shows and nobody can set."""
NEW: Final = ("", "<NEW>", "<new>")
_FIRST_NUMBER: Final = 800_001

_REFERENCES: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Customer": ("Customer", ("Customer",)),
        "CustomerID": ("Customer", ("Customer",)),
        "InventoryID": ("Inventory ID", ("StockItem", "NonStockItem")),
        "Vendor": ("Vendor", ("Vendor",)),
        "VendorID": ("Vendor", ("Vendor",)),
    }
)
_DEFAULT_KEYS: Final = {"OrderType": "SO", "ServiceOrderType": "MRO", "WarehouseID": "MAIN"}


def error_of(field: Field, value: Scalar, own_keys: Sequence[str], exists: Exists) -> str:
    """What a form has against a value: no such record, no such option; empty for nothing.

    `own_keys` are the keys of the record that is saved, which name it and nothing else.
    """
    if field.codes and value not in field.codes:
        return f"The list value '{value}' is not allowed for field '{field.name}'."
    title, entities = _REFERENCES.get(field.name, ("", ()))
    if not entities or field.name in own_keys or any(exists(entity, str(value)) for entity in entities):
        return ""
    return f"'{title}' cannot be found in the system."


def keys_of_new(
    entity: TopLevel, given: Mapping[str, str], taken: Callable[[list[str]], bool]
) -> dict[str, Scalar]:
    """The keys of a new record by name: those given, a form's defaults, and a number where the form gives one."""
    form, found = entity.form, dict[str, Scalar](given)
    for name in form.keys:
        field = entity.fields[name]
        if field.kind == "Guid" or given.get(name, "") not in NEW:
            continue
        found.pop(name, None)
        if field.codes:
            found[name] = next(iter(field.codes))
        elif name in _DEFAULT_KEYS and name != form.keys[-1]:
            found[name] = _DEFAULT_KEYS[name]
    last = form.keys[-1] if form.keys else ""
    if form.numbered and last not in found and len(found) == len(form.keys) - 1:
        found[last] = _number(entity.fields[last], [str(found[name]) for name in form.keys[:-1]], taken)
    return found


def _number(field: Field, before: list[str], taken: Callable[[list[str]], bool]) -> Scalar:
    number = _FIRST_NUMBER
    while taken([*before, str(number)]):
        number += 1
    return str(number) if field.kind == "String" else number


def filled(entity: TopLevel, row: Row, is_new: bool) -> Row:
    """The record as the form completes it; `entity` has the fields of all endpoints."""
    values = list(row.values)
    now = datetime.now(SERVER_ZONE)
    stamp = now.replace(microsecond=now.microsecond // 1000 * 1000)
    implied: dict[str, Value] = dict.fromkeys(STAMPS, stamp)
    if is_new:
        hold = entity.fields["Hold"].index if "Hold" in entity.fields else None
        on_hold = hold is not None and values[hold] is True
        implied |= {"CreatedDateTime": stamp, "NoteID": row.id}
        if "Status" in entity.fields and values[entity.fields["Status"].index] is None:
            implied["Status"] = "On Hold" if on_hold else "Open"
    for name, value in implied.items():
        if name in entity.fields:
            values[entity.fields[name].index] = value
    complete = row._replace(values=tuple(values))
    return _totalled(entity, complete) if entity.name == "SalesOrder" else complete


def _totalled(entity: TopLevel, row: Row) -> Row:
    """An order with its lines' prices and amounts, and with their sums."""
    details = entity.fields["Details"]
    lines = row.values[details.index]
    if details.nested is None or not isinstance(lines, tuple):
        return row
    line = details.nested
    priced = tuple(_priced(line, each, at) for at, each in enumerate(lines, 1) if isinstance(each, Row))
    values = list(row.values)
    values[details.index] = priced
    for name, summed in (("OrderedQty", "OrderQty"), ("OrderTotal", "Amount")):
        amounts = [_decimal(each.values[line.fields[summed].index]) for each in priced]
        values[entity.fields[name].index] = sum(amounts, Decimal()).quantize(scale_of(name))
    return row._replace(values=tuple(values))


def _priced(line: Entity, row: Row, number: int) -> Row:
    """A line with the item's price, unless it has one, and its amount."""
    values = list(row.values)

    def default(name: str, value: Value) -> Decimal:
        index = line.fields[name].index
        values[index] = value if values[index] is None else values[index]
        return _decimal(values[index])

    default("LineNbr", number)
    default("UOM", "EA")
    default("WarehouseID", "MAIN")
    price = PRICES.get(str(values[line.fields["InventoryID"].index]), 0)
    quantity = default("OrderQty", Decimal(0).quantize(scale_of("OrderQty")))
    amount = quantity * default("UnitPrice", Decimal(price).quantize(scale_of("UnitPrice")))
    for name in ("Amount", "ExtendedPrice"):
        values[line.fields[name].index] = amount.quantize(scale_of(name))
    return row._replace(values=tuple(values))


def _decimal(value: Value) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal()

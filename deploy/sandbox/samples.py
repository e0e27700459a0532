"""Records of the entities that the course has none of: a few of each, made up from their number and nothing else.

Every type of field is filled with something of its kind, one field in eight is empty, and references name records that
are there. Made when they are wanted, and each time alike.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from deploy.sandbox.course import CUSTOMERS
from deploy.sandbox.forms import ADDED, KEYS
from deploy.sandbox.rows import SERVER_ZONE, Row, Scalar, Value
from deploy.sandbox.schema import LINKED, Entity, Field, TopLevel
from deploy.sandbox.values import scale_of

_LINES: Final = 2
_EMPTY_EVERY: Final = 8
_DAYS: Final = 330
_ITEMS: Final = ("AACOMPUT01", "AALEGO500", "AAMACHINE1", "CONGRILL", "CONTABLE1", "LAPTOP12", "MOUSE")
_WORDS: Final = ("amber", "birch", "copper", "delta", "ember", "fjord", "garnet", "harbour")
_STAMPS: Final = ("CreatedDateTime", "LastModified", "LastModifiedDateTime")
_LENGTHS: Final = {
    "ReferenceNbr": 6,
    "OrderNbr": 6,
    "RefNbr": 6,
    "BatchNbr": 6,
    "ReceiptNbr": 6,
    "ShipmentNbr": 6,
}

_REFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "AccountGroup": "AccountGroup", "BusinessAccount": "BusinessAccount", "EmployeeID": "Employee",
        "ItemClass": "ItemClass", "Ledger": "Ledger", "PaymentMethod": "PaymentMethod", "Project": "Project",
        "ProjectID": "Project", "ProjectTaskID": "ProjectTask", "TaxCategory": "TaxCategory", "TaxZone": "TaxZone",
        "Vendor": "Vendor", "VendorID": "Vendor",
    }
)  # fmt: skip
"""Fields that name a generated record of another entity."""

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "BaseCurrencyID": ("USD",), "Branch": ("MYSTORE",), "BranchID": ("MYSTORE",), "Currency": ("USD",),
        "Country": ("US",), "CurrencyID": ("USD",), "Customer": tuple(CUSTOMERS), "CustomerID": tuple(CUSTOMERS),
        "InventoryID": _ITEMS, "KitInventoryID": _ITEMS, "LocationID": ("MAIN",), "OrderType": ("SO",),
        "ServiceOrderType": ("MRO",), "State": ("CA", "NY", "WA"), "UOM": ("EA", "BOX"), "Warehouse": ("MAIN", "YOGI"),
        "WarehouseID": ("MAIN", "YOGI"), "Status": ("Open", "On Hold", "Completed", "Closed"),
    }
)  # fmt: skip


class Samples:
    """So many records of an entity, in no particular order."""

    def __init__(self, entity: TopLevel, count: int, seed: int) -> None:
        """An inquiry has one, its empty form."""
        self.count = min(count, 1) if entity.form.inquiry else count
        self._entity = entity
        self._seed = seed

    def keys(self, index: int) -> tuple[Scalar, ...]:
        """The keys of a record; empty for an entity without any."""
        names = self._entity.form.keys
        return tuple(self._key(self._entity.fields[name], name == names[-1], index) for name in names)

    def id(self, index: int) -> str:
        """The id of a record."""
        return self._guid(f"{index}")

    def make(self, index: int) -> Row:
        """A record with its nested rows."""
        keys = dict(zip(self._entity.form.keys, self.keys(index), strict=True))
        return self._row(self._entity, f"{index}", self.id(index), keys)

    def with_custom(self, row: Row) -> Row:
        """A record of the course with values in the fields that the tenant has added to every form."""
        added = {name: kind for name, kind in self._entity.custom.items() if name.rpartition(".")[2] in ADDED}
        made = {name: self._scalar(name, kind, f"{row.id}/{name}") for name, kind in added.items()}
        return row._replace(custom={**made, **row.custom})

    def _key(self, field: Field, last: bool, index: int) -> Scalar:
        if field.kind == "Guid":
            return self.id(index)
        if field.kind != "String":
            return 1001 + index
        if field.codes:
            return tuple(field.codes)[index % len(field.codes)]
        choices = _CHOICES.get(field.name)
        if choices and (not last or len(choices) > self.count):
            return choices[index % len(choices)]
        return key_text(self._entity.name if last else _REFERENCES.get(field.name, field.name), index)

    def _row(self, entity: Entity, path: str, row_id: str, known: Mapping[str, Scalar]) -> Row:
        values: list[Value] = list(entity.empty_values())
        for name, field in entity.fields.items():
            values[field.index] = known.get(name) or self._value(field, f"{path}/{name}", row_id)
        custom = {name: self._scalar(name, kind, f"{path}/{name}") for name, kind in entity.custom.items()}
        return Row(row_id, tuple(values), custom=custom)

    def _value(self, field: Field, path: str, row_id: str) -> Value:
        if field.nested is None:
            if field.name == "NoteID":
                return row_id
            empty = field.name not in _STAMPS and self._draw(f"{path}?") % _EMPTY_EVERY == 0
            return None if empty else self._scalar(field.name, field.kind, path)
        if field.kind == LINKED:
            return self._row(field.nested, path, self._guid(path), {})
        paths = [f"{path}[{number}]" for number in range(_LINES)]
        return tuple(self._row(field.nested, path, self._guid(path), {}) for path in paths)

    def _scalar(self, name: str, kind: str, path: str) -> Scalar:
        draw = self._draw(path)
        match kind:
            case "Boolean":
                return draw % 2 == 0
            case "Decimal":
                return Decimal(draw % 100_000).scaleb(-2).quantize(scale_of(name))
            case "DateTime":
                return _moment(name, draw)
            case "Guid":
                return self._guid(path)
            case "Int" | "Short" | "Byte":
                return draw % 200
            case "Long":
                return 2**40 + draw % 2**20
        return _text(name, draw)

    def _draw(self, path: str) -> int:
        return int.from_bytes(self._digest(path)[:6])

    def _guid(self, path: str) -> str:
        digits = self._digest(f"id {path}").hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _digest(self, path: str) -> bytes:
        text = f"{self._seed} {self._entity.name} {path}"
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


def key_text(entity: str, index: int) -> str:
    """The last key of an entity's generated record, where it is a text of its own: a number, or a name with one."""
    keys = KEYS.get(entity, (entity,))
    length = _LENGTHS.get(keys[-1])
    return f"{index + 1:0{length}}" if length else f"{entity[:8].upper()}{index + 1:02}"


def _moment(name: str, draw: int) -> datetime:
    """A day of business, or the stamp of a change with its milliseconds."""
    day = datetime(2024, 1, 2, tzinfo=SERVER_ZONE) + timedelta(days=draw % _DAYS)
    if name not in _STAMPS:
        return day
    seconds, milliseconds = draw // _DAYS % 86_400, draw // 86_400 % 1000
    before = timedelta(days=365 if name == "CreatedDateTime" else 0)
    return day - before + timedelta(seconds=seconds, milliseconds=milliseconds)


def _text(name: str, draw: int) -> str:
    if name in _REFERENCES:
        return key_text(_REFERENCES[name], draw % 7)
    choices = _CHOICES.get(name)
    if choices:
        return choices[draw % len(choices)]
    word = _WORDS[draw % len(_WORDS)]
    if "Email" in name:
        return f"{word}@mystore.example"
    if "Phone" in name or name == "Fax":
        return f"+1 (555) 01{draw % 100:02}-{draw // 100 % 10_000:04}"
    if name.endswith(("Date", "DateTime")):
        return f"{draw % 12 + 1:02}/{draw % 28 + 1:02}/2024 08:14:56"
    return f"{name} {word} {draw % 100}"

"""Records of the sandbox to ask for by filters, and a model in Python of which ones an expression finds."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.instance import Instance
from worker.filters import Condition, CustomType, F, Field

SERVER = timezone(timedelta(hours=3))
HOSTILE = (
    *["'", "''", "O'Hara", "' or 1 eq 1", "'' or 1 eq 1", "x' or CustomerID ne 'x", "a) or (Hold eq true"],
    *[
        "%",
        "%25",
        "%27",
        "_",
        "[a-z]%",
        "\\",
        "\\'",
        '"',
        "null",
        "true",
        ":v1",
        ":v2",
        "datetimeoffset'2020-01-01'",
    ],
    *[
        "guid'x'",
        "cf.String(f='A.B')",
        "eq",
        " and ",
        "\t",
        "a\nb",
        "\x01",
        "\x7f",
        "Straße",
        "STRASSE",
        "İ",
        "ı",
    ],
    *[
        "é",
        "e\u0301",
        "\u2019",
        "\u02bc",
        "＇",
        "😀",
        "\u202e",
        "\u200b",
        "+",
        "&",
        "#",
        "$filter=",
        "?",
        ";--",
        "/*",
    ],
)
TEXTS = ("", "a", "Acme", "acme ltd", "ACME", "Café", "B-1", "10", "10.50")


@dataclass(frozen=True)
class Kind:
    """A field of an entity: how a filter written in Python has it, where its value is, and of which type that is."""

    field: Field
    path: tuple[str, ...]
    type: str


@dataclass(frozen=True)
class Entity:
    """An entity, the fields that filters are made of, and what to ask for so that all of their values come."""

    name: str
    kinds: tuple[Kind, ...]
    options: Mapping[str, str]


def plain(name: str, type_: str) -> Kind:
    """A field, perhaps of a linked entity."""
    field: Any = F
    for part in name.split("/"):
        field = getattr(field, part)
    return Kind(field, tuple(name.split("/")), type_)


def custom(name: str, type_: CustomType) -> Kind:
    """A custom field."""
    return Kind(F.custom(name, type_), ("custom", *name.split(".")), type_)


def kinds(text: str) -> tuple[Kind, ...]:
    """Fields, each with its type behind a colon; without one it is a text."""
    parts = (spec.partition(":") for spec in text.split())
    return tuple(plain(name, type_ or "String") for name, _, type_ in parts)


ENTITIES = {
    entity.name: entity
    for entity in (
        Entity(
            "SalesOrder",
            (
                *kinds(
                    "CustomerID CustomerOrder Description OrderNbr Status OrderTotal:Decimal Hold:Boolean"
                ),
                *kinds("OrderedQty:Decimal Date:DateTime LastModified:DateTime ShipToAddress/City"),
                *kinds("Totals/UnpaidBalance:Decimal"),
                custom("Document.AttributePRODUCT", "String"),
            ),
            {"$expand": "ShipToAddress,Totals", "$custom": "Document.AttributePRODUCT"},
        ),
        Entity(
            "Customer",
            (
                *kinds("CustomerID CustomerName Status MainContact/Email MainContact/Address/City"),
                *kinds("EnableWriteOffs:Boolean WriteOffLimit:Decimal LeadTimedays:Int"),
                *kinds("CreatedDateTime:DateTime MainContact/NoteID:Guid MainContact/Active:Boolean"),
            ),
            {"$expand": "MainContact,MainContact/Address"},
        ),
        Entity(
            "StockItem",
            (
                *kinds("InventoryID Description ItemStatus IsAKit:Boolean DefaultPrice:Decimal"),
                *kinds("LastModified:DateTime"),
                custom("Item.DescrTranslations", "String"),
            ),
            {"$custom": "Item.DescrTranslations"},
        ),
        Entity(
            "Payment",
            kinds(
                "ReferenceNbr Description Status Hold:Boolean PaymentAmount:Decimal CardAccountNbr:Int "
                "ApplicationDate:DateTime LastModifiedDateTime:DateTime"
            ),
            {},
        ),
        Entity(
            "SalesInvoice",
            (
                *kinds("ReferenceNbr CustomerID Description Hold:Boolean Amount:Decimal Balance:Decimal"),
                *kinds("Date:DateTime DueDate:DateTime"),
                custom("Document.CuryBalanceWOTotal", "Decimal"),
            ),
            {"$custom": "Document.CuryBalanceWOTotal"},
        ),
    )
}
KEYS = {
    "SalesOrder": ("OrderType", "OrderNbr"),
    "Customer": ("CustomerID",),
    "StockItem": ("InventoryID",),
    "Payment": ("Type", "ReferenceNbr"),
    "SalesInvoice": ("Type", "ReferenceNbr"),
}
MADE: Mapping[str, Sequence[Any]] = {
    "String": (None, *TEXTS[1:], *HOSTILE),
    "Decimal": (None, "0", "0.5000", "10.5", "2200.0000", "-3.25", "99999999999.9999"),
    "Boolean": (None, True, False),
    "Int": (None, 0, 1, 42, -7),
    "DateTime": (None, "2022-10-28", "2022-10-29T23:59:59.999+03:00", "1999-12-31T21:00:00Z", "2024-02-29"),
    "Guid": (None, "c01087ca-7281-e511-80c0-00155d012302", "00000000-0000-0000-0000-000000000001"),
}


@cache
def instance() -> Instance:
    """An ERP whose records have every value above somewhere, and none somewhere."""
    made = Instance(BUILDS["2022R1"], "Site")
    for entity in ENTITIES.values():
        for number in range(len(MADE["String"])):
            made.insert(entity.name, record(entity, number))
    return made


def record(entity: Entity, number: int) -> dict[str, Any]:
    """One record; each of its fields has another one of the values for its type."""
    found: dict[str, Any] = {}
    for place, kind in enumerate(entity.kinds):
        values = MADE[kind.type]
        value = values[(number + 3 * place) % len(values)]
        if value is not None:
            level = found
            for part in kind.path[:-1]:
                level = level.setdefault(part, {})
            level[kind.path[-1]] = value
    keys = KEYS[entity.name]
    fixed = {"OrderType": "SO", "Type": "Payment" if entity.name == "Payment" else "Invoice"}
    return found | {key: fixed.get(key, f"T{number:04}") for key in keys}


@cache
def records(entity: str) -> Sequence[Mapping[str, Any]]:
    """What the ERP has of an entity, as it is on the wire."""
    return listed(entity, ENTITIES[entity].options)


def listed(entity: str, options: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """What the ERP answers."""
    answer = instance().list(entity, options)
    assert answer.status == 200, answer.body
    return msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal).decode(answer.body)


# The model. Of an empty field nothing is known, and what is known of nothing is None.

Truth = bool | None
Node = tuple[Any, ...]
COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")
}


def value_of(row: Mapping[str, Any], kind: Kind) -> Any:
    """The value of a field in a record, comparable; None where it is empty."""
    level: Any = row
    for part in kind.path:
        level = level.get(part) if level else None
    raw = level.get("value") if level else None
    return None if raw is None else comparable(kind, raw)


def comparable(kind: Kind, raw: Any) -> Any:
    """A value as the ERP compares it: text without case and blanks at its end, moments by the server's clock."""
    match kind.type:
        case "String":
            return raw.rstrip().casefold()
        case "DateTime":
            return moment(raw)
        case "Guid":
            return UUID(str(raw))
    return raw if isinstance(raw, bool) else Decimal(str(raw))


def moment(raw: str | date) -> datetime:
    """A point in time."""
    found = datetime.fromisoformat(raw if isinstance(raw, str) else raw.isoformat())
    return found if found.tzinfo else found.replace(tzinfo=SERVER)


def holds(node: Node, row: Mapping[str, Any]) -> Truth:
    """Whether an expression is true of a record, false of it, or neither."""
    match node:
        case ("not", inner):
            truth = holds(inner, row)
            return None if truth is None else not truth
        case ("and", left, right):
            return both(holds(left, row), holds(right, row))
        case ("or", left, right):
            return either(holds(left, row), holds(right, row))
        case ("in", kind, values):
            truth = False
            for value in values:
                truth = either(truth, compared("eq", kind, value, row))
            return truth
        case (("startswith" | "endswith" | "contains") as how, kind, text):
            return searched(how, value_of(row, kind), text.rstrip().casefold())
    how, kind, value = node
    return compared(how, kind, value, row)


def compared(how: str, kind: Kind, value: Any, row: Mapping[str, Any]) -> Truth:
    """Whether a field of a record compares so with a value."""
    own = value_of(row, kind)
    if value is None:
        return (own is None) == (how == "eq")
    return None if own is None else bool(COMPARE[how](own, comparable(kind, value)))


def searched(how: str, own: str | None, text: str) -> Truth:
    """Whether a text is in another one, at its beginning or at its end."""
    if own is None:
        return None
    return text in own if how == "contains" else bool(getattr(own, how)(text))


def both(left: Truth, right: Truth) -> Truth:
    """And, where either may be unknown."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def either(left: Truth, right: Truth) -> Truth:
    """Or, where either may be unknown."""
    if left or right:
        return True
    return None if left is None or right is None else False


def built(node: Node) -> Condition:
    """The same expression as a program writes it."""
    match node:
        case ("not", inner):
            return ~built(inner)
        case ("and", left, right):
            return built(left) & built(right)
        case ("or", left, right):
            return built(left) | built(right)
        case ("in", kind, values):
            condition: Condition = kind.field.in_(values)
            return condition
        case (("startswith" | "endswith" | "contains") as how, kind, text):
            found: Condition = getattr(kind.field, how)(text)
            return found
    how, kind, value = node
    result: Condition = COMPARE[how](kind.field, value)
    return result

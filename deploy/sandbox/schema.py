"""The entities as the endpoint defines them: fields in contract order, keys, forms, data views, notes.

Known from recordings are the graphs and views of SalesOrder, its Details, Payment and StockItem; the other views are
the forms' usual ones, and where even that is unknown a nested entity's view has the name of its field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deploy.sandbox.builds import Build
from deploy.sandbox.entity_fields import NESTED, TOP_LEVEL

LINKED = "Linked"
DETAIL = "Detail"

_PAYMENT_CODES: Mapping[str, str] = MappingProxyType(
    {
        "Payment": "PMT",
        "Credit Memo": "CRM",
        "Prepayment": "PPM",
        "Refund": "REF",
        "Voided Payment": "RPM",
        "Credit WO": "SMC",
        "Balance WO": "SMB",
    }
)
_INVOICE_CODES: Mapping[str, str] = MappingProxyType(
    {"Invoice": "INV", "Debit Memo": "DRM", "Credit Memo": "CRM", "Cash Sale": "CSL", "Cash Return": "RCS"}
)


@dataclass(frozen=True, eq=False)
class Form:
    """What a top-level entity has and a nested one has not: its keys in the order of the URL, and its form."""

    keys: tuple[str, ...]
    screen: str
    """The form's title, which file names begin with."""
    screen_id: str
    """The form's number, which refusals name."""
    graph: str
    view: str
    only_key_filters: bool = False
    """Whether a list filtered by anything but keys fails (reported by live instances for Shipment)."""


@dataclass(frozen=True, eq=False)
class Field:
    """One member of an entity: a scalar, a linked entity or a list of detail rows."""

    name: str
    index: int
    kind: str
    """`String`, `Decimal`, `Boolean`, `DateTime`, `Int`, `Short`, `Guid`, `Linked` or `Detail`."""
    nested: "Entity | None" = None
    view: str = ""
    """The data view behind it; empty for a scalar of the view that the entity is in."""
    delegate: bool = False
    """Whether the view behind a nested entity has a BQL delegate, which the optimizer cannot see through."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """For a combo box that is a key: the stored code of each label. Rows are in the order of the codes."""


@dataclass(frozen=True, eq=False)
class Entity:
    """A top-level entity or the entity of a nested field."""

    name: str
    fields: Mapping[str, Field]
    has_note: bool
    """A row without a note has no lasting id either, and no links."""
    custom: Mapping[str, str]
    """User-defined fields by `View.Field`, with their types."""

    def empty_values(self) -> list[None]:
        """The values of a row of which nothing is known."""
        return [None] * len(self.fields)


@dataclass(frozen=True, eq=False)
class TopLevel(Entity):
    """An entity that the endpoint serves by its own name."""

    form: Form


_FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "Customer": Form(("CustomerID",), "Customers", "AR303000", "PX.Objects.AR.CustomerMaint", "BAccount"),
        "Payment": Form(
            ("Type", "ReferenceNbr"),
            "Payments and Applications",
            "AR302000",
            "PX.Objects.AR.ARPaymentEntry",
            "Document",
        ),
        "SalesInvoice": Form(
            ("Type", "ReferenceNbr"), "Invoices", "SO303000", "PX.Objects.SO.SOInvoiceEntry", "Document"
        ),
        "SalesOrder": Form(
            ("OrderType", "OrderNbr"), "Sales Orders", "SO301000", "PX.Objects.SO.SOOrderEntry", "Document"
        ),
        "Shipment": Form(
            ("ShipmentNbr",),
            "Shipments",
            "SO302000",
            "PX.Objects.SO.SOShipmentEntry",
            "Document",
            only_key_filters=True,
        ),
        "StockItem": Form(
            ("InventoryID",), "Stock Items", "IN202500", "PX.Objects.IN.InventoryItemMaint", "Item"
        ),
    }
)
_CODES: Mapping[tuple[str, str], Mapping[str, str]] = MappingProxyType(
    {("Payment", "Type"): _PAYMENT_CODES, ("SalesInvoice", "Type"): _INVOICE_CODES}
)

_VIEWS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("Payment", "DocumentsToApply"): "Adjustments",
        ("Payment", "OrdersToApply"): "SOAdjustments",
        ("SalesInvoice", "Details"): "Transactions",
        ("SalesOrder", "Details"): "Transactions",
        ("SalesOrder", "Shipments"): "ShipmentList",
        ("Shipment", "Details"): "Transactions",
        ("Shipment", "Orders"): "OrderList",
        ("StockItem", "WarehouseDetails"): "itemsiterecords",
    }
)

_SECOND_VIEWS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Customer": ("CurrentCustomer", "CustomerClass LastModifiedDateTime StatementCycleID Terms"),
        "Payment": ("CurrentDocument", "Description LastModifiedDateTime PaymentRef"),
        "SalesInvoice": ("CurrentDocument", "Description Project"),
        "SalesOrder": ("CurrentDocument", "Description LastModified LocationID PaymentMethod ShipVia"),
        "StockItem": ("ItemSettings", "BaseUOM ItemClass ItemType LastModified PostingClass ValuationMethod"),
    }
)
"""Fields of the record itself that a form keeps in a data view beside its first (a choice: no source lists them)."""

_CUSTOM: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "SalesInvoice": MappingProxyType({"Document.CuryBalanceWOTotal": "Decimal"}),
        "SalesOrder": MappingProxyType({"Document.AttributePRODUCT": "String"}),
        "SalesOrderDetail": MappingProxyType({"Transactions.UsrX": "String"}),
        "StockItem": MappingProxyType({"Item.DescrTranslations": "String"}),
    }
)
"""User-defined fields: the names that the vendor's examples use."""

_HISTORY = "PaymentApplicationHistoryDetail"


def load_schema(build: Build) -> Mapping[str, TopLevel]:
    """The top-level entities of a build by name."""
    return MappingProxyType({name: _top_level(name, build) for name in TOP_LEVEL})


def _top_level(name: str, build: Build) -> TopLevel:
    fields = _fields(name, TOP_LEVEL[name], build)
    return TopLevel(name, fields, True, _CUSTOM.get(name, MappingProxyType({})), _FORMS[name])


def _fields(owner: str, text: str, build: Build) -> Mapping[str, Field]:
    members = [_member(owner, index, spec, build) for index, spec in enumerate(text.split())]
    return MappingProxyType({member.name: member for member in members})


def _member(owner: str, index: int, spec: str, build: Build) -> Field:
    name, _, type_name = spec.partition(":")
    nested_name = type_name.removesuffix("[]")
    if nested_name not in NESTED:
        second, names = _SECOND_VIEWS.get(owner, ("", ""))
        view = second if name in names.split() else ""
        return Field(name, index, type_name or "String", view=view, codes=_CODES.get((owner, name), {}))
    detail = type_name.endswith("[]")
    nested = Entity(
        nested_name,
        _fields(nested_name, NESTED[nested_name], build),
        detail and _has_note(nested_name, build),
        _CUSTOM.get(nested_name, MappingProxyType({})),
    )
    delegate = nested_name == _HISTORY
    view = build.history_view if delegate else _VIEWS.get((owner, name), name)
    return Field(name, index, DETAIL if detail else LINKED, nested, view, delegate)


def _has_note(detail: str, build: Build) -> bool:
    """Whether the rows of a detail entity have notes (recorded for the two exceptions; others are taken to)."""
    if detail == _HISTORY:
        return build.history_has_notes
    return detail != "SalesOrderShipment"

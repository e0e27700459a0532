"""What is known of the entities' forms beside their fields: keys, combo boxes, titles, graphs, views, custom fields.

Known from recordings are the graphs and views of SalesOrder, its Details, Payment and StockItem; the other views are
the forms' usual ones, and where even that is unknown a nested entity's view has the name of its field. Keys are those
of recordings, the vendor's examples and working clients, and some that are deduced; an entity without any is reached by
id alone.
"""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from deploy.sandbox.schema import Form, Lists

HISTORY: Final = "PaymentApplicationHistoryDetail"

_KEYS: Final = """
    Account AccountCD, AccountGroup AccountGroupID, Activity NoteID, Appointment ServiceOrderType AppointmentNbr,
    AttributeDefinition AttributeID, Bill Type ReferenceNbr, BillOfMaterial BOMID Revision,
    BusinessAccount BusinessAccountID, Case CaseID, CashSale Type ReferenceNbr, ChangeOrder RefNbr,
    Check Type ReferenceNbr, Contact ContactID, CostCode CostCodeID, Currency CurrencyID, Customer CustomerID,
    CustomerClass ClassID, CustomerLocation Customer LocationID, CustomerPriceClass PriceClassID,
    Discount DiscountCode Sequence, Email NoteID, Employee EmployeeID, Event NoteID, ExpenseClaim RefNbr,
    ExpenseReceipt ReceiptID, ExternalCommitment ExternalRefNbr, FOBPoint FOBPointID, InventoryAdjustment ReferenceNbr,
    InventoryIssue ReferenceNbr, InventoryReceipt ReferenceNbr, Invoice Type ReferenceNbr, ItemClass ClassID,
    ItemSalesCategory CategoryID, ItemWarehouse InventoryID WarehouseID, JournalTransaction Module BatchNbr,
    KitAssembly Type ReferenceNbr, KitSpecification KitInventoryID RevisionID, Lead LeadID, Ledger LedgerID,
    LotSerialClass ClassID, MyStoreWidget WidgetCD, NonStockItem InventoryID, Opportunity OpportunityID,
    Payment Type ReferenceNbr, PaymentMethod PaymentMethodID, PhysicalInventoryCount ReferenceNbr,
    PhysicalInventoryReview ReferenceNbr, ProFormaInvoice RefNbr, ProductionOrder OrderType ProductionNbr,
    Project ProjectID, ProjectBudget ProjectID ProjectTaskID AccountGroup, ProjectTask ProjectID ProjectTaskID,
    ProjectTemplate ProjectTemplateID, ProjectTransaction Module ReferenceNbr, PurchaseOrder Type OrderNbr,
    PurchaseReceipt Type ReceiptNbr, SalesInvoice Type ReferenceNbr, SalesOrder OrderType OrderNbr,
    Salesperson SalespersonID, ServiceOrder ServiceOrderType ServiceOrderNbr, ShipVia CarrierID, Shipment ShipmentNbr,
    ShippingBox BoxID, ShippingTerm TermID, ShippingZones ZoneID, StockItem InventoryID, Subaccount SubaccountCD,
    Task NoteID, Tax TaxID, TaxCategory TaxCategoryID, TaxZone TaxZoneID, TimeEntry TimeEntryID,
    TransferOrder ReferenceNbr, UnitsOfMeasure UnitID, User Username, Vendor VendorID, VendorClass ClassID,
    Warehouse WarehouseID, WorkCenter WorkCenterID
"""
KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {words[0]: tuple(words[1:]) for words in (line.split() for line in _KEYS.split(","))}
)
"""The key fields in the order of the URL."""

NUMBERED: Final = frozenset(
    {
        *("Appointment", "Bill", "Case", "CashSale", "ChangeOrder", "Check", "Contact", "ExpenseClaim"),
        *("ExpenseReceipt", "InventoryAdjustment", "InventoryIssue", "InventoryReceipt", "Invoice"),
        *(
            "ItemSalesCategory",
            "JournalTransaction",
            "KitAssembly",
            "Lead",
            "Opportunity",
            "Payment",
            "PhysicalInventoryReview",
        ),
        *("ProFormaInvoice", "ProductionOrder", "ProjectTransaction", "PurchaseOrder", "PurchaseReceipt"),
        *("SalesInvoice", "SalesOrder", "ServiceOrder", "Shipment", "TransferOrder"),
    }
)
"""Forms that number a new record themselves, in the last of its keys."""

INQUIRIES: Final = frozenset(
    {
        *("AccountDetailsForPeriodInquiry", "AccountSummaryInquiry", "CompaniesStructure", "EmailProcessing"),
        *("InventoryAllocationInquiry", "InventoryQuantityAvailable", "InventorySummaryInquiry"),
        *("ItemAvailabilityDataInquiry", "ProjectBilling", "SalesPricesInquiry"),
        *("StorageDetailsByLocationInquiry", "StorageDetailsInquiry", "VendorPricesInquiry"),
    }
)
"""Forms that keep nothing: a PUT of parameters answers with their rows. Processing forms are among them."""

_SCREENS: Mapping[str, str] = MappingProxyType(
    {"Customer": "Customers", "Payment": "Payments and Applications", "SalesInvoice": "Invoices"}
)
_GRAPHS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "Customer": ("PX.Objects.AR.CustomerMaint", "BAccount"),
        "Payment": ("PX.Objects.AR.ARPaymentEntry", "Document"),
        "SalesInvoice": ("PX.Objects.SO.SOInvoiceEntry", "Document"),
        "SalesOrder": ("PX.Objects.SO.SOOrderEntry", "Document"),
        "Shipment": ("PX.Objects.SO.SOShipmentEntry", "Document"),
        "StockItem": ("PX.Objects.IN.InventoryItemMaint", "Item"),
    }
)
_DOCUMENTS = ("ReferenceNbr", "RefNbr", "OrderNbr", "ReceiptNbr", "BatchNbr", "ShipmentNbr")

_WHOLE: Final = frozenset({"JournalTransaction"})

LISTS: Mapping[str, Lists] = MappingProxyType(
    {
        "CompaniesStructure": "nothing",
        "PhysicalInventoryCount": "one by one",
        "PurchaseOrder": "by keys",
        "SalesPricesInquiry": "nothing",
        "Shipment": "by keys",
        "VendorPricesInquiry": "nothing",
    }
)

_PAYMENTS = {
    "Payment": "PMT", "Credit Memo": "CRM", "Prepayment": "PPM", "Refund": "REF", "Voided Payment": "RPM",
    "Credit WO": "SMC", "Balance WO": "SMB",
}  # fmt: skip
_INVOICES = {
    "Invoice": "INV",
    "Debit Memo": "DRM",
    "Credit Memo": "CRM",
    "Cash Sale": "CSL",
    "Cash Return": "RCS",
}
_MODULES = {"GL": "GL", "AP": "AP", "AR": "AR", "CA": "CA", "IN": "IN", "PM": "PM"}

_CODES: Mapping[tuple[str, str], Mapping[str, str]] = MappingProxyType(
    {
        ("Bill", "Type"): {"Bill": "INV", "Credit Adj.": "ACR", "Debit Adj.": "ADR", "Prepayment": "PPM"},
        ("CashSale", "Type"): {"Cash Sale": "CSL", "Cash Return": "RCS"},
        ("Check", "Type"): {"Payment": "CHK", "Debit Adj.": "ADR", "Prepayment": "PPM", "Refund": "REF"},
        ("Invoice", "Type"): _INVOICES,
        ("JournalTransaction", "Module"): _MODULES,
        ("KitAssembly", "Type"): {"Production": "P", "Disassembly": "D"},
        ("Payment", "Type"): _PAYMENTS,
        ("ProjectTransaction", "Module"): _MODULES,
        ("PurchaseOrder", "Type"): {"Normal": "RO", "Drop-Ship": "DP", "Blanket": "BL", "Standard": "SB"},
        ("PurchaseReceipt", "Type"): {"Receipt": "RT", "Return": "RN", "Transfer Receipt": "RX"},
        ("SalesInvoice", "Type"): _INVOICES,
    }
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
_DELEGATES: Final = frozenset({("User", "Roles")})

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
        "SalesInvoice": {"Document.CuryBalanceWOTotal": "Decimal"},
        "SalesOrder": {"Document.AttributePRODUCT": "String"},
        "SalesOrderDetail": {"Transactions.UsrX": "String"},
        "StockItem": {"Item.DescrTranslations": "String"},
    }
)
"""User-defined fields: the names that the vendor's examples use."""
ADDED: Final = {
    "AttributeCOLOUR": "String", "UsrChecked": "Boolean", "UsrNote": "String", "UsrRank": "Int",
    "UsrReviewedOn": "DateTime", "UsrScore": "Decimal", "UsrToken": "Guid",
}  # fmt: skip
"""Those that the tenant has added to every form (made up, one of each type that clients meet)."""
_ON_LINES: Final = {"UsrRemark": "String", "UsrShare": "Decimal"}


def form_of(name: str, screen: str, fields: Collection[str]) -> Form:
    """The form behind a top-level entity that has these fields."""
    keys = KEYS.get(name, ())
    known = keys if all(key in fields for key in keys) else ()
    document = bool(known) and known[-1] in _DOCUMENTS
    invented = f"PX.Objects.{screen[:2]}.{name}{'Entry' if document else 'Maint'}"
    graph, view = _GRAPHS.get(name, (invented, "Document" if document else name))
    lists = LISTS.get(name, "everything")
    traits = (name in INQUIRIES, name in NUMBERED, name in _WHOLE)
    return Form(known, _title(name), screen, graph, view, lists, *traits)


def _title(name: str) -> str:
    """The form's title: that of recordings, or the entity's name in the plural."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return _SCREENS.get(name) or (words if words.endswith("s") else f"{words}s")


def codes_of(owner: str, field: str) -> Mapping[str, str]:
    """For a combo box that is a key: the stored code of each label."""
    return _CODES.get((owner, field), {})


def second_view(owner: str, field: str) -> str:
    """The data view beside the first in which a form keeps a field; empty for most."""
    view, names = _SECOND_VIEWS.get(owner, ("", ""))
    return view if field in names.split() else ""


def view_of(owner: str, field: str, nested: str, history_view: str) -> tuple[str, bool]:
    """The data view behind a nested entity, and whether it has a BQL delegate."""
    if nested == HISTORY:
        return history_view, True
    return _VIEWS.get((owner, field), field), (owner, field) in _DELEGATES


def custom_of(name: str, view: str) -> Mapping[str, str]:
    """The user-defined fields of a top-level entity, by `View.Field`."""
    return {**_CUSTOM.get(name, {}), **{f"{view}.{field}": kind for field, kind in ADDED.items()}}


def custom_on_lines(name: str, view: str) -> Mapping[str, str]:
    """Those of the detail rows of a view."""
    return {**_CUSTOM.get(name, {}), **{f"{view}.{field}": kind for field, kind in _ON_LINES.items()}}

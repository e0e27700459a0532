"""The feeds of the demo: four generic inquiries that are exposed and one that is not, and four data access classes.

The inquiries are made up, in the manner of the vendor's; the classes have some of the columns of the real ones.
"""

from types import MappingProxyType
from typing import Final

from deploy.sandbox.odata_model import Column, Feed

_STATUSES = MappingProxyType(
    {"Open": "N", "On Hold": "H", "Completed": "C", "Canceled": "L", "Shipping": "S", "Credit Hold": "R"}
)
_PAYMENT_STATUSES = MappingProxyType(
    {"Balanced": "B", "Open": "N", "Closed": "C", "On Hold": "H", "Voided": "V", "Reserved": "R"}
)
_PAYMENT_TYPES = MappingProxyType(
    {"Payment": "PMT", "Credit Memo": "CRM", "Prepayment": "PPM", "Refund": "REF", "Voided Payment": "RPM"}
)
_ITEM_STATUSES = MappingProxyType(
    {"Active": "AC", "Inactive": "IN", "No Sales": "NS", "Marked for Deletion": "DE"}
)
_ITEM_TYPES = MappingProxyType({"Finished Good": "F", "Component Part": "M", "Subassembly": "A"})
_ITEM = 30  # characters in the database, as recorded for its blanks
_CUSTOMER = 30

_STOCK = (
    Column("InventoryID", "String", "../InventoryID", _ITEM),
    Column("Description", "String", "../Description"),
    Column("ItemStatus", "String", "../ItemStatus", codes=_ITEM_STATUSES),
    Column("Warehouse", "String", "WarehouseID", _ITEM),
    Column("QtyOnHand", "Decimal", "QtyOnHand"),
    Column("DefaultPrice", "Decimal", "../DefaultPrice"),
    Column("StockValue", "Decimal", "QtyOnHand*../DefaultPrice"),
    Column("LastModified", "DateTime", "../LastModified"),
)

INQUIRIES: Final = (
    Feed("BI-Inventory", "StockItem", _STOCK, ("InventoryID", "Warehouse"), "WarehouseDetails"),
    Feed(
        "Items by Warehouse",
        "StockItem",
        _STOCK,
        ("InventoryID", "Warehouse"),
        "WarehouseDetails",
        parameters=MappingProxyType({"Item": "InventoryID", "Site": "Warehouse"}),
    ),
    Feed(
        "Sales Orders",
        "SalesOrder",
        (
            Column("OrderType", "String", "OrderType", 2),
            Column("OrderNbr", "String", "OrderNbr"),
            Column("Customer", "String", "CustomerID", _CUSTOMER),
            Column("CustomerOrder", "String", "CustomerOrder"),
            Column("Date", "DateTime", "Date"),
            Column("Status", "String", "Status", codes=_STATUSES),
            Column("OrderedQty", "Decimal", "OrderedQty"),
            Column("OrderTotal", "Decimal", "OrderTotal"),
            Column("Hold", "Boolean", "Hold"),
            Column("LastModified", "DateTime", "LastModified"),
        ),
        ("OrderType", "OrderNbr"),
    ),
    Feed(
        "Customer's Payments",
        "Payment",
        (
            Column("Type", "String", "Type", codes=_PAYMENT_TYPES),
            Column("ReferenceNbr", "String", "ReferenceNbr"),
            Column("Customer", "String", "CustomerID", _CUSTOMER),
            Column("Amount", "Decimal", "PaymentAmount"),
            Column("Status", "String", "Status", codes=_PAYMENT_STATUSES),
            Column("ApplicationDate", "DateTime", "ApplicationDate"),
        ),
        ("Type", "ReferenceNbr"),
    ),
    Feed("Internal Prices", "StockItem", _STOCK, ("InventoryID",), "WarehouseDetails", exposed=False),
)
"""By the name in the URL."""

CLASSES: Final = (
    Feed(
        "SOOrder",
        "SalesOrder",
        (
            Column("OrderType", "String", "OrderType"),
            Column("OrderNbr", "String", "OrderNbr"),
            Column("CustomerID", "String", "CustomerID"),
            Column("CustomerOrderNbr", "String", "CustomerOrder"),
            Column("OrderDate", "DateTime", "Date"),
            Column("Status", "String", "Status", codes=_STATUSES),
            Column("Hold", "Boolean", "Hold"),
            Column("CuryID", "String", "CurrencyID"),
            Column("OrderQty", "Decimal", "OrderedQty"),
            Column("CuryOrderTotal", "Decimal", "OrderTotal"),
            Column("LastModifiedDateTime", "DateTime", "LastModified"),
            Column("NoteID", "Guid", "NoteID"),
        ),
        ("OrderType", "OrderNbr"),
        long_name="PX_Objects_SO_SOOrder",
    ),
    Feed(
        "SOLine",
        "SalesOrder",
        (
            Column("OrderType", "String", "../OrderType"),
            Column("OrderNbr", "String", "../OrderNbr"),
            Column("LineNbr", "Int", "LineNbr"),
            Column("InventoryID", "String", "InventoryID"),
            Column("TranDesc", "String", "LineDescription"),
            Column("SiteID", "String", "WarehouseID"),
            Column("UOM", "String", "UOM"),
            Column("OrderQty", "Decimal", "OrderQty"),
            Column("CuryUnitPrice", "Decimal", "UnitPrice"),
            Column("CuryExtPrice", "Decimal", "ExtendedPrice"),
            Column("NoteID", "Guid", "NoteID"),
        ),
        ("OrderType", "OrderNbr", "LineNbr"),
        "Details",
        long_name="PX_Objects_SO_SOLine",
    ),
    Feed(
        "ARPayment",
        "Payment",
        (
            Column("DocType", "String", "Type", codes=_PAYMENT_TYPES),
            Column("RefNbr", "String", "ReferenceNbr"),
            Column("CustomerID", "String", "CustomerID"),
            Column("AdjDate", "DateTime", "ApplicationDate"),
            Column("Status", "String", "Status", codes=_PAYMENT_STATUSES),
            Column("CuryID", "String", "CurrencyID"),
            Column("CuryOrigDocAmt", "Decimal", "PaymentAmount"),
            Column("PaymentMethodID", "String", "PaymentMethod"),
            Column("LastModifiedDateTime", "DateTime", "LastModifiedDateTime"),
            Column("NoteID", "Guid", "NoteID"),
        ),
        ("DocType", "RefNbr"),
        long_name="PX_Objects_AR_ARPayment",
    ),
    Feed(
        "InventoryItem",
        "StockItem",
        (
            Column("InventoryCD", "String", "InventoryID"),
            Column("Descr", "String", "Description"),
            Column("ItemClassID", "String", "ItemClass"),
            Column("ItemStatus", "String", "ItemStatus", codes=_ITEM_STATUSES),
            Column("ItemType", "String", "ItemType", codes=_ITEM_TYPES),
            Column("BaseUnit", "String", "BaseUOM"),
            Column("BasePrice", "Decimal", "DefaultPrice"),
            Column("KitItem", "Boolean", "IsAKit"),
            Column("LastModifiedDateTime", "DateTime", "LastModified"),
            Column("NoteID", "Guid", "NoteID"),
        ),
        ("InventoryCD",),
        long_name="PX_Objects_IN_InventoryItem",
    ),
)

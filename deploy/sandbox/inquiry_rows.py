"""The rows of each inquiry, computed from the tenant's records.

A row has the fields of both endpoint versions, and beside them those that parameters choose by; the inquiry takes what
its endpoint has. Balances are made up from the account's name: the demo keeps none.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final
from zlib import crc32

from deploy.sandbox.instance import Instance
from deploy.sandbox.named import Record, records_of
from deploy.sandbox.rows import SERVER_ZONE

Line = Mapping[str, object]
Maker = Callable[[Instance], Iterator[Line]]

_OPEN: Final = ("Open", "On Hold")
_SINCE: Final = datetime(2015, 1, 1, tzinfo=SERVER_ZONE)
_PERIODS: Final = "012015"


def _number(value: object) -> Decimal:
    """A quantity or price; what is empty is nothing."""
    return value if isinstance(value, Decimal) else Decimal(0)


def _ordered(instance: Instance) -> Mapping[object, Decimal]:
    """How much of each item is on orders that are not shipped."""
    found: dict[object, Decimal] = defaultdict(Decimal)
    for order in records_of(instance, "SalesOrder"):
        if order.read("Status") in _OPEN:
            for line in order.details("Details"):
                found[line.read("InventoryID")] += _number(line.read("OrderQty"))
    return found


def _stock(instance: Instance) -> Iterator[tuple[Record, Record, Decimal, Decimal]]:
    """Each item in each of its warehouses, with what is on hand and what of it is available."""
    ordered = _ordered(instance)
    for item in records_of(instance, "StockItem"):
        for place in item.details("WarehouseDetails"):
            on_hand = _number(place.read("QtyOnHand"))
            yield item, place, on_hand, on_hand - ordered.get(item.read("InventoryID"), Decimal(0))


def _summary(instance: Instance) -> Iterator[Line]:
    for item, place, on_hand, available in _stock(instance):
        cost = _number(item.read("DefaultPrice")) / 2
        yield {
            "InventoryID": item.read("InventoryID"),
            "BaseUOM": item.read("BaseUOM"),
            "EstimatedTotalCost": cost * on_hand,
            "EstimatedUnitCost": cost,
            "LocationID": "MAIN",
            "QtyAvailable": available,
            "QtyAvailableForShipment": available,
            "QtyNotAvailable": 0,
            "QtyOnHand": on_hand,
            "WarehouseID": place.read("WarehouseID"),
        }


def _storage(instance: Instance) -> Iterator[Line]:
    """Both storage inquiries, by the names of either endpoint version."""
    for item, place, on_hand, available in _stock(instance):
        warehouse, changed = place.read("WarehouseID"), item.read("LastModified")
        shared = {"InventoryID": item.read("InventoryID"), "LocationID": "MAIN", "WarehouseID": warehouse}
        named = dict.fromkeys(("QtyOnHand", "QtyOnHandinLocation", "QtyOnHandinWarehouse"), on_hand)
        older = {"SiteID": warehouse, "SiteOnHand": on_hand, "LocationOnHand": on_hand}
        suffixes = (
            "QtyAvailable",
            "QtyHardAvailable",
            "SiteAvailable",
            "LocationAvailable",
            "QtyAvailableforIssue",
        )
        free = dict.fromkeys((*suffixes, "QtyAvailableinLocation", "QtyAvailableinWarehouse"), available)
        stamps = ("LastModifiedDateofWarehouseQty", "LastModifiedDateofLocationQty", "SiteLastModifiedDate")
        yield {**shared, **named, **older, **free, **dict.fromkeys(stamps, changed)}


def _allocation(instance: Instance) -> Iterator[Line]:
    for order in records_of(instance, "SalesOrder"):
        if order.read("Status") not in _OPEN:
            continue
        for line in order.details("Details"):
            yield {
                "InventoryID": line.read("InventoryID"),
                "WarehouseID": line.read("WarehouseID"),
                "AllocationDate": order.read("Date"),
                "AllocationType": "SO Booked",
                "DocType": "Sales Order",
                "Expired": False,
                "Location": "MAIN",
                "Module": "SO",
                "Qty": line.read("OrderQty"),
            }


def _availability(instance: Instance) -> Iterator[Line]:
    """The tenant's own generic inquiry, and the vendor's of what is available."""
    for item, place, on_hand, available in _stock(instance):
        yield {
            "InventoryID": item.read("InventoryID"),
            "Description": item.read("Description"),
            "WarehouseID": place.read("WarehouseID"),
            "OnHand": on_hand,
            "Available": available,
            "QtyAvailable": available,
            "LastModifiedDateTime": item.read("LastModified"),
        }


def _prices(instance: Instance) -> Iterator[Line]:
    for number, item in enumerate(records_of(instance, "StockItem"), 1):
        yield {
            "InventoryID": item.read("InventoryID"),
            "ItemClassID": item.read("ItemClass"),
            "BreakQty": 0,
            "CurrencyID": "USD",
            "Description": item.read("Description"),
            "EffectiveDate": _SINCE,
            "EffectiveAsOf": _SINCE,
            "LastModifiedDateTime": item.read("LastModified"),
            "Price": _number(item.read("DefaultPrice")),
            "PriceType": "Base",
            "Promotion": False,
            "RecordID": number,
            "UOM": item.read("BaseUOM"),
        }


def _vendor_prices(instance: Instance) -> Iterator[Line]:
    vendors = list(records_of(instance, "Vendor"))[:2]
    for number, price in enumerate(_prices(instance), 1):
        for vendor in vendors:
            yield {
                **price,
                "ItemClass": price["ItemClassID"],
                "Price": _number(price["Price"]) / 2,
                "Promotional": False,
                "RecordID": number,
                "Vendor": vendor.read("VendorID"),
                "VendorName": vendor.read("VendorName"),
            }


def _accounts(instance: Instance) -> Iterator[Line]:
    for account in records_of(instance, "Account"):
        name = account.read("AccountCD")
        opening, debit, credit = (Decimal(crc32(f"{name} {what}".encode()) % 10**7) / 100 for what in "bdc")
        ending = opening + debit - credit
        totals = {
            "BeginningBalance": opening,
            "DebitTotal": debit,
            "CreditTotal": credit,
            "EndingBalance": ending,
        }
        yield {
            **totals,
            **{f"Currency{total}": value for total, value in totals.items()},
            "Account": name,
            "AccountClass": account.read("AccountClass"),
            "Branch": "MYSTORE",
            "ConsolidationAccount": account.read("ConsolidationAccount"),
            "CurrencyID": "USD",
            "Description": account.read("Description"),
            "LastActivity": _PERIODS,
            "LedgerID": 1,
            "PtdTotal": debit - credit,
            "Subaccount": "000000",
            "Type": account.read("Type"),
        }


def _transactions(instance: Instance) -> Iterator[Line]:
    for batch in records_of(instance, "JournalTransaction"):
        for line in batch.details("Details"):
            debit, credit = _number(line.read("DebitAmount")), _number(line.read("CreditAmount"))
            yield {
                "Account": line.read("Account"),
                "BatchNumber": batch.read("BatchNbr"),
                "Branch": "MYSTORE",
                "CreditAmount": credit,
                "CreditAmountInBaseCurrency": credit,
                "Currency": batch.read("CurrencyID"),
                "DebitAmount": debit,
                "DebitAmountInBaseCurrency": debit,
                "LastModifiedDateTime": batch.read("LastModifiedDateTime"),
                "Ledger": batch.read("LedgerID"),
                "Module": batch.read("Module"),
                "PeriodID": batch.read("PostPeriod"),
                "Posted": True,
                "Released": True,
                "Subaccount": line.read("Subaccount"),
                "TransactionDate": batch.read("TransactionDate"),
                "TransactionDescription": batch.read("Description"),
            }


def _companies(_instance: Instance) -> Iterator[Line]:
    yield {
        "BaseCurrencyID": "USD",
        "BranchCountry": "US",
        "BranchID": "MYSTORE",
        "BranchName": "MyStore",
        "BranchStatus": True,
        "CompanyID": "MYSTORE",
        "CompanyName": "MyStore",
        "CompanyStatus": True,
        "CompanyType": "Without Branches",
    }


ROWS: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "AccountDetailsForPeriodInquiry": _transactions,
        "AccountSummaryInquiry": _accounts,
        "CompaniesStructure": _companies,
        "InventoryAllocationInquiry": _allocation,
        "InventoryQuantityAvailable": _availability,
        "InventorySummaryInquiry": _summary,
        "ItemAvailabilityDataInquiry": _availability,
        "SalesPricesInquiry": _prices,
        "StorageDetailsByLocationInquiry": _storage,
        "StorageDetailsInquiry": _storage,
        "VendorPricesInquiry": _vendor_prices,
    }
)
"""By the inquiry. Processing forms have none: the demo has nothing to process."""

"""The entities of the vendor's Default endpoint, and the fields that name their records.

For versions 20.200.001 to 24.200.001 the list is complete, so an entity that it lacks is refused before it
reaches the ERP. Of other versions and other endpoints only the ERP knows what they hold, in their schema.
"""

from __future__ import annotations

from worker.erp.schema import is_named_inquiry, like
from worker.errors import EntityUnknown, JobInvalid
from worker.handler import Endpoint

OLDEST, NEWEST = (20, 200, 1), (24, 200, 1)

ENTITIES: dict[str, tuple[str, ...]] = {
    "Account": ("AccountCD",),
    "AccountDetailsForPeriodInquiry": (),
    "AccountGroup": ("AccountGroupID",),
    "AccountSummaryInquiry": (),
    "Activity": (),
    "AllocationRule": (),
    "AmazonStore": (),
    "Appointment": ("ServiceOrderType", "AppointmentNbr"),
    "AttributeDefinition": ("AttributeID",),
    "BigCommerceStores": (),
    "Bill": ("Type", "ReferenceNbr"),
    "Budget": (),
    "BusinessAccount": ("BusinessAccountID",),
    "Carrier": (),
    "Case": ("CaseID",),
    "CashSale": ("Type", "ReferenceNbr"),
    "CashTransaction": (),
    "ChangeOrder": ("RefNbr",),
    "ChangeOrderClass": (),
    "Check": ("Type", "ReferenceNbr"),
    "CommonTask": (),
    "CompaniesStructure": (),
    "CompanyFinancialPeriod": (),
    "Contact": ("ContactID",),
    "ContractUsage": (),
    "CostCode": ("CostCodeID",),
    "Currency": ("CurrencyID",),
    "Customer": ("CustomerID",),
    "CustomerClass": ("ClassID",),
    "CustomerLocation": ("Customer", "LocationID"),
    "CustomerPaymentMethod": (),
    "CustomerPriceClass": ("PriceClassID",),
    "DeductionBenefitCode": (),
    "Discount": ("DiscountCode", "Sequence"),
    "DiscountCode": (),
    "EarningTypeCode": (),
    "Email": (),
    "EmailProcessing": (),
    "Employee": ("EmployeeID",),
    "EmployeePayrollClass": (),
    "EmployeePayrollSettings": (),
    "Event": (),
    "ExpenseClaim": ("RefNbr",),
    "ExpenseReceipt": ("ReceiptID",),
    "ExternalCommitment": (),
    "FOBPoint": ("FOBPointID",),
    "FinancialPeriod": (),
    "FinancialYear": (),
    "InventoryAdjustment": ("ReferenceNbr",),
    "InventoryAllocationInquiry": (),
    "InventoryIssue": ("ReferenceNbr",),
    "InventoryQuantityAvailable": (),
    "InventoryReceipt": ("ReferenceNbr",),
    "InventorySummaryInquiry": (),
    "Invoice": ("Type", "ReferenceNbr"),
    "ItemClass": ("ClassID",),
    "ItemSalesCategory": ("CategoryID",),
    "ItemWarehouse": ("InventoryID", "WarehouseID"),
    "JournalTransaction": ("Module", "BatchNbr"),
    "KitAssembly": ("Type", "ReferenceNbr"),
    "KitSpecification": ("KitInventoryID", "RevisionID"),
    "LaborCostRate": (),
    "Lead": ("LeadID",),
    "Ledger": ("LedgerID",),
    "LotSerialClass": ("ClassID",),
    "NonStockItem": ("InventoryID",),
    "Opportunity": ("OpportunityID",),
    "PTOBank": (),
    "PayGroup": (),
    "PayPeriod": (),
    "Payment": ("Type", "ReferenceNbr"),
    "PaymentMethod": ("PaymentMethodID",),
    "PayrollBatch": (),
    "PayrollUnionLocal": (),
    "PayrollWCCCode": (),
    "PhysicalInventoryCount": ("ReferenceNbr",),
    "PhysicalInventoryReview": ("ReferenceNbr",),
    "ProFormaInvoice": (),
    "Project": ("ProjectID",),
    "ProjectBilling": (),
    "ProjectBillingRules": (),
    "ProjectBudget": (),
    "ProjectTask": ("ProjectID", "ProjectTaskID"),
    "ProjectTemplate": ("ProjectTemplateID",),
    "ProjectTemplateTask": (),
    "ProjectTransaction": ("Module", "ReferenceNbr"),
    "PurchaseOrder": ("Type", "OrderNbr"),
    "PurchaseReceipt": ("Type", "ReceiptNbr"),
    "SalesInvoice": ("Type", "ReferenceNbr"),
    "SalesOrder": ("OrderType", "OrderNbr"),
    "SalesPriceWorksheet": (),
    "SalesPricesInquiry": (),
    "Salesperson": ("SalespersonID",),
    "ServiceOrder": ("ServiceOrderType", "ServiceOrderNbr"),
    "ShipVia": ("CarrierID",),
    "Shipment": ("ShipmentNbr",),
    "ShippingBox": ("BoxID",),
    "ShippingTerm": ("TermID",),
    "ShippingZones": ("ZoneID",),
    "ShopifyStore": (),
    "StatementCycle": (),
    "StockItem": ("InventoryID",),
    "StorageDetailsByLocationInquiry": (),
    "StorageDetailsInquiry": (),
    "Subaccount": ("SubaccountCD",),
    "Subcontract": (),
    "Task": (),
    "Tax": ("TaxID",),
    "TaxCategory": ("TaxCategoryID",),
    "TaxReportingSettings": (),
    "TaxZone": ("TaxZoneID",),
    "TemplateItems": (),
    "TimeEntry": (),
    "TransferOrder": ("ReferenceNbr",),
    "TrialBalance": (),
    "UnionLocal": (),
    "UnitsOfMeasure": (),
    "Vendor": ("VendorID",),
    "VendorClass": ("ClassID",),
    "VendorPriceWorksheet": (),
    "VendorPricesInquiry": (),
    "Warehouse": ("WarehouseID",),
    "WorkCalendar": (),
    "WorkClassCompensationCode": (),
    "WorkLocation": (),
}
"""The top-level entities in the endpoint's metadata, each with its key fields in the order of the URL.

Key fields are those recorded, those documented, or those of the entity's form. They are empty where the key is a GUID,
which a URL takes for the record's id, where nobody has shown them, and where two records may share them (a budget's
lines, a pro forma invoice's revisions): a list by such keys would lose one.
"""

ELSEWHERE: dict[str, tuple[str, ...]] = {
    "BillOfMaterial": ("BOMID", "Revision"),
}
"""Key fields of entities that only other endpoints have (recorded: MANUFACTURING)."""

RETIRED = frozenset(
    {
        "AllocationRule",
        "CommonTask",
        "ProjectBilling",
        "ProjectBillingRules",
        "StatementCycle",
        "TrialBalance",
    }
)
"""Those that the oldest version has and the newest lacks."""

ADDED = frozenset(
    {
        "AmazonStore",
        "BigCommerceStores",
        "CashTransaction",
        "DeductionBenefitCode",
        "EarningTypeCode",
        "EmployeePayrollClass",
        "EmployeePayrollSettings",
        "InventoryIssue",
        "InventoryQuantityAvailable",
        "PTOBank",
        "PayGroup",
        "PayPeriod",
        "PayrollBatch",
        "PayrollUnionLocal",
        "PayrollWCCCode",
        "ShopifyStore",
        "Subcontract",
        "TemplateItems",
        "WorkCalendar",
        "WorkLocation",
    }
)
"""Those that the newest version has and the oldest lacks."""


COMBOS = frozenset({"Module", "Type"})
"""Key fields that are combo boxes, shown by a label."""

STAMPLESS = frozenset(
    {
        "AccountDetailsForPeriodInquiry",
        "AccountGroup",
        "AccountSummaryInquiry",
        "AllocationRule",
        "AmazonStore",
        "Appointment",
        "BigCommerceStores",
        "Budget",
        "CashTransaction",
        "CompaniesStructure",
        "CompanyFinancialPeriod",
        "ContractUsage",
        "EmailProcessing",
        "FOBPoint",
        "InventoryAdjustment",
        "InventoryAllocationInquiry",
        "InventorySummaryInquiry",
        "KitSpecification",
        "LaborCostRate",
        "LotSerialClass",
        "PayrollWCCCode",
        "PhysicalInventoryCount",
        "PhysicalInventoryReview",
        "ProjectBilling",
        "ProjectBillingRules",
        "PurchaseReceipt",
        "SalesInvoice",
        "SalesPricesInquiry",
        "ServiceOrder",
        "ShipVia",
        "ShippingBox",
        "ShippingTerm",
        "ShippingZones",
        "ShopifyStore",
        "StorageDetailsByLocationInquiry",
        "StorageDetailsInquiry",
        "Subaccount",
        "TaxReportingSettings",
        "UnionLocal",
        "UnitsOfMeasure",
        "VendorPricesInquiry",
        "Warehouse",
        "WorkCalendar",
        "WorkClassCompensationCode",
    }
)
"""Those that some version has without the time of their records' last change."""

LAST_MODIFIED = frozenset({"SalesOrder", "StockItem", "TemplateItems"})
"""Those whose stamp is called LastModified, where others have LastModifiedDateTime."""


def stamp(entity: str, endpoint: Endpoint) -> str | None:
    """The field with the time of a record's last change; None where it is not known for sure."""
    if endpoint.schema:
        return endpoint.schema.stamp(entity)
    if endpoint.name != "Default" or entity not in ENTITIES or entity in STAMPLESS:
        return None
    return "LastModified" if entity in LAST_MODIFIED else "LastModifiedDateTime"


def combos(entity: str, endpoint: Endpoint) -> tuple[str, ...]:
    """The entity's key fields that are combo boxes. Raises as ``key_fields``."""
    return tuple(name for name in key_fields(entity, endpoint) if name in COMBOS)


def key_fields(entity: str, endpoint: Endpoint) -> tuple[str, ...]:
    """The key fields of an entity; empty where they are not known for sure.

    An entity of the vendor's keeps them in any endpoint that is known to have such fields. Raises EntityUnknown where
    the endpoint surely has no such entity, with names that are like it, and JobInvalid where it is an inquiry.
    """
    _require_records(entity, endpoint)
    known = ENTITIES.get(entity) or ELSEWHERE.get(entity, ())
    if endpoint.schema:
        fields = endpoint.schema.fields(entity)
        return known if all(name in fields for name in known) else ()
    if endpoint.name != "Default":
        return ()
    lacking = _lacking(endpoint.version)
    if lacking is not None and (entity not in ENTITIES or entity in lacking):
        there = ENTITIES.keys() - lacking
        raise EntityUnknown(f"{endpoint} has no entity {entity!r}{like(entity, there)}", "entity")
    return ENTITIES.get(entity, ())


def _require_records(entity: str, endpoint: Endpoint) -> None:
    """Raise JobInvalid for an inquiry."""
    schema = endpoint.schema
    is_known = endpoint.name == "Default" and is_named_inquiry(entity)
    if schema.is_inquiry(entity) if schema else is_known:
        raise JobInvalid(
            f'{entity} is an inquiry, which keeps no records: ask with "kind": "inquiry", and its parameters',
            "kind",
        )


def _lacking(version: str) -> frozenset[str] | None:
    """Which of the entities the version lacks; None where the catalogue does not cover the version.

    Which of the versions between added or retired an entity is not recorded, so each may have it.
    """
    numbers = tuple(int(number) for number in version.split("."))
    if numbers == OLDEST:
        return ADDED
    if numbers == NEWEST:
        return RETIRED
    return frozenset() if OLDEST < numbers < NEWEST else None

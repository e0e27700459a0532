"""The facts of the course's tenant MyStore: what the demo records are made of.

Recorded are the nine orders of C000000003 with lines and shipments, the ids below, names of customers, stock on
hand. Ids that no recording shows are derived from names; descriptions of items, most prices, the first two
quantities and the customer of order 000003 are made up.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

COURSE_CUSTOMER = "C000000003"
PRICES: Mapping[str, int] = {
    "1/2-ELBOW": 3,
    "#10-SCREW": 1,
    "50%-OFF": 5,
    "AACOMPUT01": 500,
    "AALEGO500": 25,
    "AAMACHINE1": 2200,
    "CONGRILL": 170,
    "CONTABLE1": 85,
    "HEADSET": 45,
    "KEYBOARD": 30,
    "LAPTOP12": 800,
    "LAPTOP14": 950,
    "LEATHCASE": 60,
    "MONITOR26": 240,
    "MOUSE": 15,
    "SIMCARD": 10,
}
"""Unit prices in USD; recorded for the four items of the course's orders."""


@dataclass(frozen=True)
class Order:
    """A sales order of the course, with its lines (beginning of the id, item, quantity) and what became of it."""

    number: str
    id: str
    customer_order: str
    day: int
    lines: tuple[tuple[str, str, int], ...]
    shipment: str = ""
    invoice: str = ""
    customer: str = COURSE_CUSTOMER

    @property
    def quantity(self) -> int:
        return sum(quantity for _, _, quantity in self.lines)

    @property
    def total(self) -> int:
        return sum(quantity * PRICES[item] for _, item, quantity in self.lines)


ORDERS = (
    Order("000001", "c01087ca-7281", "SO180-009-01", 28, (("a7d978fb-7281", "AAMACHINE1", 1),), "000001"),
    Order(
        "000003",
        "7313e950-7381",
        "SO248-563-06",
        28,
        (
            ("08731a64-7381", "CONGRILL", 1),
            ("f4a7e172-7381", "AALEGO500", 5),
            ("091b0d7f-7381", "CONTABLE1", 2),
        ),
        customer="C000000001",
    ),
    Order(
        "000004",
        "35268d8b-7381",
        "SO185-009-26",
        28,
        (("efdbe4a2-7381", "AALEGO500", 10), ("f1dbe4a2-7381", "CONGRILL", 1)),
    ),
    Order(
        "000005",
        "fabe46be-7381",
        "SO245-567-45",
        29,
        (("c6c800ca-7381", "AALEGO500", 1),),
        "000002",
        "INV000045",
    ),
    Order("000006", "330470e7-7381", "SO123-455-67", 29, (("aff82efe-7381", "AAMACHINE1", 1),)),
    Order("000007", "1a37a70e-7481", "SO256-783-14", 21, (("34d94420-7481", "CONTABLE1", 2),), "000003"),
    Order(
        "000008",
        "c68dfa2f-7481",
        "SO145-689-90",
        19,
        (("cca6ab40-7481", "CONGRILL", 3), ("f54a444a-7481", "AALEGO500", 1)),
        "000004",
        "INV000046",
    ),
    Order(
        "000009",
        "e91dcf53-7481",
        "SO459-123-45",
        29,
        (("3229256a-7481", "AALEGO500", 2),),
        "000005",
        "INV000046",
    ),
    Order(
        "000010",
        "fa29da74-7481",
        "SO111-222-33",
        14,
        (
            ("3773e487-7481", "CONTABLE1", 1),
            ("ba2ed28f-7481", "AALEGO500", 1),
            ("bc2ed28f-7481", "AAMACHINE1", 1),
            ("3689749a-7481", "CONGRILL", 1),
        ),
        "000006",
        "INV000047",
    ),
    Order(
        "000011",
        "33f41ca8-7481",
        "SO098-876-65",
        29,
        (("48f7f6b9-7481", "CONGRILL", 1),),
        "000007",
        "INV000047",
    ),
)

CUSTOMERS: Mapping[str, str] = {
    "C000000001": "Jersey Central Office Equip",
    "C000000002": "Microchip Restaurant",
    COURSE_CUSTOMER: "Jevy Computers",
    "C000000004": "KRK Consulting Service",
    "C000000005": "Wright Corner",
}

STOCK: Mapping[str, tuple[str, str, int]] = {
    "1/2-ELBOW": ("Elbow 1/2 inch", "MAIN", 500),
    "#10-SCREW": ("Screw number 10", "MAIN", 10000),
    "50%-OFF": ("Voucher, half price", "MAIN", 100),
    "AACOMPUT01": ("Computer", "MAIN", 150),
    "AALEGO500": ("Building blocks, 500 pieces", "MAIN", 1999),
    "AAMACHINE1": ("Injection molding machine", "MAIN", 130),
    "CONGRILL": ("Grill", "MAIN", 200),
    "CONTABLE1": ("Table", "MAIN", 200),
    "HEADSET": ("Headset", "MAIN", 40),
    "KEYBOARD": ("Keyboard", "MAIN", 40),
    "LAPTOP12": ("Laptop 12 inch", "MAIN", 20),
    "LAPTOP14": ("Laptop 14 inch", "MAIN", 20),
    "LEATHCASE": ("Leather case", "MAIN", 40),
    "MONITOR26": ("Monitor 26 inch", "MAIN", 40),
    "MOUSE": ("Mouse", "MAIN", 40),
    "SIMCARD": ("SIM card", "YOGI", 1000),
}
"""Description, warehouse and quantity on hand. The first three have names that IIS refuses in a path."""

_KNOWN_IDS: Mapping[str, str] = {
    "customer C000000003": "fc3d3c1c-8765-e411-a267-e06995c86014",
    "item AAMACHINE1": "2acd2eed-1614-e511-9b82-c86000dddf0b",
    "item AALEGO500": "cae53ce0-1614-e511-9b82-c86000dddf0b",
    "stock AALEGO500": "80f56719-6e81-e511-80c0-00155d012302",
    "payment 000001": "f141db06-68fc-e811-b817-00155d408001",
    "history 000001": "51373419-68fc-e811-b817-00155d408001",
    "invoice INV000046": "5157ccca-3204-e911-b818-00155d408001",
    "shipment 000008": "8f0c93fe-906d-ee11-83a8-586c254ce85b",
}
PICTURE_ID = "9be45eb7-f97d-400b-96a5-1c4cf82faa96"


COURSE_CONTACT: Mapping[str, object] = {
    "CompanyName": "Jevy Computers",
    "Email": "info@jevy-comp.con",
    "Phone1": "+1 (777) 380-0089",
    "Address": {
        "AddressLine1": "1000 Pennsylvania Ave",
        "City": "San Francisco",
        "Country": "US",
        "PostalCode": "94107-3479",
        "State": "CA",
    },
}


def lasting_id(what: str) -> str:
    """The recorded id of a record or row, or one derived from what it is."""
    return _KNOWN_IDS.get(what) or str(uuid.uuid5(uuid.NAMESPACE_URL, f"sandbox:{what}"))


def order_row_id(prefix: str) -> str:
    """The id of an order or of its line; all of them end alike."""
    return f"{prefix}-e511-80c0-00155d012302"

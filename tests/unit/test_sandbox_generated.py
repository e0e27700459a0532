"""The sandbox's demo and generated records: the same from the same seed, consistent, and a picture of our own."""

import json
import struct
from decimal import Decimal
from typing import Any

import pytest

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.generate import Volume
from deploy.sandbox.instance import Instance
from deploy.sandbox.picture import picture

BUILD = BUILDS["2024R1"]
COURSE = "CustomerID eq 'C000000003'"


def everything(instance: Instance) -> dict[str, Any]:
    """All orders with lines, and all customers and payments."""
    bodies = {name: instance.list(name, {}).body for name in ("Customer", "Payment")}
    bodies["SalesOrder"] = instance.list("SalesOrder", {"$expand": "Details"}).body
    return {name: json.loads(body, parse_float=Decimal) for name, body in bodies.items()}


def test_the_same_seed_gives_the_same_records() -> None:
    """Two instances from one seed are alike; another seed gives others."""
    first, again, other = (
        everything(Instance(BUILD, "x", Volume(orders=50, customers=5, seed=seed))) for seed in (7, 7, 8)
    )
    assert first == again
    assert first["SalesOrder"] != other["SalesOrder"]


@pytest.mark.parametrize("customers", [0, 3])
def test_as_many_are_made_as_were_asked_for(customers: int) -> None:
    """Orders and customers by number, and a payment for each customer; ids and keys are unique."""
    plain, grown = (
        everything(Instance(BUILD, "x")),
        everything(Instance(BUILD, "x", Volume(orders=40, customers=customers))),
    )
    assert len(grown["SalesOrder"]) == len(plain["SalesOrder"]) + 40
    assert len(grown["Customer"]) == len(plain["Customer"]) + customers
    assert len(grown["Payment"]) == len(plain["Payment"]) + customers
    rows = [row for name in grown for row in grown[name]] + [
        line for row in grown["SalesOrder"] for line in row["Details"]
    ]
    assert len({row["id"] for row in rows}) == len(rows)


def test_generated_orders_add_up() -> None:
    """Quantity and total of an order are those of its lines, and its customer exists."""
    records = everything(Instance(BUILD, "x", Volume(orders=40, customers=3)))
    customers = {row["CustomerID"]["value"] for row in records["Customer"]}
    for order in records["SalesOrder"]:
        lines = order["Details"]
        assert order["OrderedQty"]["value"] == sum(line["OrderQty"]["value"] for line in lines)
        cost = sum(line["OrderQty"]["value"] * line["UnitPrice"]["value"] for line in lines)
        assert order["OrderTotal"]["value"] == cost
        assert order["CustomerID"]["value"] in customers


def test_the_course_customer_gets_nothing_generated() -> None:
    """The answers that were recorded stay as they are, however many records are added."""
    plain, grown = Instance(BUILD, "x"), Instance(BUILD, "x", Volume(orders=200, customers=20))
    for entity in ("SalesOrder", "Payment"):
        assert plain.list(entity, {"$filter": COURSE}) == grown.list(entity, {"$filter": COURSE})


def test_the_demo_records_belong_together() -> None:
    """Shipments and invoices named on orders exist, and an invoice is the sum of its orders."""
    instance = Instance(BUILD, "x")
    orders = json.loads(instance.list("SalesOrder", {"$expand": "Shipments", "$filter": COURSE}).body)
    totals: dict[str, float] = {}
    for order in orders:
        for row in order["Shipments"]:
            assert instance.get("Shipment", [row["ShipmentNbr"]["value"]], {}).status == 200
            invoice = row["InvoiceNbr"].get("value")
            if invoice:
                totals[invoice] = totals.get(invoice, 0) + order["OrderTotal"]["value"]
    assert totals == {"INV000045": 25, "INV000046": 585, "INV000047": 2650}
    for invoice, total in totals.items():
        record = json.loads(instance.get("SalesInvoice", ["Invoice", invoice], {}).body)
        assert record["Amount"]["value"] == record["DetailTotal"]["value"] == total


def test_what_the_course_shows_of_other_records_is_there() -> None:
    """Stock on hand, the contact of the course's customer, the items that a path cannot carry."""
    instance = Instance(BUILD, "x")
    item = json.loads(instance.get("StockItem", ["AALEGO500"], {"$expand": "WarehouseDetails"}).body)
    assert item["id"] == "cae53ce0-1614-e511-9b82-c86000dddf0b"
    assert item["WarehouseDetails"][0]["id"] == "80f56719-6e81-e511-80c0-00155d012302"
    assert item["WarehouseDetails"][0]["QtyOnHand"] == {"value": 1999}
    customer = json.loads(instance.get("Customer", ["C000000003"], {"$expand": "MainContact"}).body)
    assert customer["MainContact"]["Phone1"] == {"value": "+1 (777) 380-0089"}


def segments(data: bytes) -> dict[int, bytes]:
    """The segments of a JPEG up to its scan, by marker; the scan's bytes under 0."""
    found, at = {}, 2
    while 0xDA not in found:
        marker, length = struct.unpack_from(">xBH", data, at)
        found[marker] = data[at + 4 : at + 2 + length]
        at += 2 + length
    found[0] = data[at:-2]
    return found


def test_the_picture_is_a_jpeg() -> None:
    """Its markers frame a grey picture whose scan holds as many blocks as its size asks for, darkest in the middle."""
    data = picture()
    assert data == picture()
    assert (data[:2], data[-2:]) == (b"\xff\xd8", b"\xff\xd9")
    parts = segments(data)
    height, width = struct.unpack_from(">HH", parts[0xC0], 1)
    assert b"\xff" not in parts[0]
    bits = "".join(f"{byte:08b}" for byte in parts[0])
    # The standard's code for differences of brightness, by number of bits; then that many, then one for "no more".
    codes = {"00": 0, "010": 1, "011": 2, "100": 3, "101": 4, "110": 5, "1110": 6, "11110": 7, "111110": 8}
    shades, shade, at = [], 0, 0
    while "0" in bits[at:]:
        size = next(length for length in range(2, 10) if bits[at : at + length] in codes)
        length = codes[bits[at : at + size]]
        magnitude = bits[at + size : at + size + length]
        shade += int(magnitude or "0", 2) - (0 if magnitude.startswith("1") else (1 << length) - 1)
        at += size + length + 1
        assert bits[at - 1] == "0"
        shades.append(shade)
    assert len(shades) == width // 8 * (height // 8)
    assert -128 <= min(shades) == shades[len(shades) // 2 + width // 16] <= max(shades) < 128

"""The demo records, made from the course's facts: those that the recordings show as they stand, the rest to match.

Shipments and invoices are computed from the orders they belong to.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from deploy.sandbox.builds import Build
from deploy.sandbox.course import (
    COURSE_CONTACT,
    COURSE_CUSTOMER,
    CUSTOMERS,
    ORDERS,
    PICTURE_ID,
    PRICES,
    STOCK,
    Order,
    lasting_id,
    order_row_id,
)
from deploy.sandbox.picture import picture
from deploy.sandbox.rows import SERVER_ZONE, File, Row
from deploy.sandbox.schema import Entity
from deploy.sandbox.values import row_of


def demo_rows(schema: Mapping[str, Entity], build: Build) -> dict[str, list[Row]]:
    """The demo records of each entity, in no particular order."""
    makers = {
        "Customer": _customers,
        "Payment": _payments,
        "SalesInvoice": _invoices,
        "SalesOrder": _sales_orders,
        "Shipment": _shipments,
        "StockItem": _stock_items,
    }
    rows = {name: [row_of(schema[name], record) for record in make(build)] for name, make in makers.items()}
    rows["StockItem"] = [_with_picture(schema["StockItem"], row) for row in rows["StockItem"]]
    return rows


def _ordered_on(order: Order, build: Build) -> datetime:
    return datetime(build.order_year, 10, order.day, tzinfo=SERVER_ZONE)


def _sales_orders(build: Build) -> Iterator[dict[str, object]]:
    for order in ORDERS:
        ordered_on = _ordered_on(order, build)
        yield {
            "id": order_row_id(order.id),
            "OrderType": "SO",
            "OrderNbr": order.number,
            "CustomerID": order.customer,
            "CustomerOrder": order.customer_order,
            "Date": ordered_on,
            "RequestedOn": ordered_on,
            "LastModified": ordered_on.replace(hour=16, minute=52, second=order.day, microsecond=350_000),
            "Status": "Completed" if order.invoice else "Open",
            "Approved": True,
            "Hold": False,
            "CreditHold": False,
            "CurrencyID": "USD",
            "LocationID": "MAIN",
            "OrderedQty": order.quantity,
            "OrderTotal": order.total,
            "TaxTotal": 0,
            "Details": [_order_line(order, number) for number in range(len(order.lines))],
            "Shipments": [_order_shipment(order, ordered_on)] if order.shipment else [],
        }


def _order_line(order: Order, number: int) -> dict[str, object]:
    line_id, item, quantity = order.lines[number]
    return {
        "id": order_row_id(line_id),
        "Amount": quantity * PRICES[item],
        "ExtendedPrice": quantity * PRICES[item],
        "FreeItem": False,
        "InventoryID": item,
        "LineDescription": STOCK[item][0],
        "LineNbr": number + 1,
        "OrderQty": quantity,
        "UnitPrice": PRICES[item],
        "UOM": "EA",
        "WarehouseID": "MAIN",
    }


def _order_shipment(order: Order, shipped_on: datetime) -> dict[str, object]:
    return {
        "InvoiceNbr": order.invoice or None,
        "InvoiceType": "Invoice" if order.invoice else None,
        "ShipmentDate": shipped_on,
        "ShipmentNbr": order.shipment,
        "ShipmentType": "Shipment",
        "ShippedQty": order.quantity,
        "Status": "Completed" if order.invoice else "Confirmed",
    }


def _shipments(build: Build) -> Iterator[dict[str, object]]:
    for order in ORDERS:
        if order.shipment:
            yield _shipment(order.shipment, (order,), "Completed" if order.invoice else "Confirmed", build)
    open_orders = tuple(order for order in ORDERS if order.number in ("000004", "000006"))
    yield _shipment("000008", open_orders, "On Hold", build)


def _shipment(number: str, orders: tuple[Order, ...], status: str, build: Build) -> dict[str, object]:
    shipped_on = _ordered_on(orders[0], build)
    lines = [(order, *line) for order in orders for line in order.lines]
    return {
        "id": lasting_id(f"shipment {number}"),
        "CustomerID": orders[0].customer,
        "Hold": status == "On Hold",
        "LastModifiedDateTime": shipped_on.replace(hour=17),
        "Operation": "Issue",
        "ShipmentDate": shipped_on,
        "ShipmentNbr": number,
        "ShippedQty": sum(order.quantity for order in orders),
        "Status": status,
        "Type": "Shipment",
        "WarehouseID": "MAIN",
        "Details": [
            {
                "id": lasting_id(f"shipment {number} line {line}"),
                "InventoryID": item,
                "LineNbr": line,
                "OrderNbr": order.number,
                "OrderType": "SO",
                "ShippedQty": quantity,
                "UOM": "EA",
                "WarehouseID": "MAIN",
            }
            for line, (order, _, item, quantity) in enumerate(lines, 1)
        ],
        "Orders": [
            {
                "id": lasting_id(f"shipment {number} order {order.number}"),
                "OrderNbr": order.number,
                "OrderType": "SO",
                "ShipmentNbr": number,
                "ShippedQty": order.quantity,
            }
            for order in orders
        ],
    }


def _invoices(build: Build) -> Iterator[dict[str, object]]:
    for number in sorted({order.invoice for order in ORDERS if order.invoice}):
        orders = [order for order in ORDERS if order.invoice == number]
        total = sum(order.total for order in orders)
        on_hold = number == "INV000046"
        yield {
            "id": lasting_id(f"invoice {number}"),
            "Type": "Invoice",
            "ReferenceNbr": number,
            "Amount": total,
            "Balance": total,
            "Currency": "USD",
            "CustomerID": orders[0].customer,
            "CustomerOrder": orders[0].customer_order,
            "Date": datetime(build.payment_date.year, 12, 20, tzinfo=SERVER_ZONE),
            "DetailTotal": total,
            "DueDate": datetime(2019, 1, 19, tzinfo=SERVER_ZONE),
            "Hold": on_hold,
            "Project": "X",
            "Status": "On Hold" if on_hold else "Open",
            "Details": [
                {
                    "id": lasting_id(f"invoice {number} order {order.number} line {line}"),
                    "Amount": quantity * PRICES[item],
                    "InventoryID": item,
                    "LineNbr": line,
                    "OrderNbr": order.number,
                    "OrderType": "SO",
                    "Qty": quantity,
                    "ShipmentNbr": order.shipment,
                    "UnitPrice": PRICES[item],
                    "UOM": "EA",
                }
                for order in orders
                for line, (_, item, quantity) in enumerate(order.lines, 1)
            ],
        }


def _payments(build: Build) -> Iterator[dict[str, object]]:
    paid = next(order for order in ORDERS if order.invoice == "INV000045")
    yield payment(lasting_id("payment 000001"), "000001", COURSE_CUSTOMER, paid.total, build) | {
        "ApplicationHistory": [history(lasting_id("history 000001"), "INV000045", paid.total, build)]
    }


def payment(row_id: str, number: str, customer: str, amount: int, build: Build) -> dict[str, object]:
    """A closed payment of a customer, without its history."""
    applied_on = datetime.combine(build.payment_date, datetime.min.time(), SERVER_ZONE)
    return {
        "id": row_id,
        "Type": "Payment",
        "ReferenceNbr": number,
        "ApplicationDate": applied_on,
        "AppliedToDocuments": 0,
        "CurrencyID": "USD",
        "CustomerID": customer,
        "Hold": False,
        "LastModifiedDateTime": applied_on.replace(hour=12),
        "PaymentAmount": amount,
        "PaymentMethod": "CHECK",
        "Status": "Closed",
        "DocumentsToApply": [],
    }


def history(row_id: str, invoice: str, amount: int, build: Build) -> dict[str, object]:
    """A row of a payment's ApplicationHistory: what it paid."""
    return {
        "id": row_id,
        "AmountPaid": amount,
        "CurrencyID": "USD",
        "Date": build.payment_date,
        "DisplayDocType": "Invoice",
        "DisplayRefNbr": invoice,
    }


def _customers(build: Build) -> Iterator[dict[str, object]]:
    for number, name in CUSTOMERS.items():
        record = customer(lasting_id(f"customer {number}"), number, name, build)
        yield record | ({"MainContact": COURSE_CONTACT} if number == COURSE_CUSTOMER else {})


def customer(row_id: str, number: str, name: str, build: Build) -> dict[str, object]:
    """A customer with a contact that has a name and an e-mail address."""
    modified = datetime(build.order_year, 8, 3, 16, 52, 16, 350_000, SERVER_ZONE)
    return {
        "id": row_id,
        "CreatedDateTime": modified.replace(month=1),
        "CurrencyID": "USD",
        "CustomerClass": "LOCAL",
        "CustomerID": number,
        "CustomerName": name,
        "LastModifiedDateTime": modified,
        "MainContact": {
            "CompanyName": name,
            "Email": f"info@{number.lower()}.example",
            "Address": {"Country": "US"},
        },
        "Status": "Active",
    }


def _stock_items(build: Build) -> Iterator[dict[str, object]]:
    for number, (description, warehouse, on_hand) in STOCK.items():
        yield {
            "id": lasting_id(f"item {number}"),
            "BaseUOM": "EA",
            "DefaultPrice": PRICES[number],
            "DefaultWarehouseID": warehouse,
            "Description": description,
            "InventoryID": number,
            "IsAKit": False,
            "ItemClass": "STOCKITEM",
            "ItemStatus": "Active",
            "ItemType": "Finished Good",
            "LastModified": datetime(build.order_year, 8, 3, 16, 52, 16, 350_000, SERVER_ZONE),
            "WarehouseDetails": [
                {
                    "id": lasting_id(f"stock {number}"),
                    "IsDefault": True,
                    "QtyOnHand": on_hand,
                    "Status": "Active",
                    "WarehouseID": warehouse,
                }
            ],
        }


def _with_picture(entity: Entity, row: Row) -> Row:
    number = row.values[entity.fields["InventoryID"].index]
    if number != "AAMACHINE1":
        return row
    return row._replace(files=(File(PICTURE_ID, "Stock Items (AAMACHINE1)\\T2MCRO.jpg", picture()),))

"""Records beyond the demo's, as many as a test wants: deterministic from a seed, and quick to make.

Each customer has one payment, made for an invoice. Orders go to these customers, or to the demo's other customers
when there are none; the course's own customer gets nothing, so that the recorded answers stay as they are.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random

from deploy.sandbox.builds import Build
from deploy.sandbox.course import PRICES
from deploy.sandbox.records import customer, history, payment
from deploy.sandbox.rows import SERVER_ZONE, Row, Value
from deploy.sandbox.schema import Entity
from deploy.sandbox.values import row_of

_FIRST_ORDER = 101
_FIRST_CUSTOMER = 63
_FIRST_PAYMENT = 101
_DEMO_CUSTOMERS = ("C000000001", "C000000002", "C000000004", "C000000005")
_ITEMS = tuple(PRICES.items())
_ORDERS_A_DAY = 200
_STATUSES = ("Open", "Open", "Open", "On Hold", "Completed")


def generated_customers(entity: Entity, count: int, seed: int, build: Build) -> Iterator[Row]:
    """`count` customers in the order of their keys."""
    random = Random(f"customers {seed}")
    for index in range(count):
        number = customer_number(index)
        yield row_of(entity, customer(_guid(random), number, f"Customer {number[1:].lstrip('0')}", build))


def generated_payments(entity: Entity, count: int, seed: int, build: Build) -> Iterator[Row]:
    """One payment for each generated customer, in the order of their keys."""
    random = Random(f"payments {seed}")
    for index in range(count):
        number = f"{_FIRST_PAYMENT + index:06}"
        amount = random.randrange(10, 5000)
        record = payment(_guid(random), number, customer_number(index), amount, build)
        yield row_of(
            entity,
            record | {"ApplicationHistory": [history(_guid(random), f"INV{number}", amount, build)]},
        )


def customer_number(index: int) -> str:
    """The number of the generated customer at this place; the demo tenant has 62 of its own."""
    return f"C{_FIRST_CUSTOMER + index:09}"


def generated_orders(entity: Entity, count: int, customers: int, seed: int, build: Build) -> Iterator[Row]:
    """`count` sales orders of one to three lines in the order of their keys."""
    random = Random(f"orders {seed}")
    buyers = [customer_number(index) for index in range(customers)] or _DEMO_CUSTOMERS
    write_order, write_line = _Filler(entity), _Filler(_details_of(entity))
    first_day = datetime(build.order_year, 11, 1, tzinfo=SERVER_ZONE)
    for index in range(count):
        lines = [(*random.choice(_ITEMS), random.randrange(1, 13)) for _ in range(random.randrange(1, 4))]
        details = tuple(
            write_line.row(_guid(random), _line_values(number, item, price, quantity))
            for number, (item, price, quantity) in enumerate(lines, 1)
        )
        total = sum(price * quantity for _, price, quantity in lines)
        ordered_on = _day(first_day, index // _ORDERS_A_DAY)
        yield write_order.row(
            _guid(random),
            {
                "Approved": True,
                "CreditHold": False,
                "CurrencyID": "USD",
                "CustomerID": random.choice(buyers),
                "CustomerOrder": f"SO{random.randrange(1000):03}-{random.randrange(1000):03}-{index % 100:02}",
                "Date": ordered_on,
                "Details": details,
                "Hold": False,
                "LastModified": ordered_on + timedelta(milliseconds=index % _ORDERS_A_DAY * 430_010),
                "LocationID": "MAIN",
                "OrderedQty": _six_places(sum(quantity for _, _, quantity in lines)),
                "OrderNbr": f"{_FIRST_ORDER + index:06}",
                "OrderTotal": _four_places(total),
                "OrderType": "SO",
                "RequestedOn": ordered_on,
                "Shipments": (),
                "Status": random.choice(_STATUSES),
                "TaxTotal": _four_places(0),
            },
        )


def _line_values(number: int, item: str, price: int, quantity: int) -> Mapping[str, Value]:
    amount = _four_places(price * quantity)
    return {
        "Amount": amount,
        "ExtendedPrice": amount,
        "FreeItem": False,
        "InventoryID": item,
        "LineNbr": number,
        "OrderQty": _six_places(quantity),
        "UnitPrice": _six_places(price),
        "UOM": "EA",
        "WarehouseID": "MAIN",
    }


class _Filler:
    """Makes rows of one entity from values that need no conversion; a hundred thousand of them are wanted at start."""

    def __init__(self, entity: Entity) -> None:
        self._index = {name: field.index for name, field in entity.fields.items()}
        self._empty = entity.empty_values()

    def row(self, row_id: str, values: Mapping[str, Value]) -> Row:
        """A row with these values; all others are empty."""
        filled: list[Value] = list(self._empty)
        for name, value in values.items():
            filled[self._index[name]] = value
        return Row(row_id, tuple(filled))


def _details_of(entity: Entity) -> Entity:
    nested = entity.fields["Details"].nested
    if nested is None:
        raise TypeError(f"{entity.name}.Details is not a nested entity")
    return nested


@cache
def _day(first: datetime, number: int) -> datetime:
    return first + timedelta(days=number)


@cache
def _six_places(number: int) -> Decimal:
    return Decimal(number * 10**6).scaleb(-6)


@cache
def _four_places(number: int) -> Decimal:
    return Decimal(number * 10**4).scaleb(-4)


def _guid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

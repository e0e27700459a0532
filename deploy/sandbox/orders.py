"""Generated sales orders, as many as a test wants: each is made from its number alone, when it is first wanted."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache

from deploy.sandbox.attachments import Attachments
from deploy.sandbox.builds import Build
from deploy.sandbox.course import PRICES
from deploy.sandbox.rows import SERVER_ZONE, Row, Value
from deploy.sandbox.schema import Entity

_FIRST_ORDER = 101
_DEMO_CUSTOMERS = ("C000000001", "C000000002", "C000000004", "C000000005")
_ITEMS = tuple(PRICES.items())
_ORDERS_A_DAY = 200
_STATUSES = ("Open", "Open", "Open", "On Hold", "Completed")
_MOST_LINES = 3


class GeneratedOrders:
    """So many orders of one to three lines, in the order of their keys."""

    def __init__(
        self, entity: Entity, count: int, buyers: tuple[str, ...], attachments: Attachments, build: Build
    ) -> None:
        """The orders go to `buyers`, or to the demo's customers when there are none; their seed is the files'."""
        self.count = count
        self._buyers = buyers or _DEMO_CUSTOMERS
        self._attachments = attachments
        self._first_day = datetime(build.order_year, 11, 1, tzinfo=SERVER_ZONE)
        self._names = entity.fields.keys()
        self._order, self._line = _Filler(entity), _Filler(_details_of(entity))
        self._seed = hashlib.blake2b(f"orders {attachments.seed}".encode()).digest()

    def keys(self, index: int) -> tuple[str, str]:
        """The keys of an order as the wire gives them."""
        return "SO", f"{_FIRST_ORDER + index:06}"

    def id(self, index: int) -> str:
        """The id of an order."""
        return _guid(self._drawn(index, b"ids"), 0)

    def make(self, index: int) -> Row:
        """An order with its lines."""
        ids, draw = self._drawn(index, b"ids"), self._drawn(index, b"draws")
        lines = [
            (*_ITEMS[draw[2 * n] % len(_ITEMS)], draw[2 * n + 1] % 12 + 1)
            for n in range(draw[63] % _MOST_LINES + 1)
        ]
        details = tuple(
            self._details(index, number, _guid(ids, number), line) for number, line in enumerate(lines, 1)
        )
        total = sum(price * quantity for _, price, quantity in lines)
        quantity = sum(quantity for _, _, quantity in lines)
        header = self._header(index, draw, total, quantity, details)
        if "NoteID" in self._names:
            header = {**header, "NoteID": _guid(ids, 0)}
        return self._order.row(_guid(ids, 0), header)

    def _details(self, index: int, number: int, row_id: str, line: tuple[str, int, int]) -> Row:
        row = self._line.row(row_id, _line_values(number, *line))
        if not self._attachments.each:
            return row
        prefix = f"Sales Orders ({', '.join(self.keys(index))})\\"
        return row._replace(files=self._attachments.of_line(index, number, prefix))

    def _header(
        self, index: int, draw: bytes, total: int, quantity: int, details: tuple[Row, ...]
    ) -> Mapping[str, Value]:
        ordered_on = _day(self._first_day, index // _ORDERS_A_DAY)
        type_, number = self.keys(index)
        first, second = int.from_bytes(draw[8:12]) % 1000, int.from_bytes(draw[12:16]) % 1000
        return {
            "Approved": True,
            "CreditHold": False,
            "CurrencyID": "USD",
            "CustomerID": self._buyers[int.from_bytes(draw[16:24]) % len(self._buyers)],
            "CustomerOrder": f"SO{first:03}-{second:03}-{index % 100:02}",
            "Date": ordered_on,
            "Details": details,
            "Hold": False,
            "LastModified": ordered_on + timedelta(milliseconds=index % _ORDERS_A_DAY * 430_010),
            "LocationID": "MAIN",
            "OrderedQty": _six_places(quantity),
            "OrderNbr": number,
            "OrderTotal": _four_places(total),
            "OrderType": type_,
            "RequestedOn": ordered_on,
            "Shipments": (),
            "Status": _STATUSES[draw[24] % len(_STATUSES)],
            "TaxTotal": _four_places(0),
        }

    def _drawn(self, index: int, what: bytes) -> bytes:
        """64 bytes of chance that are this order's."""
        return hashlib.blake2b(b"%d" % index, key=self._seed, person=what).digest()


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
    """Makes rows of one entity from values that need no conversion; a hundred thousand of them are wanted."""

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


def _guid(chance: bytes, place: int) -> str:
    digits = chance[16 * place : 16 * place + 16].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

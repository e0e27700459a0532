"""Records beyond the demo's, as many as a test wants: deterministic from a seed, and quick to make.

Each customer has one payment, made for an invoice. Orders (orders.py) go to these customers, or to the demo's others
when there are none; the course's own customer gets nothing, so that the recorded answers stay as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random

from deploy.sandbox.attachments import Attachments
from deploy.sandbox.builds import Build
from deploy.sandbox.records import customer, history, payment
from deploy.sandbox.rows import SERVER_ZONE, Row
from deploy.sandbox.schema import Entity
from deploy.sandbox.values import row_of

_FIRST_CUSTOMER = 63
_FIRST_PAYMENT = 101


@dataclass(frozen=True)
class Volume:
    """How much is generated."""

    orders: int = 0
    customers: int = 0
    items: int = 0
    """Stock items."""
    awkward_keys: int = 0
    """Stock items, customers, payments and orders, as many of each, with keys that are hard to handle."""
    files_each: int = 0
    """Files of every generated stock item and every line of a generated order."""
    big_file: int = 0
    """The bytes of a file at the stock item AACOMPUT01; 0: there is none."""
    seed: int = 0
    rows_each: int = 7
    """Records of every entity that the demo has none of."""


def generated_customers(entity: Entity, count: int, seed: int, build: Build) -> Iterator[Row]:
    """`count` customers in the order of their keys."""
    random = Random(f"customers {seed}")
    for index in range(count):
        number = customer_number(index)
        yield row_of(entity, customer(guid(random), number, f"Customer {number[1:].lstrip('0')}", build))


def generated_payments(entity: Entity, count: int, seed: int, build: Build) -> Iterator[Row]:
    """One payment for each generated customer, in the order of their keys."""
    random = Random(f"payments {seed}")
    for index in range(count):
        number = f"{_FIRST_PAYMENT + index:06}"
        amount = random.randrange(10, 5000)
        record = payment(guid(random), number, customer_number(index), amount, build)
        yield row_of(
            entity,
            record | {"ApplicationHistory": [history(guid(random), f"INV{number}", amount, build)]},
        )


def generated_items(entity: Entity, count: int, attachments: Attachments, build: Build) -> Iterator[Row]:
    """`count` stock items with their files, in the order of their keys."""
    random = Random(f"items {attachments.seed}")
    for index in range(count):
        number = f"PART{index + 1:06}"
        row = row_of(entity, stock_item(guid(random), number, f"Part {index + 1}", build))
        yield row._replace(files=attachments.of_item(index, f"Stock Items ({number})\\"))


def stock_item(row_id: str, number: str, description: str, build: Build) -> dict[str, object]:
    """An active stock item that is kept in no warehouse."""
    return {
        "id": row_id,
        "BaseUOM": "EA",
        "DefaultPrice": 1,
        "Description": description,
        "InventoryID": number,
        "IsAKit": False,
        "ItemClass": "STOCKITEM",
        "ItemStatus": "Active",
        "ItemType": "Finished Good",
        "LastModified": datetime(build.order_year, 8, 3, 16, 52, 16, 350_000, SERVER_ZONE),
        "WarehouseDetails": [],
    }


def customer_number(index: int) -> str:
    """The number of the generated customer at this place; the demo tenant has 62 of its own."""
    return f"C{_FIRST_CUSTOMER + index:09}"


def guid(random: Random) -> str:
    """An id by chance."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

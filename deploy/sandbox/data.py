"""The site's data as it is at the start: the demo records and what is generated, in tables.

The tables of the six entities of the course are made at once, those of the others when they are first wanted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.sandbox.attachments import BIG_FILE_ID, Attachments
from deploy.sandbox.awkward import awkward_records
from deploy.sandbox.builds import Build
from deploy.sandbox.content import Drawn
from deploy.sandbox.files import file_name, files_of
from deploy.sandbox.generate import (
    Volume,
    customer_number,
    generated_customers,
    generated_items,
    generated_payments,
)
from deploy.sandbox.lazily import Lazily
from deploy.sandbox.ordering import Ordering
from deploy.sandbox.orders import GeneratedOrders
from deploy.sandbox.records import demo_rows
from deploy.sandbox.rows import File, Row
from deploy.sandbox.samples import Samples
from deploy.sandbox.schema import TopLevel
from deploy.sandbox.table import Table
from deploy.sandbox.values import row_of

_BIG_FILE_AT = "AACOMPUT01"


@dataclass(frozen=True)
class Data:
    """The tables by entity, and the files: those that are kept, by id, and what says which are generated."""

    tables: Mapping[str, Table]
    files: dict[str, File]
    attachments: Attachments
    orders: GeneratedOrders
    item_ids: tuple[str, ...]

    def file(self, file_id: str) -> File | None:
        """An attached file, as long as a record or row has it."""
        return self.files.get(file_id) or self._generated_file(file_id)

    def _generated_file(self, file_id: str) -> File | None:
        place = self.attachments.place(file_id)
        if place is None:
            return None
        if place.owner == "line":
            owners, table = [self.orders.id(place.record)], self.tables["SalesOrder"]
        else:  # an item's first file may be its neighbour's too
            owners, table = list(self.item_ids[place.record : place.record + 2]), self.tables["StockItem"]
        rows = (table.by_id(row_id) for row_id in owners)
        found = (file for row in rows if row for file in files_of(row) if file.id == file_id)
        return next(found, None)


def make_data(schema: Mapping[str, TopLevel], ordering: Ordering, build: Build, volume: Volume) -> Data:
    """All records; sales orders are made when they are wanted."""
    attachments = Attachments(volume.files_each, volume.seed)
    rows = {
        name: list(map(Samples(schema[name], 0, volume.seed).with_custom, records))
        for name, records in demo_rows(schema, build).items()
    }
    if volume.big_file:
        rows["StockItem"] = [
            _with_big_file(schema["StockItem"], row, volume.big_file) for row in rows["StockItem"]
        ]
    kept = {file.id: file for row in rows["StockItem"] for file in files_of(row)}
    rows["Customer"] += generated_customers(schema["Customer"], volume.customers, volume.seed, build)
    rows["Payment"] += generated_payments(schema["Payment"], volume.customers, volume.seed, build)
    items = list(generated_items(schema["StockItem"], volume.items, attachments, build))
    rows["StockItem"] += items
    for entity, record in awkward_records(volume.awkward_keys, volume.seed, ordering.collation, build):
        rows[entity].append(row_of(schema[entity], record))
    buyers = tuple(customer_number(index) for index in range(volume.customers))
    orders = GeneratedOrders(schema["SalesOrder"], volume.orders, buyers, attachments, build)
    full = {name: Table(schema[name], ordering, records) for name, records in rows.items()}
    full["SalesOrder"] = Table(schema["SalesOrder"], ordering, rows["SalesOrder"], orders)

    def table(name: str) -> Table:
        samples = Samples(schema[name], volume.rows_each, volume.seed)
        return full.get(name) or Table(schema[name], ordering, (), samples)

    tables = Lazily(schema, table)
    return Data(tables, kept, attachments, orders, tuple(row.id for row in items))


def _with_big_file(entity: TopLevel, row: Row, size: int) -> Row:
    if row.values[entity.fields["InventoryID"].index] != _BIG_FILE_AT:
        return row
    return row._replace(files=(File(BIG_FILE_ID, file_name(entity, row, "big.bin"), Drawn("big", size)),))

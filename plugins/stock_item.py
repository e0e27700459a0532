"""Stock items, with their quantities by warehouse, and pictures for jobs that want attachments (lesson 3.1)."""

from __future__ import annotations

from collections.abc import Iterator

from worker.erp.client import Erp
from worker.handler import Handler
from worker.page import Page, Query
from worker.strategies import batches


class StockItem(Handler):
    """Stock items."""

    entity = "StockItem"
    keys = ("InventoryID",)
    stamp = "LastModified"
    expand = ("WarehouseDetails",)

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        """The list in batches."""
        return batches(erp, query)

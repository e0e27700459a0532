"""Sales orders, with their lines and shipments in the same request (course I320, lessons 2.1 and 2.2)."""

from __future__ import annotations

from collections.abc import Iterator

from worker.erp.client import Erp
from worker.handler import Handler
from worker.page import Page, Query
from worker.strategies import batches, one


class SalesOrder(Handler):
    """Sales orders."""

    entity = "SalesOrder"
    keys = ("OrderType", "OrderNbr")
    stamp = "LastModified"
    expand = ("Details", "Shipments")

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        """The whole list in one GET, or in batches where the job gives a page size."""
        return batches(erp, query) if query.page_size else one(erp, query)

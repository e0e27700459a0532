"""Payments, with the documents that they were applied to (course I320, lesson 2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from worker.erp.client import Erp
from worker.handler import Handler
from worker.page import Page, Query
from worker.strategies import batches


class Payment(Handler):
    """The ERP cannot optimize a list with the application history: then payment by payment."""

    entity = "Payment"
    keys = ("Type", "ReferenceNbr")
    combos = ("Type",)
    stamp = "LastModifiedDateTime"
    expand = ("ApplicationHistory",)

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        """The list in batches; with the history it is refused, and goes by key."""
        return batches(erp, query)

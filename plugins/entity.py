"""Any entity that has no handler of its own, with all its fields and no details unless the job names them."""

from __future__ import annotations

from collections.abc import Iterator

from plugins import catalogue
from worker.erp.client import Erp
from worker.handler import Endpoint, Handler
from worker.page import Page, Query
from worker.strategies import batches


class Entity(Handler):
    """The key fields are those of the catalogue; what else is there, the endpoint's schema tells."""

    entity = "Entity"
    by_schema = True

    def key_fields(self, entity: str, endpoint: Endpoint) -> tuple[str, ...]:
        """As the catalogue has them. Raises EntityUnknown, and JobInvalid for an inquiry."""
        return catalogue.key_fields(entity, endpoint)

    def combos_of(self, entity: str, endpoint: Endpoint) -> tuple[str, ...]:
        """As the catalogue has them."""
        return catalogue.combos(entity, endpoint)

    def stamp_of(self, entity: str, endpoint: Endpoint) -> str | None:
        """As the catalogue has it."""
        return catalogue.stamp(entity, endpoint)

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        """The list in batches."""
        return batches(erp, query)

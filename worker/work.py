"""What a job of each kind does: its pages, as they come from the ERP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from worker import actions, inquiries, retrieval, writes
from worker.blobs.names import file_key
from worker.blobs.store import BlobStore
from worker.erp.caller import Caller
from worker.erp.checks import require_entity
from worker.erp.client import Erp
from worker.handler import Endpoint
from worker.job import Asked, Job
from worker.kinds import Action, Change, Delete, Inquiry, Upload, Upsert
from worker.naming import Named, named
from worker.page import Cursor, Page
from worker.sending import Sender

if TYPE_CHECKING:
    from worker.erp.gateway import Gateway
    from worker.registry import Registry


class Work:
    """Where the pages of jobs come from."""

    def __init__(self, gateway: Gateway, registry: Registry, blobs: BlobStore) -> None:
        self._gateway = gateway
        self._registry = registry
        self._blobs = blobs

    def pages(
        self, job: Asked, caller: Caller, after: Cursor | None, keep: Callable[[Cursor], None]
    ) -> Iterator[Page]:
        """The pages of a job that come after a cursor. Raises whatever ends its attempt.

        ``keep`` keeps how far something is between its pages.
        """
        erp = self._gateway.erp(job.connection, caller)
        match job:
            case Job():
                handler = self._registry.handler_for(job.entity)
                yield from retrieval.pages(erp, self._gateway.schemas, handler, job, after)
            case Inquiry():
                yield from inquiries.pages(erp, self._gateway.schemas, self._gateway.feeds, job, after)
            case Change():
                yield from self._changed(erp, job, after, keep)

    def _changed(
        self, erp: Erp, job: Change, after: Cursor | None, keep: Callable[[Cursor], None]
    ) -> Iterator[Page]:
        """The pages of what changes a record: its data are checked by the endpoint's schema first."""
        schema = self._gateway.schema(erp)
        record = self._named(Endpoint(erp.connection.endpoint, erp.connection.version, schema), job)
        sender = Sender(kind=job.kind, look=job.record_name, idempotent=job.idempotent, keep=keep)
        writer = self._gateway.writer(erp, job.entity, sender)
        match job:
            case Action():
                yield from actions.pages(writer, sender, record, job, schema, after)
            case Upsert():
                yield from writes.upsert(erp, writer, sender, record, job, schema, after)
            case Delete():
                yield from writes.delete(erp, writer, sender, record, job, after)
            case Upload():
                chunks = partial(self._blobs.chunks, self._blobs.url(file_key(job.source.sha256)))
                yield from writes.upload(erp, writer, sender, record, job, chunks, after)

    def _named(self, endpoint: Endpoint, job: Change) -> Named:
        """The record of a job. Raises EntityUnknown or KeysInvalid."""
        if endpoint.schema:
            require_entity(endpoint.schema, job.entity, str(endpoint))
        return named(job, self._registry.handler_for(job.entity).key_fields(job.entity, endpoint))

    def whose(self, job: Asked) -> str:
        """Whose code makes a job's pages."""
        if not isinstance(job, Job):
            return __name__
        handler = self._registry.handler_for(job.entity)
        return f"{type(handler).__module__}.{type(handler).__qualname__}"

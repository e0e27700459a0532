"""How a retrieval job becomes pages: by the handler of its entity, and by the schema of its endpoint.

What cannot be asked raises JobRefused before anything but the schema is read from the ERP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from worker.erp import query as filters
from worker.erp.client import Erp
from worker.erp.schemas import Absent, Known, Schemas
from worker.errors import FieldUnknown, JobRefused, NotInEndpoint
from worker.handler import Endpoint, Handler, is_custom
from worker.job import Job
from worker.page import Cursor, Page, Query


def pages(erp: Erp, schemas: Schemas, handler: Handler, job: Job, after: Cursor | None) -> Iterator[Page]:
    """The pages of a job that come after a cursor.

    Where the ERP does not know what the schema has, that is read again, and the job goes on with what is there.
    """
    question = _Question(erp, schemas, handler, job)
    query = question.first()
    try:
        for page in handler.retrieve(erp, replace(query, after=after)):
            after = page.cursor
            yield page
        return
    except (FieldUnknown, NotInEndpoint):
        now = schemas.again(erp)
        again = query if isinstance(now, Absent) else question.query(now)
        if replace(again, notes=query.notes) == query:
            raise
    yield from handler.retrieve(erp, replace(again, after=after))


def first_query(erp: Erp, schemas: Schemas, handler: Handler, job: Job) -> Query:
    """What a job asks of the ERP at first. Raises JobRefused."""
    return _Question(erp, schemas, handler, job).first()


@dataclass(frozen=True)
class _Question:
    """A job, and whom to ask about it."""

    erp: Erp
    schemas: Schemas
    handler: Handler
    job: Job

    def first(self) -> Query:
        """What to ask by what is known now; a handler that goes by the schema has it read. Raises JobRefused."""
        by_schema, connection = self.handler.by_schema, self.erp.connection
        known = self.schemas.of(self.erp) if by_schema else self.schemas.known(connection)
        try:
            return self.query(known)
        except JobRefused:
            if not isinstance(known, Known):
                raise
        # What is missed may have come to the ERP since somebody looked.
        return self.query(self.schemas.again(self.erp), anew=True)

    def query(self, known: Known | Absent | None, *, anew: bool = False) -> Query:
        """What to ask of the ERP, by what is known of the endpoint. Raises JobRefused."""
        connection, job = self.erp.connection, self.job
        bound = None if job.filter is None else filters.bind(job.filter, job.params)
        endpoint = Endpoint(connection.endpoint, connection.version)
        match known:
            case Known():
                custom = self._custom(known, bound, anew=anew)
                endpoint = replace(endpoint, schema=known.schema, custom=custom)
                query = self.handler.query(job, bound, endpoint)
                return replace(query, notes=(*known.drift(job.entity), *query.notes))
            case Absent():
                query = self.handler.query(job, bound, endpoint)
                note = f"the endpoint's schema cannot be read, so fields are not checked: {known.reason}"
                return replace(query, notes=(note, *query.notes))
        return self.handler.query(job, bound, endpoint)

    def _custom(self, known: Known, bound: str | None, *, anew: bool) -> dict[str, str] | None:
        """The custom fields of the job's entity, where it names any."""
        named = (*self.job.custom, *filter(is_custom, self.job.select or ()))
        if self.job.entity not in known.schema.top or not (named or "cf." in (bound or "")):
            return None
        if self.handler.by_schema or anew:
            return self.schemas.custom(self.erp, self.job.entity, anew=anew)
        return self.schemas.known_custom(self.erp.connection, self.job.entity)

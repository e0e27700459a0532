"""What is read from the ERP: lists, records, files and documents. Raises what the last try of an exchange raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Protocol, TypeVar

from worker.erp import answers, urls
from worker.erp import keys as key_filters
from worker.erp.caller import Use
from worker.erp.deadline import Deadline
from worker.erp.exchanges import Exchanges
from worker.erp.records import Records
from worker.erp.sessions import Lease
from worker.erp.wire import Answer, Wire
from worker.errors import (
    AnswerCut,
    AnswerMalformed,
    KeysInvalid,
    NotInEndpoint,
    NotOptimizable,
    RecordNotFound,
    WorkerError,
)
from worker.page import Query, Record, Sink

ERROR_BYTES = 64 * 1024

T = TypeVar("T")


class Failures(Protocol):
    """Who remembers which lists the ERP cannot optimize."""

    def check(self, query: Query) -> None: ...
    def learn(self, query: Query, error: NotOptimizable) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a list answered: its records, and the ERP's clock then, where it told it."""

    records: list[Record]
    clock: datetime | None


@dataclass(frozen=True, kw_only=True)
class Glanced:
    """A list whose records are decoded as they are looked at; ``named`` are the members that tell them apart."""

    records: Sequence[Record]
    named: Sequence[Record]
    clock: datetime | None


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A list as the ERP sent it, of so many bytes; one that cannot be read is asked for again as it is opened."""

    size: int
    open: Callable[[], Glanced]


class Erp:
    """One caller's way to the ERP on one connection."""

    def __init__(self, exchanges: Exchanges, optimizer: Failures) -> None:
        self.connection = exchanges.connection
        self.exchanges = exchanges
        self._caller = exchanges.caller
        self._optimizer = optimizer

    def list(self, query: Query, *, top: int | None = None, skip: int = 0) -> list[Record]:
        """The records that a filter matches, in ascending key order: at most ``top``, after ``skip`` others."""
        return self.rows(query, top=top, skip=skip).records

    def rows(self, query: Query, *, top: int | None = None, skip: int = 0) -> Rows:
        """As ``list``, with what the answer tells besides."""
        return self._listed(query, urls.options(query, top=top, skip=skip), _rows)

    def ask(self, query: Query, *, top: int, skip: int) -> Unread:
        """As ``rows``, asked for now and read later."""
        options = urls.options(query, top=top, skip=skip)
        glance = partial(_glanced, ("id", *query.key_fields))
        answer = self._listed(query, options, lambda answer: answer)

        def opened() -> Glanced:
            try:
                return glance(answer)
            except AnswerMalformed:
                return self._listed(query, options, glance)

        return Unread(size=len(answer.body), open=opened)

    def _listed(self, query: Query, options: str, parse: Callable[[Answer], T]) -> T:
        path = urls.entity_path(self.connection, query.entity)
        self.exchanges.tried(lambda: self._optimizer.check(query))
        try:
            return self.exchanges.read(query.entity, path, options, parse)
        except NotOptimizable as error:
            self._optimizer.learn(query, error)
            raise

    @property
    def seats(self) -> int:
        """How many requests the license lets be made at once."""
        return self.exchanges.seats

    @property
    def looks_ahead(self) -> bool:
        """Whether to ask for what is needed later: once its slice is over, the job may go on elsewhere."""
        return self._caller.slice is None or self._caller.slice.remaining() > 0

    def get(self, query: Query, keys: Sequence[str]) -> Record:
        """The record with these key values, by URL; where no URL can carry them, found by filter and read by id.

        A single key that looks like a record's id is taken for that first.
        """
        if urls.fits_a_path(keys):
            path = urls.entity_path(self.connection, query.entity, *keys)
            return self._one(path, query, keys)
        if len(keys) == 1 and urls.is_id(keys[0]):
            try:
                return self.get_by_id(query, keys[0])
            except RecordNotFound:
                # It may be a key that looks like an id.
                if len(query.key_fields) != 1:
                    raise
        return self.get_by_id(query, self.id_of(query, keys))

    def get_by_id(self, query: Query, record_id: str) -> Record:
        """The record with this id of the ERP's (its NoteID)."""
        return self._one(urls.entity_path(self.connection, query.entity, record_id), query, [record_id])

    def download(self, href: str, sink: Sink) -> None:
        """Write the bytes of a file to a sink, which is restarted when the download must be."""

        def exchange(wire: Wire, lease: Lease, deadline: Deadline) -> None:
            request = self.exchanges.request(lease, urls.file_path(self.connection, wire.site, href))
            sink.restart()
            with wire.stream(request, deadline) as (status, content_type, chunks):
                if status != 200:
                    raise _failure(status, content_type, chunks)
                for chunk in chunks:
                    sink.write(chunk)

        use = Use(what="file", longest=self.connection.file_seconds)
        self.exchanges.tried(lambda: self.exchanges.once(exchange, use))

    def document(self, *segments: str) -> bytes:
        """A JSON document of the endpoint, such as its ``swagger.json``, as it came."""
        path = urls.endpoint_path(self.connection, *segments)
        # A server that has another type for its files is not away for that.
        return self.exchanges.read("document", path, "", lambda answer: answer.body, AnswerMalformed)

    def _one(self, path: str, query: Query, named: Sequence[str]) -> Record:
        options = urls.options(
            Query(entity=query.entity, select=query.select, expand=query.expand, custom=query.custom)
        )
        try:
            return self.exchanges.read(query.entity, path, options, answers.record)
        except (RecordNotFound, NotInEndpoint):
            # Some builds say 404 where others say 500 of a record that does not exist.
            raise self._no_record(query.entity, named) from None

    def _no_record(self, entity: str, named: Sequence[str]) -> RecordNotFound:
        endpoint = f"{self.connection.endpoint}/{self.connection.version}"
        return RecordNotFound(
            f"no {entity} in {endpoint} is named {answers.clean(' / '.join(named))}", "keys"
        )

    def id_of(self, asked: Query, keys: Sequence[str]) -> str:
        """The id of the record with these key values, found by a filter. Raises KeysInvalid, RecordNotFound."""
        if len(asked.key_fields) != len(keys):
            raise KeysInvalid(
                "a URL cannot carry these keys, and the entity's key fields are not known: use a filter",
                "keys",
            )
        by_key = Query(
            entity=asked.entity, filter=key_filters.equal(asked.key_fields, keys), select=asked.key_fields
        )
        found = self.list(by_key, top=2)
        if len(found) != 1:
            raise self._no_record(asked.entity, keys)
        return str(found[0].get("id"))


def _rows(answer: Answer) -> Rows:
    return Rows(records=answers.records(answer), clock=clock_of(answer.date))


def _glanced(fields: Sequence[str], answer: Answer) -> Glanced:
    found = Records.of(answer)
    return Glanced(records=found, named=found.named(fields), clock=clock_of(answer.date))


def clock_of(date: str) -> datetime | None:
    """The ERP's clock, from the Date of its answer; None where it is not told."""
    try:
        return parsedate_to_datetime(date)
    except ValueError:
        return None


def _failure(status: int, content_type: str, chunks: Iterator[bytes]) -> WorkerError:
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > ERROR_BYTES:
            break
    answer = Answer(status=status, content_type=content_type, location="", body=body[:ERROR_BYTES])
    return answers.error(answer) or AnswerCut(f"the ERP answered a file with {status}")

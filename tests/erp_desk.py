"""A strategy's way to a sandbox's data in this very process: no socket, no license, one request at a time.

Before each request something may be done to the data, so that every interleaving of requests and changes can be had. An
answer that the ERP refuses raises what the client would raise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.generate import Volume
from deploy.sandbox.instance import Instance, Variants
from worker.erp import answers, urls
from worker.erp.client import Erp, Glanced, Rows, Unread
from worker.erp.wire import Answer
from worker.errors import WorkerError
from worker.page import Query, Record, Sink

BUILD = BUILDS["2022R1"]
KEYS = {
    "SalesOrder": ("OrderType", "OrderNbr"),
    "Payment": ("Type", "ReferenceNbr"),
    "StockItem": ("InventoryID",),
}

THEN = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """A request: a list's filter, ``$top`` and ``$skip``, or the keys of a single record."""

    query: Query
    filter: str = ""
    top: int | None = None
    skip: int = 0
    keys: tuple[str, ...] = ()


class Desk:
    """Answers requests from an instance, after ``between`` each time; remembers what was asked.

    ``clock`` is the ERP's.
    """

    def __init__(
        self,
        instance: Instance,
        seats: int = 1,
        between: Callable[[], object] = lambda: None,
        clock: Callable[[], datetime | None] = lambda: THEN,
    ) -> None:
        self.instance = instance
        self.seats = seats
        self.looks_ahead = True
        self.asked: list[Asked] = []
        self._between = between
        self._clock = clock
        self._one_at_a_time = threading.Lock()

    @property
    def erp(self) -> Erp:
        """The desk, as what a strategy is given."""
        return cast(Erp, self)

    @property
    def lists(self) -> list[Asked]:
        """The lists that were asked for."""
        return [each for each in self.asked if not each.keys]

    @property
    def read(self) -> list[str]:
        """The single records that were asked for, by their keys or id."""
        return ["/".join(each.keys) for each in self.asked if each.keys]

    def rows(self, query: Query, *, top: int | None = None, skip: int = 0) -> Rows:
        """As the client's."""
        options = dict(parse_qsl(urls.options(query, top=top, skip=skip)))
        with self._one_at_a_time:
            self.asked.append(Asked(query, query.filter or "", top, skip))
            self._between()
            answer = self.instance.list(query.entity, options)
            clock = self._clock()
        return Rows(records=_decoded(answer.status, answer.body), clock=clock)

    def ask(self, query: Query, *, top: int, skip: int) -> Unread:
        """As the client's."""
        found = self.rows(query, top=top, skip=skip)
        glanced = Glanced(records=found.records, named=found.records, clock=found.clock)
        return Unread(size=1, open=lambda: glanced)

    def list(self, query: Query, *, top: int | None = None, skip: int = 0) -> list[Record]:
        """As the client's."""
        return self.rows(query, top=top, skip=skip).records

    def get(self, query: Query, keys: Sequence[str]) -> Record:
        """As the client's."""
        given = {"$select": ",".join(query.select), "$expand": ",".join(query.expand)}
        with self._one_at_a_time:
            self.asked.append(Asked(query, keys=tuple(keys)))
            self._between()
            answer = self.instance.get(query.entity, list(keys), {k: v for k, v in given.items() if v})
        return cast(Record, _decoded(answer.status, answer.body))

    def get_by_id(self, query: Query, record_id: str) -> Record:
        """As the client's."""
        return self.get(query, [record_id])

    def download(self, href: str, sink: Sink) -> None:
        """The address itself is the content."""
        sink.write(href.encode())


def _decoded(status: int, body: bytes) -> Any:
    error = answers.error(Answer(status=status, content_type="application/json", location="", body=body))
    if isinstance(error, WorkerError):
        raise error
    return answers.decode(body)


def instance_of(
    entity: str,
    records: Iterable[dict[str, object]],
    variants: Variants = Variants(),  # noqa: B008 - frozen
) -> Instance:
    """An instance that holds these records of the entity and no others."""
    instance = Instance(BUILD, "Site", Volume(), variants)
    for record_id in instance.list(entity, {"$select": KEYS[entity][-1]}).ids:
        instance.delete(entity, record_id)
    for record in records:
        instance.insert(entity, record)
    return instance


def orders(count: int, **fields: object) -> list[dict[str, object]]:
    """So many orders, numbered from 1."""
    return [{"OrderType": "SO", "OrderNbr": f"{n:06}", **fields} for n in range(1, count + 1)]


def query_of(entity: str, **more: Any) -> Query:
    """A query for all records of an entity, by its keys, with nothing else of them."""
    known: dict[str, Any] = {"entity": entity, "key_fields": KEYS[entity], "select": KEYS[entity]}
    return Query(**({**known, "combos": ("Type",) if entity == "Payment" else ()} | more))


def names(records: Iterable[Record], field: str = "OrderNbr") -> list[str]:
    """What records are called."""
    return [str(record[field]["value"]) for record in records]

"""Looks at what a job would find, in few requests: how its handler goes about it, how many records, how long one takes.

Requests go through the sessions and the minute that the workers share. Raises what the job itself would end with, and
BudgetSpent where nothing is known yet and no more may be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from worker.attachments import with_files
from worker.erp import urls
from worker.erp.budget import Permit
from worker.erp.caller import Caller
from worker.erp.client import Erp, Glanced, Rows, Unread
from worker.erp.exchanges import Permits
from worker.erp.optimizer import narrowed
from worker.errors import HandlerFailed, NotOptimizable, WorkerError
from worker.handler import Handler
from worker.job import OnOptimizationError
from worker.page import Cursor, Page, Query, Record
from worker.paging import key_of
from worker.plan import COUNT_PAGE, Count, Probe, Range, Sample, counted, next_probe
from worker.strategies import BATCH

FIRST_ROWS = 20
"""Records that are read in full: enough to see what they hold, and few enough to cost little."""

FIRST_GETS = 2
"""Records that are read by key, to see how long one takes."""

NAMED_FIELDS = 3
"""Fields that are named of those that the ERP cannot list."""


class BudgetSpent(WorkerError):
    """As many requests were made as may be."""


class Capped:
    """Gives leave to make requests as the license's minute does, and so many in all; ``took`` is how long each took."""

    def __init__(self, permits: Permits, most: int, told: Callable[[str], object]) -> None:
        """``told`` hears after each request how many there were, in words."""
        self._permits = permits
        self._most = most
        self._told = told
        self.took: list[float] = []

    @contextmanager
    def permit(self, caller: Caller, longest: float) -> Iterator[Permit]:
        """The leave to make one request. Raises BudgetSpent, and what the minute raises."""
        if caller.spent.requests >= self._most:
            raise BudgetSpent(f"{self._most} requests were not enough to know anything", "--budget")
        with self._permits.permit(caller, longest) as permit:
            yield permit
        self.took.append(permit.answer.get("took_ms", 0) / 1000)
        self._told(f"looked at what there is by {caller.spent.requests} of {self._most} requests")


class _Optimist:
    """Knows of no list that fails."""

    def check(self, query: Query) -> None:
        """Nothing is known."""

    def learn(self, query: Query, error: NotOptimizable) -> None:
        """Nothing is learned."""


class _Rehearsal(Erp):
    """An ERP that answers every list with the same record, and asks nobody; it keeps what the first one asked for."""

    page_size: int | None = None
    has_listed = False

    def rows(self, query: Query, *, top: int | None = None, skip: int = 0) -> Rows:
        """One record."""
        self._heard(None)
        return Rows(records=[_record(query)], clock=None)

    def ask(self, query: Query, *, top: int, skip: int) -> Unread:
        """The same, for later."""
        self._heard(top)
        record = _record(query)
        return Unread(size=1, open=lambda: Glanced(records=[record], named=[record], clock=None))

    def get(self, query: Query, keys: Sequence[str]) -> Record:
        """The same."""
        return _record(query)

    def get_by_id(self, query: Query, record_id: str) -> Record:
        """The same."""
        return _record(query)

    def _heard(self, top: int | None) -> None:
        if not self.has_listed:
            self.has_listed, self.page_size = True, top


def _record(query: Query) -> Record:
    named = {name: {"value": "1"} for name in query.key_fields}
    return {"id": "00000000-0000-0000-0000-000000000001", **named}


@dataclass(frozen=True)
class Sampled:
    """A sample, the query that is asked in the end, and what there is to say about them."""

    sample: Sample
    query: Query
    notes: tuple[str, ...] = ()


class Sampler:
    """Samples one job: what ``erp`` is asked needs the leave of ``capped``."""

    def __init__(self, erp: Erp, handler: Handler, capped: Capped) -> None:
        self._erp = erp
        self._handler = handler
        self._capped = capped

    def sample(self, query: Query) -> Sampled:
        """What is seen of the job that asks this."""
        if query.keys:
            return self._single(query, query.keys)
        strategy, page_size = self._rehearsed(query)
        if strategy == "by_key":
            return self._by_key(query, page_size, ())
        try:
            return self._listed(query, strategy, page_size, ())
        except NotOptimizable as error:
            return self._otherwise(query, strategy, page_size, error)

    def _rehearsed(self, query: Query) -> tuple[str, int | None]:
        """The handler's strategy, and the size of the first page that it asks for; None: all at once."""
        erp = _Rehearsal(self._erp.exchanges, _Optimist())
        try:
            page = next(iter(self._handler.pages(erp, query)))
        except WorkerError:
            raise
        except Exception as error:
            name = f"{type(self._handler).__module__}.{type(self._handler).__qualname__}"
            raise HandlerFailed(f"the handler {name} raised {type(error).__name__}", "entity") from None
        return page.cursor.strategy, erp.page_size

    def _single(self, query: Query, keys: tuple[str, ...]) -> Sampled:
        record = self._erp.get(query, keys)
        sample = Sample(
            strategy="one",
            page_size=None,
            count=Count(1, 1),
            seconds=self._seconds(),
            files=self._files(query, [record]),
            awkward=not urls.fits_a_path(keys),
        )
        return Sampled(sample, query)

    def _listed(self, query: Query, strategy: str, page_size: int | None, notes: tuple[str, ...]) -> Sampled:
        """A list: its first records as the job gets them, and then how many there are."""
        top = min(FIRST_ROWS, query.limit or FIRST_ROWS)
        found = self._erp.list(query, top=top)
        seconds, files = self._seconds(), self._files(query, found)
        count = counted(Count(0, query.limit), Probe(0, top), len(found))
        sample = Sample(
            strategy=strategy,
            page_size=page_size,
            count=self._counted(query, count),
            seconds=seconds,
            rows=len(found),
            files=files,
        )
        return Sampled(sample, query, notes + _on_files(query, len(found)))

    def _by_key(self, query: Query, page_size: int | None, notes: tuple[str, ...]) -> Sampled:
        """Record by record: a page of keys, the first records as the job gets them, and then how many there are."""
        top = min(COUNT_PAGE, query.limit or COUNT_PAGE)
        rows = self._erp.list(_naming(query), top=top)
        keys = [[str(part) for part in key_of(row, query.key_fields)] for row in rows]
        seconds, records = self._seconds(), list[Record]()
        with suppress(BudgetSpent):
            for row, key in list(zip(rows, keys, strict=True))[:FIRST_GETS]:
                records.append(
                    self._erp.get(query, key) if key else self._erp.get_by_id(query, str(row.get("id")))
                )
            seconds = self._seconds(len(records)) if records else seconds
        count = counted(Count(0, query.limit), Probe(0, top), len(rows))
        sample = Sample(
            strategy="by_key",
            page_size=page_size,
            count=self._counted(query, count),
            seconds=seconds,
            files=self._files(query, records),
            awkward=not all(urls.fits_a_path(key) for key in keys if key),
        )
        return Sampled(sample, query, notes + _on_files(query, len(records)))

    def _otherwise(
        self, query: Query, strategy: str, page_size: int | None, error: NotOptimizable
    ) -> Sampled:
        """What becomes of a list that the ERP cannot optimize. Raises NotOptimizable where the job is to fail."""
        less = narrowed(query, error.fields)
        fields = _named(error.fields)
        match query.on_optimization_error:
            case OnOptimizationError.BY_KEY:
                note = f"the ERP cannot list this, so its records are read one by one: {error.message}"
                way_out = (f"without {fields} it can be listed",) if less else ()
                return self._by_key(query, max(query.page_size or 0, BATCH), (note, *way_out))
            case OnOptimizationError.DROP if less:
                return self._listed(less, strategy, page_size, (f"the list goes without {fields}",))
        raise error

    def _counted(self, query: Query, count: Count) -> Count:
        """How many records there are, as closely as the budget lets it be known."""
        naming = _naming(query)
        with suppress(BudgetSpent):
            while probe := next_probe(count):
                count = counted(count, probe, len(self._erp.list(naming, top=probe.top, skip=probe.skip)))
        return count

    def _seconds(self, last: int = 1) -> Range:
        """How long the last requests took."""
        took = self._capped.took[-last:]
        return Range(min(took), max(took))

    def _files(self, query: Query, records: Sequence[Record]) -> Range:
        """How many files of a record the job wants, by these."""
        pages = (Page(records=[record], cursor=Cursor(strategy="one")) for record in records)
        counts = [len(page.attachments) for page in with_files(self._erp, query, pages)]
        return Range(min(counts, default=0), max(counts, default=0))


def _naming(query: Query) -> Query:
    """The query of which rows there are, with next to nothing of them."""
    return replace(query, select=query.key_fields or query.select[:1], expand=(), custom=(), files=None)


def _on_files(query: Query, seen: int) -> tuple[str, ...]:
    if query.files is None:
        return ()
    return (f"the files are those of the first {seen} records, and others may have more or fewer",)


def _named(fields: Sequence[str]) -> str:
    more = f" and {len(fields) - NAMED_FIELDS} more" if len(fields) > NAMED_FIELDS else ""
    return ", ".join(sorted(fields)[:NAMED_FIELDS]) + more

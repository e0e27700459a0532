"""What is said to the ERP: lists, records, files; and the one place where a request is tried again.

Each exchange takes a permit of the license's minute, then leases a session, and waits for nothing while it holds
one. A failure that may pass is tried again with full jitter within the caller's deadline; every other one goes up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Protocol, TypeVar

import structlog
import tenacity

from worker.erp import answers, urls
from worker.erp import keys as key_filters
from worker.erp.budget import Permit
from worker.erp.caller import Caller
from worker.erp.deadline import Deadline
from worker.erp.records import Records
from worker.erp.sessions import Lease, Outcome
from worker.erp.wire import MIB, Answer, Request, Wire, Wires
from worker.errors import (
    AnswerCut,
    AnswerMalformed,
    ErpBusy,
    ErpRestarting,
    ErpUnreachable,
    ExchangeTimeout,
    KeysInvalid,
    LoginLimit,
    NotInEndpoint,
    NotOptimizable,
    RecordNotFound,
    SessionLost,
    SessionsBusy,
    Stopping,
    TryAgain,
    UserLoginLimit,
    WorkerError,
)
from worker.page import Query, Record, Sink
from worker.settings import Connection

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
ERROR_BYTES = 64 * 1024

_UNSENT = (ErpUnreachable, SessionsBusy)
"""Failures of a request that was never sent."""

_UNHEARD = (AnswerCut, ExchangeTimeout, ErpBusy, ErpRestarting)
"""Failures that tell nothing of what is at work in the session: this request may be, or one before it."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Sessions(Protocol):
    """Who lends sessions: the pool, or a single sign-in. ``seats`` is how many there may be at once."""

    @property
    def seats(self) -> int: ...
    def lease(self, caller: Caller, what: str, longest: float) -> AbstractContextManager[Lease]: ...
    def lost(self, lease: Lease, error: WorkerError) -> None: ...
    def away(self, error: ErpRestarting) -> WorkerError: ...


class Permits(Protocol):
    """Who gives leave to make a request."""

    def permit(self, caller: Caller, longest: float) -> AbstractContextManager[Permit]: ...


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

    def __init__(
        self,
        connection: Connection,
        caller: Caller,
        sessions: Sessions,
        budget: Permits,
        wires: Wires,
        stop: threading.Event,
        optimizer: Failures,
    ) -> None:
        self.connection = connection
        self._caller = caller
        self._sessions = sessions
        self._budget = budget
        self._wires = wires
        self._stop = stop
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
        self._try(lambda: self._optimizer.check(query))
        try:
            return self._read(query.entity, path, options, parse)
        except NotOptimizable as error:
            self._optimizer.learn(query, error)
            raise

    @property
    def seats(self) -> int:
        """How many requests the license lets be made at once."""
        return self._sessions.seats

    @property
    def looks_ahead(self) -> bool:
        """Whether to ask for what is needed later: once its slice is over, the job may go on elsewhere."""
        return self._caller.slice is None or self._caller.slice.remaining() > 0

    def get(self, query: Query, keys: Sequence[str]) -> Record:
        """The record with these key values, by URL; where no URL can carry them, found by filter and read by id.

        Of an entity whose key is its id (an activity, a task) the key is that.
        """
        if urls.fits_a_path(keys):
            path = urls.entity_path(self.connection, query.entity, *keys)
            return self._one(path, query, keys)
        if not query.key_fields and len(keys) == 1 and urls.is_id(keys[0]):
            return self.get_by_id(query, keys[0])
        return self.get_by_id(query, self._id_of(query, keys))

    def get_by_id(self, query: Query, record_id: str) -> Record:
        """The record with this id of the ERP's (its NoteID)."""
        return self._one(urls.entity_path(self.connection, query.entity, record_id), query, [record_id])

    def download(self, href: str, sink: Sink) -> None:
        """Write the bytes of a file to a sink, which is restarted when the download must be."""

        def exchange(wire: Wire, lease: Lease, deadline: Deadline) -> None:
            request = self._request(urls.file_path(self.connection, wire.site, href), "", lease)
            sink.restart()
            with wire.stream(request, deadline) as (status, content_type, chunks):
                if status != 200:
                    raise _failure(status, content_type, chunks)
                for chunk in chunks:
                    sink.write(chunk)

        self._try(lambda: self._once(exchange, self.connection.file_seconds, "file"))

    def _one(self, path: str, query: Query, named: Sequence[str]) -> Record:
        options = urls.options(
            Query(entity=query.entity, select=query.select, expand=query.expand, custom=query.custom)
        )
        try:
            return self._read(query.entity, path, options, answers.record)
        except (RecordNotFound, NotInEndpoint):
            # Some builds say 404 where others say 500 of a record that does not exist.
            raise self._no_record(query.entity, named) from None

    def _no_record(self, entity: str, named: Sequence[str]) -> RecordNotFound:
        endpoint = f"{self.connection.endpoint}/{self.connection.version}"
        return RecordNotFound(
            f"no {entity} in {endpoint} is named {answers.clean(' / '.join(named))}", "keys"
        )

    def _id_of(self, asked: Query, keys: Sequence[str]) -> str:
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

    def _read(self, entity: str, path: str, options: str, parse: Callable[[Answer], T]) -> T:
        def exchange(wire: Wire, lease: Lease, deadline: Deadline) -> Answer:
            longest = self.connection.max_answer_mib * MIB
            return answers.data(wire.send(self._request(path, options, lease), deadline, longest))

        # What it holds is read when the session is free for the next request.
        return self._try(lambda: parse(self._once(exchange, self.connection.exchange_seconds, entity)))

    def _request(self, path: str, options: str, lease: Lease) -> Request:
        return Request(
            method="GET",
            path=path,
            query=options,
            token=lease.grant.token,
            cookies=lease.grant.cookies,
            branch=self._caller.branch or self.connection.branch,
            request_id=self._caller.job_id,
            send_by=lease.send_by,
        )

    def _try(self, once: Callable[[], T]) -> T:
        """Make an exchange until it succeeds, fails for good, or the caller's deadline passes."""
        reason = "the ERP"
        tries = _Tries()
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TryAgain),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
            stop=tries.are_used_up,
            sleep=self._pause,
            retry_error_callback=tries.give_up,
        ):
            self._caller.deadline.check(reason)
            with attempt:
                try:
                    return once()
                except TryAgain as error:
                    reason = f"the ERP: {error}"
                    raise
        raise AssertionError("tenacity ends by returning or raising")

    def _pause(self, seconds: float) -> None:
        pause = max(0.0, min(seconds, self._caller.deadline.remaining()))
        self._caller.spent.waited("retry", pause)
        if self._stop.wait(pause):
            raise Stopping("the worker is shutting down")

    def _once(self, exchange: Callable[[Wire, Lease, Deadline], T], longest: float, what: str) -> T:
        asked = time.monotonic()
        with (
            self._budget.permit(self._caller, longest) as permit,
            self._sessions.lease(self._caller, what, longest) as lease,
            self._wires.borrow() as wire,
        ):
            permit.use(self._caller.lane, time.monotonic() - asked)
            self._caller.spent.asked()
            with self._watched(lease, what):
                began = time.monotonic()
                answer = exchange(wire, lease, self._caller.deadline.within(longest))
                lease.took = time.monotonic() - began
            permit.took(what, lease.took)
            return answer

    @contextmanager
    def _watched(self, lease: Lease, what: str) -> Iterator[None]:
        """Around one exchange: its line in the log, and what its failure says of the session."""
        began, outcome = time.monotonic(), "ok"
        lease.outcome = Outcome.UNKNOWN
        try:
            yield
            lease.outcome = Outcome.ANSWERED
        except WorkerError as error:
            outcome = error.code
            cut = isinstance(error, AnswerCut | ExchangeTimeout)
            lease.outcome = _outcome_of(error)
            if cut and self._stop.is_set():
                raise Stopping("the worker is shutting down") from None
            if isinstance(error, ErpRestarting):
                raise self._sessions.away(error) from None
            told = _about_session(error, lease, self.connection.username)
            if told is not None:
                self._sessions.lost(lease, told)
            if isinstance(told, LoginLimit):
                # Another session of our own may do; when there is none, asking for one says so.
                raise SessionsBusy(told.message) from None
            raise
        finally:
            log.debug(
                "exchange",
                what=what,
                slot=lease.slot,
                outcome=outcome,
                seconds=round(time.monotonic() - began, 4),
            )


def _rows(answer: Answer) -> Rows:
    return Rows(records=answers.records(answer), clock=_clock(answer.date))


def _glanced(fields: Sequence[str], answer: Answer) -> Glanced:
    found = Records.of(answer)
    return Glanced(records=found, named=found.named(fields), clock=_clock(answer.date))


def _clock(date: str) -> datetime | None:
    try:
        return parsedate_to_datetime(date)
    except ValueError:
        return None


def _about_session(error: WorkerError, lease: Lease, user: str) -> WorkerError | None:
    """The error, if it says that the ERP has no session for the lease's token; of a user's own limit, whose."""
    if isinstance(error, UserLoginLimit):
        return answers.login_limit(error.message, user)
    if isinstance(error, SessionLost | LoginLimit):
        return error
    if lease.fresh and isinstance(error, ErpBusy):
        # The first request of a token opens its session; a 429 there is a full license, on some builds.
        return answers.login_limit(error.message)
    return None


def _outcome_of(error: WorkerError) -> Outcome:
    if isinstance(error, _UNSENT):
        return Outcome.UNTOUCHED
    return Outcome.UNKNOWN if isinstance(error, _UNHEARD) else Outcome.ANSWERED


class _Tries:
    """How often one exchange has failed; failures that wait for something else are not counted."""

    def __init__(self) -> None:
        self._counted = 0

    def are_used_up(self, state: tenacity.RetryCallState) -> bool:
        """Whether this failure was one too many."""
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, TryAgain) or error.attempts is None:
            return False
        self._counted += 1
        return self._counted >= error.attempts

    def give_up(self, state: tenacity.RetryCallState) -> None:
        """Raise the last failure, which says how often it was tried."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TryAgain) and self._counted > 1:
            raise type(error)(f"{error.message} (tried {self._counted} times)", error.field) from None
        if error:
            raise error


def _failure(status: int, content_type: str, chunks: Iterator[bytes]) -> WorkerError:
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) > ERROR_BYTES:
            break
    answer = Answer(status=status, content_type=content_type, location="", body=body[:ERROR_BYTES])
    return answers.error(answer) or AnswerCut(f"the ERP answered a file with {status}")

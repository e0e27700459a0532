"""One exchange with the ERP, and the one place where a request is tried again.

Each takes a permit of the license's minute, then leases a session, and waits for nothing while it holds one. A failure
that may pass is tried again with full jitter within the caller's deadline; every other one goes up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import structlog
import tenacity

from worker.erp import answers
from worker.erp.budget import Permit
from worker.erp.caller import Caller, Use
from worker.erp.deadline import Deadline
from worker.erp.sessions import Lease, Outcome
from worker.erp.wire import MIB, Answer, Request, Wire, Wires
from worker.errors import (
    AnswerCut,
    BlobsUnavailable,
    ErpBusy,
    ErpRestarting,
    ErpUnreachable,
    ExchangeTimeout,
    LoginLimit,
    SessionLost,
    SessionsBusy,
    Stopping,
    StoreUnavailable,
    TryAgain,
    UserLoginLimit,
    WorkerError,
)
from worker.settings import Connection

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

_UNBEGUN = (ErpUnreachable, SessionsBusy, ErpBusy, StoreUnavailable)
"""Failures of a request that is surely not at work: it was never sent, or declined before it began."""

_UNHEARD = (AnswerCut, ExchangeTimeout, ErpRestarting, BlobsUnavailable)
"""Failures that tell nothing of what is at work in the session: this request may be, or one before it."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Sessions(Protocol):
    """Who lends sessions: the pool, or a single sign-in. ``seats`` is how many there may be at once."""

    @property
    def seats(self) -> int: ...
    def lease(self, caller: Caller, use: Use) -> AbstractContextManager[Lease]: ...
    def lost(self, lease: Lease, error: WorkerError) -> None: ...
    def away(self, error: ErpRestarting) -> WorkerError: ...


class Permits(Protocol):
    """Who gives leave to make a request."""

    def permit(self, caller: Caller, longest: float) -> AbstractContextManager[Permit]: ...


class Exchanges:
    """One caller's exchanges on one connection."""

    def __init__(
        self,
        connection: Connection,
        caller: Caller,
        sessions: Sessions,
        budget: Permits,
        wires: Wires,
        stop: threading.Event,
    ) -> None:
        self.connection = connection
        self.caller = caller
        self._sessions = sessions
        self._budget = budget
        self._wires = wires
        self._stop = stop

    @property
    def seats(self) -> int:
        """How many requests the license lets be made at once."""
        return self._sessions.seats

    def tried(self, once: Callable[[], T]) -> T:
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
            self.caller.deadline.check(reason)
            with attempt:
                try:
                    return once()
                except TryAgain as error:
                    reason = f"the ERP: {error}"
                    raise
        raise AssertionError("tenacity ends by returning or raising")

    def _pause(self, seconds: float) -> None:
        pause = max(0.0, min(seconds, self.caller.deadline.remaining()))
        self.caller.spent.waited("retry", pause)
        if self._stop.wait(pause):
            raise Stopping("the worker is shutting down")

    def read(
        self,
        what: str,
        path: str,
        options: str,
        parse: Callable[[Answer], T],
        otherwise: type[WorkerError] = ErpRestarting,
        **more: Any,
    ) -> T:
        """What an answer holds, asked for as often as it takes: ``more`` is that of ``request``.

        Raises ``otherwise`` for what is no JSON.
        """

        use = Use(what=what, longest=self.connection.exchange_seconds)

        def exchange(wire: Wire, lease: Lease, deadline: Deadline) -> Answer:
            longest = self.connection.max_answer_mib * MIB
            answer = wire.send(self.request(lease, path, options, **more), deadline, longest)
            return answers.data(answer, otherwise=otherwise)

        # What it holds is read when the session is free for the next request.
        return self.tried(lambda: parse(self.once(exchange, use)))

    def once(self, exchange: Callable[[Wire, Lease, Deadline], T], use: Use) -> T:
        """One exchange. Raises its failure, or what keeps it from a session."""
        asked = time.monotonic()
        with (
            self._budget.permit(self.caller, use.longest) as permit,
            self._sessions.lease(self.caller, use) as lease,
        ):
            permit.use(self.caller.lane, time.monotonic() - asked)
            answer = self._made(exchange, lease, use)
            permit.took(use.what, lease.took or 0.0)
            return answer

    def uncounted(self, exchange: Callable[[Wire, Lease, Deadline], T], use: Use) -> T:
        """One exchange that the license does not count: a look at a long operation.

        Source: the vendor's guide, License Restrictions for API Users.
        """
        with self._sessions.lease(self.caller, use) as lease:
            return self._made(exchange, lease, use)

    def _made(self, exchange: Callable[[Wire, Lease, Deadline], T], lease: Lease, use: Use) -> T:
        self.caller.spent.asked()
        with self._wires.borrow(writes=use.writes) as wire, self._watched(lease, use.what):
            began = time.monotonic()
            answer = exchange(wire, lease, self.caller.deadline.within(use.longest))
            lease.took = time.monotonic() - began
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

    def request(self, lease: Lease, path: str, options: str = "", **more: Any) -> Request:
        """A request in the session of a lease: a GET, unless ``more`` names another method, and a body."""
        return Request(
            **{"method": "GET", **more},
            path=path,
            query=options,
            token=lease.grant.token,
            cookies=lease.grant.cookies,
            branch=self.caller.branch or self.connection.branch,
            request_id=self.caller.job_id,
            send_by=lease.send_by,
        )


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
    if isinstance(error, _UNBEGUN):
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

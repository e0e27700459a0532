"""The ERP's sessions: slots in the store that every worker shares, each lent to one exchange at a time.

A session is leased, not locked: its states are the table in ``slots.py``, who gets which is decided in the store, and
here is what this process does about it. A lease is a heartbeat: when a worker dies its session is lent on, with the
same token, and what it would still send or write is refused.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis
import structlog

from worker.erp.barred import stopped_by
from worker.erp.budget import Budget
from worker.erp.caller import ANY_USE, Caller, Use
from worker.erp.closing import Closer
from worker.erp.deadline import Deadline
from worker.erp.license import LimitsInForce, sessions_script
from worker.erp.membership import (
    CLOSE_SECONDS,
    LEASE_SECONDS,
    LEAVE_SECONDS,
    PRESENCE_SECONDS,
    USE_SECONDS,
    Member,
)
from worker.erp.opening import Opener, Opening, away, full
from worker.erp.signin import Grant
from worker.erp.store import ms
from worker.errors import (
    ErpRestarting,
    LoginLimit,
    SessionsBusy,
    Stopping,
    StoreUnavailable,
    WorkerError,
)
from worker.job import Lane
from worker.settings import Connection, Settings

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of a lease, by the step that ends it: whether a request may still be at work in its session."""

    UNTOUCHED = "untouched"
    """Nothing was sent: there is what a killed worker may have left behind, and no more."""
    UNKNOWN = "let_go"
    """This request may be at work."""
    ANSWERED = "release"
    """It was answered, and with it all before it have ended."""


@dataclass(kw_only=True)
class Lease:
    """The exclusive loan of a session to one exchange; ``fresh`` when no exchange has been answered in it yet.

    The request is sent by ``send_by`` or never: later the session may be another's, or signed out and its token not
    yet revoked, and then a request would open a session again. ``took`` is how many seconds the answer took.
    """

    slot: int
    generation: int
    id: str
    grant: Grant
    send_by: Deadline
    fresh: bool
    outcome: Outcome = Outcome.UNTOUCHED
    took: float | None = None


class SessionPool:
    """The sessions of one connection, as this process sees them."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        store: redis.Redis,
        limits: LimitsInForce,
        budget: Budget,
        owner: str,
        stop: threading.Event,
        closers: Callable[[], dict[str, Closer]] | None = None,
    ) -> None:
        """``closers`` knows who closes the sessions of the other connections of this license, by their marks."""
        self.connection = connection
        self.member = Member(settings, connection, sessions_script(store, limits.name), owner)
        self.closer = Closer(self.member, budget)
        self._opener = Opener(self.member, budget, self.closer)
        self._limits = limits
        self._stop = stop
        self._closers = closers or dict
        self._held: dict[str, Lease | Opening] = {}
        self._jobs = 0

    @property
    def seats(self) -> int:
        """How many sessions the license allows."""
        return self._limits.seats

    @contextmanager
    def lease(self, caller: Caller, use: Use = ANY_USE) -> Iterator[Lease]:
        """A session for one exchange, in the order of lane, job and arrival; signs in when there is none.

        ``what`` is asked, which tells how long it may take, and ``longest`` the most that it may. Raises
        SignInRefused, LoginLimit, LoginNeeded, ConnectionPaused, ErpAway, SessionsBusy, StoreUnavailable,
        DeadlineExceeded, Stopping, or what a sign-in raises.
        """
        lease = self._acquire(caller, use)
        try:
            if self._stop.is_set():
                raise Stopping("the worker is shutting down")
            yield lease
        finally:
            del self._held[lease.id]
            took = None if lease.took is None else ms(lease.took)
            told = {"slot": lease.slot, "lease": lease.id, "outcome": lease.outcome}
            self.member.outbox.tell("release", **told, took=took, what=use.what)

    def claim(self, lease: Lease, form: str, job_id: str, seconds: float) -> None:
        """Keep the lease's session for a job's long operation on a form, for so long. Raises StoreUnavailable.

        Source: the vendor's guide, Executing an Action: another request on that form in that session fails.
        """
        told = {"slot": lease.slot, "lease": lease.id, "form": form, "job": job_id}
        # What was said of the job's operation before must not be heard after this.
        self.member.outbox.finish()
        if not self.member.script("claim", **told, over_ms=ms(seconds)):
            raise SessionsBusy("the session was lent on before the operation could begin in it")

    def disclaim(self, job_id: str, lease: Lease | None = None) -> None:
        """Say that a job's long operation is over, or was not begun; if the store is away, once it is back.

        By then another worker may have begun it: with a lease, only what that lease has claimed is given up.
        """
        self.member.outbox.tell("disclaim", job=job_id, lease=lease and lease.id)

    def lost(self, lease: Lease, error: WorkerError) -> None:
        """Say that the ERP did not take the lease's session: close it, once for its generation."""
        if isinstance(error, LoginLimit):
            self.member.script("full", **full(self.member, error))
        answer = self.member.script("lost", slot=lease.slot, lease=lease.id, **self._closing)
        if answer["answer"] == "close":
            self._close(answer)

    def away(self, error: ErpRestarting) -> WorkerError:
        """Say that something else answers in the ERP's place: the fleet asks nothing of it for a while.

        Returns what its jobs wait with. Raises StoreUnavailable.
        """
        return stopped_by(self.member.script("away", **away(self.member, error)), self.connection.name)

    @contextmanager
    def job(self) -> Iterator[None]:
        """Around a job: with ``idle_seconds`` 0 the connection's sessions are signed out when no job is at it."""
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1
            if self.connection.idle_seconds == 0 and self._jobs == 0:
                with suppress(StoreUnavailable):
                    self.member.script("rest", connection=self.member.mark, owner=self.member.owner)
                    self.tidy()

    def beat(self) -> None:
        """Keep this process present and its leases alive. Raises StoreUnavailable."""
        self.member.outbox.flush()
        held = [
            {"slot": lease.slot, "generation": lease.generation, "lease": name}
            for name, lease in tuple(self._held.items())
        ]
        at_work = [self.member.mark] if self._jobs else []
        told = {
            "held": held,
            "at_work": at_work,
            "lease_ms": ms(LEASE_SECONDS),
            "connection": self.member.mark,
        }
        epoch = self.member.script("beat", **told, **self._present)
        if self._limits.epoch and epoch != self._limits.epoch:
            self._limits.join()

    @property
    def is_at_work(self) -> bool:
        """Whether a job or a lease of this process is under way in it."""
        return bool(self._jobs or self._held)

    def tidy(self) -> None:
        """Close the sessions that have been idle too long, or were left half closed. Raises StoreUnavailable."""
        told = {"idle_ms": ms(self.connection.idle_seconds), "name": self.connection.name}
        self._close_while("idle", **told, **self._closing)

    def leave(self) -> None:
        """Give up this process's presence; when no other worker is left, close every session.

        Another is there when it is seen to beat: one that was killed looks alive for a few seconds more.
        """
        beats = self._others()
        watched = Deadline(PRESENCE_SECONDS + 1)
        while beats and watched.remaining() > 0:
            time.sleep(PRESENCE_SECONDS / 20)
            now = self._others()
            if any(beats.get(worker) != beat for worker, beat in now.items()):
                return
            beats = now
        self._close_while("last", **self._leaving)

    def close(self) -> None:
        """Close the connections that signed out."""
        self.closer.end()

    def restore(self) -> None:
        """Forget what stands in the way of signing in: an operator has mended it. Raises StoreUnavailable."""
        self.member.script("restore", connection=self.member.mark)

    @property
    def _present(self) -> dict[str, Any]:
        return {"owner": self.member.owner, "alive_ms": ms(PRESENCE_SECONDS)}

    @property
    def _closing(self) -> dict[str, Any]:
        times = {"closing_ms": ms(CLOSE_SECONDS), "drain_ms": self.member.drain_ms}
        return {"owner": self.member.owner, "connection": self.member.mark, **times}

    @property
    def _leaving(self) -> dict[str, Any]:
        return self._closing | {"closing_ms": ms(LEAVE_SECONDS)}

    def _others(self) -> dict[str, str]:
        flat: Sequence[str] = self.member.script("absent", **self._leaving) or ()
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def _acquire(self, caller: Caller, use: Use) -> Lease:
        waiter = uuid.uuid4().hex
        began = caller.deadline.remaining()
        asked = self._asked(caller, waiter, use)
        try:
            while True:
                if self._stop.is_set():
                    raise Stopping("the worker is shutting down")
                caller.deadline.check(f"a session of connection {self.connection.name!r}")
                lease = self._try(asked, caller)
                if lease is not None:
                    caller.spent.waited("session", began - caller.deadline.remaining())
                    return lease
        except BaseException:
            with suppress(StoreUnavailable):
                self.member.script("leave", waiter=waiter)
            raise

    def _asked(self, caller: Caller, waiter: str, use: Use) -> dict[str, Any]:
        """What the store must know of one who waits."""
        return {
            "waiter": waiter,
            "lease": f"{self.member.owner}/{waiter}",
            "rank": 0 if caller.lane is Lane.INTERACTIVE else 1,
            "job": caller.job_id,
            "what": use.what,
            "alone": use.alone,
            "begins": use.begins or "",
            "polls": use.polls or "",
            "name": self.connection.name,
            "fingerprint": self.member.fingerprint,
            "by_login": self.connection.sign_in == "login",
            "known": dict.fromkeys([*self._closers(), self.member.mark], True),
            "lease_ms": ms(LEASE_SECONDS),
            "busy_ms": ms(LEASE_SECONDS + self.connection.queue_seconds + use.longest),
            **self._closing,
            **self._present,
        }

    def _try(self, asked: dict[str, Any], caller: Caller) -> Lease | None:
        """One look at the slots, and what it tells us to do; None to look again."""
        send_by = Deadline(USE_SECONDS)
        answer = self._look(asked)
        match answer["answer"]:
            case "use":
                grant = self.member.grant(answer["grant"])
                return self._hold(answer, asked, grant, send_by, fresh=answer["fresh"])
            case "sign_in" | "refresh":
                return self._open(answer, asked, caller)
            case "close":
                self._close(answer)
            case "emptied":
                self._limits.join()
            case "wait":
                soonest = answer.get("left", 0) / 1000
                seconds = max(0.01, min(soonest, caller.deadline.remaining()))
                self.member.script.wait(f"wake:{asked['waiter']}", seconds)
            case _:
                raise stopped_by(answer, self.connection.name)
        return None

    def _hold(
        self, answer: dict[str, Any], asked: dict[str, Any], grant: Grant, send_by: Deadline, *, fresh: bool
    ) -> Lease:
        """The lease that the store has given; the heartbeat keeps it from now on."""
        lease = Lease(
            slot=answer["slot"],
            generation=answer["generation"],
            id=asked["lease"],
            grant=grant,
            send_by=send_by,
            fresh=fresh,
        )
        self._held[lease.id] = lease
        return lease

    def _open(self, answer: dict[str, Any], asked: dict[str, Any], caller: Caller) -> Lease | None:
        """Sign in, or renew a token, and take the session's first lease."""
        renewing = answer["answer"] == "refresh"
        opening = Opening(
            slot=answer["slot"],
            generation=answer["generation"],
            lease=asked["lease"],
            busy_ms=asked["busy_ms"],
            login=answer.get("login"),
            kept=answer.get("refresh"),
            refresh=self.member.secret(answer.get("refresh")),
            old=self.member.grant(answer["grant"]) if renewing else None,
        )
        self._held[opening.lease] = opening
        try:
            opened = self._opener.open(opening, caller)
        finally:
            del self._held[opening.lease]
        if opened is None:
            return None
        grant, send_by = opened
        return self._hold(answer, asked, grant, send_by, fresh=not renewing)

    def _look(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(self.member.script("lease", epoch=self._limits.epoch, **asked))
        except StoreUnavailable:
            self.member.outbox.tell("withdraw", waiter=asked["waiter"], lease=asked["lease"])
            raise

    def _close(self, answer: dict[str, Any], deadline: Deadline | None = None) -> bool:
        """Close a session that the store has told us to, of whichever connection it is; whether that is over with."""
        closer = (
            self.closer if answer["connection"] == self.member.mark else self._closers()[answer["connection"]]
        )
        grant = self.member.grant(answer["grant"])
        limit = deadline or Deadline(CLOSE_SECONDS)
        return closer.close(answer["slot"], answer["generation"], grant, busy=answer["busy"], deadline=limit)

    def _close_while(self, operation: str, **named: Any) -> None:
        """Close one session after the other, for as long as the operation names one."""
        limit = Deadline(CLOSE_SECONDS)
        while limit.remaining() > 0:
            answer = self.member.script(operation, **named)
            if answer["answer"] == "others":
                time.sleep(PRESENCE_SECONDS / 20)
            elif answer["answer"] != "close" or not self._close(answer, limit):
                return

"""The ERP's sessions: slots in the store that every worker shares, each lent to one exchange at a time.

A session is leased, not locked: the slot's states and their compare-and-set are in ``sessions.lua``; here is what
is said to the ERP between two of them. A sign-in is written down before it is sent; what cannot be known (a sign-in
whose answer was lost) is quarantined until the ERP has surely closed it; closing is signing out and then revoking.
A lease is a heartbeat: when a worker dies its session is lent on, with the same token.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property

import redis
import structlog
from cryptography.fernet import InvalidToken
from pydantic import SecretStr

from worker.erp import signin
from worker.erp.budget import Budget
from worker.erp.caller import Caller
from worker.erp.deadline import Deadline
from worker.erp.outbox import Outbox
from worker.erp.store import Script, ms, texts
from worker.erp.wire import Wire, Wires
from worker.errors import (
    AnswerCut,
    AnswerMalformed,
    DeadlineExceeded,
    ErpRefused,
    ExchangeTimeout,
    LoginLimit,
    Misconfigured,
    SessionLost,
    SessionsBusy,
    SignInRefused,
    Stopping,
    StoreUnavailable,
    WorkerError,
)
from worker.job import Lane
from worker.settings import Connection, Settings

LEASE_SECONDS = 15.0
PRESENCE_SECONDS = 4.0
SIGN_IN_SECONDS = 30.0
PERMIT_SECONDS = 20.0
CLOSE_SECONDS = 15.0
CLOSE_PAUSE_SECONDS = 0.5
RETRY_CLOSE_SECONDS = 5.0
LOGIN_LIMIT_SECONDS = 30.0
WAKE_SECONDS = 1.0
QUEUE_SECONDS = 600.0
"""How long the ERP may hold a request before it works on it (vendor's guide, License Restrictions for API Users)."""

RENEWAL_SHARE = 0.1
"""The last part of a token's life in which no exchange is begun; a minute at most."""

UNTIL_MENDED = (
    "no other sign-in is tried until workers start with other credentials, or acuworker doctor signs in"
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The exclusive loan of a session to one exchange; ``fresh`` when no exchange has used it yet.

    The request is sent by ``send_by`` or never: later the session may be another's, or signed out and its token not
    yet revoked, and then a request would open a session again.
    """

    slot: int
    generation: int
    id: str
    token: SecretStr
    send_by: Deadline
    fresh: bool


@dataclass(frozen=True, kw_only=True)
class SlotView:
    """A slot as people see it; ``seconds`` until its state ends by itself, 0 when it does not."""

    connection: str
    slot: int
    state: str
    generation: int
    seconds: float
    lent: bool


class SessionPool:
    """The sessions of one connection, as this process sees them."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        store: redis.Redis,
        budget: Budget,
        owner: str,
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._script = Script(store, "sessions.lua", f"acuworker:{connection.name}:")
        self._outbox = Outbox(self._script)
        self._budget = budget
        self._owner = owner
        self._stop = stop
        self._held: dict[str, Lease] = {}
        self._endpoints: signin.Endpoints | None = None
        self._sign_out_wires = Wires(connection)

    @contextmanager
    def lease(self, caller: Caller) -> Iterator[Lease]:
        """A session for one exchange, in the order of lane and arrival; signs in when there is none.

        Raises SignInRefused, LoginLimit, SessionsBusy, StoreUnavailable, DeadlineExceeded, Stopping, or what a
        sign-in raises.
        """
        lease = self._acquire(caller)
        self._held[lease.id] = lease
        try:
            if self._stop.is_set():
                raise Stopping("the worker is shutting down")
            yield lease
        finally:
            del self._held[lease.id]
            self._outbox.tell("release", lease.slot, lease.generation, lease.id)

    def lost(self, lease: Lease, error: WorkerError) -> None:
        """Say that the ERP did not take the lease's token: close the session, once for its generation."""
        if isinstance(error, LoginLimit):
            self._script("full", error.message, ms(LOGIN_LIMIT_SECONDS))
        answer = self._script("lost", lease.slot, lease.generation, lease.id, self._owner, ms(CLOSE_SECONDS))
        if texts(answer)[0] == "sign_out":
            self._close(lease.slot, lease.generation, lease.token, Deadline(CLOSE_SECONDS))

    def beat(self) -> None:
        """Keep this process present and its leases alive. Raises StoreUnavailable."""
        self._outbox.flush()
        self._script("present", self._owner, ms(PRESENCE_SECONDS))
        for lease in tuple(self._held.values()):
            self._script("renew", lease.slot, lease.generation, lease.id, ms(LEASE_SECONDS))

    def tidy(self) -> None:
        """Close the sessions that have been idle too long, or were left half closed. Raises StoreUnavailable."""
        idle = ms(self._connection.idle_seconds)
        self._close_while(
            "idle", self._connection.max_sessions, self._quarantine, self._owner, ms(CLOSE_SECONDS), idle
        )

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
        self._close_while("last", self._quarantine, self._owner, ms(CLOSE_SECONDS))

    def close(self) -> None:
        """Close the connections that signed out."""
        self._sign_out_wires.close()

    def restore(self) -> None:
        """Close the circuit: an operator has seen a sign-in succeed."""
        self._script("restore")

    def view(self) -> list[SlotView]:
        """The slots, for people."""
        rows = self._script("view", self._connection.max_sessions, self._quarantine)
        return [
            SlotView(
                connection=self._connection.name,
                slot=int(slot),
                state=state,
                generation=int(generation),
                seconds=int(left) / 1000,
                lent=lent == "1",
            )
            for slot, state, generation, left, lent in map(texts, rows)
        ]

    @property
    def _quarantine(self) -> int:
        """How long a sign-in that was not answered may go on to hold a seat."""
        return ms(QUEUE_SECONDS + self._connection.session_seconds)

    @property
    def _busy(self) -> int:
        """How long after a lease was given the ERP may be at work on its request."""
        return ms(LEASE_SECONDS + max(self._connection.exchange_seconds, self._connection.file_seconds))

    def _others(self) -> dict[str, str]:
        flat = texts(self._script("absent", self._owner, ms(CLOSE_SECONDS)))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def _acquire(self, caller: Caller) -> Lease:
        waiter = uuid.uuid4().hex
        began = caller.deadline.remaining()
        try:
            while True:
                if self._stop.is_set():
                    raise Stopping("the worker is shutting down")
                caller.deadline.check(f"a session of connection {self._connection.name!r}")
                lease = self._try(waiter, caller)
                if lease is not None:
                    caller.spent.waited("session", began - caller.deadline.remaining())
                    return lease
        except BaseException:
            with suppress(StoreUnavailable):
                self._script("leave", waiter)
            raise

    def _try(self, waiter: str, caller: Caller) -> Lease | None:
        """One look at the slots, and what it tells us to do; None to look again."""
        name = f"{self._owner}/{waiter}"
        send_by = Deadline(LEASE_SECONDS)
        match self._look(waiter, name, caller.lane):
            case ["use", slot, generation, token]:
                return Lease(
                    slot=int(slot),
                    generation=int(generation),
                    id=name,
                    token=self._decrypt(token),
                    send_by=send_by,
                    fresh=False,
                )
            case ["sign_in", slot, generation]:
                return self._sign_in(int(slot), int(generation), name, caller)
            case ["sign_out", slot, generation, token]:
                self._close(int(slot), int(generation), self._decrypt(token), Deadline(CLOSE_SECONDS))
            case ["refused", message]:
                raise SignInRefused(f"{message}; {UNTIL_MENDED}", "connection")
            case ["full", message, left]:
                raise LoginLimit(message, seconds=max(1.0, int(left) / 1000))
            case _:
                self._script.wait(f"wake:{waiter}", max(0.01, min(WAKE_SECONDS, caller.deadline.remaining())))
        return None

    def _look(self, waiter: str, name: str, lane: Lane) -> list[str]:
        rank = 0 if lane is Lane.INTERACTIVE else 1
        license_ = (
            self._connection.max_sessions,
            self._quarantine,
            ms(LEASE_SECONDS),
            self._busy,
            ms(PRESENCE_SECONDS),
            ms(PERMIT_SECONDS + CLOSE_SECONDS),
            ms(CLOSE_SECONDS),
        )
        try:
            return texts(self._script("lease", waiter, rank, name, self._owner, self._fingerprint, *license_))
        except StoreUnavailable:
            self._outbox.tell("withdraw", name, self._connection.max_sessions)
            raise

    def _sign_in(self, slot: int, generation: int, name: str, caller: Caller) -> Lease | None:
        """Sign in for a slot whose intent to do so is written down, and take its first lease.

        None when the store no longer waits for it (then the new token is signed out again), or when the login limit
        is reached, which others of our own sessions may outlast: look again.
        """
        cipher = self._settings.cipher()
        try:
            grant = self._request_grant(slot, generation, caller)
        except LoginLimit:
            return None
        kept = cipher.encrypt(grant.token.get_secret_value().encode()).decode()
        life = grant.expires_in
        renew = ms(life - min(60.0, life * RENEWAL_SHARE))
        gone = ms(max(life, self._connection.session_seconds) + SIGN_IN_SECONDS)
        send_by = Deadline(LEASE_SECONDS)
        try:
            answer = self._script(
                "opened", slot, generation, kept, renew, gone, name, ms(LEASE_SECONDS), self._busy
            )
        except StoreUnavailable:
            self._give_back(slot, generation, grant.token)
            raise
        if texts(answer)[0] == "late":
            self._give_back(slot, generation, grant.token)
            return None
        log.info("signed in", connection=self._connection.name, slot=slot, generation=generation)
        return Lease(
            slot=slot, generation=generation, id=name, token=grant.token, send_by=send_by, fresh=True
        )

    def _give_back(self, slot: int, generation: int, token: SecretStr) -> None:
        """Close a session that the store does not know of, and say so to the store."""
        self._goodbye(token, Deadline(CLOSE_SECONDS))
        self._outbox.tell("undone", slot, generation)

    def _request_grant(self, slot: int, generation: int, caller: Caller) -> signin.Grant:
        """The grant of a sign-in; when there is none, the slot is left in the state that this means."""
        sent = False
        hurried = replace(caller, deadline=caller.deadline.within(PERMIT_SECONDS))
        try:
            with (
                self._budget.sign_in_permit(hurried, SIGN_IN_SECONDS) as permit,
                # A connection that was kept alive may be closed under the sign-in, whose outcome nobody knew then.
                closing(Wire(self._connection)) as wire,
            ):
                endpoints = self._discovered(wire, hurried.deadline)
                limit = Deadline(SIGN_IN_SECONDS)
                if not self._script("send", slot, generation, ms(SIGN_IN_SECONDS)):
                    raise SessionsBusy("the time to sign in passed before it was sent")
                permit.used = sent = True
                caller.spent.requests += 1
                return signin.sign_in(wire, self._connection, endpoints, limit)
        except BaseException as error:
            self._tell_no_grant(slot, generation, error, sent)
            if isinstance(error, DeadlineExceeded):
                raise SessionsBusy("the license's minute left no request to sign in with") from None
            raise

    def _tell_no_grant(self, slot: int, generation: int, error: BaseException, sent: bool) -> None:
        """Leave the slot in the state that the failure of a sign-in means."""
        if sent and isinstance(error, AnswerCut | AnswerMalformed):
            self._outbox.tell("unknown", slot, generation, ms(self._connection.session_seconds))
        elif sent and (isinstance(error, ExchangeTimeout) or not isinstance(error, WorkerError)):
            # The ERP may yet open a session whose token nobody has.
            self._outbox.tell("unknown", slot, generation, self._quarantine)
        else:
            if isinstance(error, SignInRefused):
                self._outbox.tell("refuse", self._fingerprint, error.message)
            if isinstance(error, LoginLimit):
                self._outbox.tell("full", error.message, ms(LOGIN_LIMIT_SECONDS))
            self._outbox.tell("not_opened", slot, generation)

    def _close_while(self, operation: str, *arguments: str | int) -> None:
        """Close one session after the other, for as long as the operation names one."""
        limit = Deadline(CLOSE_SECONDS)
        while limit.remaining() > 0:
            match texts(self._script(operation, *arguments)):
                case ["sign_out", slot, generation, token]:
                    if not self._close(int(slot), int(generation), self._decrypt(token), limit):
                        time.sleep(CLOSE_PAUSE_SECONDS)
                case _:
                    return

    def _close(self, slot: int, generation: int, token: SecretStr, deadline: Deadline) -> bool:
        """Sign a closing slot's session out and revoke its token; failing that, leave it for another try.

        Whether that is over with.
        """
        try:
            self._goodbye(token, deadline)
        except SessionLost:
            self._outbox.tell("dead", slot, generation)
        except WorkerError as error:
            log.warning("could not sign out", connection=self._connection.name, slot=slot, reason=str(error))
            self._outbox.tell("not_closed", slot, generation, ms(RETRY_CLOSE_SECONDS))
            return False
        else:
            self._outbox.tell("closed", slot, generation)
            log.info("signed out", connection=self._connection.name, slot=slot, generation=generation)
        return True

    def _goodbye(self, token: SecretStr, deadline: Deadline) -> None:
        with self._sign_out_wires.borrow() as wire:
            with self._budget.exempt(CLOSE_SECONDS):
                signin.sign_out(wire, token, deadline)
            # Some builds offer no revocation, and a client's secret may have changed; the seat is free all the same.
            with suppress(ErpRefused, SessionLost):
                signin.revoke(wire, self._connection, self._discovered(wire, deadline), token, deadline)

    def _discovered(self, wire: Wire, deadline: Deadline) -> signin.Endpoints:
        if self._endpoints is None:
            self._endpoints = signin.discover(wire, deadline)
        return self._endpoints

    def _decrypt(self, token: str) -> SecretStr:
        try:
            return SecretStr(self._settings.cipher().decrypt(token.encode()).decode())
        except InvalidToken:
            raise Misconfigured(
                "the store's tokens were encrypted with another key: give that key too", "store_keys"
            ) from None

    @cached_property
    def _fingerprint(self) -> str:
        return self._connection.fingerprint(self._settings.fingerprint_key())

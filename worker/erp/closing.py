"""Closing a session: what the ERP is told, and what the store learns of it.

Signing out frees the seat but leaves the token valid, and a token that is used again opens a session again; revoking
kills the token but frees no seat. So it is signed out, then revoked, and its slot is free after both. A request that
was sent on a lease and never answered could come between the two: it is waited for first.
"""

from __future__ import annotations

import threading
from contextlib import suppress

import structlog

from worker.erp import answers, signin
from worker.erp.budget import Budget
from worker.erp.deadline import Deadline
from worker.erp.membership import CLOSE_SECONDS, Member
from worker.erp.signin import Endpoints, Grant
from worker.erp.wire import Request, Wire, Wires
from worker.errors import ErpRefused, LoginEnded, SessionLost, WorkerError

PAUSE_SECONDS = 0.5
DRAIN_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Closer:
    """Closes the sessions of one connection."""

    def __init__(self, member: Member, budget: Budget) -> None:
        self._member = member
        self._budget = budget
        self._wires = Wires(member.connection)
        self._endpoints: Endpoints | None = None
        self._pause = threading.Event()

    def close(self, slot: int, generation: int, grant: Grant, *, busy: bool, deadline: Deadline) -> bool:
        """Sign a closing slot's session out and revoke its token; whether that is over with.

        If it is not, whoever looks next tries again.
        """
        log.debug("signing out", connection=self._member.connection.name, slot=slot)
        clear = not busy or self._drain(grant, deadline)
        while True:
            try:
                self.goodbye(grant, deadline)
            except SessionLost:
                self._member.outbox.tell("step", name="dead", slot=slot, generation=generation)
            except WorkerError as error:
                if deadline.remaining() > PAUSE_SECONDS:
                    self._pause.wait(PAUSE_SECONDS)
                    continue
                log.warning(
                    "could not sign out",
                    connection=self._member.connection.name,
                    slot=slot,
                    reason=str(error),
                )
                return False
            else:
                told = {"slot": slot, "generation": generation, "connection": self._member.mark}
                if clear:
                    self._member.outbox.tell("closed", **told)
                else:
                    # What is still at work may have opened the session again, and its token is dead.
                    self._member.outbox.tell("step", name="dead", slot=slot, generation=generation)
                log.info(
                    "signed out", connection=self._member.connection.name, slot=slot, generation=generation
                )
            return True

    def goodbye(self, grant: Grant, deadline: Deadline) -> None:
        """Sign a session out and revoke its tokens. Raises SessionLost, or what the wire raises."""
        with self._wires.borrow() as wire:
            with self._budget.exempt(CLOSE_SECONDS):
                signin.sign_out(wire, grant, deadline)
            # Some builds offer no revocation, and a client's secret may have changed; the seat is free all the same.
            with suppress(ErpRefused, SessionLost, LoginEnded):
                signin.revoke(wire, self.discovered(wire, deadline), grant, deadline)

    def discovered(self, wire: Wire, deadline: Deadline) -> Endpoints:
        """Where this instance has its tokens, found out once."""
        if self._endpoints is None:
            self._endpoints = signin.discover(wire, deadline)
        return self._endpoints

    def end(self) -> None:
        """Close the connections that signed out."""
        self._wires.close()

    def _drain(self, grant: Grant, deadline: Deadline) -> bool:
        """Whether a request that was sent before has surely ended: one session runs one request at a time, in order."""
        asked = Request(method="GET", path="/entity", token=grant.token, cookies=grant.cookies)
        try:
            with self._budget.exempt(CLOSE_SECONDS), self._wires.borrow() as wire:
                return answers.error(wire.send(asked, deadline.within(DRAIN_SECONDS))) is None
        except WorkerError:
            return False

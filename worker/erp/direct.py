"""A single sign-in without a store, for ``connect`` and ``doctor``; it leaves no session open."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.erp import signin
from worker.erp.budget import Permit
from worker.erp.caller import Caller, Use
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.exchanges import Exchanges
from worker.erp.membership import CLOSE_SECONDS
from worker.erp.sessions import Lease
from worker.erp.signin import Grant
from worker.erp.wire import Wires
from worker.errors import ErpRestarting, NotOptimizable, WorkerError
from worker.job import Lane
from worker.page import Query
from worker.settings import Connection


@contextmanager
def direct(
    connection: Connection,
    deadline: Deadline,
    job_id: str,
    signed_in: Callable[[Grant], object] = lambda grant: None,
) -> Iterator[Erp]:
    """The ERP through one sign-in, which is signed out and revoked at the end; ``signed_in`` is told its grant.

    Raises what a sign-in or a sign-out raises.
    """
    wires = Wires(connection)
    try:
        with wires.borrow() as wire:
            endpoints = signin.discover(wire, deadline)
            grant = signin.sign_in(wire, endpoints, deadline, deadline)
            if connection.concurrent_access:
                grant = signin.open_session(wire, endpoints, grant, deadline, deadline)
        only = _OneSession(Lease(slot=0, generation=0, id=job_id, grant=grant, send_by=deadline, fresh=True))
        caller = Caller(lane=Lane.INTERACTIVE, deadline=deadline, job_id=job_id)
        try:
            signed_in(grant)
            yield Erp(Exchanges(connection, caller, only, only, wires, threading.Event()), only)
        finally:
            limit = Deadline(CLOSE_SECONDS)
            with wires.borrow() as wire:
                signin.sign_out(wire, grant, limit)
                signin.revoke(wire, endpoints, grant, limit)
    finally:
        wires.close()


class _OneSession:
    """Lends the one session there is, to one thread, as often as it asks."""

    seats = 1

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    @contextmanager
    def lease(self, caller: Caller, use: Use) -> Iterator[Lease]:
        """The one session there is."""
        yield self._lease

    def lost(self, lease: Lease, error: WorkerError) -> None:
        """There is no other session to go on with."""
        raise error

    def away(self, error: ErpRestarting) -> WorkerError:
        """Nobody else is to know: it is tried again in place."""
        return error

    def check(self, query: Query) -> None:
        """Nothing is known of what fails."""

    def learn(self, query: Query, error: NotOptimizable) -> None:
        """A handful of requests teach nobody."""

    @contextmanager
    def permit(self, caller: Caller, longest: float) -> Iterator[Permit]:
        """A handful of requests need no pacing."""
        yield Permit()

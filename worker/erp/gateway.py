"""The ERP floor of one process; its one door for the floors above.

What it does of its own accord (presence, leases, idle sessions) happens when ``beat`` is called, every second.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import redis
import structlog

from worker.erp.budget import Budget
from worker.erp.caller import Caller
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.sessions import SessionPool, SlotView
from worker.erp.wire import Wires
from worker.errors import WorkerError
from worker.job import Lane, Spent
from worker.settings import Settings

GRACE_SECONDS = 5.0
"""How long an exchange in flight may go on once the worker is told to stop."""

log = structlog.get_logger(__name__)


class Gateway:
    """For each connection a session pool, a budget and the wires to its instance."""

    def __init__(self, settings: Settings, store: redis.Redis, owner: str) -> None:
        self._stop = threading.Event()
        self._grace = threading.Timer(GRACE_SECONDS, self._cut)
        self._grace.daemon = True
        self._housekeeper = ThreadPoolExecutor(1, "housekeeper")
        self._tidying: Future[None] | None = None
        self._settings = settings
        self._wires = {name: Wires(connection) for name, connection in settings.connections.items()}
        self._budgets = {
            name: Budget(store, connection, self._stop) for name, connection in settings.connections.items()
        }
        self._pools = {
            name: SessionPool(settings, connection, store, self._budgets[name], owner, self._stop)
            for name, connection in settings.connections.items()
        }

    def erp(self, connection: str, lane: Lane, job_id: str, deadline: Deadline, spent: Spent) -> Erp:
        """A job's way to the ERP. Raises ConnectionUnknown."""
        found = self._settings.connection(connection)
        caller = Caller(lane=lane, deadline=deadline, job_id=job_id, spent=spent)
        name = found.name
        return Erp(found, caller, self._pools[name], self._budgets[name], self._wires[name], self._stop)

    def beat(self) -> None:
        """Keep presence and leases alive, and see to idle sessions beside it; call it every second.

        Raises StoreUnavailable.
        """
        for pool in self._pools.values():
            pool.beat()
        for budget in self._budgets.values():
            budget.beat()
        if self._tidying is None or self._tidying.done():
            self._tidying = self._housekeeper.submit(self._tidy)

    def sessions(self) -> list[SlotView]:
        """Every slot of every connection. Raises StoreUnavailable."""
        return [view for pool in self._pools.values() for view in pool.view()]

    def restore(self, connection: str) -> None:
        """Close a connection's circuit: a sign-in has just succeeded. Raises StoreUnavailable."""
        self._pools[self._settings.connection(connection).name].restore()

    def stop(self) -> None:
        """Begin no exchange from now on; one in flight is cut after a grace. To be called once."""
        self._stop.set()
        self._grace.start()

    def close(self) -> None:
        """Cut what is in flight, and leave; the last worker to do so signs every session out."""
        self._stop.set()
        self._grace.cancel()
        self._cut()
        self._housekeeper.shutdown(wait=True)
        with ThreadPoolExecutor(max(1, len(self._pools)), "leave") as leaving:
            list(leaving.map(_leave, self._pools.values()))
        for name, wires in self._wires.items():
            wires.close()
            self._pools[name].close()

    def _cut(self) -> None:
        for wires in self._wires.values():
            wires.cut()

    def _tidy(self) -> None:
        for pool in self._pools.values():
            if self._stop.is_set():
                return
            try:
                pool.tidy()
            except WorkerError as error:
                log.warning("could not tidy", reason=str(error))


def _leave(pool: SessionPool) -> None:
    try:
        pool.leave()
    except WorkerError as error:
        log.warning("could not sign out", reason=str(error))

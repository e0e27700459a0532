"""The ERP floor of one process; its one door for the floors above.

What it does of its own accord (presence, leases, idle sessions) happens when ``beat`` is called, every second.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import redis
import structlog

from worker.erp.budget import Budget
from worker.erp.caller import Caller
from worker.erp.client import Erp
from worker.erp.closing import Closer
from worker.erp.exchanges import Exchanges, Permits
from worker.erp.feeds import Feeds
from worker.erp.license import LimitsInForce
from worker.erp.membership import forgotten_seconds
from worker.erp.optimizer import Optimizer
from worker.erp.overview import Overview
from worker.erp.schema import Schema
from worker.erp.schemas import Known, Schemas
from worker.erp.sessions import SessionPool
from worker.erp.wire import Wires
from worker.erp.writing import Once, Writer
from worker.errors import ConnectionUnknown, WorkerError
from worker.settings import Connection, Settings

GRACE_SECONDS = 15.0
"""How long an exchange in flight may go on once the worker is told to stop."""

log = structlog.get_logger(__name__)


class Way:
    """What leads to one connection's instance: its sessions, its license's minute, and the wires."""

    def __init__(self, pool: SessionPool, budget: Budget) -> None:
        self.pool = pool
        self.budget = budget
        self.wires = Wires(pool.connection)

    def close(self) -> None:
        """Close the wires."""
        self.wires.close()
        self.pool.close()


class Gateway:
    """For each connection a session pool and the wires to its instance; for each license its limits and its minute."""

    def __init__(self, settings: Settings, store: redis.Redis, owner: str) -> None:
        self._stop = threading.Event()
        self._grace = threading.Timer(GRACE_SECONDS, self._cut)
        self._grace.daemon = True
        self._housekeeper = ThreadPoolExecutor(1, "housekeeper")
        self._tidying: Future[None] | None = None
        self._store = store
        self.feeds = Feeds(store)
        self._owner = owner
        self._limits: dict[str, LimitsInForce] = {}
        self._budgets: dict[str, Budget] = {}
        self._ways: dict[str, Way] = {}
        self._former: list[Way] = []
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Take up settings that may have changed; who is at work finishes with what it began with."""
        self._settings = settings
        self.schemas = Schemas(self._store, settings.schema_hours)
        ways = {name: self._way_to(settings, connection) for name, connection in settings.connections.items()}
        self._former += [way for name, way in self._ways.items() if ways.get(name) is not way]
        marks = {way.pool.member.mark for way in ways.values()}
        # Another user's sessions are still this one's to close; what is lent is still to be kept alive.
        needed = [way for way in self._former if way.pool.member.mark not in marks or way.pool.is_at_work]
        for way in self._former:
            if way not in needed:
                way.close()
        self._former, self._ways = needed, ways

    def connection(self, name: str) -> Connection:
        """The connection of that name. Raises ConnectionUnknown."""
        return self.way(name).pool.connection

    def way(self, name: str) -> Way:
        """What leads to the connection of that name. Raises ConnectionUnknown."""
        try:
            return self._ways[name]
        except KeyError:
            known = ", ".join(sorted(self._ways)) or "none: run acuworker connect"
            raise ConnectionUnknown(
                f"there is no connection {name!r}; there is {known}", "connection"
            ) from None

    def limits(self) -> dict[str, LimitsInForce]:
        """The limits of each license that a connection spends."""
        return self._limits

    def bars(self) -> dict[str, WorkerError]:
        """What keeps each connection from a session just now, of those that are kept. Raises StoreUnavailable."""
        licenses = {
            license_.name: license_
            for license_ in map(self._settings.license_of, self._settings.connections.values())
        }
        found: dict[str, WorkerError] = {}
        for license_ in licenses.values():
            found |= Overview(self._store, self._settings, license_).look().bars
        return found

    def erp(self, name: str, caller: Caller, permits: Permits | None = None) -> Erp:
        """A job's way to the ERP, by leave of the license's minute or of who stands before it.

        Raises ConnectionUnknown.
        """
        way = self.way(name)
        known = Optimizer(self._store, way.pool.connection)
        exchanges = Exchanges(
            way.pool.connection, caller, way.pool, permits or way.budget, way.wires, self._stop
        )
        return Erp(exchanges, known)

    def schema(self, erp: Erp) -> Schema | None:
        """What the endpoint of a job serves, read where that is due; None where the ERP does not tell."""
        found = self.schemas.of(erp)
        return found.schema if isinstance(found, Known) else None

    def writer(self, erp: Erp, entity: str, once: Once) -> Writer:
        """A job's way to change records. Raises ConnectionUnknown."""
        pool = self.way(erp.connection.name).pool
        return Writer(exchanges=erp.exchanges, claims=pool, entity=entity, once=once)

    @contextmanager
    def job(self, name: str) -> Iterator[None]:
        """Around a job on the connection of that name. Raises ConnectionUnknown."""
        with self.way(name).pool.job():
            yield

    def beat(self) -> None:
        """Keep presence and leases alive, and see to idle sessions beside it; call it every second.

        Raises StoreUnavailable.
        """
        for way in self._all():
            way.pool.beat()
        for budget in self._budgets.values():
            budget.beat()
        if self._tidying is None or self._tidying.done():
            self._tidying = self._housekeeper.submit(self._tidy)

    @property
    def is_writing(self) -> bool:
        """Whether a write is in flight, which a stop waits for."""
        return any(way.wires.is_writing for way in self._all())

    def stop(self) -> None:
        """Begin no exchange from now on; one in flight that reads is cut after a grace. To be called once."""
        self._stop.set()
        self._grace.start()

    def close(self) -> None:
        """Cut what is in flight, and leave; the last worker to do so signs every session out."""
        self._stop.set()
        self._grace.cancel()
        self._cut()
        self._housekeeper.shutdown(wait=True)
        ways = self._all()
        with ThreadPoolExecutor(max(1, len(ways)), "leave") as leaving:
            list(leaving.map(_leave, (way.pool for way in ways)))
        for way in ways:
            way.close()

    def _way_to(self, settings: Settings, connection: Connection) -> Way:
        """The way that there is, if the connection has not changed; else another."""
        license_ = settings.license_of(connection)
        before = self._ways.get(connection.name)
        if before and before.pool.connection == connection and license_.name in self._limits:
            return before
        if license_.name not in self._limits:
            sharing = [
                each for each in settings.connections.values() if settings.license_of(each) == license_
            ]
            limits = LimitsInForce(self._store, license_, max(map(forgotten_seconds, sharing)))
            self._limits[license_.name] = limits
            self._budgets[license_.name] = Budget(self._store, limits, self._stop)
        limits, budget = self._limits[license_.name], self._budgets[license_.name]
        pool = SessionPool(
            settings, connection, self._store, limits, budget, self._owner, self._stop, self._closers
        )
        return Way(pool, budget)

    def _closers(self) -> dict[str, Closer]:
        return {way.pool.member.mark: way.pool.closer for way in self._all()}

    def _all(self) -> list[Way]:
        return [*self._former, *self._ways.values()]

    def _cut(self) -> None:
        for way in self._all():
            way.wires.cut()

    def _tidy(self) -> None:
        marks = {way.pool.member.mark for way in self._ways.values()}
        former = [way for way in self._former if way.pool.member.mark not in marks]
        for way in [*former, *self._ways.values()]:
            if self._stop.is_set():
                return
            try:
                way.pool.tidy()
            except WorkerError as error:
                log.warning("could not tidy", reason=str(error))


def _leave(pool: SessionPool) -> None:
    try:
        pool.leave()
    except WorkerError as error:
        log.warning("could not sign out", reason=str(error))

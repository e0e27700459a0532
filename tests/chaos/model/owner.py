"""One process of workers on the stage: the real floor over a store that it sees in steps, and the leases it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.chaos.model.stage import Killed, Process, Stage, SteppedStore
from tests.erp_floor import settings_for
from worker.erp.caller import Caller, Use
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.exchanges import Exchanges
from worker.erp.gateway import Gateway
from worker.erp.overview import Overview, SlotView
from worker.erp.sessions import Lease, SessionPool
from worker.errors import ErpRestarting, NotOptimizable, Stopping, WorkerError
from worker.job import Lane
from worker.page import Query
from worker.settings import Connection

PATIENCE_SECONDS = 10.0


@dataclass(eq=False)
class Held:
    """A lease that is held from one step to another."""

    lease: Lease
    context: AbstractContextManager[Lease]
    name: str
    began: int
    alive_until: int = 1 << 63


class One:
    """For the client, the one lease that is held."""

    seats = 1

    def check(self, query: Query) -> None:
        """Nothing is known of what fails."""

    def learn(self, query: Query, error: NotOptimizable) -> None:
        """Nothing is to be known."""

    def __init__(self, pool: SessionPool, lease: Lease) -> None:
        self._pool = pool
        self._leases = [lease]

    @contextmanager
    def lease(self, caller: Caller, use: Use) -> Iterator[Lease]:
        """It, and only once."""
        if not self._leases:
            raise Stopping("an exchange that failed is not tried again on the same lease")
        yield self._leases.pop()

    def lost(self, lease: Lease, error: WorkerError) -> None:
        """Say that its session is lost."""
        self._pool.lost(lease, error)

    def away(self, error: ErpRestarting) -> WorkerError:
        """Say that something else answers in the ERP's place."""
        return self._pool.away(error)


class Owner:
    """A process of workers: the real floor over a store that it sees in steps."""

    def __init__(self, stage: Stage, connection: Connection, key: bytes, name: str) -> None:
        self.stage = stage
        self.process = Process(name)
        store: Any = SteppedStore(stage, self.process)
        settings = settings_for(connection, "redis://unused", key)
        self.gateway = Gateway(settings, store, name)
        self._overview = Overview(store, settings, settings.license_of(connection))
        self.way = self.gateway.way("default")
        self.pool = self.way.pool
        self.held: list[Held] = []

    def do(self, work: Callable[[], object]) -> bool:
        """Do something as this process; whether it came to its end, for better or worse."""
        self.stage.acting = self.process
        try:
            with suppress(WorkerError):
                work()
            return True
        except Killed:
            return False
        finally:
            self.stage.acting = None
            self.process.moments, self.process.lose = None, ""

    def caller(self, job: str) -> Caller:
        """A job of this process."""
        return Caller(lane=Lane.BULK, deadline=Deadline(PATIENCE_SECONDS), job_id=job)

    def erp(self, held: Held, seconds: float) -> Erp:
        """The client over a lease that is held."""
        caller = Caller(lane=Lane.BULK, deadline=Deadline(seconds), job_id=held.name)
        one = One(self.pool, held.lease)
        way, stop = self.way, self.gateway._stop
        return Erp(Exchanges(self.pool.connection, caller, one, way.budget, way.wires, stop), one)

    def look(self) -> Sequence[SlotView]:
        """The slots, as they are now."""
        return self._overview.look().slots

    @property
    def has_joined(self) -> bool:
        """Whether it knows the store."""
        return any(limits.epoch for limits in self.gateway.limits().values())

    def join(self) -> None:
        """See whether the store is still the one that it knows."""
        for limits in self.gateway.limits().values():
            limits.join()

    def end(self) -> None:
        """Close the sockets, and say goodbye to nobody."""
        self.process.dead = True
        self.way.close()

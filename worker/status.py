"""The fleet at one moment: who works on which lane, what waits, where the jobs and the ERP's sessions are.

Looking opens, lends and closes no session. Raises StoreUnavailable where the store or the broker does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import redis
from kombu.connection import Connection as Broker
from kombu.exceptions import OperationalError
from rich.console import Group
from rich.table import Table

from worker.celery import app
from worker.client import WAY_OUT
from worker.erp.gateway import Gateway
from worker.erp.sessions import SlotView
from worker.errors import StoreUnavailable
from worker.job import Lane
from worker.jobstore import JobStore, State
from worker.settings import Settings

ANSWER_SECONDS = 1.0
"""How long workers are given to answer; one that is busy answers all the same."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What there is to see: worker nodes and queued messages by lane, jobs by state, slots."""

    nodes: Mapping[Lane, Sequence[str]]
    queued: Mapping[Lane, int]
    jobs: Mapping[State, int]
    slots: Sequence[SlotView]

    @property
    def healthy(self) -> bool:
        """Whether every lane has a worker."""
        return all(self.nodes[lane] for lane in Lane)


def look(settings: Settings) -> Fleet:
    """The fleet as it is now."""
    with _answering(), redis.Redis.from_url(settings.store) as store:
        return Fleet(
            nodes=nodes_by_lane(app.control.inspect(timeout=ANSWER_SECONDS).active_queues() or {}),
            queued=_queued(),
            jobs=JobStore(store).counts(),
            slots=Gateway(settings, store, "status").sessions(),
        )


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OperationalError, OSError) as error:
        raise StoreUnavailable(f"the store or the broker does not answer ({error}): {WAY_OUT}") from None


def nodes_by_lane(queues: Mapping[str, Sequence[Mapping[str, object]]]) -> dict[Lane, list[str]]:
    """The nodes that serve each lane, from what each says of its queues."""
    return {
        lane: sorted(
            node for node, served in queues.items() if lane.queue in {queue["name"] for queue in served}
        )
        for lane in Lane
    }


def _queued() -> dict[Lane, int]:
    with app.connection_for_read() as broker:
        return {lane: _length(broker, lane.queue) for lane in Lane}


def _length(broker: Broker, queue: str) -> int:
    try:
        return int(broker.channel().queue_declare(queue=queue, passive=True).message_count)
    except broker.channel_errors:
        # Redis has no queue that is empty.
        return 0


def report(fleet: Fleet) -> Group:
    """The fleet as tables."""
    return Group(_lanes(fleet), _jobs(fleet), _slots(fleet))


def _lanes(fleet: Fleet) -> Table:
    table = Table("lane", "queued", "workers")
    for lane in Lane:
        workers = ", ".join(fleet.nodes[lane]) or "[red]none: run acuworker up[/]"
        table.add_row(lane, f"{fleet.queued[lane]:,}", workers)
    return table


def _jobs(fleet: Fleet) -> Table:
    table = Table(*(f"jobs {state}" for state in State))
    table.add_row(*(f"{fleet.jobs.get(state, 0):,}" for state in State))
    return table


def _slots(fleet: Fleet) -> Table:
    table = Table("connection", "session", "state", "in use")
    for slot in fleet.slots:
        table.add_row(slot.connection, str(slot.slot), slot.state, "yes" if slot.lent else "no")
    return table

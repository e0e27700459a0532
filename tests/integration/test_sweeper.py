"""The sweeper on a real store: what it rings for, and what it lets wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import pytest
import redis

from tests.job_desk import JOB, REFUSED, JobDesk
from worker.doorbell import Doorbell
from worker.errors import ErpAway, LoginLimit, StoreUnavailable, WorkerError, WorkerTooOld
from worker.job import Lane
from worker.jobstate import Bell, State
from worker.jobstore import GRACE_SECONDS, LEASE_SECONDS
from worker.page import Spent
from worker.sweeper import Sweeper, is_wanted


class Broker:
    """A doorbell that keeps what was rung for; its queues are empty as the test says."""

    def __init__(self) -> None:
        self.rung: list[Bell] = []
        self.empty: list[Lane] = list(Lane)
        self.is_away = False

    def ring(self, bell: Bell) -> None:
        if self.is_away:
            raise StoreUnavailable("the broker does not answer")
        self.rung.append(bell)

    def silent(self) -> list[Lane]:
        return self.empty

    def exhume(self, wanted: Callable[[str], bool]) -> None:
        pass


@pytest.fixture
def desk(store_url: str) -> Iterator[JobDesk]:
    """An empty job store."""
    with redis.Redis.from_url(store_url) as client:
        yield JobDesk(client)


def swept(desk: JobDesk, broker: Broker, **bars: WorkerError) -> list[str]:
    """The jobs that one round rings for, while this keeps connections from a session."""
    broker.rung.clear()
    Sweeper(desk.jobs, cast(Doorbell, broker), lambda: bars).sweep()
    return sorted(bell.job_id for bell in broker.rung)


def test_a_round_rings_for_all_that_nobody_sees_to(desk: JobDesk) -> None:
    """A crash, a job that is due and a lost message are rung for once; what is in hand is left alone."""
    broker = Broker()
    desk.jobs.put_off(desk.begun("due"), StoreUnavailable("gone"), LEASE_SECONDS, Spent())
    desk.begun("crashed")
    desk.jobs.accept("lost", JOB)
    alive = desk.begun("alive")
    desk.later(GRACE_SECONDS + 1)
    desk.jobs.renew([alive])
    assert swept(desk, broker) == ["crashed", "due", "lost"]
    assert swept(desk, broker) == []


def test_a_long_queue_loses_nothing_by_being_long(desk: JobDesk) -> None:
    """A job whose message waits its turn behind others is not rung for."""
    broker = Broker()
    broker.empty = [Lane.INTERACTIVE]
    desk.jobs.accept("j", JOB)
    desk.later(1000)
    assert swept(desk, broker) == []


def test_a_broker_that_is_away_loses_no_job(desk: JobDesk) -> None:
    """What could not be rung for is rung for when the broker is back."""
    broker = Broker()
    for job_id in ("a", "b", "c"):
        desk.begun(job_id)
    desk.later(LEASE_SECONDS + 1)
    broker.is_away = True
    with pytest.raises(StoreUnavailable):
        swept(desk, broker)
    broker.is_away = False
    desk.later(GRACE_SECONDS)
    assert swept(desk, broker) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("waits_for", "bar", "is_rung"),
    [
        (REFUSED, None, True),
        (REFUSED, REFUSED, False),
        (REFUSED, LoginLimit("full"), True),
        (LoginLimit("full"), None, True),
        (ErpAway("restarts"), None, True),
        (ErpAway("restarts"), ErpAway("restarts"), False),
        (WorkerTooOld("newer"), None, False),
        (StoreUnavailable("gone"), None, False),
    ],
)
def test_what_is_there_is_not_waited_for(
    desk: JobDesk, waits_for: WorkerError, bar: WorkerError | None, is_rung: bool
) -> None:
    """A job is due at once when what it waited for is no longer in its way; what nobody watches is waited for."""
    desk.jobs.put_off(desk.begun(), waits_for, 600, Spent())
    bars = {"default": bar} if bar else {}
    assert swept(desk, Broker(), **bars) == (["j"] if is_rung else [])


@pytest.mark.parametrize("state", State)
def test_which_message_that_the_broker_gave_up_is_wanted(desk: JobDesk, state: State) -> None:
    """Only a job that nobody has in hand, or that nobody knows yet, needs its message again."""
    desk.bring_to(state)
    assert is_wanted(desk.jobs.get("j")) == (state is State.ACCEPTED)
    assert is_wanted(None)

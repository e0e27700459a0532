"""The worker's life cycle: who comes first, which pools will do, and heartbeats that do not stop."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import redis
from celery.concurrency import get_implementation

from worker.bootsteps import ErpStep, Heartbeat, Presence, check_pool, lanes_of
from worker.errors import Misconfigured, StoreUnavailable
from worker.job import Lane
from worker.jobstore import JobStore


def test_the_erp_floor_is_built_first() -> None:
    """The step comes before all others, so that shutdown, which goes backwards, signs out after the last job."""
    worker = SimpleNamespace(steps=["Timer", "Pool"])
    step = ErpStep(worker)
    assert step.include(worker)
    assert worker.steps == [step, "Timer", "Pool"]


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_pool_of_one_process_will_do(pool: str) -> None:
    """Pools that share the process share its sessions."""
    check_pool(get_implementation(pool))


def test_a_pool_that_forks_is_refused() -> None:
    """A pool of several processes is refused, with the one to take."""
    with pytest.raises(Misconfigured, match="--pool threads"):
        check_pool(get_implementation("prefork"))


@pytest.mark.parametrize(
    ("queues", "lanes"),
    [
        (["acumatica.bulk", "acumatica.interactive"], set(Lane)),
        (["acumatica.bulk", "another"], {Lane.BULK}),
        (["celery"], set()),
    ],
)
def test_a_worker_serves_the_lanes_of_its_queues(queues: list[str], lanes: set[Lane]) -> None:
    """A worker that was given some queues only serves their lanes."""
    assert lanes_of(queues) == lanes


def test_a_worker_comes_and_goes_without_a_store() -> None:
    """A store that does not answer keeps no worker from beginning or ending; a heartbeat says that it is lost."""
    presence = Presence(JobStore(redis.Redis.from_url("unix:///nowhere/s")), "a@h/1", [Lane.BULK])
    presence.begin()
    with pytest.raises(StoreUnavailable):
        presence.tell()
    presence.end()


@pytest.mark.parametrize("error", [StoreUnavailable("the store does not answer"), KeyError("a fault")])
def test_a_heartbeat_survives_what_goes_wrong(error: Exception) -> None:
    """A beat that fails is followed by the next, until the heartbeat is stopped."""
    beats: list[int] = []
    enough = threading.Event()

    def beat() -> None:
        beats.append(len(beats))
        if len(beats) == 3:
            enough.set()
        raise error

    heartbeat = Heartbeat("test", 0.001, beat)
    heartbeat.start()
    assert enough.wait(10)
    heartbeat.stop()

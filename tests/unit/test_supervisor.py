"""The supervisor's decisions: how long to pause, what to run, when to start again."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from worker.errors import StoreUnavailable
from worker.job import Lane
from worker.settings import Connection, Settings
from worker.supervisor import Supervised, pause, stop_signals, threads, worker_command

CONNECTION: dict[str, Any] = {
    "url": "https://erp.example.com/Site",
    "version": "20.200.001",
    "tenant": "MyStore",
    "username": "worker",
    "password": "canary-password",
    "client_id": "guid@MyStore",
    "client_secret": "canary-secret",
}


@pytest.mark.parametrize(
    ("previous", "lived", "expected"),
    [
        (0.0, 0.0, 1.0),
        (1.0, 0.0, 2.0),
        (2.0, 59.9, 4.0),
        (16.0, 0.0, 30.0),
        (30.0, 0.0, 30.0),
        (30.0, 60.0, 1.0),
        (0.0, 3600.0, 1.0),
    ],
)
def test_pauses_double_until_a_program_has_stayed(previous: float, lived: float, expected: float) -> None:
    """One second at first, then twice as long up to thirty; one again after a minute of life."""
    assert pause(previous, lived) == expected


@pytest.mark.parametrize("lane", Lane)
def test_a_worker_serves_its_lane_on_threads_under_a_name_of_its_own(lane: Lane) -> None:
    """The command names the lane's queue, the pool, the threads and a node name with the mark."""
    words = worker_command(lane, 7, "ab12")
    assert words[:3] == (sys.executable, "-m", "celery")
    assert set(pairwise(words)) >= {
        ("-A", "worker"),
        ("-Q", f"acumatica.{lane}"),
        ("-n", f"{lane}-ab12@%h"),
        ("-P", "threads"),
        ("-c", "7"),
    }


@pytest.mark.parametrize(("sessions", "expected"), [([], 4), ([1], 4), ([3, 4], 7)])
def test_a_worker_has_a_thread_for_each_session(sessions: Sequence[int], expected: int) -> None:
    """At least four threads, and as many as the sessions of all connections together."""
    connections = {
        str(number): Connection(**CONNECTION, max_sessions=count) for number, count in enumerate(sessions)
    }
    assert threads(Settings(connections=connections)) == expected


class Service:
    """A service that lives and starts as the test says."""

    name = "thing"

    def __init__(self) -> None:
        self.lives = False
        self.refusals = 0
        self.starts = 0

    def start(self) -> str:
        """Start, unless a refusal is left."""
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("no room")
        self.starts += 1
        self.lives = True
        return f"start {self.starts}"

    def alive(self) -> bool:
        """As the test says."""
        return self.lives

    def ending(self) -> str:
        """Always the same."""
        return "with status 3"


def test_what_ends_is_started_again_after_its_pause() -> None:
    """An end is told with its status, and the next start comes when the pause is over, not before."""
    service, said = Service(), list[str]()
    supervised = Supervised(service, said.append)
    supervised.start(100.0)
    supervised.tend(101.0)
    service.lives = False
    for now in (102.0, 102.9):
        supervised.tend(now)
        assert service.starts == 1
    supervised.tend(103.0)
    assert said == ["thing: start 1", "thing: ended with status 3; starts again in 1 s", "thing: start 2"]


def test_what_does_not_stay_waits_longer_each_time() -> None:
    """A service that ends again and again is started after one, two, four … seconds."""
    service = Service()
    supervised = Supervised(service, lambda _: None)
    supervised.start(0.0)
    starts = []
    for tick in range(4000):
        before, service.lives = service.starts, False
        supervised.tend(tick / 10)
        if service.starts > before:
            starts.append(tick / 10)
    gaps = [round(later - earlier) for earlier, later in pairwise(starts)]
    assert gaps[:7] == [2, 4, 8, 16, 30, 30, 30]


def test_a_start_that_fails_is_tried_again() -> None:
    """A store that cannot come up is told, and tried again after a pause; the first failure of all is raised."""
    service, said = Service(), list[str]()
    service.refusals = 1
    supervised = Supervised(service, said.append)
    with pytest.raises(StoreUnavailable):
        supervised.start(0.0)
    service.refusals = 1
    supervised.tend(1.0)
    supervised.tend(1.5)
    supervised.tend(2.0)
    assert said == ["thing: no room; starts again in 1 s", "thing: start 1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_asks_to_stop_and_no_more(number: signal.Signals) -> None:
    """SIGTERM, Ctrl-C and a closed terminal are noted; the handler that was there before is put back."""
    before = signal.getsignal(number)
    with stop_signals() as stopping:
        assert not stopping()
        os.kill(os.getpid(), number)
        assert stopping()
    assert signal.getsignal(number) is before

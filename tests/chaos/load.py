"""Work for a fleet that is hurt: jobs of every kind, one after the other, and what becomes of each.

A broker or a store that is away is asked again: the same job under the same id.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import redis
from kombu.exceptions import OperationalError
from kombu.transport import pyamqp

from tests.chaos import oracle
from tests.chaos.errands import Errands, errands
from tests.chaos.scene import Scene

LOOK_SECONDS = 0.05
OF_RABBITMQ = (*pyamqp.Transport.connection_errors, *pyamqp.Transport.channel_errors)
AWAY: tuple[type[Exception], ...] = (redis.RedisError, OperationalError, OSError, *OF_RABBITMQ)

BLOB_RECORDS = 300
"""So many orders do not travel in Celery's own result: they become blobs."""


def mixed(number: int) -> Mapping[str, Any]:
    """A job of some kind: few or many pages, in batches or by key, small or in blobs."""
    low = oracle.FIRST_NUMBER + number % 200
    match number % 5:
        case 0:
            return oracle.orders(low, low + BLOB_RECORDS - 1, page_size=50)
        case 1:
            return oracle.payments(
                oracle.FIRST_NUMBER + number % 100, oracle.FIRST_NUMBER + number % 100 + 5, page_size=2
            )
        case 2:
            return oracle.orders(low, low + 63, page_size=8)
    return oracle.orders(low, low + 31, page_size=8)


class Load:
    """Sends one job after the other until it is told to end, by a thread of its own."""

    def __init__(self, scene: Scene, every: float, job: Callable[[int], Mapping[str, Any]] = mixed) -> None:
        self._scene = scene
        self._every = every
        self._job = job
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._ended_by = 0.0

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(0.0)

    def enough(self, seconds: float) -> None:
        """Send no more, and give all that were sent so long to end."""
        if not self._over.is_set():
            self._ended_by = time.monotonic() + seconds
            self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether all have ended, or had their time."""
        return not self._thread.is_alive()

    def end(self, seconds: float) -> None:
        """Send no more, and wait for so long until all have ended."""
        self.enough(seconds)
        self._thread.join()

    def _work(self) -> None:
        with errands(self._scene) as jobs:
            numbers, due = count(), time.monotonic()
            while not self._over.wait(LOOK_SECONDS):
                if time.monotonic() >= due:
                    due += self._every
                    number = next(numbers)
                    self._send(jobs, self._job(number), f"{self._scene.setting.check}-{number:04}")
                look(self._scene, jobs)
            finish(self._scene, jobs, self._ended_by)

    def _send(self, jobs: Errands, job: Mapping[str, Any], id_: str) -> None:
        while True:
            with suppress(*AWAY):
                jobs.send(job, id_=id_)
                return
            time.sleep(LOOK_SECONDS)


def look(scene: Scene, jobs: Errands) -> None:
    """Write down what has ended; later, if the store is away."""
    with suppress(*AWAY):
        scene.tell(*jobs.ended())


def finish(scene: Scene, jobs: Errands, until: float) -> None:
    """Wait until then for all to end, and write down what became of each."""
    while jobs.under_way and time.monotonic() < until:
        look(scene, jobs)
        time.sleep(LOOK_SECONDS)
    with suppress(*AWAY):
        scene.tell(*jobs.all_ended(0.0))


class Tail:
    """The lines of one kind in a file that is written to still; each is told once."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._kind = kind
        self._at = 0

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # somebody is writing it
                self._at += len(line)
                told = json.loads(line)
                if told["kind"] == self._kind:
                    yield told

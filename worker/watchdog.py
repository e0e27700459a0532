"""The watchdog: ends a worker whose consumer has gone deaf, with status 1, so that its supervisor starts another.

Deaf is a consumer whose loop stands still though the broker answers others, or that is given nothing though there is
room for jobs and messages wait. A broker that is away makes nobody deaf: a new worker would hear no more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import structlog
from celery import bootsteps, signals
from celery.worker import state

from worker.beats import Beat
from worker.bootsteps import Heartbeat
from worker.doorbell import Doorbell
from worker.errors import StoreUnavailable
from worker.settings import Settings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
TURN_SECONDS = 4.0
"""A loop that has not turned for so long stands still; it turns every second."""

DEAF_LOOKS = 5
"""After so many looks in a row that doubt it a consumer is deaf. Not seconds: this process may have been stopped."""

END_SECONDS = 7.0
"""How long a deaf worker may take to end in order."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What can be seen of a consumer at a moment of a monotonic clock.

    ``waiting`` is how many messages wait on its queues; None where the broker does not answer.
    """

    at: float
    turned_at: float
    received: int
    room: bool
    waiting: int | None


@dataclass(frozen=True)
class Doubt:
    """Why a consumer may be deaf, how many messages it had received by then, and how many looks have doubted it."""

    why: str
    received: int
    looks: int = 1


def doubt_about(sight: Sight, before: Doubt | None) -> Doubt | None:
    """What is to be thought of a consumer now; None where it is well, or where nobody could hear anything."""
    why = None
    if sight.waiting is not None:
        if sight.at - sight.turned_at > TURN_SECONDS:
            why = "its loop stands still"
        elif sight.waiting and sight.room:
            why = "messages wait and it is given none"
    if why is None:
        return None
    if before is None or before.why != why or before.received != sight.received:
        return Doubt(why, sight.received)
    return replace(before, looks=before.looks + 1)


class Watchdog(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Watches the consumer, and beats for ``acuworker health`` while it is well."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: object) -> None:
        super().__init__(worker, **options)
        self._turned_at = time.monotonic()
        self._received = 0
        self._doubt: Doubt | None = None
        self._stopped = threading.Event()

    def start(self, worker: Any) -> None:
        """Begin to watch."""
        settings = Settings.load()
        self._beat = Beat(settings.var, worker.hostname)
        self._beat.begin()
        self._heartbeat = Heartbeat("beat", LOOK_SECONDS, self._tell)
        self._heartbeat.start()
        self._doorbell = Doorbell(worker.app, settings.broker)
        self._on_received = self._receive
        signals.task_received.connect(self._on_received)
        self._turn()
        if worker.hub:
            worker.timer.call_repeatedly(1.0, self._turn)
        # With --pool solo the loop stands still while a job runs, and is not watched.
        if worker.pool_cls.__module__.endswith("thread"):
            threading.Thread(target=self._watch, args=(worker,), name="watchdog", daemon=True).start()

    def close(self, worker: Any) -> None:
        """Shutdown begins, and the loop stands still from now on."""
        self._stopped.set()

    def stop(self, worker: Any) -> None:
        """Nobody watches any more."""
        self._stopped.set()
        self._heartbeat.stop()
        self._beat.end()

    terminate = stop

    def _turn(self) -> None:
        self._turned_at = time.monotonic()

    def _receive(self, **_: object) -> None:
        self._received += 1

    def _tell(self) -> None:
        if self._doubt is None:
            self._beat.tell()

    def _watch(self, worker: Any) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self._doubt = doubt_about(self._look(worker), self._doubt)
            if self._doubt and self._doubt.looks > DEAF_LOOKS:
                if not self._stopped.is_set():
                    end(self._doubt)
                return

    def _look(self, worker: Any) -> Sight:
        busy = len(state.reserved_requests) + len(state.scheduled_requests)
        return Sight(
            at=time.monotonic(),
            turned_at=self._turned_at,
            received=self._received,
            room=busy < worker.concurrency * worker.prefetch_multiplier,
            waiting=self._waiting(worker.app.amqp.queues.consume_from),
        )

    def _waiting(self, queues: Iterable[str]) -> int | None:
        try:
            return sum(self._doorbell.lengths(queues).values())
        except StoreUnavailable:
            return None


def end(doubt: Doubt) -> None:
    """End this process with status 1: in order if the consumer's loop still turns, else all the same."""
    log.critical("the consumer is deaf: this worker ends, for another to be started", reason=doubt.why)
    state.should_stop = 1
    last = threading.Timer(END_SECONDS, os._exit, (1,))
    last.daemon = True
    last.start()

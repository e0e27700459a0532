"""The life cycle of the ERP floor inside a Celery worker: built before the pool, given up after it.

What is wrong with the settings or a handler ends the worker with one line that says so, before it takes any job.
"""

from __future__ import annotations

import gc
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from celery import bootsteps, signals

from worker.blobs.opened import open_blobs
from worker.doorbell import Doorbell
from worker.erp.gateway import Gateway
from worker.errors import Misconfigured, StoreUnavailable
from worker.job import Lane
from worker.jobstore import JobStore
from worker.publisher import Publisher
from worker.registry import Registry
from worker.runner import Runner
from worker.settings import PARENT_FD, Settings
from worker.storage import open_store
from worker.sweeper import Sweeper
from worker.tasks import Retrieve
from worker.unfinished import Word
from worker.work import Work

log = structlog.get_logger(__name__)

POOLS = frozenset({"celery.concurrency.thread", "celery.concurrency.solo"})
"""Pools of one process. A forked one would copy open connections, and a green one would block on them."""

SESSION_BEAT_SECONDS = 1.0
JOB_BEAT_SECONDS = 5.0
SETTINGS_BEAT_SECONDS = 2.0
SWEEP_SECONDS = 2.0

GC_THRESHOLD = 20_000
"""Objects that are made between two looks at the newest of them; Python's own is 700."""

SWITCH_SECONDS = 0.0005
"""How long a thread that computes keeps the others waiting; Python's own is 5 ms, and an exchange waits five times."""


class ErpStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Builds the ERP floor and the task on it; the first step to start and the last to stop."""

    def __init__(self, worker: Any, **options: object) -> None:
        super().__init__(worker, **options)
        self._gateway: Gateway | None = None
        self._presence: Presence | None = None
        self._runner: Runner | None = None
        self._word: Word | None = None
        self._heartbeats: tuple[Heartbeat, ...] = ()

    def include(self, worker: Any) -> bool:
        """Come first, so that shutdown, which goes through the steps in reverse, signs out last."""
        worker.steps.insert(0, self)
        return True

    def start(self, worker: Any) -> None:
        """Build what the task stands on, and begin to say that this worker lives."""
        try:
            check_pool(worker.pool_cls)
            self._build(worker)
        except Misconfigured as error:
            log.critical("the worker does not start", reason=str(error))
            raise SystemExit(1) from None
        for heartbeat in self._heartbeats:
            heartbeat.start()
        watch_parent(os.environ)
        give_way()

    def _build(self, worker: Any) -> None:
        settings = Settings.load()
        settings.cipher()  # a missing key is found now, not by the first job
        store = open_store(settings)
        owner = f"{worker.hostname}/{secrets.token_hex(4)}"
        gateway = Gateway(settings, store, owner)
        jobs = JobStore(store)
        presence = Presence(jobs, owner, lanes_of(worker.app.amqp.queues.consume_from))
        doorbell = Doorbell(worker.app, settings.broker)
        blobs = open_blobs(settings)
        runner = Runner(
            owner=owner,
            gateway=gateway,
            work=Work(gateway, Registry.load(), blobs),
            jobs=jobs,
            publisher=Publisher(blobs),
            ring=doorbell.ring,
            slice_seconds=settings.slice_seconds,
        )
        worker.app.register_task(Retrieve(runner, partial(tell_watchers, worker)))
        self._revoked = lambda request, **_: runner.revoke(str(request.id))
        signals.task_revoked.connect(self._revoked)
        self._gateway, self._presence, self._runner = gateway, presence, runner
        self._word = Word(settings.var, os.getpid())
        presence.begin()
        self._heartbeats = (
            Heartbeat("presence", JOB_BEAT_SECONDS, presence.tell),
            Heartbeat("sessions", SESSION_BEAT_SECONDS, gateway.beat),
            Heartbeat("jobs", JOB_BEAT_SECONDS, runner.beat),
            Heartbeat("sweeper", SWEEP_SECONDS, Sweeper(jobs, doorbell, gateway.bars).sweep),
            Heartbeat("settings", SETTINGS_BEAT_SECONDS, Reload(settings, gateway).look),
        )

    def close(self, worker: Any) -> None:
        """Shutdown begins: no job makes another request, and each goes back to its queue."""
        if self._runner:
            self._runner.stop()
        if self._gateway and self._word:
            self._gateway.stop()
            self._tell_writes()
            leaving = Heartbeat("writes", SESSION_BEAT_SECONDS, self._tell_writes)
            self._heartbeats += (leaving,)
            leaving.start()

    def _tell_writes(self) -> None:
        if self._gateway and self._word and self._gateway.is_writing:
            self._word.say()

    def stop(self, worker: Any) -> None:
        """Nothing runs any more: give up the sessions."""
        for heartbeat in self._heartbeats:
            heartbeat.stop()
        if self._presence:
            self._presence.end()
        if self._gateway:
            self._gateway.close()
        if self._word:
            self._word.take_back()

    terminate = stop


def tell_watchers(worker: Any, kind: str, **fields: object) -> None:
    """Send an event by the connection that the worker's own go by; while there is none, nobody is told."""
    events = getattr(worker.consumer, "event_dispatcher", None)
    # Whoever only watches must not stand in the way of a job.
    with suppress(Exception):
        if events and events.enabled:
            events.send(kind, **fields)


class Reload:
    """Takes up what has changed of the connections in their files, without a restart."""

    def __init__(self, settings: Settings, gateway: Gateway) -> None:
        self._settings = settings
        self._gateway = gateway
        self._wrong: str | None = None

    def look(self) -> None:
        """Look at the files once; what is wrong in them is said once, and what was before goes on."""
        try:
            settings = Settings.load()
        except Misconfigured as error:
            if str(error) != self._wrong:
                log.error("changed settings are not taken up", reason=str(error))
            self._wrong = str(error)
            return
        self._wrong = None
        if settings != self._settings:
            self._gateway.use(settings)
            self._settings = settings
            log.info("changed settings are taken up")


class Presence:
    """Tells those who watch the fleet that this worker lives, and which lanes it serves."""

    def __init__(self, jobs: JobStore, owner: str, lanes: Collection[Lane]) -> None:
        self._jobs = jobs
        self._owner = owner
        self._lanes = lanes

    def begin(self) -> None:
        """Tell it for the first time; a store that does not answer is told by the next heartbeat."""
        with suppress(StoreUnavailable):
            self.tell()

    def tell(self) -> None:
        """Tell it again. Raises StoreUnavailable."""
        self._jobs.present(self._owner, self._lanes)

    def end(self) -> None:
        """Tell that it ends; unheard, it is taken to be gone a few seconds later."""
        with suppress(StoreUnavailable):
            self._jobs.absent(self._owner, self._lanes)


def lanes_of(queues: Collection[str]) -> frozenset[Lane]:
    """The lanes whose queues a worker takes jobs from."""
    return frozenset(lane for lane in Lane if lane.queue in queues)


class Heartbeat:
    """Does something every so many seconds, on a thread of its own, whatever becomes of it."""

    def __init__(self, name: str, seconds: float, beat: Callable[[], None]) -> None:
        self._seconds = seconds
        self._beat = beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the beat that is under way."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._beat()
            except StoreUnavailable as error:
                log.warning("a heartbeat was lost", heartbeat=self._thread.name, reason=str(error))
            except Exception:
                log.exception("a heartbeat failed", heartbeat=self._thread.name)


def check_pool(pool: type) -> None:
    """Raise Misconfigured for a pool that the ERP floor cannot live in."""
    if pool.__module__ not in POOLS:
        raise Misconfigured(
            f"{pool.__module__} cannot share an ERP session: use --pool threads", "worker_pool"
        )


def give_way() -> None:
    """Have a thread that only asks wait little for one that computes.

    A garbage collection that looked at all that was loaded took 60 ms, in which no thread runs (measured): it looks
    at what jobs make, and less often, since a page makes thousands of objects and leaves no cycles.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)


def watch_parent(environment: Mapping[str, str]) -> None:
    """Shut down warmly when the program that started this worker dies, if it left a pipe to tell by."""
    if number := environment.get(PARENT_FD):
        watcher = threading.Thread(target=_stop_at_end, args=(int(number),), name="parent", daemon=True)
        watcher.start()


def _stop_at_end(pipe: int) -> None:
    os.read(pipe, 1)
    log.warning("the program that started this worker is gone: shutting down")
    os.kill(os.getpid(), signal.SIGTERM)

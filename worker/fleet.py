"""The fleet at one moment, and whether all is well: workers, jobs, sessions, limits, logins, what stands in the way.

Looking asks nothing of the ERP and changes nothing in the store. Raises StoreUnavailable where the store or the
broker does not answer.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import redis

from worker.celery import app
from worker.doorbell import Doorbell
from worker.erp.budget import Budget, BudgetView
from worker.erp.license import LimitsInForce
from worker.erp.logins import Login, Logins
from worker.erp.overview import LicenseView, Overview, Waiter
from worker.erp.slots import State as SlotState
from worker.errors import LoginLimit, WorkerError
from worker.job import Lane
from worker.jobstate import Present, Standing, State
from worker.jobstore import JobStore
from worker.settings import License, Settings
from worker.storage import COMMAND_SECONDS, open_store, saying_the_way_out


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to do for one connection in one lane.

    ``longest`` is for how many seconds one of the ``waiting`` jobs has not got on, ``reasons`` what they wait for, if
    it is not a worker. ``exchanges`` of the ``running`` jobs wait for a session, one of them ``exchange_longest``.
    """

    connection: str
    lane: Lane
    waiting: int
    running: int
    longest: float | None
    reasons: Sequence[Standing]
    exchanges: int
    exchange_longest: float | None


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What there is to see. ``queued`` are messages, also of jobs that no worker has seen yet.

    ``minutes`` are those of the licenses, ``logins`` those of the connections that live on them, by their names.
    """

    workers: Sequence[Present]
    queued: Mapping[Lane, int]
    jobs: Mapping[State, int]
    work: Sequence[Work]
    licenses: Sequence[LicenseView]
    minutes: Mapping[str, BudgetView]
    logins: Mapping[str, Sequence[Login]]

    @property
    def oldest(self) -> float | None:
        """For how many seconds the job has not got on that has waited longest; None where none waits."""
        return max((work.longest for work in self.work if work.longest is not None), default=None)

    def serving(self, lane: Lane) -> Sequence[Present]:
        """The workers that take jobs of a lane."""
        return [worker for worker in self.workers if lane in worker.lanes]


class Level(IntEnum):
    """How a fleet is, as monitors count it."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a fleet is, and why."""

    level: Level
    reasons: Sequence[str]

    @property
    def line(self) -> str:
        """All of it in one line, in which a stranger's words can do nothing."""
        return WorkerError(f"{self.level.name}: {'; '.join(self.reasons)}").line


def look(settings: Settings) -> Fleet:
    """The fleet as it is now."""
    with saying_the_way_out(), open_store(settings, COMMAND_SECONDS) as store:
        jobs = JobStore(store)
        licenses = [Overview(store, settings, filed).look() for filed in settings.spent_licenses()]
        waiters = [waiter for license_ in licenses for waiter in license_.waiters]
        return Fleet(
            workers=jobs.workers(),
            queued=_queued(settings),
            jobs=jobs.counts(),
            work=work_of(jobs.standing(), waiters, settings.connections),
            licenses=licenses,
            minutes={filed.name: _minute(store, filed) for filed in settings.spent_licenses()},
            logins=_logins(settings, store),
        )


def _minute(store: redis.Redis, filed: License) -> BudgetView:
    return Budget(store, LimitsInForce(store, filed, 0.0), threading.Event()).view()


def _logins(settings: Settings, store: redis.Redis) -> dict[str, list[Login]]:
    signed_in = [connection for connection in settings.connections.values() if connection.sign_in == "login"]
    return {connection.name: Logins(store, settings, connection).list() for connection in signed_in}


def _queued(settings: Settings) -> dict[Lane, int]:
    lengths = Doorbell(app, settings.broker).lengths([lane.queue for lane in Lane])
    return {lane: lengths[lane.queue] for lane in Lane}


def work_of(
    standing: Sequence[Standing], waiters: Sequence[Waiter], connections: Collection[str]
) -> list[Work]:
    """What there is to do, by connection and lane: of every connection that is known, or that a job has named."""
    names = dict.fromkeys([*connections, *(stand.connection for stand in standing)])
    return [_work(name, lane, standing, waiters) for name in names for lane in Lane]


def _work(name: str, lane: Lane, standing: Sequence[Standing], waiters: Sequence[Waiter]) -> Work:
    here = [stand for stand in standing if (stand.connection, stand.lane) == (name, lane)]
    waiting = [stand for stand in here if stand.state is not State.RUNNING]
    exchanges = [waiter for waiter in waiters if (waiter.connection, waiter.lane) == (name, lane)]
    return Work(
        connection=name,
        lane=lane,
        waiting=sum(stand.count for stand in waiting),
        running=sum(stand.count for stand in here) - sum(stand.count for stand in waiting),
        longest=max((stand.longest for stand in waiting), default=None),
        reasons=[stand for stand in waiting if stand.state is State.WAITING],
        exchanges=len(exchanges),
        exchange_longest=max((waiter.seconds for waiter in exchanges), default=None),
    )


def judge(fleet: Fleet) -> Verdict:
    """Whether all is well: critical without any worker, a warning where somebody should look."""
    if not fleet.workers:
        return Verdict(level=Level.CRITICAL, reasons=["no worker runs: run acuworker up", *_warnings(fleet)])
    if warnings := _warnings(fleet):
        return Verdict(level=Level.WARNING, reasons=warnings)
    waiting, running = (sum(getattr(work, name) for work in fleet.work) for name in ("waiting", "running"))
    workers = f"{len(fleet.workers)} worker{'' if len(fleet.workers) == 1 else 's'}"
    return Verdict(level=Level.OK, reasons=[f"{workers}, {waiting:,} jobs waiting, {running:,} running"])


def _warnings(fleet: Fleet) -> list[str]:
    return [*_unserved(fleet), *_dead(fleet), *in_the_way(fleet), *_unsure(fleet), *_ending(fleet)]


def _dead(fleet: Fleet) -> Iterator[str]:
    if dead := fleet.jobs.get(State.DEAD, 0):
        jobs = "job is" if dead == 1 else "jobs are"
        yield f"{dead:,} {jobs} dead, as workers ended at it again and again: acuworker jobs list --state dead"


def in_the_way(fleet: Fleet) -> list[str]:
    """Why connections and jobs wait."""
    return [*_barred(fleet), *_waiting(fleet)]


def _unserved(fleet: Fleet) -> Iterator[str]:
    for lane in Lane:
        if fleet.workers and not fleet.serving(lane):
            yield f"no worker serves the lane {lane}"


def _barred(fleet: Fleet) -> Iterator[str]:
    """What bars connections from a session, once for all whom it bars."""
    for license_ in fleet.licenses:
        barred: dict[str, list[str]] = {}
        for name, error in license_.bars.items():
            again = ""
            if isinstance(error, LoginLimit):
                again = f" (tried again in {error.seconds:.0f} s, or at once by acuworker doctor)"
            barred.setdefault(error.message + again, []).append(name)
        yield from (f"{', '.join(names)}: {message}" for message, names in barred.items())


def _waiting(fleet: Fleet) -> Iterator[str]:
    """What jobs wait for, where nothing that bars their connection says it."""
    said = {
        (name, getattr(error, "state", None))
        for license_ in fleet.licenses
        for name, error in license_.bars.items()
    }
    for work in fleet.work:
        for stand in work.reasons:
            if (work.connection, stand.waiting_state) not in said:
                jobs = f"{stand.count:,} {work.lane} job{' waits' if stand.count == 1 else 's wait'}"
                yield f"{work.connection}: {jobs} ({stand.waiting_state}): {stand.reason}"


def _unsure(fleet: Fleet) -> Iterator[str]:
    for license_ in fleet.licenses:
        for slot in license_.slots:
            if slot.state is SlotState.QUARANTINE:
                yield (
                    f"license {license_.name!r}: nobody knows whether the session of slot {slot.slot} is open, so it "
                    f"is left alone for {slot.seconds or 0:.0f} s; if the ERP shows that it is gone: "
                    f"acuworker sessions release {license_.name} {slot.slot}"
                )
        if license_.blackout_seconds:
            yield (
                f"license {license_.name!r}: the store was emptied, so nothing is asked of the ERP for "
                f"{license_.blackout_seconds:.0f} s"
            )


def _ending(fleet: Fleet) -> Iterator[str]:
    for name, logins in fleet.logins.items():
        ending = [login.days_left for login in logins if login.is_ending]
        if ending:
            yield f"{name}: a login ends in {max(0.0, min(ending)):.0f} days: acuworker login {name}"

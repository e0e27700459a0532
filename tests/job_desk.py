"""A desk for tests of the job store: the real store by a clock of the test's own, and what others do with its jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, cast

import redis

from worker.errors import FilterRefused, JobCancelled, SignInRefused, WorkerError
from worker.job import Job, Lane
from worker.jobstate import Attempt, Begun, Bell, JobState, State
from worker.jobstore import LEASE_SECONDS, MOST_CRASHES, JobStore
from worker.page import Spent
from worker.result import Cost, Result

JOB = Job(entity="SalesOrder", lane=Lane.BULK)
RESULT = Result(
    job_id="j",
    connection="default",
    entity="SalesOrder",
    count=9,
    pages=2,
    strategy="one",
    cost=Cost(),
    size=0,
    sha256=hashlib.sha256(b"").hexdigest(),
    records="",
)
REFUSED = SignInRefused("wrong password")


class ClockedStore:
    """Uses a store as ``redis.Redis`` does; the time that scripts see is ``now``."""

    def __init__(self, real: redis.Redis) -> None:
        self.now = 1_000_000.0
        self.lose = False
        """Whether the answer to the next script is lost, though the script has run."""
        self._real = real

    def register_script(self, text: str) -> Callable[..., Any]:
        """A script that goes by the clock here."""
        assert text.count("redis.call('TIME')") == 1
        script = self._real.register_script(
            text.replace("redis.call('TIME')", "{redis.call('GET', 'now'), 0}")
        )

        def call(keys: list[str], args: list[Any]) -> Any:
            self._real.set("now", repr(self.now))
            answer = script(keys=keys, args=args)
            lost, self.lose = self.lose, False
            if lost:
                raise redis.ConnectionError
            return answer

        return call

    def __getattr__(self, name: str) -> Any:
        """Whatever else a client of the store can do."""
        return getattr(self._real, name)


class JobDesk:
    """An empty job store by a clock of the test's own, and what a worker and a sweeper do with it."""

    def __init__(self, store: redis.Redis) -> None:
        self.store = ClockedStore(store)
        self.jobs = JobStore(cast(redis.Redis, self.store))

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.store.now += seconds

    def deliver(self, job_id: str = "j", job: Job = JOB, turn: int | None = None) -> Begun:
        """What a delivery of the job's latest message is to do."""
        told = self.row("turn", job_id) if turn is None else turn
        return self.jobs.begin(job_id, job, "worker-1", int(told or 0))

    def begun(self, job_id: str = "j") -> Attempt:
        """The attempt that a delivery of the job's latest message makes."""
        attempt = self.deliver(job_id)
        assert isinstance(attempt, Attempt)
        return attempt

    def row(self, field: str, job_id: str = "j") -> str | None:
        """What stands in a field of the job's row."""
        value = self.store.hget(f"acuworker:job:{job_id}", field)
        return None if value is None else value.decode()

    def state(self, job_id: str = "j") -> JobState:
        """What is known of the job."""
        return cast(JobState, self.jobs.get(job_id))

    def swept(self, *empty: Lane) -> list[Bell]:
        """The bells of a sweep."""
        return self.jobs.sweep(empty)

    def bring_to(self, state: State) -> Attempt | None:
        """Bring the job into this state, by a delivery at least; the latest attempt of one that runs."""
        if state is State.ACCEPTED:
            self.jobs.continue_(self.begun(), Spent())
        elif state is State.WAITING:
            self.jobs.put_off(self.begun(), REFUSED, 60, Spent())
        elif state is State.RUNNING:
            return self.begun()
        elif state is State.DEAD:
            self.crash(MOST_CRASHES)
        else:
            outcomes: dict[State, Result | WorkerError] = {
                State.DONE: RESULT,
                State.FAILED: FilterRefused("no such field", "filter"),
                State.CANCELLED: JobCancelled("cancelled"),
            }
            self.jobs.finish(self.begun(), outcomes[state])
        return None

    def crash(self, times: int) -> None:
        """Let so many workers at most begin the job and end without a word."""
        for _ in range(times):
            if not isinstance(self.deliver(), Attempt):
                return
            self.later(LEASE_SECONDS + 1)
            self.swept()

"""A runner over a real store and a sandbox, without Celery: a job of any kind is handed to it, a delivery at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

from tests.erp_floor import Floors, connection_to, settings_for
from tests.job_desk import JobDesk
from tests.runner_bench import Message
from tests.sandbox_process import Sandbox
from worker import kinds
from worker.blobs.directory import Directory
from worker.erp.gateway import Gateway
from worker.job import Lane
from worker.jobstate import Bell
from worker.publisher import Publisher
from worker.reader import Reader
from worker.registry import Registry
from worker.result import Result
from worker.runner import Continued, Delivery, Done, Failed, HandedBack, Outcome, Parked, Runner
from worker.work import Work

MOST_DELIVERIES = 60


class ErpBench(JobDesk):
    """Workers of one machine, their store, and the ERP that is a sandbox; the job store goes by a clock of its own."""

    def __init__(
        self, sandbox: Sandbox, store_url: str, floors: Floors, blobs: Path, **connection: Any
    ) -> None:
        self.client = redis.Redis.from_url(store_url)
        super().__init__(self.client)
        self.sandbox = sandbox
        self.blobs = Directory(blobs)
        self._floors = floors
        self._settings = settings_for(connection_to(sandbox, **connection), store_url)
        self._workers = 0
        self.gateway = self.another()

    def another(self) -> Gateway:
        """Start another worker, which takes what is delivered from now on."""
        self._workers += 1
        owner = f"worker-{self._workers}"
        self.gateway = self._floors.start(self._settings, owner)
        self.runner = Runner(
            owner=owner,
            gateway=self.gateway,
            work=Work(self.gateway, Registry.load(), self.blobs),
            jobs=self.jobs,
            publisher=Publisher(self.blobs),
            ring=self._ring,
            slice_seconds=30.0,
        )
        return self.gateway

    def _ring(self, bell: Bell) -> None:
        """Nobody hears it: each delivery is asked for."""

    def take(self, job_id: str, body: Mapping[str, Any]) -> Outcome:
        """Deliver a job to the worker that there is, by its latest message."""
        job = kinds.parse(dict(body)).in_lane(Lane.INTERACTIVE)
        turn = int(self.row("turn", job_id) or 0)
        return self.runner.run(Delivery(job_id=job_id, job=job, turn=turn), Message())

    def outcome(self, body: Mapping[str, Any], job_id: str = "j") -> Done | Failed:
        """How a job ends, which is delivered again and again until then."""
        for _ in range(MOST_DELIVERIES):
            match self.take(job_id, body):
                case Done() | Failed() as ended:
                    return ended
                case Parked() | Continued() | HandedBack():
                    # As long as it takes until somebody sweeps what waits.
                    self.later(60.0)
                    self.swept(*Lane)
        raise AssertionError(f"the job {job_id} does not end")

    def result(self, body: Mapping[str, Any], job_id: str = "j") -> Result:
        """The result of a job. Raises the error that it fails with."""
        ended = self.outcome(body, job_id)
        if isinstance(ended, Failed):
            raise ended.error
        return ended.result

    def records(self, body: Mapping[str, Any], job_id: str = "j") -> list[Any]:
        """The records of a job's result."""
        return list(Reader(self.blobs).records(self.result(body, job_id)))

    def sent(self, method: str) -> list[str]:
        """The requests of this method that the ERP got below /entity, by their path there."""
        return [
            event["path"].partition("/entity/")[2].partition("/")[2].partition("/")[2]
            for event in self.sandbox.events()
            if event["kind"] == "arrival" and event["method"] == method and "/Default/" in event["path"]
        ]

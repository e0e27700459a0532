"""How jobs get in and results get out, for the command line and for producers inside this project.

Other services send the task ``acumatica.retrieve`` by name instead. Loads nothing that talks to the ERP.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from worker.blobs.names import file_key
from worker.blobs.opened import open_blobs
from worker.blobs.store import CHUNK_BYTES, named
from worker.celery import app
from worker.doorbell import Doorbell
from worker.erp import query as filters
from worker.errors import JobUnfinished, JobUnknown, StoreUnavailable
from worker.job import Asked, Job, Lane
from worker.jobstate import Bell, JobState, State
from worker.jobstore import JobStore
from worker.kinds import Source
from worker.reader import Reader
from worker.result import Result
from worker.settings import Settings
from worker.storage import COMMAND_SECONDS, open_store, saying_the_way_out

LOOK_SECONDS = 0.05


class Client:
    """Submits jobs to the broker of these settings, and reads what is known of them in the store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs = JobStore(open_store(settings, COMMAND_SECONDS))
        self._doorbell = Doorbell(app, settings.broker)

    @cached_property
    def reader(self) -> Reader:
        """What reads back a result's records and files. Raises Misconfigured."""
        return Reader(open_blobs(self._settings))

    def submit(self, job: Asked) -> str:
        """Put the job on the queue of its lane, and return its id: that of an earlier one with its idempotency key.

        Raises FilterInvalid, ParameterInvalid, JobInvalid or StoreUnavailable: then it is not queued.
        """
        if isinstance(job, Job) and job.filter is not None:
            filters.bind(job.filter, job.params)
        job_id = str(uuid.uuid4())
        settled = job.in_lane(Lane.INTERACTIVE)
        with saying_the_way_out():
            standing = self._jobs.accept(job_id, settled)
            if standing != job_id:
                return standing
            lane = settled.lane or Lane.INTERACTIVE
            try:
                self._doorbell.ring(Bell(job_id=job_id, body=settled.wire(), lane=lane, turn=0))
            except StoreUnavailable:
                self._jobs.withdraw(job_id)
                raise
        return job_id

    def keep(self, path: Path) -> Source:
        """Put a file into the workers' blob store, for a job that uploads it. Raises BlobsUnavailable."""
        blobs = open_blobs(self._settings)
        spool = blobs.spool()
        try:
            with named(path), path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    spool.write(chunk)
            blobs.share(file_key(spool.sha256), spool)
            return Source(size=spool.size, sha256=spool.sha256)
        finally:
            spool.close()

    def cancel(self, job_id: str) -> State:
        """End a job, or have its worker end it at its next page: its state then. Raises JobUnknown."""
        return self._changed(job_id, self._jobs.cancel)

    def retry(self, job_id: str) -> State:
        """Begin anew a job that has failed, died or been cancelled: its state then. Raises JobUnknown."""
        return self._changed(job_id, self._jobs.retry)

    def _changed(self, job_id: str, change: Callable[[str], tuple[State | None, Bell | None]]) -> State:
        with saying_the_way_out():
            state, bell = change(job_id)
            if bell:
                self._doorbell.ring(bell)
        if state is None:
            raise _unknown(job_id)
        return state

    def jobs(self, states: Iterable[State]) -> Iterator[JobState]:
        """Jobs in these states, the latest first."""
        with saying_the_way_out():
            yield from self._jobs.latest(states)

    def body(self, job_id: str) -> Mapping[str, Any] | None:
        """What the job asks; None where it was refused before it was kept."""
        with saying_the_way_out():
            return self._jobs.body(job_id)

    def known(self, job_ids: Sequence[str]) -> frozenset[str]:
        """Those of these jobs that are known."""
        with saying_the_way_out():
            return self._jobs.known(job_ids)

    def state(self, job_id: str) -> JobState:
        """What is known of the job. Raises JobUnknown."""
        with saying_the_way_out():
            state = self._jobs.get(job_id)
        if state is None:
            raise _unknown(job_id)
        return state

    def result(self, job_id: str, timeout: float = 0.0) -> Result:
        """The result of the job, waited for at most ``timeout`` seconds.

        Raises the WorkerError that the job failed with, JobUnknown, or JobUnfinished when it has not ended by then.
        """
        end = time.monotonic() + timeout
        while not (state := self.state(job_id)).ended:
            if time.monotonic() >= end:
                raise JobUnfinished(f"the job {job_id} has not ended: it is {state.where}", "job_id")
            time.sleep(LOOK_SECONDS)
        if state.error:
            raise state.error
        with saying_the_way_out():
            result = self._jobs.result(job_id)
        if result is None:
            raise JobUnknown(
                f"the job {job_id} is done, and its result was kept for a day: submit it again", "job_id"
            )
        return result


def _unknown(job_id: str) -> JobUnknown:
    return JobUnknown(f"there is no job {job_id}, or it ended over a week ago", "job_id")

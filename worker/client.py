"""How jobs get in and results get out, for the command line and for producers inside this project.

Other services send the task ``acumatica.retrieve`` by name instead. Loads nothing that talks to the ERP.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from kombu.exceptions import OperationalError
from kombu.pools import producers

from worker.celery import app
from worker.erp import query as filters
from worker.errors import JobUnfinished, JobUnknown, StoreUnavailable
from worker.job import TASK, Job, Lane, Result
from worker.jobstore import JobState, JobStore
from worker.settings import Settings
from worker.storage import COMMAND_SECONDS, open_store

LOOK_SECONDS = 0.05

WAY_OUT = "is acuworker up running, and are ACUWORKER_VAR and ACUWORKER_STORE_URL here what they are there?"
"""What to look at when the store or the broker does not answer."""


@contextmanager
def saying_the_way_out() -> Iterator[None]:
    """Around a use of the store or the broker: its StoreUnavailable says besides what to look at."""
    try:
        yield
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{error.message}: {WAY_OUT}") from None


class Client:
    """Submits jobs to the broker of these settings, and reads what is known of them in the store."""

    def __init__(self, settings: Settings) -> None:
        self._jobs = JobStore(open_store(settings, COMMAND_SECONDS))
        self._broker = app.connection_for_write(settings.broker)

    def submit(self, job: Job) -> str:
        """Put the job on the queue of its lane, and return its id.

        Raises FilterInvalid, ParameterInvalid or StoreUnavailable: then it is not queued.
        """
        if job.filter is not None:
            filters.bind(job.filter, job.params)
        job_id = str(uuid.uuid4())
        settled = job.in_lane(Lane.INTERACTIVE)
        with saying_the_way_out():
            self._jobs.accept(job_id, settled)
            try:
                self._send(job_id, settled)
            except (OperationalError, redis.RedisError, OSError) as error:
                self._jobs.withdraw(job_id)
                raise StoreUnavailable(f"the broker does not answer ({type(error).__name__})") from None
        return job_id

    def _send(self, job_id: str, job: Job) -> None:
        message = app.amqp.create_task_message(job_id, TASK, args=(job.wire(),))
        queue = (job.lane or Lane.INTERACTIVE).queue
        with producers[self._broker].acquire(block=True) as producer:
            app.amqp.send_task_message(producer, TASK, message, queue=queue)

    def state(self, job_id: str) -> JobState:
        """What is known of the job. Raises JobUnknown."""
        with saying_the_way_out():
            state = self._jobs.get(job_id)
        if state is None:
            raise JobUnknown(f"there is no job {job_id}, or it ended over a week ago", "job_id")
        return state

    def result(self, job_id: str, timeout: float = 0.0) -> Result:
        """The result of the job, waited for at most ``timeout`` seconds.

        Raises the WorkerError that the job failed with, JobUnknown, or JobUnfinished when it has not ended by then.
        """
        end = time.monotonic() + timeout
        while not (state := self.state(job_id)).ended:
            if time.monotonic() >= end:
                raise JobUnfinished(f"the job {job_id} has not ended: it is {where(state)}", "job_id")
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


def where(state: JobState) -> str:
    """Where a job is that has not ended, and what it waits for if it waits."""
    if state.waiting_for is None:
        return str(state.state)
    return f"{state.waiting_state or state.state}: {state.waiting_for}"

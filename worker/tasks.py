"""The one task, ``acumatica.retrieve``: between Celery's messages and the runner.

A message comes from a stranger: whatever is wrong with it becomes a failed task with a JobRefused that says so.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import redis
import structlog
from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from kombu.exceptions import OperationalError

from worker.errors import JobInvalid, JobRefused, StoreUnavailable, WorkerError
from worker.job import JOB_ID, TASK, Job, Lane
from worker.runner import Delivery, Done, Failed, HandedBack, Later, Outcome, Runner


def lane_of(routing_key: object) -> Lane:
    """The lane whose queue delivered a message; interactive where no queue of ours did."""
    return next((lane for lane in Lane if lane.queue == routing_key), Lane.INTERACTIVE)


def job_in(args: Sequence[object], kwargs: Mapping[str, object], lane: Lane) -> Job:
    """The job in a message's arguments: one object, by position or as ``job``. Raises JobRefused."""
    match args, kwargs:
        case [body], {} if not kwargs:
            return Job.parse(body).in_lane(lane)
        case [], {"job": body} if len(kwargs) == 1:
            return Job.parse(body).in_lane(lane)
    raise JobInvalid('acumatica.retrieve takes one argument: {"entity": "SalesOrder", …}', "job")


def checked_id(task_id: object) -> str:
    """The id of the task, which is also its job's. Raises JobInvalid."""
    if isinstance(task_id, str) and re.fullmatch(JOB_ID, task_id):
        return task_id
    raise JobInvalid("must be letters, digits, dots, dashes and underscores, at most 128 of them", "task_id")


class Retrieve(Task):  # type: ignore[misc]  # Celery has no types
    """``acumatica.retrieve``: takes a job, returns its result; both are JSON objects."""

    name = TASK
    max_retries = None
    throws = (WorkerError,)

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def run(self, *args: object, **kwargs: object) -> Mapping[str, Any]:
        """The result of the job. Raises its WorkerError, or what tells Celery that it has not ended."""
        with structlog.contextvars.bound_contextvars(job_id=str(self.request.id)[:128]):
            outcome = self._outcome(args, kwargs)
        match outcome:
            case Done(result):
                return result.model_dump(mode="json", exclude_none=True)
            case Failed(error):
                # Where it came from is in the log; a caller gets its code, message and field.
                raise error.with_traceback(None) from None
            case Later(seconds, WorkerError() as reason):
                raise Retry(exc=reason, when=seconds)
            case HandedBack():
                raise Reject("handed back", requeue=True)
        raise Ignore

    def _outcome(self, args: Sequence[object], kwargs: Mapping[str, object]) -> Outcome:
        try:
            job_id = checked_id(self.request.id)
        except JobRefused as error:
            return Failed(error)
        try:
            job = job_in(args, kwargs, lane_of((self.request.delivery_info or {}).get("routing_key")))
        except JobRefused as error:
            return self._runner.refuse(job_id, error)
        return self._runner.run(Delivery(job_id=job_id, job=job, turn=self.request.retries), _Message(self))


class _Message:
    """The message that a thread is working on, with Celery."""

    def __init__(self, task: Retrieve) -> None:
        self._task = task

    def started(self) -> None:
        self._show("STARTED", {"hostname": self._task.request.hostname})

    def progress(self, pages: int, records: int) -> None:
        self._show("PROGRESS", {"pages": pages, "records": records})

    def again(self, seconds: float) -> None:
        request = self._task.request
        turn = request.retries + 1
        message = self._task.signature_from_request(
            request, request.args, request.kwargs, countdown=seconds, retries=turn
        )
        try:
            message.apply_async()
        except (OperationalError, redis.RedisError, OSError) as error:
            raise StoreUnavailable(f"the broker does not answer ({type(error).__name__})") from None

    def _show(self, state: str, meta: Mapping[str, Any]) -> None:
        # The job store has the truth; Celery's view of it may lag while the store does not answer.
        with contextlib.suppress(redis.RedisError):
            self._task.update_state(state=state, meta=meta)

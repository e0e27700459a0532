"""The one task, ``acumatica.retrieve``: between Celery's messages and the runner.

A message comes from a stranger: whatever is wrong with it becomes a failed task with a JobRefused that says so.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import redis
import structlog
from celery import Task
from celery.exceptions import Ignore, Reject
from celery.worker import state as worker_state
from celery.worker.request import Request as CeleryRequest

from worker import kinds, telemetry
from worker.errors import JobInvalid, JobRefused, WorkerError, WorkerTooOld
from worker.job import JOB_ID, TASK, Asked, Lane, NewerJob
from worker.jobstore import waiting_state
from worker.result import Result
from worker.runner import Delivery, Done, Failed, HandedBack, Outcome, Parked, Runner


def lane_of(routing_key: object) -> Lane:
    """The lane whose queue delivered a message; interactive where no queue of ours did."""
    return next((lane for lane in Lane if lane.queue == routing_key), Lane.INTERACTIVE)


def job_in(args: Sequence[object], kwargs: Mapping[str, object], lane: Lane) -> Asked | NewerJob:
    """The job in a message's arguments: one object, by position or as ``job``. Raises JobRefused."""
    match args, kwargs:
        case [body], {} if not kwargs:
            return _parsed(body, lane)
        case [], {"job": body} if len(kwargs) == 1:
            return _parsed(body, lane)
    raise JobInvalid('acumatica.retrieve takes one argument: {"entity": "SalesOrder", …}', "job")


def _parsed(body: object, lane: Lane) -> Asked | NewerJob:
    try:
        return kinds.parse(body).in_lane(lane)
    except WorkerTooOld as error:
        return NewerJob(cast(Mapping[str, Any], body), lane, error)


def checked_id(task_id: object) -> str:
    """The id of the task, which is also its job's. Raises JobInvalid."""
    if isinstance(task_id, str) and re.fullmatch(JOB_ID, task_id):
        return task_id
    raise JobInvalid("must be letters, digits, dots, dashes and underscores, at most 128 of them", "task_id")


class Request(CeleryRequest):  # type: ignore[misc]  # Celery has no types
    """A delivery, as those who watch tasks are shown it: what it was given, readable and without secrets."""

    @cached_property
    def argsrepr(self) -> str:
        """The job; whoever sent it may have described it otherwise, or not at all."""
        match self.args:
            case [job]:
                return telemetry.shown(job)
        return telemetry.shown(self.args) if self.args else ""

    @cached_property
    def kwargsrepr(self) -> str:
        """The job, where it was given by name."""
        return telemetry.shown(self.kwargs) if self.kwargs else ""


class Told:
    """A result as Celery keeps it, and in a few words for those who watch tasks."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def __json__(self) -> Mapping[str, Any]:
        return self._result.model_dump(mode="json", exclude_none=True)

    def __repr__(self) -> str:
        result, cost = self._result, self._result.cost
        told = {"records": result.count, "files": result.file_count, "pages": result.pages}
        return telemetry.shown({**told, "requests": cost.requests, "seconds": cost.seconds})


class Retrieve(Task):  # type: ignore[misc]  # Celery has no types
    """``acumatica.retrieve``: takes a job, returns its result; both are JSON objects."""

    name = TASK
    max_retries = None
    throws = (WorkerError,)
    Request = "worker.tasks:Request"

    def __init__(self, runner: Runner, tell: Callable[..., object]) -> None:
        """``tell`` sends an event, by its type and with its fields, to those who watch tasks."""
        self._runner = runner
        self.tell = tell

    def run(self, *args: object, **kwargs: object) -> Told:
        """The result of the job. Raises its WorkerError, or what tells Celery that it has not ended."""
        with structlog.contextvars.bound_contextvars(job_id=str(self.request.id)[:128]):
            outcome = self._outcome(args, kwargs)
        match outcome:
            case Done(result):
                return Told(result)
            case Failed(error):
                # Where it came from is in the log; a caller gets its code, message and field.
                raise error.with_traceback(None) from None
            case Parked(reason):
                _Message(self).waits(reason)
            case HandedBack():
                raise Reject("handed back", requeue=True)
        # To Celery a job is one task, which has not ended: another message of the same id goes on with it.
        raise Ignore

    def after_return(self, status: str, retval: object, task_id: str, *about: object) -> None:
        """Celery has kept the result, so whoever waits for it is told."""
        self._runner.told(task_id)

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

    def waits(self, reason: WorkerError) -> None:
        self._show("WAITING", {"for": waiting_state(reason), "reason": reason.message})

    @property
    def revoked(self) -> bool:
        return self._task.request.id in worker_state.revoked

    def _show(self, state: str, meta: Mapping[str, Any]) -> None:
        # The job store has the truth; Celery's view of it may lag while the store does not answer.
        with contextlib.suppress(redis.RedisError):
            self._task.update_state(state=state, meta=meta)
        # Of a task that is started Celery sends an event itself.
        if state != "STARTED":
            told = {"uuid": self._task.request.id, "result": telemetry.shown(meta)}
            self._task.tell(f"task-{state.lower()}", **told)

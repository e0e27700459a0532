"""Long operations: what runs behind an action after its 202, and what the polls of it are told.

An operation belongs to the session that started it. While it runs, that session does nothing else on the same form and
starts no second one (vendor's guide, Action Execution); when the session ends, so does it. Nothing here fails.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from deploy.sandbox import replies
from deploy.sandbox.events import EventLog
from deploy.sandbox.replies import Reply

State = Literal["running", "done", "failed", "aborted"]
Work = Callable[[], Reply]
"""Does what the action is for, and says what the polls are answered from then on."""


@dataclass(frozen=True)
class Task:
    """What an operation is about: an action of an entity, on a record, on a form."""

    entity: str
    action: str
    record: str
    screen: str
    session: int


class Operation:
    """One long operation. `ends` is in seconds of the event loop's clock."""

    def __init__(self, task: Task, work: Work, ends: float) -> None:
        self.id = str(uuid.uuid4())
        self.task = task
        self.ends = ends
        self.state: State = "running"
        self.answer = Reply(202)
        self._work = work

    def finish(self, failure: Reply | None) -> None:
        """Do the work; or, where there is a failure, fail with it and do nothing."""
        self.answer = self._work() if failure is None else failure
        self.state = "done" if self.answer.status < 400 else "failed"

    def as_json(self) -> dict[str, object]:
        """What the control API tells of it."""
        task = self.task
        about = {"entity": task.entity, "action": task.action, "record": task.record}
        return {"operation": self.id, **about, "session": task.session, "state": self.state}


class Operations:
    """All operations of the site since its start. Single event loop."""

    def __init__(self, log: EventLog, seconds: float, long: Iterable[str] = ()) -> None:
        """Each takes so many seconds; `long` are the actions, `Entity/Action`, that run as one though they need not."""
        self.seconds = seconds
        self.long = set(long)
        self._log = log
        self._all: dict[str, Operation] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: list[Reply] = []

    def start(self, task: Task, work: Work, request: int | None) -> Operation:
        """Begin one. Who begins it has looked whether the session is free."""
        loop = asyncio.get_running_loop()
        operation = Operation(task, work, loop.time() + self.seconds)
        self._all[operation.id] = operation
        self._timers[operation.id] = loop.call_later(self.seconds, self._finish, operation)
        about = {"entity": task.entity, "action": task.action, "record": task.record}
        self._log.add("operation_start", request, task.session, operation=operation.id, **about)
        return operation

    def running(self, session: int | None) -> Operation | None:
        """The operation that runs in a session, if any."""
        found = (one for one in self._all.values() if one.state == "running" and one.task.session == session)
        return next(found, None)

    def find(self, operation_id: str, session: int | None) -> Operation | None:
        """An operation of this session; those of other sessions are unknown to it (a choice: no source says)."""
        operation = self._all.get(operation_id.lower())
        return operation if operation is not None and operation.task.session == session else None

    def abort(self, session: int) -> None:
        """The session has ended: what runs in it ends too, and its work is not done."""
        operation = self.running(session)
        if operation is not None:
            operation.state = "aborted"
            self._end(operation)

    def finish_all(self) -> int:
        """End all that run, now; answers how many."""
        due = [operation for operation in self._all.values() if operation.state == "running"]
        for operation in due:
            self._finish(operation)
        return len(due)

    def fail_next(self, failure: Reply) -> None:
        """Let the next one that ends fail with this answer to its polls."""
        self._failures.append(failure)

    def as_json(self) -> list[dict[str, object]]:
        """All of them, in order."""
        return [operation.as_json() for operation in self._all.values()]

    def _finish(self, operation: Operation) -> None:
        operation.finish(self._failures.pop(0) if self._failures else None)
        self._end(operation)

    def _end(self, operation: Operation) -> None:
        self._timers.pop(operation.id).cancel()
        facts = {"operation": operation.id, "outcome": operation.state}
        self._log.add("operation_end", None, operation.task.session, **facts)


def still_busy() -> Reply:
    """A request on a form that a long operation holds. That it fails is documented; the text was never captured."""
    words = "The previous operation has not been completed yet."
    return replies.exception(500, words, "PX.Data.PXException", "PX.Data.PXLongOperation.StartOperation()")

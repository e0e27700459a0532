"""The sandbox's long operations: how they run, end and fail, and whose they are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from deploy.sandbox.events import EventLog
from deploy.sandbox.operations import Operation, Operations, Task
from deploy.sandbox.replies import Reply

TASK = Task("Payment", "ReleasePayment", "id", "AR302000", session=3)
DONE = Reply(204)


def play(
    scenario: Callable[[Operations, Callable[..., Operation]], Awaitable[None]], seconds: float = 600
) -> tuple[list[dict[str, Any]], list[str]]:
    """Play a scenario; gives the log, and what the operations have done."""
    log, worked = EventLog(), list[str]()

    async def run() -> None:
        operations = Operations(log, seconds)

        def start(session: int = 3) -> Operation:
            def work() -> Reply:
                worked.append(f"session {session}")
                return DONE

            task = Task(TASK.entity, TASK.action, TASK.record, TASK.screen, session)
            return operations.start(task, work, request=1)

        await scenario(operations, start)

    asyncio.run(run())
    return [event.as_json() for event in log.since(0)], worked


def test_one_ends_by_itself_and_then_its_work_is_done() -> None:
    """Not before; the log has its start and its end."""

    async def scenario(operations: Operations, start: Callable[..., Operation]) -> None:
        operation = start()
        assert (operation.state, operations.running(3)) == ("running", operation)
        async with asyncio.timeout(5):
            while operation.state == "running":
                await asyncio.sleep(0.005)
        assert (operation.state, operation.answer, operations.running(3)) == ("done", DONE, None)

    events, worked = play(scenario, seconds=0.02)
    assert worked == ["session 3"]
    assert [(event["kind"], event["session"]) for event in events] == [
        ("operation_start", 3),
        ("operation_end", 3),
    ]
    assert events[0]["operation"] == events[1]["operation"]


def test_the_end_of_its_session_is_its_end() -> None:
    """Its work is not done; another session's goes on."""

    async def scenario(operations: Operations, start: Callable[..., Operation]) -> None:
        mine, other = start(3), start(4)
        operations.abort(3)
        assert (mine.state, other.state) == ("aborted", "running")
        operations.abort(3)
        assert operations.finish_all() == 1

    events, worked = play(scenario)
    assert worked == ["session 4"]
    assert [event["outcome"] for event in events if event["kind"] == "operation_end"] == ["aborted", "done"]


def test_a_failure_waits_for_the_next_that_ends() -> None:
    """It replaces the work of one, and of no other."""

    async def scenario(operations: Operations, start: Callable[..., Operation]) -> None:
        first, second = start(3), start(4)
        operations.fail_next(Reply(500))
        operations.finish_all()
        assert [(one.state, one.answer.status) for one in (first, second)] == [("failed", 500), ("done", 204)]

    _, worked = play(scenario)
    assert worked == ["session 4"]


def test_a_session_finds_its_own_alone() -> None:
    """In any case of the id; without a session there is nothing to find."""

    async def scenario(operations: Operations, start: Callable[..., Operation]) -> None:
        operation = start(3)
        assert operations.find(operation.id.upper(), 3) is operation
        assert [operations.find(operation.id, session) for session in (4, None)] == [None, None]
        assert operations.find("nothing", 3) is None
        operations.finish_all()

    play(scenario)

"""What becomes of a message that RabbitMQ has given up on: decided by what the job store knows of its job."""

from __future__ import annotations

from typing import Any

import pytest
from kombu.message import Message

from worker.doorbell import see_to
from worker.job import TASK, Lane
from worker.jobstate import State, state_in
from worker.sweeper import is_wanted


@pytest.mark.parametrize("state", State)
def test_a_message_is_wanted_by_a_job_that_nobody_has_begun(state: State) -> None:
    """Jobs that run, wait or have ended are seen to by the store; one that is accepted needs its message."""
    job = state_in("job-1", {"state": state, "accepted_at": "1.0", "attempt": "0"})
    assert is_wanted(job) == (state is State.ACCEPTED)


def test_a_message_of_an_unknown_job_is_wanted() -> None:
    """A stranger's job has no row before a worker has begun it: its message is all there is of it."""
    assert is_wanted(None)


class Channel:
    """A channel that notes what is done, in order."""

    no_ack_consumers = None

    def __init__(self) -> None:
        self.done: list[Any] = []

    def basic_ack(self, tag: str, multiple: bool = False) -> None:
        """Let go of a message."""
        self.done.append(("ack", tag))

    def publish(self, body: object, **options: Any) -> None:
        """Send a message."""
        self.done.append(("publish", body, options["routing_key"], options["headers"]))


@pytest.mark.parametrize(
    ("headers", "wanted", "sent"),
    [
        ({"x-first-death-queue": Lane.INTERACTIVE.queue}, True, Lane.INTERACTIVE.queue),
        ({"x-first-death-queue": "celery"}, True, Lane.BULK.queue),
        ({}, True, Lane.BULK.queue),
        ({}, False, None),
        ({"task": "other"}, True, None),
        ({"id": None}, True, None),
    ],
)
def test_a_dead_letter_is_let_go_of_last(headers: dict[str, Any], wanted: bool, sent: str | None) -> None:
    """It goes to the queue where it died, without RabbitMQ's notes on it, before it is acknowledged; or nowhere."""
    channel: Any = Channel()
    known = {"id": "job-1", "task": TASK, "x-death": [{"count": 100}]}
    letter = Message(body=b"[]", delivery_tag="7", channel=channel, headers={**known, **headers})
    see_to(letter, channel, lambda job_id: wanted)
    expected = [("publish", b"[]", sent, {"id": "job-1", "task": TASK})] if sent else []
    assert channel.done == [*expected, ("ack", "7")]

"""A message that a worker takes is never in its hands alone: a real Valkey, and a process that is killed taking one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
import tenacity
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer, Producer

from worker import transport

TAKER = """
import os, signal, sys
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer
from worker import transport

class Dying(transport.QoS):
    def append(self, message, delivery_tag):
        if sys.argv[2] == "held":
            super().append(message, delivery_tag)
        os.kill(os.getpid(), signal.SIGKILL)

transport.install()
transport.Channel.QoS = Dying
with Connection(sys.argv[1]) as connection, Consumer(connection, [Queue("work")], callbacks=[print]):
    connection.drain_events(timeout=20)
"""
OPTIONS = {"visibility_timeout": 1, "unacked_restore_throttle": 1}


@pytest.fixture
def address(store_url: str) -> str:
    """The broker's address, as Celery has it."""
    transport.install()
    return store_url.replace("unix://", "redis+socket://")


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """What is in it."""
    with closing(redis.Redis.from_url(store_url)) as client:
        yield client


def send(address: str, *texts: str, queue: str = "work") -> None:
    """Send some messages."""
    with Connection(address) as connection:
        producer = Producer(connection)
        for text in texts:
            producer.publish(text, routing_key=queue, declare=[Queue(queue)], serializer="json")


def received(address: str, count: int, *queues: str) -> list[str]:
    """What a consumer of these queues is given, of so many messages."""
    found: list[str] = []

    def take(body: Any, message: Any) -> None:
        found.append(body)
        message.ack()

    with (
        Connection(address, transport_options=OPTIONS) as connection,
        Consumer(connection, [Queue(name) for name in queues or ("work",)], callbacks=[take]),
    ):
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_delay(20),
            retry=tenacity.retry_if_exception_type((AssertionError, OSError)),
        ):
            with attempt:
                while len(found) < count:
                    connection.drain_events(timeout=0.2)
                assert len(found) == count
    return found


@pytest.mark.parametrize("moment", ["taken", "held"])
def test_a_message_that_a_killed_worker_took_comes_again(
    address: str, store: redis.Redis, moment: str
) -> None:
    """Whether it was killed before it had written down that it holds the message, or after, another gets it."""
    send(address, "first", "second")
    taker = subprocess.run([sys.executable, "-c", TAKER, address, moment], timeout=60, check=False)
    assert taker.returncode == -signal.SIGKILL
    assert store.llen("work") == 1
    assert sorted(received(address, 2)) == ["first", "second"]
    assert store.keys(f"{transport.TAKEN}*") == []


def test_messages_come_in_order_and_once(address: str, store: redis.Redis) -> None:
    """The oldest comes first, and what was held and acknowledged leaves nothing behind."""
    texts = [str(number) for number in range(50)]
    send(address, *texts)
    assert received(address, 50) == texts
    assert [key for key in store.scan_iter() if not key.startswith(b"_kombu")] == []


def test_several_queues_are_waited_at_in_turn(address: str) -> None:
    """A worker of two lanes hears both, whichever is busy."""
    send(address, "a", "b")
    send(address, "c", queue="other")
    assert sorted(received(address, 3, "work", "other")) == ["a", "b", "c"]


def test_a_busy_queue_does_not_wait_for_an_empty_one(address: str, store: redis.Redis) -> None:
    """With a second queue that is empty, messages come one after the other, without a pause between them."""
    send(address, *map(str, range(200)))
    began = time.monotonic()
    assert received(address, 200, "work", "other") == list(map(str, range(200)))
    # A wait at the empty queue after each would take fifty seconds.
    assert time.monotonic() - began < 10


def test_what_is_being_taken_just_now_is_left_alone(address: str, store: redis.Redis) -> None:
    """Only a message that is found twice, some seconds apart, is put back."""
    send(address, "one")
    (message,) = store.lrange("work", 0, -1)
    store.lmove("work", f"{transport.TAKEN}work")
    with Connection(address) as connection:
        channel: Any = connection.channel()
        channel.basic_consume("work", no_ack=False, callback=print, consumer_tag=str(os.getpid()))
        channel.qos.restore_visible(interval=1)
        assert store.lrange(f"{transport.TAKEN}work", 0, -1) == [message]
        channel.qos.restore_visible(interval=1)
        assert store.lrange("work", 0, -1) == [message]

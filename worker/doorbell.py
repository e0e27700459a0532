"""The broker, which is a doorbell: a message says that somebody should look at a job, and may be lost or come twice.

A broker that does not answer raises StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
import structlog
from amqp.exceptions import MessageNacked  # type: ignore[import-untyped]
from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from kombu.message import Message
from kombu.messaging import Producer
from kombu.pools import connections, producers

from worker import telemetry
from worker.errors import StoreUnavailable
from worker.job import DEAD_LETTERS, TASK, Lane
from worker.jobstate import Bell
from worker.storage import require_safe

log = structlog.get_logger(__name__)

CONFIRM_SECONDS = 10.0
"""How long RabbitMQ may take to say that it has a message on its disk."""

TRIES = {"max_retries": 1, "interval_start": 0.1}
"""How often a message is sent again to a broker that does not answer, and after how many seconds."""

MOST_LETTERS = 100
"""Dead letters that are looked at in one round."""


class Doorbell:
    """Sends messages by one broker."""

    def __init__(self, app: Celery, url: str) -> None:
        self._app = app
        # No heartbeats: a connection in the pool may rest for as long as nobody rings.
        self._broker: Connection = app.connection_for_write(url, heartbeat=0)

    def ring(self, bell: Bell) -> None:
        """Put the job's message on the queue of its lane. Raises StoreUnavailable."""
        message = self._app.amqp.create_task_message(
            *(bell.job_id, TASK),
            args=(dict(bell.body),),
            retries=bell.turn,
            argsrepr=telemetry.shown(bell.body),
            kwargsrepr="",
        )
        with self._producer() as producer:
            self._app.amqp.send_task_message(
                producer,
                TASK,
                message,
                queue=bell.lane.queue,
                confirm_timeout=CONFIRM_SECONDS,
                retry_policy=TRIES,
            )

    def look(self) -> str:
        """What the broker is, for people. Raises StoreUnavailable, or Misconfigured where it may lose messages."""
        try:
            with self.connected() as connection:
                channel: Any = connection.default_channel
                hint = require_safe(channel.client) if connection.transport.driver_type == "redis" else ""
                return f"{connection.transport.driver_name} answers{hint and '; '}{hint}"
        except StoreUnavailable as error:
            raise StoreUnavailable(f"{error.message}: see ACUWORKER_BROKER_URL") from None

    def silent(self) -> Sequence[Lane]:
        """The lanes whose queue is empty. Raises StoreUnavailable."""
        lengths = self.lengths([lane.queue for lane in Lane])
        return [lane for lane in Lane if lengths[lane.queue] == 0]

    def lengths(self, queues: Iterable[str]) -> Mapping[str, int]:
        """How many messages are in each queue, not yet given out. Raises StoreUnavailable."""
        with self.connected() as connection:
            return {queue: _length(connection, queue) for queue in queues}

    def exhume(self, is_wanted: Callable[[str], bool]) -> None:
        """See to the dead letters: one of a job that ``is_wanted`` is sent again, another is dropped.

        Raises StoreUnavailable; then the letters that were not seen to are where they were.
        """
        with self.connected() as connection:
            if connection.transport.driver_type != "amqp" or not _length(connection, DEAD_LETTERS):
                return
            with connection.channel() as channel:
                letters = Queue(DEAD_LETTERS, channel=channel, no_declare=True)
                for _ in range(MOST_LETTERS):
                    letter = letters.get()
                    if letter is None:
                        return
                    see_to(letter, Producer(channel, auto_declare=False), is_wanted)

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection that answers. Raises StoreUnavailable."""
        with self._answering(), connections[self._broker].acquire(block=True) as connection:  # noqa: SIM117 only what is in it is in doubt
            with _closed_in_doubt(connection):
                connection.connect()
                yield connection

    @contextmanager
    def _producer(self) -> Iterator[Producer]:
        with self._answering(), producers[self._broker].acquire(block=True) as producer:  # noqa: SIM117 only what is in it is in doubt
            with _closed_in_doubt(producer.connection):
                yield producer

    @contextmanager
    def _answering(self) -> Iterator[None]:
        silences = (*self._broker.connection_errors, *self._broker.channel_errors)
        try:
            yield
        except (OperationalError, MessageNacked, redis.RedisError, OSError, *silences) as error:
            raise StoreUnavailable(f"the broker does not answer ({type(error).__name__})") from None


def see_to(letter: Message, producer: Producer, is_wanted: Callable[[str], bool]) -> None:
    """Send one dead letter again, or drop it; it is let go of only when RabbitMQ has the new one."""
    job_id = letter.headers.get("id")
    lane = letter.headers.get("x-first-death-queue")
    if letter.headers.get("task") != TASK or not isinstance(job_id, str):
        log.warning("a dead letter is dropped: it is no job", task=letter.headers.get("task"))
    elif is_wanted(job_id):
        producer.publish(
            letter.body,
            routing_key=lane if lane in {each.queue for each in Lane} else Lane.BULK.queue,
            content_type=letter.content_type,
            content_encoding=letter.content_encoding,
            # What RabbitMQ has written on it would count against the new one.
            headers={name: value for name, value in letter.headers.items() if not name.startswith("x-")},
            correlation_id=letter.properties.get("correlation_id"),
            reply_to=letter.properties.get("reply_to"),
            delivery_mode=2,
            confirm_timeout=CONFIRM_SECONDS,
        )
        log.warning("a dead letter was sent again", job_id=job_id)
    letter.ack()


def _length(connection: Any, queue: str) -> int:
    """How many messages are in a queue; a queue that is not there yet has none."""
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors:
            return 0


@contextmanager
def _closed_in_doubt(connection: Any) -> Iterator[None]:
    """Around a use of a connection: where it fails, a late answer must not be taken for another's."""
    try:
        yield
    except Exception:
        connection.collect(0.1)
        raise

"""Celery's consumer as ours: it begins only on a broker and a store that keep what they are given.

A Valkey without an append-only file, or one that evicts, ends the worker with one line that says so.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Any, ClassVar

import redis
import structlog
from celery import bootsteps
from celery.exceptions import WorkerShutdown
from celery.worker import consumer
from celery.worker.consumer.connection import Connection
from kombu.entity import Queue

from worker.errors import Misconfigured
from worker.job import DEAD_LETTERS
from worker.settings import Settings
from worker.storage import COMMAND_SECONDS, open_store, require_safe

log = structlog.get_logger(__name__)

RETRIES = {"interval_start": 1, "interval_step": 1, "interval_max": 3}
"""Seconds between attempts to reach the broker; Celery's would grow to half a minute."""

TELL_SECONDS = 0.1
"""How long those who watch wait for an event, at the most."""

DELAYED = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Lasting(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Looks, whenever the broker is there again, whether it and the store keep what they are given."""

    requires = (Connection,)

    def start(self, consumer: Any) -> None:
        """End the worker where they do not; else have the queue for what RabbitMQ gives up on."""
        settings = Settings.load()
        connection = consumer.connection
        if connection.transport.driver_type == "redis":
            refuse("broker", connection.default_channel.client)
        else:
            _declare_dead_letters(connection)
        if settings.broker_url:
            with closing(open_store(settings, COMMAND_SECONDS)) as store:
                try:
                    refuse("store", store)
                except redis.RedisError as error:
                    log.warning("the store does not answer yet", reason=type(error).__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer, with ``Lasting``, events ten times a second, and without RabbitMQ's 28 queues for delays."""

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """The steps of the consumer."""

        default_steps: ClassVar = [
            step for step in consumer.Consumer.Blueprint.default_steps if step != DELAYED
        ]

    def register_with_event_loop(self, hub: Any) -> None:
        """Besides what Celery does, tell those who watch what has happened since."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(TELL_SECONDS, self._flush_events)

    def on_send_event_buffered(self) -> None:
        """Wait until it is time: several events in one message cost as much as one (measured: a fifth of a job)."""

    def stop(self) -> None:
        """Tell what has not been told yet, and stop."""
        self._flush_events()
        super().stop()

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long that takes."""
        conn.ensure_connection = partial(conn.ensure_connection, **RETRIES)
        return super().ensure_connected(conn)


def refuse(what: str, store: redis.Redis) -> None:
    """End the worker where a store or broker may lose jobs. Raises redis.RedisError where it does not answer."""
    try:
        if hint := require_safe(store):
            log.warning(f"the {what} is taken on trust", reason=hint)
    except Misconfigured as error:
        log.critical("the worker does not start", reason=f"the {what}: {error}")
        raise WorkerShutdown(1) from None


def _declare_dead_letters(connection: Any) -> None:
    queue = Queue(DEAD_LETTERS, queue_arguments={"x-queue-type": "quorum"})
    with connection.channel() as channel:
        queue(channel).declare()

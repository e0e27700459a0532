"""Opening the store: one way, with one set of time-outs, for all who use it.

The client connects when it is first used; a store that does not answer is then StoreUnavailable.
"""

from __future__ import annotations

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from worker.settings import Settings

TIMEOUT_SECONDS = 5.0
"""A store that is silent for so long is taken to be gone; longer than any wait that is asked of it."""

COMMAND_SECONDS = 1.5
"""The same where a person waits."""

IDLE_SECONDS = 15
"""A connection that was idle for so long is tried before it is used."""


MOST_CONNECTIONS = 10_000
"""Each thread that waits for a session has one; redis-py would end the hundredth's wait with an error."""


def open_store(settings: Settings, timeout: float = TIMEOUT_SECONDS) -> redis.Redis:
    """A client of the store of these settings, which waits for an answer for so many seconds, twice."""
    return redis.Redis.from_url(
        settings.store,
        max_connections=MOST_CONNECTIONS,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=IDLE_SECONDS,
        retry=Retry(ExponentialWithJitterBackoff(base=0.1, cap=1.0), 1),
    )

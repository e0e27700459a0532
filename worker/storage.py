"""Opening the store: one way, with one set of time-outs, for all who use it.

The client connects when it is first used; a store that does not answer is then StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from worker.errors import Misconfigured, StoreUnavailable
from worker.settings import Settings

TIMEOUT_SECONDS = 5.0
"""A store that is silent for so long is taken to be gone; longer than any wait that is asked of it."""

COMMAND_SECONDS = 1.5
"""The same where a person waits."""

IDLE_SECONDS = 15
"""A connection that was idle for so long is tried before it is used."""


MOST_CONNECTIONS = 10_000
"""Each thread that waits for a session has one; redis-py would end the hundredth's wait with an error."""

WAY_OUT = "is acuworker up running, and are ACUWORKER_VAR and ACUWORKER_STORE_URL here what they are there?"
"""What to look at when the store or the broker does not answer."""


@contextmanager
def saying_the_way_out() -> Iterator[None]:
    """Around a use of the store or the broker: its StoreUnavailable says besides what to look at."""
    try:
        yield
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{error.message}: {WAY_OUT}") from None


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


def risks(store: redis.Redis) -> list[str] | None:
    """How a store or broker may lose what it is given, with the way out; None where it does not let us look.

    Raises redis.RedisError where it does not answer.
    """
    try:
        persistence: dict[str, Any] = store.info("persistence")
        memory: dict[str, Any] = store.info("memory")
    except NoPermissionError:
        return None
    found = []
    if not persistence.get("aof_enabled"):
        found.append("forgets jobs when it is killed: set appendonly yes")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        found.append(
            f"may throw jobs away when its memory is full ({policy}): set maxmemory-policy noeviction"
        )
    return found


HIDDEN = "whether it is append-only and evicts nothing is not shown to us: see to it yourself"
"""What is said of a store that does not let us look."""


def require_safe(store: redis.Redis) -> str:
    """Raise Misconfigured where a store or broker may lose what it is given; else what is to be said of it, or "".

    Raises redis.RedisError where it does not answer.
    """
    found = risks(store)
    if found:
        raise Misconfigured(f"it {'; it '.join(found)}")
    return HIDDEN if found is None else ""

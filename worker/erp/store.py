"""Lua functions in the store that the fleet shares: atomic, under the store's clock, failing closed.

Each file of Lua is one script whose first argument names the operation. A store that does not answer raises
StoreUnavailable, and then no request goes to the ERP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import redis

from worker.errors import StoreUnavailable


class Script:
    """A file of Lua beside this one, run for one license: its keys all begin with ``prefix``."""

    def __init__(self, store: redis.Redis, name: str, prefix: str) -> None:
        self._store = store
        self._name = name
        self._prefix = prefix

    def __call__(self, operation: str, *arguments: str | bytes | int | float) -> Any:
        """Run an operation and return what it returns. Raises StoreUnavailable."""
        with answering():
            return self._script(keys=[self._prefix], args=[operation, *arguments])

    @cached_property
    def _script(self) -> Any:
        return self._store.register_script(Path(__file__).with_name(self._name).read_text(encoding="utf-8"))

    def wait(self, key: str, seconds: float) -> bool:
        """Wait until something is pushed to a list of this license, for so many seconds; whether it was."""
        with answering():
            return self._store.blpop([self._prefix + key], timeout=seconds) is not None


@contextmanager
def answering() -> Iterator[None]:
    """Around a use of the store: whatever redis-py raises is StoreUnavailable, without the address."""
    try:
        yield
    except redis.ResponseError as error:
        # Not its silence: out of memory or disk, a replica, or a script of ours that is wrong.
        raise StoreUnavailable(f"the store refuses: {str(error)[:200]}") from None
    except redis.RedisError as error:
        raise StoreUnavailable(f"the store does not answer ({type(error).__name__})") from None


def ms(seconds: float) -> int:
    """Seconds as whole milliseconds, in which the scripts count."""
    return int(seconds * 1000)


def texts(reply: Sequence[bytes | int]) -> list[str]:
    """A reply's parts as text."""
    return [part.decode() if isinstance(part, bytes) else str(part) for part in reply]

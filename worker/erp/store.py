"""Lua functions in the store that the fleet shares: atomic, under the store's clock, failing closed.

A script's first argument names the operation, its second is a JSON object with what the operation is given; its reply
is JSON. A store that does not answer raises StoreUnavailable, and then no request goes to the ERP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis

from worker.errors import StoreUnavailable


class Script:
    """Lua for one license: the keys that it uses all begin with ``prefix``."""

    def __init__(self, store: redis.Redis, text: str, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._run = store.register_script(text)

    def __call__(self, operation: str, **named: Any) -> Any:
        """Run an operation with these arguments, and return what it returns; None is none. Raises StoreUnavailable."""
        given = {name: value for name, value in named.items() if value is not None}
        with answering():
            reply = self._run(keys=[self._prefix], args=[operation, msgspec.json.encode(given)])
        return msgspec.json.decode(reply)

    def wait(self, key: str, seconds: float) -> bool:
        """Wait until something is pushed to a list of this license, for so many seconds; whether it was."""
        with answering():
            return self._store.blpop([self._prefix + key], timeout=seconds) is not None


def source(name: str) -> str:
    """The text of a file of Lua beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


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

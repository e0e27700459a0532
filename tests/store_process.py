"""A Valkey of a test's own, as a process on a unix socket; nothing of it outlives the test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redis
import tenacity

from worker import embedded


@contextmanager
def start_store() -> Iterator[str]:
    """Run a Valkey; yields its URL for redis-py."""
    with TemporaryDirectory(prefix="acu", dir="/tmp") as directory:
        socket = Path(directory) / "s"
        kept = ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
        command = [embedded.server(), "--port", "0", "--unixsocket", socket, "--dir", directory, *kept]
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
        try:
            url = f"unix://{socket}"
            with redis.Redis.from_url(url) as store:
                _until_it_answers(store)
            yield url
        finally:
            process.kill()
            process.wait()


def contents(store: redis.Redis) -> dict[bytes, object]:
    """Every key, and what it holds: to see that nothing has changed."""
    # A store may put the fields of a hash in another order as it reads them.
    return {
        key: store.hgetall(key) if store.type(key) == b"hash" else store.dump(key)
        for key in store.scan_iter()
    }


@tenacity.retry(
    wait=tenacity.wait_fixed(0.02),
    stop=tenacity.stop_after_delay(10),
    retry=tenacity.retry_if_exception_type(redis.ConnectionError),
)
def _until_it_answers(store: redis.Redis) -> None:
    store.ping()

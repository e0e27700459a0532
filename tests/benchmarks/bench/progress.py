"""Says what is under way every few seconds, so that nobody takes a long run for a hung one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_SECONDS = 5.0


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


@contextmanager
def under_way(what: str) -> Iterator[None]:
    """Say that this has begun, and every few seconds that it goes on."""
    done = threading.Event()
    began = time.monotonic()

    def go_on() -> None:
        while not done.wait(EVERY_SECONDS):
            say(f"  {what}: {time.monotonic() - began:.0f} s")

    thread = threading.Thread(target=go_on, daemon=True)
    say(f"  {what}")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()

"""What the store must be told even if it does not answer now."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Any

from worker.erp.store import Script
from worker.errors import StoreUnavailable


class Outbox:
    """What a script is told without waiting for an answer: kept while the store is away, and told in order."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._kept: deque[tuple[str, dict[str, Any]]] = deque()
        self._sending = threading.Lock()

    def tell(self, operation: str, **named: Any) -> None:
        """Say it now, if the store answers; otherwise ``flush`` says it when the store does. Never fails."""
        self._kept.append((operation, named))
        with suppress(StoreUnavailable):
            self.flush()

    def flush(self) -> None:
        """Say what was kept, unless another thread is at it. Raises StoreUnavailable."""
        while self._kept and self._sending.acquire(blocking=False):
            try:
                self._say()
            finally:
                self._sending.release()

    def finish(self) -> None:
        """Have all said that was kept before, also by another thread that is at it. Raises StoreUnavailable."""
        with self._sending:
            self._say()
        # What was kept as the lock was given back, nobody has said yet.
        with suppress(StoreUnavailable):
            self.flush()

    def _say(self) -> None:
        while self._kept:
            operation, named = self._kept[0]
            self._script(operation, **named)
            self._kept.popleft()

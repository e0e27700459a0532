"""A worker's word that it has a write in flight and is told to stop: whoever stops it gives it the time.

Cut, the write would be one of which nobody knows whether the ERP has kept it (saves of 92 s are recorded).
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

FRESH_SECONDS = 5.0
"""A word that was not said again for so long is a dead worker's."""


class Word:
    """The word of the worker with this process id, as a file."""

    def __init__(self, var: Path, pid: int) -> None:
        self._path = var / f"writing-{pid}"

    def say(self) -> None:
        """Say it, again and again for as long as it is so. Nothing depends on a disk that is full."""
        with suppress(OSError):
            self._path.touch()

    def take_back(self) -> None:
        """It is so no more, or the worker is gone."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    @property
    def stands(self) -> bool:
        """Whether it was said just now."""
        try:
            return time.time() - self._path.stat().st_mtime < FRESH_SECONDS
        except OSError:
            return False

"""Beats: a file for each worker process of this machine, which it holds while it lives and touches while it is well.

So a probe can tell without the store or the broker whether this machine's workers live. A worker that cannot keep its
file says so once and goes on.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from worker import lockfile
from worker.errors import Misconfigured

log = structlog.get_logger(__name__)

STALE_SECONDS = 20.0
"""A worker that has not touched its file for so long is not well."""


@dataclass(frozen=True)
class Living:
    """A worker process that lives, by its node name, and for how many seconds it has not beaten."""

    node: str
    silent: float

    @property
    def is_well(self) -> bool:
        """Whether it beats."""
        return self.silent < STALE_SECONDS


class Beat:
    """The file of one worker."""

    def __init__(self, var: Path, node: str) -> None:
        self._path = _directory(var) / node
        self._lock: int | None = None

    def begin(self) -> None:
        """Take the file, for as long as this process lives."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A probe may hold a new file for a moment, to see whether it is held.
            while (lock := lockfile.take(self._path)) is None:
                time.sleep(0.01)
            self._lock = lock
            self.tell()
        except (OSError, Misconfigured) as error:
            log.warning("acuworker health will not see this worker", reason=str(error))

    def tell(self) -> None:
        """Beat once."""
        if self._lock is not None:
            os.utime(self._lock)

    def end(self) -> None:
        """Give the file up."""
        if self._lock is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None


def living(var: Path) -> list[Living]:
    """The workers of this machine that live, by name; files that a killed one has left are taken away."""
    found = []
    for path in sorted(_directory(var).glob("*@*")):
        try:
            touched = path.stat().st_mtime
        except OSError:
            continue
        silent = max(0.0, time.time() - touched)
        if not lockfile.is_free(path):
            found.append(Living(path.name, silent))
        elif silent > STALE_SECONDS:
            # A younger one may be about to be taken.
            path.unlink(missing_ok=True)
    return found


def _directory(var: Path) -> Path:
    return var.absolute() / "workers"

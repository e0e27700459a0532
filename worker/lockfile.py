"""A lock on a file, held until the last process that has it open ends, however it ends.

Nothing has to be tidied up after a kill, and no process id has to be believed. The file itself is never deleted,
as two processes could then each lock a file of that name.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from worker.errors import Misconfigured


def take(path: Path) -> int | None:
    """The descriptor that holds the lock, which closing gives up; None while another has it.

    A child inherits it only where it is passed on. Raises Misconfigured where the file system takes no locks.
    """
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise Misconfigured(f"{path} cannot be locked ({error.strerror}): take a local disk", "var") from None
    return descriptor


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock at this moment. Raises Misconfigured like ``take``."""
    descriptor = take(path)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be opened: {error.strerror}", "var") from None

"""How long something may still take, by the monotonic clock."""

from __future__ import annotations

import time

from worker.errors import DeadlineExceeded


class Deadline:
    """The end of the time that a job, or a part of it, has; whatever the wall clock does meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left; negative once it has passed."""
        return self._end - time.monotonic()

    def within(self, seconds: float) -> Deadline:
        """The earlier of this deadline and one so many seconds away."""
        return Deadline(min(seconds, self.remaining()))

    def check(self, waiting_for: str) -> None:
        """Raise DeadlineExceeded when it has passed, saying what was waited for."""
        if self.remaining() <= 0:
            raise DeadlineExceeded(
                f"the job's deadline passed while it waited for {waiting_for}", "deadline_seconds"
            )

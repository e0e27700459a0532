"""The sweeper: rings again for jobs that nobody sees to, and for those whose time has come.

Each worker has one; the store gives a bell to one of them alone. A store or a broker that does not answer raises
StoreUnavailable, and the next round says it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from worker.doorbell import Doorbell
from worker.errors import WorkerError
from worker.jobstate import JobState, State
from worker.jobstore import JobStore, waiting_state

log = structlog.get_logger(__name__)


class Sweeper:
    """Sees to the jobs of the whole fleet."""

    def __init__(
        self, jobs: JobStore, doorbell: Doorbell, bars: Callable[[], Mapping[str, WorkerError]]
    ) -> None:
        """``bars`` says what keeps the jobs of a connection from a session just now."""
        self._jobs = jobs
        self._doorbell = doorbell
        self._bars = bars

    def sweep(self) -> None:
        """One round."""
        self._hurry()
        self._doorbell.exhume(lambda job_id: is_wanted(self._jobs.get(job_id)))
        for bell in self._jobs.sweep(self._doorbell.silent()):
            self._doorbell.ring(bell)
            log.info("rang again", job_id=bell.job_id, turn=bell.turn)

    def _hurry(self) -> None:
        """Jobs that waited for what is there now need not wait until they are due."""
        waiting = {
            (standing.connection, standing.waiting_state)
            for standing in self._jobs.standing()
            if standing.state is State.WAITING and standing.waiting_state in HURRIED
        }
        if not waiting:
            return
        bars = self._bars()
        for connection, state in waiting:
            bar = bars.get(connection)
            if state and (bar is None or waiting_state(bar) != state):
                self._jobs.hurry(connection, state)


def is_wanted(job: JobState | None) -> bool:
    """Whether a message that the broker gave up on must be sent again: its job has no other, or is not known yet."""
    return job is None or job.state is State.ACCEPTED


HURRIED = frozenset(
    {
        "waiting_for_credentials",
        "waiting_for_login",
        "waiting_for_resume",
        "waiting_for_erp",
        "waiting_for_session",
    }
)
"""What jobs wait for that the sessions' store knows the end of."""

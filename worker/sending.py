"""How something is sent once, whatever dies: that it is about to be is kept first, when nothing is left to wait for.

A job that finds that word and nothing after it cannot know whether the ERP was asked; it ends with OutcomeUnknown,
unless it is idempotent. A worker whose job has gone to another one is told as it keeps the word, and sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from worker.errors import DeadlineExceeded, OutcomeUnknown, StoreUnavailable, WorkerError
from worker.job import Asked, NewerJob
from worker.kinds import Change
from worker.page import Cursor, Page, Record, Sending, Stage

_SO_FAR = {
    Stage.SENT: "it may have been sent",
    Stage.AT_WORK: "the ERP was at work on it",
    Stage.DONE: "the ERP has done it",
    Stage.FAILED: "the ERP has begun it and failed",
}

UNREADABLE = Sending(stage=Stage.SENT)
"""What a checkpoint that cannot be read may have said."""


def in_doubt(job: Asked | NewerJob, sending: Sending | None, reason: str) -> OutcomeUnknown | None:
    """What a job that cannot go on, for this reason, must end with where the ERP may have done what it asks."""
    if not isinstance(job, Change) or job.idempotent or sending is None or sending.stage is Stage.READY:
        return None
    return OutcomeUnknown(f"{_SO_FAR[sending.stage]}, and {reason}: look at {job.record_name}")


def missed(job: Asked | NewerJob, sending: Sending | None, waited_for: str | None) -> WorkerError:
    """What a job ends with whose time has passed."""
    reason = f"while it waited: {waited_for}" if waited_for else "before a worker could begin it"
    passed = f"the {job.allowed_seconds} s that the job may take passed {reason}"
    return in_doubt(job, sending, passed) or DeadlineExceeded(passed, "deadline_seconds")


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Keeps how far a job of this ``kind`` is; ``look`` is where people see what became of it.

    ``keep`` raises StoreUnavailable, JobCancelled, or Superseded where the job is another attempt's.
    """

    kind: str
    look: str
    idempotent: bool
    keep: Callable[[Cursor], None]

    def begun(self, after: Cursor | None) -> Sending:
        """How far the job is. Raises OutcomeUnknown where nobody can know."""
        sending = (after and after.sending) or Sending(stage=Stage.READY)
        if sending.stage is not Stage.SENT:
            return sending
        if self.idempotent:
            return replace(sending, stage=Stage.READY)
        raise OutcomeUnknown(
            "a worker died as it was sent, or lost the store before it could keep the answer, so whether the ERP did "
            f"it is not known: look at {self.look}"
        )

    def about_to_send(self) -> None:
        """The next thing is that the request goes out."""
        self.is_at(Sending(stage=Stage.SENT))

    def not_done(self) -> None:
        """It went out, or nearly, and the ERP has surely done nothing. If the store is away, nobody will be sure."""
        with suppress(StoreUnavailable):
            self.is_at(Sending(stage=Stage.READY))

    def is_at(self, sending: Sending) -> None:
        """Keep how far it is."""
        self.keep(Cursor(strategy=self.kind, sending=sending))

    def last(self, record: Record, *notes: str) -> Page:
        """The page that ends the job: what came of it."""
        return Page(records=[record], cursor=Cursor(strategy=self.kind, over=True), notes=notes)

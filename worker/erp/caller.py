"""Who asks something of the ERP, and what that may cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.erp.deadline import Deadline
from worker.job import Lane
from worker.page import Spent


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One delivery of a job: its lane, its deadline, its id for logs on both sides, the branch that it is to work in,
    the end of its slice, and what it has spent."""

    lane: Lane
    deadline: Deadline
    job_id: str
    branch: str | None = None
    slice: Deadline | None = None
    spent: Spent = field(default_factory=Spent)

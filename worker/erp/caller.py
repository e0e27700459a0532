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


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a session is wanted for, for ``longest`` seconds at most: ``what`` is an entity, or ``file``, say, and tells
    how long it will take as a rule.

    What ``writes`` is not cut when the worker stops. What wants to be ``alone`` has a session in which nothing is at
    work, not even what a killed worker has left behind.
    ``begins`` is the job that is about to begin a long operation, ``polls`` the one whose operation is at work: only in
    its own session can be asked how far it is.
    """

    what: str = ""
    longest: float = 0.0
    writes: bool = False
    alone: bool = False
    begins: str | None = None
    polls: str | None = None


ANY_USE = Use()
"""For whoever wants a session for its own sake."""

"""What goes between a job and the ERP: the query that is asked, and the pages of records that come back.

All of it is frozen but ``Spent``, which counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from worker.job import FileChoice, OnOptimizationError

Record = dict[str, Any]
"""One record as the ERP sent it: ``{"OrderNbr": {"value": "000001"}, …}``, its numbers as ``Decimal``."""


class Stage(StrEnum):
    """How far something is that is sent to the ERP once."""

    READY = "ready"
    """It was not sent."""
    SENT = "sent"
    """It may have been sent, and what became of it is not known."""
    AT_WORK = "at_work"
    """The ERP has begun a long operation, which can be asked after."""
    DONE = "done"
    """The ERP has done it; what comes after it may be done again."""
    FAILED = "failed"
    """The ERP has begun it, and it has failed there."""


@dataclass(frozen=True, kw_only=True)
class Sending:
    """How far it is; where its long operation can be asked after, and how often it was; what the ERP answered."""

    stage: Stage
    location: str = ""
    polls: int = 0
    answer: str = ""


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Where a retrieval goes on: by which strategy, after how many rows and pages of a list; ``over``: nothing is left.

    In a list, ``anchor`` is the key of the last row that was passed, and ``recent`` are the marks of that row and of
    some before it. ``at`` is its place where the list goes by places, None where it goes by keys. ``done`` are the
    groups of rows, by their combo keys, that are behind it; ``fence`` is the key that the list ends at. ``proven``
    says that the ERP was seen to find a row by its key, together with the job's own filter. ``began`` is the ERP's
    clock at the first page; ``repairs`` says that the list is that of what has changed since then.
    ``sending`` is how far that is which is no list; ``link`` is the query of the next page, where the ERP
    names it, and ``until`` the place that its links lead to.
    """

    strategy: str
    passed: int = 0
    pages: int = 0
    over: bool = False
    anchor: tuple[str | int, ...] = ()
    recent: tuple[str, ...] = ()
    at: int | None = None
    done: tuple[tuple[str | int, ...], ...] = ()
    fence: tuple[str | int, ...] = ()
    proven: bool = False
    began: str | None = None
    repairs: bool = False
    sending: Sending | None = None
    link: str | None = None
    until: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether the ERP has done what it was asked once, or has begun it and failed."""
        return self.sending is not None and self.sending.stage in (Stage.DONE, Stage.FAILED)


@dataclass(frozen=True, kw_only=True)
class Query:
    """What one GET asks of the ERP: a list (``filter``), or one record (``keys``).

    ``filter`` is text that has been parsed and bound, never a job's own; ``after`` is where a list goes on. ``combos``
    are those of the ``key_fields`` that are shown by a label, so that their order is not known; ``stamp`` is the field
    with the time of a record's last change, None where there is none; ``notes`` are what the result is to tell of it.
    """

    entity: str
    keys: tuple[str, ...] | None = None
    key_fields: tuple[str, ...] = ()
    combos: tuple[str, ...] = ()
    stamp: str | None = None
    filter: str | None = None
    select: tuple[str, ...] = ()
    expand: tuple[str, ...] = ()
    custom: tuple[str, ...] = ()
    page_size: int | None = None
    limit: int | None = None
    files: FileChoice | None = None
    fresh: bool = False
    on_optimization_error: OnOptimizationError = OnOptimizationError.BY_KEY
    after: Cursor | None = None
    notes: tuple[str, ...] = ()


class Sink(Protocol):
    """Where the bytes of a file go; ``restart`` forgets what was written, for a download that was cut."""

    def write(self, chunk: bytes) -> object: ...
    def restart(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A file of a record: what the ERP says of it, and the way to its bytes.

    ``keys`` are those of the top-level record, ``record_id`` is of the row that the file is attached to, and ``detail``
    the way from the one to the other, as in ``Details``; None where they are the same.
    """

    record_id: str
    file_id: str
    name: str
    save: Callable[[Sink], None]
    keys: tuple[str, ...] = ()
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """Records and the cursor after them: what a strategy yields.

    A repair's records take the place of earlier ones with their ``id``. ``gone`` are the keys of records that were
    listed and could not be read any more, ``coming`` is how many pages after it are on their way, ``at_once`` how many
    of its attachments may be retrieved at once, ``promised`` the consistency that the strategy can give, and ``at`` the
    ERP's clock when it answered, as ISO 8601.
    """

    records: Sequence[Record]
    cursor: Cursor
    attachments: Sequence[Attachment] = ()
    coming: int = 0
    at_once: int = 1
    notes: tuple[str, ...] = ()
    is_repair: bool = False
    gone: tuple[tuple[str, ...], ...] = ()
    promised: str | None = None
    at: str | None = None


@dataclass
class Spent:
    """A running count of what a job has cost so far, kept by all of its threads."""

    requests: int = 0
    waits: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # No field of it: what is a field is written down.
        self._lock = threading.Lock()

    def asked(self) -> None:
        """Count a request."""
        with self._lock:
            self.requests += 1

    def waited(self, what: str, seconds: float) -> None:
        """Add so many seconds of waiting for something."""
        if seconds > 0:
            with self._lock:
                self.waits[what] = self.waits.get(what, 0.0) + seconds

"""Publisher: pages become a result, inline while it is small, else NDJSON parts and a manifest in the blob store.

A result is whole or absent: whatever interrupts the pages, or BlobsUnavailable while they are written, leaves nothing
that could be read; what a checkpoint names stays for the next attempt. Memory holds one page and what is inline,
however long the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec
import structlog

from worker.blobs import BlobStore, Stage, Staged, StagedFile, display_name
from worker.errors import StageLost
from worker.job import Attachment, Cursor, Job, Page, Record, Values
from worker.result import Blob, Cost, File, Result

log = structlog.get_logger(__name__)

INLINE_BYTES = 64 * 1024
"""Largest result, in bytes of NDJSON, that travels in Celery's own."""

PART_BYTES = 8 * 1024 * 1024
"""A part ends at the first chunk of records that takes it over this size."""

CHUNK_RECORDS = 100
"""Records that are unwrapped and encoded at a time, beside the page that they are of."""

MAX_NOTES = 20

ENCODER = msgspec.json.Encoder(decimal_format="number")
"""Writes a Decimal digit for digit: 2200.0000 stays 2200.0000."""

WRAPPER = frozenset({"value", "type"})
"""The members of a value as the ERP wraps it; custom fields have a type besides."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """What came of a job's pages: all of its result but the cost."""

    count: int
    file_count: int
    pages: int
    strategy: str
    notes: tuple[str, ...]
    records: str | None = None
    files: tuple[File, ...] | None = None
    manifest: Blob | None = None

    def result(self, job_id: str, job: Job, cost: Cost) -> Result:
        """The result of this job, at this cost."""
        return Result(job_id=job_id, connection=job.connection, entity=job.entity, cost=cost, **vars(self))


@dataclass(frozen=True, kw_only=True)
class Heap:
    """What a draft holds of one kind: its sealed parts, the part that is open, and what is not written yet."""

    parts: tuple[Staged, ...] = ()
    open: Staged | None = None
    held: str = ""
    lines: int = 0
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """How far a job is: the cursor after its last page, and what is kept of the pages so far."""

    cursor: Cursor
    pages: int
    records: Heap
    files: Heap
    notes: tuple[str, ...]

    def text(self) -> str:
        """As the job store keeps it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str) -> Checkpoint:
        """The checkpoint that the job store kept. Raises StageLost for one that another version wrote otherwise."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            raise StageLost(
                "a worker of another version wrote the checkpoint in a form not known here"
            ) from None


class Publisher:
    """Writes results to a blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @contextmanager
    def draft(self, job_id: str, values: Values, before: str | None) -> Iterator[Draft]:
        """The job's result in the making, with what its checkpoint ``before`` names, if that is still there.

        Raises BlobsUnavailable.
        """
        form = plain if values is Values.PLAIN else as_it_is
        with self._blobs.stage(job_id) as stage:
            try:
                draft = Draft(job_id, stage, form, Checkpoint.read(before) if before else None)
            except StageLost as error:
                log.warning("a job begins anew", job_id=job_id, reason=error.message)
                draft = Draft(job_id, stage, form, None)
            yield draft

    def discard(self, job_id: str) -> None:
        """Remove what was staged for a job: it has ended."""
        self._blobs.discard(job_id)


def as_it_is(record: Record) -> Record:
    """The record as the ERP sent it."""
    return record


def plain(record: Record) -> Record:
    """The record with its values unwrapped, at every depth.

    ``{"value": x}`` becomes x, and ``{}``, which is how the ERP writes an empty field, null. What has more to
    say than a value and its type, such as translations, stays an object; so does ``custom``, empty or not.
    """
    return {
        name: {} if name == "custom" and not member else _unwrapped(member) for name, member in record.items()
    }


def _unwrapped(member: object) -> object:
    if isinstance(member, list):
        return [_unwrapped(row) for row in member]
    if not isinstance(member, dict):
        return member
    return member.get("value") if member.keys() <= WRAPPER else plain(member)


class Draft:
    """A result in the making."""

    def __init__(
        self, job_id: str, stage: Stage, form: Callable[[Record], Record], before: Checkpoint | None
    ) -> None:
        self.pages = before.pages if before else 0
        self._records = _Series(stage, "records", before.records if before else Heap())
        self._files = _Series(stage, "files", before.files if before else Heap())
        self._job_id = job_id
        self._stage = stage
        self._form = form
        self._strategy = before.cursor.strategy if before else ""
        self._notes: dict[str, None] = dict.fromkeys(before.notes if before else ())
        self._numbers = count(1)
        self.after = before.cursor if before else None

    @property
    def records(self) -> int:
        """How many there are so far."""
        return self._records.lines

    def add(self, page: Page) -> None:
        """Take in a page and the files attached to its records. Raises whatever a download raises."""
        for chunk in _chunks(page.records):
            self._append(self._records, [self._form(record) for record in chunk])
        for attachment in page.attachments:
            self._append(self._files, [self._saved(attachment).model_dump(exclude_none=True)])
        self.pages += 1
        self._strategy = page.cursor.strategy
        self._notes |= dict.fromkeys(page.notes)

    def checkpoint(self, cursor: Cursor) -> Checkpoint:
        """What another attempt needs to go on after the last page; all of it is on the disk."""
        return Checkpoint(
            cursor=cursor,
            pages=self.pages,
            records=self._records.heap(),
            files=self._files.heap(),
            notes=tuple(self._notes),
        )

    def publish(self) -> Published:
        """All that was taken in, as a result: inline where it is small enough."""
        return self._inline() if self._is_small() else self._in_parts()

    def _append(self, series: _Series, objects: Sequence[Record]) -> None:
        series.add(objects)
        if not self._is_small():
            self._records.spill()
            self._files.spill()

    def _is_small(self) -> bool:
        return self._records.size + self._files.size <= INLINE_BYTES

    def _saved(self, attachment: Attachment) -> File:
        staged = self._stage.file(f"file-{next(self._numbers)}")
        attachment.save(staged)
        blob = self._stage.keep(staged)
        return File(
            **blob.model_dump(),
            name=display_name(attachment.name),
            record_id=attachment.record_id,
            file_id=attachment.file_id,
        )

    def _inline(self) -> Published:
        files = self._files.held.splitlines()
        return Published(
            count=self._records.lines,
            file_count=len(files),
            records=self._records.held.decode(),
            files=tuple(File.model_validate_json(line) for line in files),
            **self._facts,
        )

    def _in_parts(self) -> Published:
        manifest, blob = self._stage.publish(self._job_id, self._records.sealed(), self._files.sealed())
        return Published(
            count=_lines(manifest.records), file_count=_lines(manifest.files), manifest=blob, **self._facts
        )

    @property
    def _facts(self) -> dict[str, Any]:
        notes = _at_most(MAX_NOTES, tuple(self._notes))
        return {"pages": self.pages, "strategy": self._strategy, "notes": notes}


class _Series:
    """NDJSON of one kind: held in memory until it is told to spill, then written in parts."""

    def __init__(self, stage: Stage, name: str, before: Heap) -> None:
        self.held = bytearray(before.held, "utf-8")
        self.lines = before.lines
        self.size = before.size
        self._stage = stage
        self._name = name
        self._parts = list(before.parts)
        for part in self._parts:
            stage.find(part)
        self._part: StagedFile | None = None
        self._part_lines = 0
        self._held_lines = self.lines if self.held else 0
        if before.open:
            self._part = stage.resumed(self._part_name, before.open)
            self._part_lines = before.open.records

    def add(self, objects: Sequence[Record]) -> None:
        """Encode some objects, a line each."""
        text = ENCODER.encode_lines(objects)
        self.held += text
        self.size += len(text)
        self.lines += len(objects)
        self._held_lines += len(objects)

    def spill(self) -> None:
        """Write what is held."""
        if not self.held:
            return
        if self._part is None:
            self._part = self._stage.file(self._part_name)
        self._part.write(self.held)
        self._part_lines += self._held_lines
        self.held.clear()
        self._held_lines = 0
        if self._part.size >= PART_BYTES:
            self._end_part(self._part)

    def sealed(self) -> tuple[Staged, ...]:
        """All parts, the last one ended."""
        self.spill()
        if self._part:
            self._end_part(self._part)
        return tuple(self._parts)

    def heap(self) -> Heap:
        """What there is so far; what was written is on the disk."""
        part = self._part
        if part:
            part.sync()
        return Heap(
            parts=tuple(self._parts),
            open=Staged(name=part.path.name, size=part.size, records=self._part_lines) if part else None,
            held=self.held.decode(),
            lines=self.lines,
            size=self.size,
        )

    @property
    def _part_name(self) -> str:
        return f"{self._name}-{len(self._parts) + 1:05}.ndjson"

    def _end_part(self, part: StagedFile) -> None:
        part.seal()
        sealed = Staged(name=part.path.name, size=part.size, records=self._part_lines, sha256=part.sha256)
        self._parts.append(sealed)
        self._part, self._part_lines = None, 0


def _chunks(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    return (records[start : start + CHUNK_RECORDS] for start in range(0, len(records), CHUNK_RECORDS))


def _at_most(limit: int, notes: tuple[str, ...]) -> tuple[str, ...]:
    left = len(notes) - limit
    return notes if left <= 0 else (*notes[:limit], f"… and {left} notes more")


def _lines(parts: Iterable[Blob]) -> int:
    return sum(part.records or 0 for part in parts)

"""Publisher: pages become a result, inline while it is small, else NDJSON parts and a manifest in the blob store.

A result is whole or absent: whatever interrupts the pages, or BlobsUnavailable while they are written, leaves
nothing behind. Memory holds one page and what is inline, however long the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import msgspec

from worker.blobs import BlobStore, Stage, StagedFile, display_name
from worker.job import Attachment, Blob, Cost, File, Job, Manifest, Page, Record, Result, Values

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


class Publisher:
    """Writes results to a blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def publish(
        self, job_id: str, values: Values, pages: Iterable[Page], progress: Callable[[int, int], object]
    ) -> Published:
        """Pull the pages, save their attachments, and publish; ``progress`` is told pages and records so far.

        Raises BlobsUnavailable, and whatever the pages, the downloads or ``progress`` raise.
        """
        with self._blobs.stage(job_id) as stage:
            draft = _Draft(stage, plain if values is Values.PLAIN else as_it_is)
            for page in pages:
                draft.add(page)
                progress(draft.pages, draft.records.lines)
            return draft.publish(job_id)


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


class _Draft:
    """A result in the making."""

    def __init__(self, stage: Stage, form: Callable[[Record], Record]) -> None:
        self.records = _Series(stage, "records")
        self.pages = 0
        self._files = _Series(stage, "files")
        self._stage = stage
        self._form = form
        self._strategy = ""
        self._notes: dict[str, None] = {}
        self._numbers = count(1)

    def add(self, page: Page) -> None:
        """Take in a page and the files attached to its records."""
        for chunk in _chunks(page.records):
            self._append(self.records, [self._form(record) for record in chunk])
        for attachment in page.attachments:
            self._append(self._files, [self._saved(attachment).model_dump(exclude_none=True)])
        self.pages += 1
        self._strategy = page.strategy
        self._notes |= dict.fromkeys(page.notes)

    def publish(self, job_id: str) -> Published:
        """All that was taken in, as a result: inline where it is small enough."""
        return self._inline() if self._is_small() else self._in_parts(job_id)

    def _append(self, series: _Series, objects: Sequence[Record]) -> None:
        series.add(objects)
        if not self._is_small():
            self.records.spill()
            self._files.spill()

    def _is_small(self) -> bool:
        return self.records.size + self._files.size <= INLINE_BYTES

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
            count=self.records.lines,
            file_count=len(files),
            pages=self.pages,
            strategy=self._strategy,
            notes=_at_most(MAX_NOTES, tuple(self._notes)),
            records=self.records.held.decode(),
            files=tuple(File.model_validate_json(line) for line in files),
        )

    def _in_parts(self, job_id: str) -> Published:
        drafted = Manifest(job_id=job_id, records=self.records.parts(), files=self._files.parts())
        manifest, blob = self._stage.publish(drafted)
        return Published(
            count=_lines(manifest.records),
            file_count=_lines(manifest.files),
            pages=self.pages,
            strategy=self._strategy,
            notes=_at_most(MAX_NOTES, tuple(self._notes)),
            manifest=blob,
        )


class _Series:
    """NDJSON of one kind: held in memory until it is told to spill, then written in parts."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.held = bytearray()
        self.lines = 0
        self.size = 0
        self._stage = stage
        self._name = name
        self._held_lines = 0
        self._part: StagedFile | None = None
        self._part_lines = 0
        self._parts: list[Blob] = []

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
            self._part = self._stage.file(f"{self._name}-{len(self._parts) + 1:05}.ndjson")
        self._part.write(self.held)
        self._part_lines += self._held_lines
        self.held.clear()
        self._held_lines = 0
        if self._part.size >= PART_BYTES:
            self._end_part(self._part)

    def parts(self) -> tuple[Blob, ...]:
        """All parts, the last one ended."""
        self.spill()
        if self._part:
            self._end_part(self._part)
        return tuple(self._parts)

    def _end_part(self, part: StagedFile) -> None:
        self._parts.append(self._stage.part(part, self._part_lines))
        self._part, self._part_lines = None, 0


def _chunks(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    return (records[start : start + CHUNK_RECORDS] for start in range(0, len(records), CHUNK_RECORDS))


def _at_most(limit: int, notes: tuple[str, ...]) -> tuple[str, ...]:
    left = len(notes) - limit
    return notes if left <= 0 else (*notes[:limit], f"… and {left} notes more")


def _lines(parts: Iterable[Blob]) -> int:
    return sum(part.records or 0 for part in parts)

"""Publisher: pages become a result, inline while it is small, else NDJSON parts and a manifest in the blob store.

A result is whole or absent: whatever interrupts the pages, or BlobsUnavailable while they are written, leaves nothing
that could be read; what a checkpoint names stays for the next attempt, on whatever machine. Memory holds one page and
64 KiB of each kind, however long the result.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import structlog

from worker.ahead import Ahead
from worker.blobs.names import display_name
from worker.blobs.stage import Stage, discard, staging
from worker.blobs.store import BlobStore, named
from worker.errors import FileTooLarge, StageLost
from worker.job import Asked, Compression, Values
from worker.page import Attachment, Cursor, Page, Record, Sending
from worker.parts import lines_of
from worker.repairs import Mended, Mending, Repairs, edited
from worker.result import Blob, File, Manifest, Observed, Published
from worker.sending import UNREADABLE, in_doubt
from worker.series import HELD_BYTES, Heap, Series

log = structlog.get_logger(__name__)

INLINE_BYTES = HELD_BYTES
"""Largest result, in bytes of NDJSON, that travels in Celery's own."""

CHUNK_RECORDS = 20
"""Records that are decoded, unwrapped and encoded at a time: so few are quick to let go again."""

MAX_NOTES = 20

WRAPPER = frozenset({"value", "type"})
"""The members of a value as the ERP wraps it; custom fields have a type besides."""

KINDS = ("records", "repairs", "files", "tombstones")
"""The series of a draft."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was seen besides records."""

    pages: int = 0
    notes: tuple[str, ...] = ()
    promised: str | None = None
    t0: str | None = None
    t1: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """How far a job is: the cursor after its last page, and what is kept of the pages so far."""

    cursor: Cursor
    seen: Seen
    heaps: dict[str, Heap]

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


def sending_of(checkpoint: str | None) -> Sending | None:
    """How far what a job sends once has come, by its checkpoint."""
    try:
        return Checkpoint.read(checkpoint).cursor.sending if checkpoint else None
    except StageLost:
        return UNREADABLE


class Publisher:
    """Writes results to a blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @contextmanager
    def draft(self, job_id: str, job: Asked, before: str | None) -> Iterator[Draft]:
        """The job's result in the making, with what its checkpoint ``before`` names, if that is still there.

        Raises BlobsUnavailable, and OutcomeUnknown where nobody can tell whether the job was sent.
        """
        with staging(self._blobs, job_id) as stage:
            try:
                draft = Draft(job_id, job, stage, Checkpoint.read(before) if before else None)
            except StageLost as error:
                if unknown := in_doubt(job, UNREADABLE, error.message):
                    raise unknown from None
                log.warning("a job begins anew", job_id=job_id, reason=error.message)
                draft = Draft(job_id, job, stage, None)
            yield draft

    def discard(self, job_id: str) -> None:
        """Remove what was staged for a job: it has ended."""
        discard(self._blobs, job_id)


def as_it_is(record: Record) -> Record:
    """The record as the ERP sent it."""
    return record


def plain(record: Record) -> Record:
    """The record with its values unwrapped, at every depth.

    ``{"value": x}`` becomes x, and ``{}``, which is how the ERP writes an empty field, null. What has more to
    say than a value and its type, such as translations, stays an object; so does ``custom``, empty or not.
    """
    told = {}
    # Each record passes through here, member by member: nearly every one is of the first kind.
    for name, member in record.items():
        if type(member) is not dict:
            told[name] = list(map(_unwrapped, member)) if type(member) is list else member
        elif len(member) == 1 and "value" in member:
            told[name] = member["value"]
        elif not member:
            told[name] = {} if name == "custom" else None
        else:
            told[name] = _unwrapped(member)
    return told


def _unwrapped(member: object) -> object:
    if isinstance(member, dict):
        return member.get("value") if member.keys() <= WRAPPER else plain(member)
    return member


class Draft:
    """A result in the making."""

    def __init__(self, job_id: str, job: Asked, stage: Stage, before: Checkpoint | None) -> None:
        """Raises StageLost where something is not there any more that the checkpoint names."""
        self.after = before.cursor if before else None
        self._job_id = job_id
        self._job = job
        self._stage = stage
        self._form: Callable[[Record], Record] = plain if job.values is Values.PLAIN else as_it_is
        seen = before.seen if before else Seen()
        self.pages = seen.pages
        self._strategy = before.cursor.strategy if before else ""
        self._notes: dict[str, None] = dict.fromkeys(seen.notes)
        self._promised, self._t0, self._t1 = seen.promised, seen.t0, seen.t1
        heaps = before.heaps if before else {}
        stage.require(*(each for heap in heaps.values() for each in heap.staged))
        self._series = {kind: self._begin(kind, heaps.get(kind, Heap())) for kind in KINDS}
        self._known: dict[str, Blob | None] | None = None if self._series["files"].lines else {}

    def _begin(self, kind: str, before: Heap) -> Series:
        # What no reader gets is not worth compressing.
        encoding = Compression.NONE if kind == "repairs" else self._job.compression
        return Series(self._stage, kind, encoding, before)

    @property
    def records(self) -> int:
        """How many there are so far."""
        return self._series["records"].lines

    def add(self, page: Page) -> None:
        """Take in a page and the files attached to its records. Raises whatever a download raises."""
        series = self._series["repairs" if page.is_repair else "records"]
        for chunk in _chunks(page.records):
            series.add([self._form(record) for record in chunk])
        self._add_files(page)
        self._series["tombstones"].add(page.gone)
        self.pages += 1
        self._strategy = page.cursor.strategy
        self._notes |= dict.fromkeys(page.notes)
        self._promised = page.promised or self._promised
        self._t0, self._t1 = self._t0 or page.at, page.at or self._t1

    def checkpoint(self, cursor: Cursor) -> Checkpoint:
        """What another attempt needs to go on after the last page; all of it is in the store."""
        seen = Seen(
            pages=self.pages, notes=tuple(self._notes), promised=self._promised, t0=self._t0, t1=self._t1
        )
        heaps = {kind: series.heap() for kind, series in self._series.items()}
        return Checkpoint(cursor=cursor, seen=seen, heaps=heaps)

    def publish(self) -> Published:
        """All that was taken in, as a result: inline where it is small enough."""
        return self._inline() if self._is_small() else self._in_parts()

    def _is_small(self) -> bool:
        every = self._series.values()
        return all(each.is_held for each in every) and sum(each.size for each in every) <= INLINE_BYTES

    def _add_files(self, page: Page) -> None:
        """Take in the files of a page: each is retrieved once, for as many records as it is attached to."""
        known = self._files_so_far()
        new = {each.file_id: each for each in page.attachments if each.file_id not in known}
        with Ahead(page.at_once) as ahead:
            for attachment, blob in ahead.each(self._retrieved, new.values()):
                known[attachment.file_id] = blob
        for attachment in page.attachments:
            if blob := known[attachment.file_id]:
                self._series["files"].add([_told(attachment, blob).model_dump(exclude_none=True)])

    def _retrieved(self, attachment: Attachment) -> Blob | None:
        """The file's bytes; None where they are more than the job wants, which a note says."""
        spool = self._stage.spool()
        try:
            attachment.save(spool)
        except FileTooLarge as error:
            self._notes[f"the file {attachment.name} was left out: {error.message}"] = None
            return None
        return self._stage.keep(spool)

    def _files_so_far(self) -> dict[str, Blob | None]:
        """The files that were retrieved, by their ids; of another attempt, those that it wrote down."""
        if self._known is None:
            told = map(File.model_validate_json, lines_of(self._series["files"].text()))
            self._known = {
                file.file_id: Blob(url=file.url, size=file.size, sha256=file.sha256) for file in told
            }
        return self._known

    def _inline(self) -> Published:
        held = {kind: bytes(series.held) for kind, series in self._series.items()}
        lines, appeared, changed = held["records"].splitlines(keepends=True), 0, 0
        if held["repairs"]:
            repairs = Repairs(io.BytesIO(), held["repairs"].splitlines(keepends=True))
            lines, rest = list(edited(lines, repairs.edits(lines))), list(repairs.rest())
            lines, appeared, changed = lines + rest, len(rest), repairs.changed
        text = b"".join(lines)
        return Published(
            **self._facts(appeared, changed),
            count=len(lines),
            size=len(text),
            sha256=sha256(text).hexdigest(),
            records=text.decode(),
            files=tuple(map(File.model_validate_json, held["files"].splitlines())),
            tombstones=tuple(map(_keys, held["tombstones"].splitlines())),
        )

    def _in_parts(self) -> Published:
        mended = self._mended()
        drafted = Manifest(
            **self._facts(mended.appeared, mended.changed),
            count=sum(part.records for part in mended.parts),
            size=sum(part.text_size for part in mended.parts),
            sha256=mended.sha256,
            records=mended.parts,
            files=self._series["files"].sealed(),
            tombstones=self._series["tombstones"].sealed(),
        )
        standing, blob = self._stage.publish(drafted)
        lists = {"records", "files", "tombstones"}
        facts = {name: fact for name, fact in standing if name not in lists}
        return Published(**facts, manifest=blob)

    def _mended(self) -> Mended:
        """The records in parts, with every repair made."""
        records, repairs = self._series["records"], self._series["repairs"]
        parts = records.sealed()
        if not repairs.lines:
            return Mended(parts=parts, sha256=records.sha256(), appeared=0, changed=0)
        spool = self._stage.spool()
        with named(spool):
            latest = Repairs(spool.file, lines_of(repairs.text()))
            return Mending(self._stage, self._job.compression).mend(parts, latest)

    def _facts(self, appeared: int, changed: int) -> dict[str, Any]:
        vanished = self._series["tombstones"].lines
        return {
            "job_id": self._job_id,
            "connection": self._job.connection,
            "branch": self._job.branch,
            "entity": self._job.entity,
            "file_count": self._series["files"].lines,
            "pages": self.pages,
            "strategy": self._strategy,
            "consistency": Observed(
                promised=self._promised, appeared=appeared, changed=changed, vanished=vanished
            ),
            "t0": self._t0,
            "t1": self._t1,
            "notes": _at_most(MAX_NOTES, tuple(self._notes)),
        }


def _told(attachment: Attachment, blob: Blob) -> File:
    return File(
        **dict(blob),
        name=display_name(attachment.name),
        record_id=attachment.record_id,
        file_id=attachment.file_id,
        keys=attachment.keys,
        detail=attachment.detail,
    )


def _keys(line: bytes) -> tuple[str, ...]:
    return msgspec.json.decode(line, type=tuple[str, ...])


def _chunks(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    return (records[start : start + CHUNK_RECORDS] for start in range(0, len(records), CHUNK_RECORDS))


def _at_most(limit: int, notes: tuple[str, ...]) -> tuple[str, ...]:
    left = len(notes) - limit
    return notes if left <= 0 else (*notes[:limit], f"… and {left} notes more")

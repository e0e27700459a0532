"""The files that records list: which of them a job wants, and where each hangs.

A record lists its own under ``files``, and so does each row of its details that has been asked for with them
(``Details/files``). Raises AnswerMalformed for a file without id, name or address, and FileTooLarge as one is written
that is over the job's cap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from worker.erp.client import Erp
from worker.errors import AnswerMalformed, FileTooLarge
from worker.job import FileChoice
from worker.page import Attachment, Page, Query, Record, Sink
from worker.paging import key_of

MIB = 1024 * 1024


@dataclass(frozen=True)
class _Listed:
    """A file as a row lists it; ``detail`` is the way to the row from its record, None for the record itself."""

    row_id: str
    detail: str | None
    entry: Any


def with_files(erp: Erp, query: Query, pages: Iterator[Page]) -> Iterator[Page]:
    """These pages, with the files of their records that the query wants."""
    choice = query.files
    if choice is None:
        yield from pages
        return
    for page in pages:
        files = tuple(_wanted(erp, query, choice, page.records))
        yield replace(page, attachments=files, at_once=erp.seats)


def _wanted(erp: Erp, query: Query, choice: FileChoice, records: Sequence[Record]) -> Iterator[Attachment]:
    for record in records:
        keys = tuple(map(str, key_of(record, query.key_fields)))
        for listed in _files(record, None):
            attachment = _attachment(erp, choice, keys, listed)
            if is_wanted(attachment.name, choice):
                yield attachment


def is_wanted(name: str, choice: FileChoice) -> bool:
    """Whether a file of this name is wanted; the ERP puts the record's name before it, which does not count."""
    own = name.replace("\\", "/").rpartition("/")[2].casefold()

    def is_like(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(own, pattern.casefold()) for pattern in patterns)

    return (not choice.include or is_like(choice.include)) and not is_like(choice.exclude)


def _files(record: Record, detail: str | None) -> Iterator[_Listed]:
    """Each file of a record, and of the rows under it."""
    for entry in record.get("files") or ():
        yield _Listed(record["id"], detail, entry)
    for name, member in record.items():
        if name not in ("files", "custom"):
            for row in member if isinstance(member, list) else (member,):
                if isinstance(row, dict):
                    yield from _files(row, f"{detail}/{name}" if detail else name)


def _attachment(erp: Erp, choice: FileChoice, keys: tuple[str, ...], listed: _Listed) -> Attachment:
    match listed.entry:
        case {"id": str(file_id), "filename": str(name), "href": str(href)}:
            return Attachment(
                record_id=listed.row_id,
                file_id=file_id,
                name=name,
                save=partial(_save, erp, href, choice.largest_mib),
                keys=keys,
                detail=listed.detail,
            )
    raise AnswerMalformed(f"a file of the record {listed.row_id} comes without its id, filename or href")


def _save(erp: Erp, href: str, largest_mib: int | None, sink: Sink) -> None:
    erp.download(href, sink if largest_mib is None else _Capped(sink, largest_mib))


class _Capped:
    """A sink that takes so many MiB at most."""

    def __init__(self, sink: Sink, largest_mib: int) -> None:
        self._sink = sink
        self._largest_mib = largest_mib
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Add some bytes. Raises FileTooLarge."""
        self._size += len(chunk)
        if self._size > self._largest_mib * MIB:
            raise FileTooLarge(f"it is over {self._largest_mib} MiB", "attachments.largest_mib")
        self._sink.write(chunk)

    def restart(self) -> None:
        """Forget what was written."""
        self._size = 0
        self._sink.restart()

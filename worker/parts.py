"""NDJSON in parts: one written, and parts read back, checked against what is said of them.

What a part holds is read to its end before it is known to be right: BlobsUnavailable comes there, and names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import count

from worker.blobs.stage import Stage, Staged
from worker.blobs.store import BlobStore
from worker.compression import SUFFIXES, compressor, decompressed
from worker.errors import BlobsUnavailable
from worker.job import Compression
from worker.result import Blob, Part

PART_BYTES = 8 * 1024 * 1024
"""A part ends at the first lines that take it over this size, as it is stored."""


MOST_TAILS = 50
"""A checkpoint names no more tails of a part: then all of it so far is put as one."""


class OpenPart:
    """A part in the making. Its tails are in the store, so that another attempt can go on with it."""

    def __init__(self, stage: Stage, name: str, encoding: Compression, tails: tuple[Staged, ...]) -> None:
        """Raises StageLost where the tails are not what they were."""
        self.records = sum(tail.records for tail in tails)
        self.text_size = sum(tail.text_size for tail in tails)
        self._stage = stage
        self._name = f"{name}.ndjson{SUFFIXES[encoding]}"
        self._encoding = encoding
        self._spool = stage.resumed(*tails)
        self._member = compressor(encoding)
        self._tails = list(tails)
        self._numbers = count(1)
        self._has_begun = False

    @property
    def size(self) -> int:
        """Bytes of it that are written, which a compressor may lag behind."""
        return self._spool.size

    def write(self, text: bytes | bytearray, records: int) -> None:
        """Add whole lines."""
        self._spool.write(self._member.compress(text))
        self._has_begun = True
        self.records += records
        self.text_size += len(text)

    def tails(self) -> tuple[Staged, ...]:
        """What there is so far, all of it in the store."""
        self._end_member()
        if self._spool.size > sum(tail.size for tail in self._tails):
            if len(self._tails) == MOST_TAILS:
                self._tails.clear()
            self._tails.append(self._next_tail())
        return tuple(self._tails)

    def seal(self) -> Staged:
        """The part, complete and in the store."""
        self._end_member()
        return self._stage.put(self._name, self._spool, records=self.records, text_size=self.text_size)

    def text(self) -> Iterator[bytes]:
        """What was written."""
        self._end_member()
        return decompressed(self._spool.chunks(), self._encoding)

    def _next_tail(self) -> Staged:
        """What comes after the tails that there are, put into the store."""
        spool = self._stage.spool()
        for chunk in self._spool.chunks(sum(tail.size for tail in self._tails)):
            spool.write(chunk)
        return self._stage.put_tail(
            f"{self._name}.{next(self._numbers):05}.tail",
            spool,
            records=self.records - sum(tail.records for tail in self._tails),
            text_size=self.text_size - sum(tail.text_size for tail in self._tails),
        )

    def _end_member(self) -> None:
        if self._has_begun:
            self._spool.write(self._member.flush())
            self._member = compressor(self._encoding)
            self._has_begun = False


def part_of(staged: Staged, blobs: BlobStore, encoding: Compression) -> Part:
    """A sealed part, as a manifest names it."""
    return Part(
        url=blobs.url(staged.key),
        size=staged.size,
        sha256=staged.sha256,
        records=staged.records,
        text_size=staged.text_size,
        encoding=encoding,
    )


def checked(blobs: BlobStore, blob: Blob) -> Iterator[bytes]:
    """The bytes of a blob. Raises BlobsUnavailable, after the last of them at the latest, if they are not its own."""
    digest, size = hashlib.sha256(), 0
    for chunk in blobs.chunks(blob.url):
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    if size != blob.size:
        raise BlobsUnavailable(f"{blob.url} has {size} bytes, and the worker wrote {blob.size}")
    if digest.hexdigest() != blob.sha256:
        raise BlobsUnavailable(f"{blob.url} is not what the worker wrote: its SHA-256 differs")


def text_of(blobs: BlobStore, part: Part) -> Iterator[bytes]:
    """The text of a part. Raises BlobsUnavailable, after the last of it at the latest, if it is not what it was."""
    stored, size = checked(blobs, part), 0
    try:
        for piece in decompressed(stored, part.encoding):
            size += len(piece)
            yield piece
    except ValueError as error:
        raise BlobsUnavailable(f"{part.url} is not what the worker wrote: {error}") from None
    if size != part.text_size:
        raise BlobsUnavailable(f"{part.url} is not what the worker wrote: its text has another size")


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in a text, each with its newline."""
    left = b""
    for chunk in chunks:
        *lines, left = (left + chunk).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if left:
        yield left

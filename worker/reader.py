"""Reader: what a result holds, read back from wherever it is, and checked.

Records and files come as they are read, in little memory; what is not what the worker wrote raises BlobsUnavailable,
which names it, after the last of it at the latest. So what was read counts only once the reading has ended well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
from pydantic import ValidationError

from worker.blobs.stage import read_manifest
from worker.blobs.store import BlobStore
from worker.errors import BlobsUnavailable
from worker.page import Record
from worker.parts import checked, lines_of, text_of
from worker.result import Blob, File, Manifest, Part, Published

RECORD = msgspec.json.Decoder(type=Record, float_hook=Decimal)
KEYS = msgspec.json.Decoder(type=tuple[str, ...])

T = TypeVar("T")


class Reader:
    """Reads results whose blobs are in this store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def records(self, result: Published) -> Iterator[Record]:
        """The records, one after the other, their numbers as ``int`` and ``Decimal``."""
        return _decoded(self.lines(result), RECORD.decode)

    def lines(self, result: Published) -> Iterator[bytes]:
        """The records as NDJSON, a line each, with its newline."""
        return lines_of(self.text(result))

    def text(self, result: Published) -> Iterator[bytes]:
        """The records as NDJSON, in chunks."""
        digest, size = hashlib.sha256(), 0
        for chunk in self._text(result):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if (size, digest.hexdigest()) != (result.size, result.sha256):
            raise BlobsUnavailable(
                f"the records of the job {result.job_id} are not what the worker wrote: "
                f"there are {size} bytes of {result.size}, or their SHA-256 differs"
            )

    def files(self, result: Published) -> Iterator[File]:
        """The attached files that the result or its manifest lists."""
        if result.manifest is None:
            yield from result.files or ()
        else:
            lines = self._lines_in(self.manifest(result.manifest).files)
            yield from _decoded(lines, File.model_validate_json)

    def tombstones(self, result: Published) -> Iterator[tuple[str, ...]]:
        """The keys of the records that were listed, and gone before they could be read."""
        if result.manifest is None:
            yield from result.tombstones or ()
        else:
            yield from _decoded(self._lines_in(self.manifest(result.manifest).tombstones), KEYS.decode)

    def content(self, blob: Blob) -> Iterator[bytes]:
        """The bytes of an attached file, in chunks."""
        return checked(self._blobs, blob)

    def manifest(self, blob: Blob) -> Manifest:
        """The manifest in a blob."""
        return read_manifest(blob, b"".join(checked(self._blobs, blob)))

    def write(self, result: Published, path: Path) -> None:
        """Write the records to a file, which appears whole or not at all."""
        if path.exists() and not path.is_file():
            # A pipe or a device cannot be renamed over; what it was given, it has.
            return self._fill(path, result)
        staged = path.with_name(f"{path.name}.part")
        try:
            self._fill(staged, result)
            staged.replace(path)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise

    def _fill(self, path: Path, result: Published) -> None:
        try:
            with path.open("wb") as file:
                self._write_to(file, result)
        except OSError as error:
            raise BlobsUnavailable(f"{path} cannot be written: {error.strerror}") from None

    def _write_to(self, file: BinaryIO, result: Published) -> None:
        for chunk in self.text(result):
            file.write(chunk)

    def _text(self, result: Published) -> Iterator[bytes]:
        if result.manifest is None:
            yield (result.records or "").encode()
        else:
            for part in self.manifest(result.manifest).records:
                yield from text_of(self._blobs, part)

    def _lines_in(self, parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            yield from lines_of(text_of(self._blobs, part))


def _decoded(lines: Iterator[bytes], decode: Callable[[bytes], T]) -> Iterator[T]:
    for line in lines:
        try:
            one = decode(line)
        except (msgspec.MsgspecError, ValidationError):
            # The blob that it is in is known to be wrong, and named, at its end.
            for _ in lines:
                pass
            raise BlobsUnavailable("a line of the result is not what this version reads") from None
        yield one

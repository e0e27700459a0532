"""BlobStore: what a place for blobs can do, whichever it is.

A blob is whole or absent, and never changes. It is written to a local file first, the spool, and put into the store
when it is complete. What a store cannot do just now raises BlobsUnavailable, with its reason and without any secret.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from worker.errors import BlobsUnavailable

CHUNK_BYTES = 1024 * 1024
"""How much of a blob is read at a time."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A blob as a listing has it: its key, its size in bytes, and for how many seconds it was not used."""

    key: str
    size: int
    age: float


class Spool:
    """A local file in the making, which knows its size and SHA-256; a Sink for a download."""

    def __init__(self, place: str, file: BinaryIO, path: Path | None = None) -> None:
        """``place`` names it in errors; ``path`` goes when it is closed, and is None where nothing would be left."""
        self.file = file
        self.path = path
        self.size = 0
        self._place = place
        self._digest = hashlib.sha256()

    def __str__(self) -> str:
        return self._place

    @property
    def sha256(self) -> str:
        """Of what was written so far, in lower-case hexadecimal."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes | bytearray) -> None:
        """Add some bytes."""
        with named(self._place):
            self.file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forget all that was written."""
        with named(self._place):
            self.file.seek(0)
            self.file.truncate()
        self._digest = hashlib.sha256()
        self.size = 0

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """What was written, from there on; nothing may be written meanwhile."""
        with named(self._place):
            self.file.seek(start)
            while chunk := self.file.read(CHUNK_BYTES):
                yield chunk

    def flush(self) -> None:
        """Hand every byte so far to the system: it is there for whoever reads the file."""
        with named(self._place):
            self.file.flush()

    def sync(self) -> None:
        """Bring every byte so far to the disk."""
        self.flush()
        with named(self._place):
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Give it up: what was put into the store is there, and the rest is gone."""
        with suppress(OSError):
            self.file.close()
        if self.path:
            with suppress(OSError):
                self.path.unlink()


class BlobStore(Protocol):
    """Whole blobs under keys such as ``jobs/0f9d/manifest.json``."""

    def spool(self) -> Spool:
        """A local file to write a blob in."""

    def put(self, key: str, spool: Spool) -> None:
        """Keep what is in a spool, under a key that nobody else uses."""

    def put_for_now(self, key: str, spool: Spool) -> None:
        """As ``put``, while a job runs: a worker that is killed takes nothing with it, a power cut may."""

    def share(self, key: str, spool: Spool) -> None:
        """Keep what is in a spool, under its hash: it may be there already, and then its age counts anew."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Keep these bytes, on the disk or in the store when it returns; False where there is a blob already."""

    def url(self, key: str) -> str:
        """What a result calls the blob."""

    def chunks(self, url: str) -> Iterator[bytes]:
        """The bytes of a blob, as it is stored."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """The blobs below a prefix that ends with a slash, in the order of their keys up to the last slash."""

    def remove(self, keys: Sequence[str]) -> None:
        """Remove blobs, as far as they are there."""

    def require_usable(self) -> None:
        """Raise BlobsUnavailable where nothing could be kept."""


@contextmanager
def named(place: object) -> Iterator[None]:
    """Turns what the system says of a file into a BlobsUnavailable that names it."""
    try:
        yield
    except OSError as error:
        raise BlobsUnavailable(f"blobs cannot be kept at {place}: {error.strerror or error}") from None

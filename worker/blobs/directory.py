"""Blobs in a directory that every worker shares: its keys are paths.

A blob is written under ``staging``, brought to the disk, and then linked to its place. No path is made of the name of
an attached file. What the directory cannot take raises BlobsUnavailable, with its reason.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from worker.blobs.store import CHUNK_BYTES, Entry, Spool, named
from worker.errors import BlobsUnavailable


class Directory:
    """The blobs in a directory, which is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __str__(self) -> str:
        return str(self._root)

    def spool(self) -> Spool:
        """A file under ``staging``, from where it can be linked."""
        path = self._root / "staging" / secrets.token_hex(8)
        with named(path):
            _make(path.parent)
            return Spool(str(path), path.open("x+b"), path)

    def put(self, key: str, spool: Spool) -> None:
        """Link the spool to its place."""
        self._link(key, spool)

    def put_for_now(self, key: str, spool: Spool) -> None:
        """Link the spool to its place, and leave it to the system when it reaches the disk."""
        place = self._root / key
        spool.flush()
        with named(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(str(spool), place)

    def share(self, key: str, spool: Spool) -> None:
        """Link the spool to its place, or let what is there be used again."""
        if not self._link(key, spool):
            with named(self._root / key):
                os.utime(self._root / key)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Link a file with these bytes to its place; False where that is taken."""
        spool = self.spool()
        try:
            spool.write(content)
            return self._link(key, spool)
        finally:
            spool.close()

    def url(self, key: str) -> str:
        """Its path, as a file:// URL."""
        return (self._root / key).absolute().as_uri()

    def chunks(self, url: str) -> Iterator[bytes]:
        """The bytes of a file of this machine."""
        path = path_of(url)
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise BlobsUnavailable(f"{path} cannot be read: {error.strerror or error}") from None

    def entries(self, prefix: str) -> Iterator[Entry]:
        """The files below a directory."""
        with named(self._root / prefix):
            for folder, below, files in os.walk(self._root / prefix):
                below.sort()
                for path in (Path(folder, name) for name in sorted(files)):
                    with suppress(FileNotFoundError):
                        about = path.stat()
                        key = path.relative_to(self._root).as_posix()
                        yield Entry(key=key, size=about.st_size, age=time.time() - about.st_mtime)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove files, and the directories that they leave empty."""
        for key in keys:
            path = self._root / key
            with named(path):
                path.unlink(missing_ok=True)
            with suppress(OSError):
                for above in path.parents:
                    if above == self._root:
                        break
                    above.rmdir()

    def require_usable(self) -> None:
        """Raise BlobsUnavailable where the directory cannot be written to, or cannot be made."""
        root = self._root.absolute()
        existing = next(path for path in (root, *root.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise BlobsUnavailable(
                f"{existing} cannot be written to: change its owner, or set ACUWORKER_BLOBS"
            )

    def _link(self, key: str, spool: Spool) -> bool:
        place = self._root / key
        spool.sync()
        return _put_if_absent(Path(str(spool)), place)


def path_of(url: str) -> Path:
    """The path of a file:// URL. Raises BlobsUnavailable for a URL of another kind, or of another host."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise BlobsUnavailable(f"{url} is not a file of this machine: is ACUWORKER_BLOBS the workers' own?")
    return Path(unquote(parts.path))


def _put_if_absent(source: Path, place: Path) -> bool:
    """Link a file to its place; False where that is taken."""
    with named(place):
        _make(place.parent)
        try:
            os.link(source, place)
        except FileExistsError:
            return False
        _sync(place.parent)
    return True


def _make(directory: Path) -> None:
    """Make a directory and those above it, each on disk before the next."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(exist_ok=True)
        _sync(directory.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

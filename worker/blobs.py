"""BlobStore: a directory of blobs, each whole or absent.

    files/ab/abcdef…          an attached file, once per content, under its SHA-256
    jobs/<job>/<try>/…        the parts of a result, with their manifest
    jobs/<job>/manifest.json  a link to that manifest, which makes the parts visible
    staging/<try>/…           what is still being written

Nothing outside ``staging`` is ever written to: a blob is linked to its place when it is complete and on disk. No
path is made of a file's name. What the directory cannot take raises BlobsUnavailable, with its reason.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from worker.errors import BlobsUnavailable
from worker.job import Blob, Manifest

STALE_SECONDS = 3600
"""Age from which what a killed process left in ``staging`` is removed."""

NAME_LENGTH = 255
BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a name read otherwise than it is, as in a .exe that shows as .jpg."""


def display_name(name: str) -> str:
    """A file's name for people to read: no folders before it, nothing that hides what it is, not too long.

    The ERP puts the record's name before it: ``Stock Items (AAMACHINE1)\\T2MCRO.jpg`` (recorded 2024 R1).
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = (
        char
        for char in last
        if char not in BIDI_CONTROLS and unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
    )
    return "".join(shown)[:NAME_LENGTH]


class StagedFile:
    """A file in the making, which knows its size and SHA-256; a Sink for a download."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._file = file

    @property
    def sha256(self) -> str:
        """Of what was written so far, in lower-case hexadecimal."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes | bytearray) -> None:
        """Add some bytes."""
        with _named(self.path):
            self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forget all that was written."""
        with _named(self.path):
            self._file.seek(0)
            self._file.truncate()
        self._digest = hashlib.sha256()
        self.size = 0

    def seal(self) -> None:
        """Bring every byte to the disk; nothing can be written any more."""
        with _named(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        """Give up the file, sealed or not."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self.path.unlink()


class Stage:
    """One try's private place; made when first used, and gone at the end with all that was not published."""

    def __init__(self, root: Path, job_id: str) -> None:
        name = secrets.token_hex(8)
        self._root = root
        self._job_id = job_id
        self._private = root / "staging" / name
        self._public = root / "jobs" / job_id / name
        self._lock: int | None = None
        self._opened: list[StagedFile] = []

    def file(self, name: str) -> StagedFile:
        """A new file, under a name that is ours and not yet taken."""
        if self._lock is None:
            self._lock = _locked_directory(self._private)
        path = self._private / name
        with _named(path):
            staged = StagedFile(path, path.open("xb"))
        self._opened.append(staged)
        return staged

    def part(self, staged: StagedFile, records: int) -> Blob:
        """The blob that this file will be once the manifest is published."""
        staged.seal()
        url = (self._public / staged.path.name).as_uri()
        return Blob(url=url, size=staged.size, sha256=staged.sha256, records=records)

    def keep(self, staged: StagedFile) -> Blob:
        """The blob of this content, from now on; the same content takes its place only once."""
        staged.seal()
        path = self._root / "files" / staged.sha256[:2] / staged.sha256
        _put_if_absent(staged.path, path)
        self._opened.remove(staged)
        staged.discard()
        return Blob(url=path.as_uri(), size=staged.size, sha256=staged.sha256)

    def publish(self, manifest: Manifest) -> tuple[Manifest, Blob]:
        """Make the parts visible through their manifest, and give the manifest that stands.

        The first to publish for a job wins; another's parts go, and it is given the winner's manifest.
        """
        staged = self.file("manifest.json")
        staged.write(manifest.model_dump_json(exclude_none=True).encode())
        staged.seal()
        standing = self._public.parent / staged.path.name
        self._show(staged, standing)
        with _named(standing):
            told = standing.read_bytes()
        blob = Blob(url=standing.as_uri(), size=len(told), sha256=hashlib.sha256(told).hexdigest())
        return Manifest.model_validate_json(told), blob

    def _show(self, manifest: StagedFile, standing: Path) -> None:
        """Move the parts to their place, then link the manifest to its own; without that, the parts go."""
        shown = False
        try:
            with _named(self._public):
                _make(self._public.parent)
                self._private.rename(self._public)
                _sync(self._public)
            shown = _put_if_absent(self._public / manifest.path.name, standing)
        finally:
            if not shown:
                shutil.rmtree(self._public, ignore_errors=True)

    def close(self) -> None:
        """Remove what was not published."""
        for staged in self._opened:
            staged.discard()
        if self._lock is not None:
            shutil.rmtree(self._private, ignore_errors=True)
            os.close(self._lock)


class BlobStore:
    """The blobs in a directory, which is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def stage(self, job_id: str) -> Iterator[Stage]:
        """A place for one try of a job to write in."""
        stage = Stage(self._root, job_id)
        try:
            yield stage
        finally:
            stage.close()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns what the system says of a path into a BlobsUnavailable."""
    try:
        yield
    except OSError as error:
        message = f"the blob directory cannot be used, at {path}: {error.strerror or error}"
        raise BlobsUnavailable(message) from None


def _locked_directory(path: Path) -> int:
    """A new directory, locked for as long as its descriptor is open; those of killed processes go."""
    with _named(path):
        _make(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for other in path.parent.iterdir():
            _remove_if_stale(other)
    return descriptor


def _remove_if_stale(directory: Path) -> None:
    """Remove a directory that is an hour old and that no living process has locked."""
    with suppress(FileNotFoundError):
        if time.time() - directory.stat().st_mtime < STALE_SECONDS:
            return
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(descriptor)


def _put_if_absent(source: Path, place: Path) -> bool:
    """Link a file to its place; False where that is taken."""
    with _named(place):
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

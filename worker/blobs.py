"""BlobStore: a directory of blobs, each whole or absent.

    files/ab/abcdef…          an attached file, once per content, under its SHA-256
    jobs/<job>/<try>/…        the parts of a result
    jobs/<job>/manifest.json  their manifest, which makes the parts visible
    staging/<job>/…           what is still being written, by one attempt after the other

Nothing outside ``staging`` is ever written to: a blob is linked to its place when it is complete and on disk. No
path is made of a file's name. What the directory cannot take raises BlobsUnavailable, with its reason.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from worker.errors import BlobsUnavailable, StageLost
from worker.result import Blob, Manifest

STALE_SECONDS = 3600
"""Age from which what belongs to no job is removed."""

FILE_SECONDS = 40 * 86_400
"""Age from which an attached file is removed: longer than a job may take, and is known after its end."""

COPY_BYTES = 1024 * 1024

ASKED_AT_ONCE = 500
"""Jobs that the job store is asked about at once."""

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


@dataclass(frozen=True, kw_only=True)
class Staged:
    """What was written to a file of a job's stage: so many bytes and lines. Sealed, it is a part of the result."""

    name: str
    size: int
    records: int
    sha256: str = ""


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

    def sync(self) -> None:
        """Bring every byte so far to the disk."""
        with _named(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write no more."""
        with suppress(OSError):
            self._file.close()

    def seal(self) -> None:
        """Bring every byte to the disk; nothing can be written any more."""
        self.sync()
        self.close()

    def discard(self) -> None:
        """Give up the file, sealed or not."""
        self.close()
        with suppress(OSError):
            self.path.unlink()


class Stage:
    """A job's private place, where one attempt writes and the next finds what was written; nothing there is visible.

    An attempt that was given up for dead may still write there: each writes files of its own alone.
    """

    def __init__(self, root: Path, job_id: str) -> None:
        self._root = root
        self._mark = secrets.token_hex(4)
        self._private = root / "staging" / job_id
        self._public = root / "jobs" / job_id / self._mark
        self._opened: list[StagedFile] = []

    def file(self, name: str) -> StagedFile:
        """A new file, whose own name begins with this one."""
        path = self._private / f"{name}.{self._mark}"
        with _named(path):
            _make(self._private)
            staged = StagedFile(path, path.open("xb"))
        self._opened.append(staged)
        return staged

    def find(self, written: Staged) -> Path:
        """Where something is that another attempt had written. Raises StageLost."""
        path = self._private / written.name
        if not path.is_file() or path.stat().st_size < written.size:
            raise StageLost(
                f"what another worker had staged at {path} is not there: is the blob directory shared?"
            )
        return path

    def resumed(self, name: str, written: Staged) -> StagedFile:
        """A new file that begins with what another attempt had written to one of its own."""
        path, left = self.find(written), written.size
        staged = self.file(name)
        with _named(path), path.open("rb") as before:
            while left > 0 and (chunk := before.read(min(left, COPY_BYTES))):
                staged.write(chunk)
                left -= len(chunk)
        return staged

    def keep(self, staged: StagedFile) -> Blob:
        """The blob of this content, from now on; the same content takes its place only once."""
        staged.seal()
        path = self._root / "files" / staged.sha256[:2] / staged.sha256
        if not _put_if_absent(staged.path, path):
            with _named(path):
                os.utime(path)  # its age counts from its last use
        self._opened.remove(staged)
        staged.discard()
        return Blob(url=path.as_uri(), size=staged.size, sha256=staged.sha256)

    def publish(
        self, job_id: str, records: Sequence[Staged], files: Sequence[Staged]
    ) -> tuple[Manifest, Blob]:
        """Make sealed parts visible through their manifest, and give the manifest that stands.

        The first to publish for a job wins; another is given the winner's manifest.
        """
        drafted = Manifest(
            job_id=job_id, records=tuple(map(self._part, records)), files=tuple(map(self._part, files))
        )
        staged = self.file("manifest.json")
        staged.write(drafted.model_dump_json(exclude_none=True).encode())
        staged.seal()
        standing = self._public.parent / "manifest.json"
        self._show([*records, *files], staged, standing)
        with _named(standing):
            told = standing.read_bytes()
        blob = Blob(url=standing.as_uri(), size=len(told), sha256=hashlib.sha256(told).hexdigest())
        return Manifest.model_validate_json(told), blob

    def _part(self, part: Staged) -> Blob:
        return Blob(url=self._place(part).as_uri(), size=part.size, sha256=part.sha256, records=part.records)

    def _place(self, part: Staged) -> Path:
        """Where a part can be seen: under its name without the mark of the attempt that wrote it."""
        return self._public / part.name.rpartition(".")[0]

    def _show(self, parts: Sequence[Staged], manifest: StagedFile, standing: Path) -> None:
        """Link the parts to their place, then the manifest to its own; where another stands, the parts go."""
        with _named(self._public):
            _make(self._public)
            for part in parts:
                os.link(self._private / part.name, self._place(part))
            _sync(self._public)
        # If this fails, the manifest may stand all the same: then the parts must stay.
        if not _put_if_absent(manifest.path, standing):
            shutil.rmtree(self._public, ignore_errors=True)

    def close(self) -> None:
        """Close what is open; what was written stays for the next attempt."""
        for staged in self._opened:
            staged.close()


@dataclass(frozen=True)
class Leftover:
    """What nobody needs any more, and its size in bytes."""

    path: Path
    size: int


class BlobStore:
    """The blobs in a directory, which is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def stage(self, job_id: str) -> Iterator[Stage]:
        """A job's place, for one attempt to write in."""
        stage = Stage(self._root, job_id)
        try:
            yield stage
        finally:
            stage.close()

    def discard(self, job_id: str) -> None:
        """Remove all that was staged for a job: it has ended."""
        shutil.rmtree(self._root / "staging" / job_id, ignore_errors=True)

    def sweep(
        self,
        known: Callable[[Sequence[str]], Collection[str]],
        tell: Callable[[Leftover], object] = lambda leftover: None,
        *,
        dry_run: bool = False,
    ) -> int:
        """Remove what belongs to jobs that are no longer ``known``, and files that no job can name; how many.

        What is younger than an hour stays: a job is known only after its first step. Each is told of before it goes.
        """
        count = 0
        for leftover in self._leftovers(known):
            tell(leftover)
            count += 1
            if dry_run:
                continue
            if leftover.path.is_dir():
                shutil.rmtree(leftover.path, ignore_errors=True)
            else:
                leftover.path.unlink(missing_ok=True)
        return count

    def _leftovers(self, known: Callable[[Sequence[str]], Collection[str]]) -> Iterator[Leftover]:
        for place in ("staging", "jobs"):
            old = iter([path for path in _children(self._root / place) if _age(path) > STALE_SECONDS])
            while some := list(islice(old, ASKED_AT_ONCE)):
                kept = known([path.name for path in some])
                yield from (Leftover(path, _size(path)) for path in some if path.name not in kept)
        for shelf in _children(self._root / "files"):
            for path in _children(shelf):
                if _age(path) > FILE_SECONDS:
                    yield Leftover(path, _size(path))


def _children(directory: Path) -> list[Path]:
    with _named(directory), suppress(FileNotFoundError):
        return sorted(directory.iterdir())
    return []


def _size(path: Path) -> int:
    """Bytes in a file, or in all files below a directory; none for what is gone."""
    files = (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else (path,)
    with suppress(OSError):
        return sum(file.stat().st_size for file in files)
    return 0


def _age(path: Path) -> float:
    """Seconds since it was last changed; none for what is gone."""
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns what the system says of a path into a BlobsUnavailable."""
    try:
        yield
    except OSError as error:
        message = f"the blob directory cannot be used, at {path}: {error.strerror or error}"
        raise BlobsUnavailable(message) from None


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

"""A directory of blobs: nothing is made too early, nothing partial is seen, and what is used stays."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from worker.blobs.directory import Directory
from worker.blobs.stage import staging
from worker.blobs.sweep import FILE_SECONDS, STALE_SECONDS, sweep
from worker.errors import BlobsUnavailable

MIB = 1024 * 1024


def put(blobs: Directory, key: str, content: bytes) -> None:
    """Put a blob there, or use it again."""
    with closing(blobs.spool()) as spool:
        spool.write(content)
        blobs.share(key, spool)


def age(path: Path, seconds: float) -> None:
    """Let something be so old."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def files_in(root: Path) -> list[str]:
    """The files under a directory, by their path from it."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """A system that takes no file over this size, as a full disk takes none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    """A job whose result is small leaves the directory alone, even where it could not be written."""
    with staging(Directory(tmp_path / "blobs"), "job-1"):
        pass
    assert not (tmp_path / "blobs").exists()


def test_a_directory_must_be_one_that_can_be_made(tmp_path: Path) -> None:
    """A blob directory may be missing, but not lie below a file; then it is named."""
    Directory(tmp_path / "a" / "b").require_usable()
    (tmp_path / "file").touch()
    blobs = Directory(tmp_path / "file" / "blobs")
    with pytest.raises(BlobsUnavailable, match="set ACUWORKER_BLOBS"):
        blobs.require_usable()
    with pytest.raises(BlobsUnavailable, match="file/blobs/staging"):
        blobs.spool()


@pytest.mark.parametrize("act", ["put", "put_if_absent"])
def test_a_disk_that_is_full_at_the_last_step_shows_nothing(tmp_path: Path, act: str) -> None:
    """What fits into memory and then not onto the disk is refused, and no byte of it can be seen."""
    blobs = Directory(tmp_path)
    with pytest.raises(BlobsUnavailable, match="File too large"), no_file_over(MIB):
        if act == "put":
            put(blobs, "jobs/j/part", b"x" * (MIB + 10))
        else:
            blobs.put_if_absent("jobs/j/manifest.json", b"x" * (MIB + 10))
    assert files_in(tmp_path) == []


def test_a_file_is_swept_long_after_its_last_use(tmp_path: Path) -> None:
    """An attached file stays for as long as a job that names it may be known; being used again makes it young."""
    blobs = Directory(tmp_path)
    for name in ("old", "young", "again"):
        put(blobs, f"files/aa/{name}", name.encode())
        age(tmp_path / "files" / "aa" / name, FILE_SECONDS + (-60 if name == "young" else 10))
    put(blobs, "files/aa/again", b"again")
    assert sweep(blobs, frozenset) == 1
    assert files_in(tmp_path) == ["files/aa/again", "files/aa/young"]


def test_what_a_killed_worker_was_writing_is_swept(tmp_path: Path) -> None:
    """A spool that nobody has written to for an hour goes; a younger one stays, as somebody may be at it."""
    (tmp_path / "staging" / "j").mkdir(parents=True)
    for name, seconds in (("j/old", STALE_SECONDS + 10), ("young", 10)):
        (tmp_path / "staging" / name).write_bytes(b"x")
        age(tmp_path / "staging" / name, seconds)
    assert sweep(Directory(tmp_path), frozenset) == 1
    assert files_in(tmp_path) == ["staging/young"]
    assert not (tmp_path / "staging" / "j").exists()


def test_a_spool_goes_when_it_is_given_up(tmp_path: Path) -> None:
    """What was put is linked once, and what was not put leaves nothing."""
    blobs = Directory(tmp_path)
    put(blobs, "jobs/j/part", b"x")
    with closing(blobs.spool()) as spool:
        spool.write(b"never put")
    assert files_in(tmp_path) == ["jobs/j/part"]
    assert (tmp_path / "jobs" / "j" / "part").stat().st_nlink == 1

"""Blobs are whole or absent: what is visible is complete, and what is not complete goes."""

from __future__ import annotations

import hashlib
import os
import resource
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.blobs import STALE_SECONDS, BlobStore, Stage, display_name
from worker.errors import BlobsUnavailable
from worker.job import Blob, Manifest

MIB = 1024 * 1024


def files_in(root: Path) -> list[str]:
    """The files under a directory, by their path from it."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def path_of(blob: Blob) -> Path:
    """Where a blob is."""
    return Path(blob.url.removeprefix("file://"))


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """A system that takes no file over this size, as a full disk takes none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def publish(stage: Stage, text: bytes) -> tuple[Manifest, Blob]:
    """Publish one part with this text."""
    staged = stage.file("records-00001.ndjson")
    staged.write(text)
    part = stage.part(staged, 1)
    return stage.publish(Manifest(job_id="job-1", records=(part,), files=()))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Stock Items (AAMACHINE1)\\T2MCRO.jpg", "T2MCRO.jpg"),
        ("Stock Items (1/2-ELBOW)\\elbow.jpg", "elbow.jpg"),
        ("T2MCRO.jpg", "T2MCRO.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\win.ini", "win.ini"),
        ("a\x00b\nc\x7f.txt", "abc.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("half\ud800.txt", "half.txt"),
        ("schön – 写真.png", "schön – 写真.png"),
        ("x" * 300, "x" * 255),
        ("Stock Items (X)\\", ""),
    ],
)
def test_a_files_name_as_people_see_it(name: str, shown: str) -> None:
    """A name loses its folders and whatever hides what it is, and nothing else."""
    assert display_name(name) == shown


@given(st.text(st.characters(codec=None), max_size=400))
def test_no_name_can_deceive(name: str) -> None:
    """Whatever the ERP calls a file, its name has no folder, no control character, and is not too long."""
    shown = display_name(name)
    assert len(shown) <= 255
    assert not set("/\\\u202e\u2066") & set(shown)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs"}


def test_a_file_is_kept_under_its_hash_once(tmp_path: Path) -> None:
    """Two files of one content are one blob, and its place says nothing of any name."""
    with BlobStore(tmp_path).stage("job-1") as stage:
        kept = []
        for name in ("first", "second"):
            staged = stage.file(name)
            staged.write(b"pic")
            staged.write(b"ture")
            kept.append(stage.keep(staged))
    digest = hashlib.sha256(b"picture").hexdigest()
    assert kept[0] == kept[1] == Blob(url=kept[0].url, size=7, sha256=digest)
    assert files_in(tmp_path) == [f"files/{digest[:2]}/{digest}"]
    assert path_of(kept[0]).read_bytes() == b"picture"


def test_a_restarted_file_forgets_what_it_had(tmp_path: Path) -> None:
    """After a cut download only the bytes of the new one count."""
    with BlobStore(tmp_path).stage("job-1") as stage:
        staged = stage.file("file")
        staged.write(b"x" * MIB)
        staged.restart()
        staged.write(b"whole")
        blob = stage.keep(staged)
    assert path_of(blob).read_bytes() == b"whole"
    assert (blob.size, blob.sha256) == (5, hashlib.sha256(b"whole").hexdigest())


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    """A job whose result is small leaves the directory alone, even where it could not be written."""
    with BlobStore(tmp_path / "blobs").stage("job-1"):
        pass
    assert not (tmp_path / "blobs").exists()


def test_what_is_not_published_goes(tmp_path: Path) -> None:
    """A job that fails leaves no parts, finished ones included."""
    with pytest.raises(RuntimeError), BlobStore(tmp_path).stage("job-1") as stage:
        finished = stage.file("records-00001.ndjson")
        finished.write(b"{}\n")
        stage.part(finished, 1)
        stage.file("records-00002.ndjson").write(b"{}\n")
        raise RuntimeError("the job fails")
    assert files_in(tmp_path) == []
    assert list((tmp_path / "staging").iterdir()) == []


def test_parts_are_seen_through_their_manifest(tmp_path: Path) -> None:
    """A published manifest stands beside the job's parts, and names them with their true size and hash."""
    with BlobStore(tmp_path).stage("job-1") as stage:
        manifest, blob = publish(stage, b'{"n":1}\n')
    (part,) = manifest.records
    told = path_of(blob).read_bytes()
    assert path_of(blob) == tmp_path / "jobs" / "job-1" / "manifest.json"
    assert (blob.size, blob.sha256) == (len(told), hashlib.sha256(told).hexdigest())
    assert Manifest.model_validate_json(told) == manifest
    assert path_of(part).read_bytes() == b'{"n":1}\n'
    assert (part.size, part.sha256, part.records) == (8, hashlib.sha256(b'{"n":1}\n').hexdigest(), 1)
    assert list((tmp_path / "staging").iterdir()) == []


def test_of_two_that_publish_the_first_stands(tmp_path: Path) -> None:
    """A second try of a job is given the manifest that stands, and its own parts go."""
    store = BlobStore(tmp_path)
    with store.stage("job-1") as first, store.stage("job-1") as second:
        standing = publish(first, b"first\n")
        assert publish(second, b"second\n") == standing
    assert path_of(standing[0].records[0]).read_bytes() == b"first\n"
    assert len([name for name in files_in(tmp_path) if name.endswith(".ndjson")]) == 1


def test_of_many_that_publish_at_once_one_stands(tmp_path: Path) -> None:
    """However tries of a job run into one another, all are given one manifest, whose parts are there."""
    store = BlobStore(tmp_path)

    def race(number: int) -> tuple[Manifest, Blob]:
        with store.stage("job-1") as stage:
            return publish(stage, b"%d\n" % number)

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(race, range(40)))
    assert all(one == given[0] for one in given)
    assert path_of(given[0][0].records[0]).exists()
    assert len([name for name in files_in(tmp_path) if name.endswith(".ndjson")]) == 1


@pytest.mark.parametrize("act", ["keep", "part"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, act: str) -> None:
    """A file that does not fit is refused with its directory and the reason, and nothing of it stays."""
    with (
        pytest.raises(BlobsUnavailable) as caught,
        no_file_over(MIB),
        BlobStore(tmp_path).stage("j") as stage,
    ):
        staged = stage.file("big")
        for _ in range(3):
            staged.write(b"x" * (MIB // 2))
        stage.keep(staged) if act == "keep" else stage.part(staged, 1)
    assert str(tmp_path) in str(caught.value)
    assert "File too large" in str(caught.value)
    assert files_in(tmp_path) == []


def test_a_manifest_that_cannot_be_shown_takes_its_parts_along(tmp_path: Path) -> None:
    """When the last step fails, the parts that were already in their place go."""
    (tmp_path / "jobs" / "job-1" / "manifest.json").mkdir(parents=True)
    with pytest.raises(BlobsUnavailable), BlobStore(tmp_path).stage("job-1") as stage:
        publish(stage, b"text\n")
    assert files_in(tmp_path) == []


def test_a_directory_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    """A blob directory that is a file is refused with its path and the reason."""
    (tmp_path / "blobs").write_text("not a directory")
    with (
        pytest.raises(BlobsUnavailable, match="blobs") as caught,
        BlobStore(tmp_path / "blobs").stage("j") as stage,
    ):
        stage.file("any")
    assert "File exists" in str(caught.value) or "Not a directory" in str(caught.value)


def test_what_a_killed_process_left_goes_after_an_hour(tmp_path: Path) -> None:
    """Staged files that nobody writes any more are swept; fresh ones, and those in use, stay."""
    old = time.time() - STALE_SECONDS - 10
    for name in ("left-behind", "left-just-now"):
        (tmp_path / "staging" / name).mkdir(parents=True)
        (tmp_path / "staging" / name / "part").write_bytes(b"x")
    os.utime(tmp_path / "staging" / "left-behind", (old, old))
    store = BlobStore(tmp_path)
    with store.stage("slow") as slow:
        staged = slow.file("part")
        os.utime(staged.path.parent, (old, old))
        with store.stage("other") as other:
            other.file("part")
            assert staged.path.exists()
    assert files_in(tmp_path) == ["staging/left-just-now/part"]

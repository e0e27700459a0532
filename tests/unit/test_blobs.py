"""Blobs are whole or absent: what is visible is complete, and what is not complete goes."""

from __future__ import annotations

import hashlib
import os
import resource
import time
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.blobs import (
    FILE_SECONDS,
    STALE_SECONDS,
    BlobStore,
    Stage,
    Staged,
    StagedFile,
    display_name,
)
from worker.errors import BlobsUnavailable, StageLost
from worker.result import Blob, Manifest

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
    return stage.publish("job-1", [sealed(stage.file("records-00001.ndjson"), text)], [])


def sealed(file: StagedFile, text: bytes) -> Staged:
    """A part with this text, as it is kept in a checkpoint."""
    file.write(text)
    file.seal()
    return Staged(name=file.path.name, size=file.size, records=text.count(b"\n"), sha256=file.sha256)


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


def test_what_is_not_published_is_not_seen_and_goes_with_its_job(tmp_path: Path) -> None:
    """An attempt that fails leaves its work to the next one, out of sight; when the job ends, all of it goes."""
    store = BlobStore(tmp_path)
    with pytest.raises(RuntimeError), store.stage("job-1") as stage:
        sealed(stage.file("records-00001.ndjson"), b"{}\n")
        stage.file("records-00002.ndjson").write(b"{}\n")
        raise RuntimeError("the attempt fails")
    left = files_in(tmp_path)
    assert len(left) == 2
    assert all(name.startswith("staging/job-1/") for name in left)
    with store.stage("job-2") as other:
        sealed(other.file("records-00001.ndjson"), b"{}\n")
    store.discard("job-1")
    assert [name.split("/")[1] for name in files_in(tmp_path)] == ["job-2"]


def test_an_attempt_goes_on_with_what_the_one_before_wrote(tmp_path: Path) -> None:
    """An open file goes on after the bytes that its checkpoint names, in a file of the new attempt's own."""
    store = BlobStore(tmp_path)
    with store.stage("job-1") as stage:
        before = stage.file("records-00001.ndjson")
        before.write(b"kept\n")
        before.sync()
        kept = Staged(name=before.path.name, size=before.size, records=1)
        before.write(b"not kept\n")
    with store.stage("job-1") as stage:
        after = stage.resumed("records-00001.ndjson", kept)
        after.write(b"more\n")
        after.seal()
    assert after.path.read_bytes() == b"kept\nmore\n"
    assert (after.size, after.sha256) == (10, hashlib.sha256(b"kept\nmore\n").hexdigest())
    assert before.path.read_bytes() == b"kept\nnot kept\n"


@pytest.mark.parametrize("left", [None, b"", b"kep"])
def test_what_is_gone_from_the_stage_is_named(tmp_path: Path, left: bytes | None) -> None:
    """Where an earlier attempt's file is not there, or is shorter than was said, the next one is told so."""
    with BlobStore(tmp_path).stage("job-1") as stage:
        kept = sealed(stage.file("records-00001.ndjson"), b"kept\n")
        path = tmp_path / "staging" / "job-1" / kept.name
        path.unlink() if left is None else path.write_bytes(left)
        for look in (stage.find, lambda written: stage.resumed("records-00001.ndjson", written)):
            with pytest.raises(StageLost, match="is the blob directory shared"):
                look(kept)


def test_attempts_of_a_job_write_side_by_side(tmp_path: Path) -> None:
    """One that was given up for dead spoils nothing of its successor's, whichever of them writes, and when."""
    store = BlobStore(tmp_path)
    with store.stage("job-1") as zombie, store.stage("job-1") as successor:
        late = zombie.file("records-00001.ndjson")
        late.write(b"one\n")
        late.sync()
        after = successor.resumed(
            "records-00001.ndjson", Staged(name=late.path.name, size=late.size, records=1)
        )
        late.write(b"of the zombie\n")
        part = sealed(after, b"two\n")
        late.restart()
        manifest, _ = successor.publish("job-1", [part], [])
        standing = zombie.publish("job-1", [sealed(late, b"too late\n")], [])
        assert standing[0] == manifest
    store.discard("job-1")
    assert path_of(manifest.records[0]).read_bytes() == b"one\ntwo\n"


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


def test_of_two_that_publish_the_first_stands(tmp_path: Path) -> None:
    """A second try of a job is given the manifest that stands, and its own parts go."""
    store = BlobStore(tmp_path)
    with store.stage("job-1") as first, store.stage("job-1") as second:
        standing = publish(first, b"first\n")
        assert publish(second, b"second\n") == standing
    assert path_of(standing[0].records[0]).read_bytes() == b"first\n"
    assert len(files_in(tmp_path / "jobs")) == 2


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
    assert len(files_in(tmp_path / "jobs")) == 2


@pytest.mark.parametrize("act", ["write", "keep", "publish"])
def test_a_full_disk_shows_nothing(tmp_path: Path, act: str) -> None:
    """What does not fit is refused with its directory and the reason, and nothing of it can be seen."""
    store = BlobStore(tmp_path)
    with pytest.raises(BlobsUnavailable) as caught, no_file_over(MIB), store.stage("j") as stage:
        staged = stage.file("big")
        staged.write(b"x" * (MIB - 10))
        if act == "write":
            staged.write(b"x" * MIB)
        staged.write(b"x" * 20)  # too much, once it goes from memory to the disk
        stage.keep(staged) if act == "keep" else stage.publish("j", [sealed(staged, b"")], [])
    assert str(tmp_path) in str(caught.value)
    assert "File too large" in str(caught.value)
    assert {name.split("/")[0] for name in files_in(tmp_path)} <= {"staging"}
    store.discard("j")
    assert files_in(tmp_path) == []


def test_a_manifest_that_cannot_be_shown_takes_its_parts_along(tmp_path: Path) -> None:
    """When the last step fails, the parts that were already in their place go; what was staged stays."""
    (tmp_path / "jobs" / "job-1" / "manifest.json").mkdir(parents=True)
    with pytest.raises(BlobsUnavailable), BlobStore(tmp_path).stage("job-1") as stage:
        publish(stage, b"text\n")
    assert [path.name for path in (tmp_path / "jobs" / "job-1").iterdir()] == ["manifest.json"]
    assert len(files_in(tmp_path / "staging")) == 2


def test_a_directory_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    """A blob directory that is a file is refused with its path and the reason."""
    (tmp_path / "blobs").write_text("not a directory")
    with (
        pytest.raises(BlobsUnavailable, match="blobs") as caught,
        BlobStore(tmp_path / "blobs").stage("j") as stage,
    ):
        stage.file("any")
    assert "File exists" in str(caught.value) or "Not a directory" in str(caught.value)


def age(path: Path, seconds: float) -> Path:
    """Let something be so old."""
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_only_what_is_old_and_unknown_is_swept(tmp_path: Path) -> None:
    """What belongs to no known job goes after an hour; what is younger, or a known job's, stays for ever."""
    store = BlobStore(tmp_path)
    asked: list[str] = []
    for job_id in ("old", "old-known", "young"):
        with store.stage(job_id) as stage:
            publish(stage, b"text\n")
        for place in ("staging", "jobs"):
            age(
                tmp_path / place / job_id,
                STALE_SECONDS + 10 if job_id.startswith("old") else STALE_SECONDS - 60,
            )

    def known(job_ids: Sequence[str]) -> frozenset[str]:
        asked.extend(job_ids)
        return frozenset(["old-known", "young"]) & frozenset(job_ids)

    assert store.sweep(known) == 2
    assert sorted(asked) == ["old", "old", "old-known", "old-known"]
    for place in ("staging", "jobs"):
        assert sorted(path.name for path in (tmp_path / place).iterdir()) == ["old-known", "young"]
    assert store.sweep(known) == 0


def test_a_file_is_swept_long_after_its_last_use(tmp_path: Path) -> None:
    """An attached file stays for as long as a job that names it may be known; being used again makes it young."""
    store = BlobStore(tmp_path)
    kept = {}
    for content in (b"old", b"young", b"used again"):
        with store.stage("j") as stage:
            staged = stage.file("f")
            staged.write(content)
            kept[content] = path_of(stage.keep(staged))
        age(kept[content], FILE_SECONDS - 60 if content == b"young" else FILE_SECONDS + 10)
    with store.stage("k") as stage:
        staged = stage.file("f")
        staged.write(b"used again")
        stage.keep(staged)
    assert store.sweep(frozenset) == 1
    assert {content for content, path in kept.items() if path.exists()} == {b"young", b"used again"}


def test_there_is_nothing_to_sweep_where_nothing_was_written(tmp_path: Path) -> None:
    """A blob directory that is not there yet is clean."""
    assert BlobStore(tmp_path / "blobs").sweep(frozenset) == 0

"""Reading results: inline and in parts, checked against what the manifest says, written whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import results
from worker.errors import BlobsUnavailable
from worker.result import Blob, Cost, File, Manifest, Result

BASE = Result(job_id="j", connection="default", entity="Thing", count=2, strategy="one", cost=Cost(), pages=1)


def blob(path: Path, content: bytes) -> Blob:
    """Bytes in a file, described."""
    path.write_bytes(content)
    return Blob(url=path.as_uri(), size=len(content), sha256=hashlib.sha256(content).hexdigest())


def in_parts(directory: Path, *parts: bytes, files: tuple[File, ...] = ()) -> Result:
    """A result whose records are in parts below a directory whose name must be quoted in a URL."""
    home = directory / "a b#c%d"
    home.mkdir()
    records = tuple(blob(home / f"{number}.ndjson", part) for number, part in enumerate(parts))
    lines = b"".join(file.model_dump_json(exclude_none=True).encode() + b"\n" for file in files)
    listed = (blob(home / "files.ndjson", lines),) if files else ()
    told = Manifest(job_id="j", records=records, files=listed).model_dump_json(exclude_none=True).encode()
    return BASE.model_copy(update={"manifest": blob(home / "manifest.json", told), "file_count": len(files)})


def file(number: int) -> File:
    """An attached file."""
    return File(
        name=f"f{number}.jpg", record_id="r", file_id="f", url=f"file:///f/{number}", size=5, sha256="0a"
    )


def test_inline_records_are_the_result_itself() -> None:
    """The records of a small result are its own text."""
    small = BASE.model_copy(update={"records": '{"A":1}\n{"A":2}\n'})
    assert b"".join(results.records(small)) == b'{"A":1}\n{"A":2}\n'


def test_parts_are_read_in_their_order(tmp_path: Path) -> None:
    """The records of a large result are its parts, one after the other."""
    assert b"".join(results.records(in_parts(tmp_path, b"1\n2\n", b"3\n"))) == b"1\n2\n3\n"


def test_a_part_that_was_changed_is_noticed(tmp_path: Path) -> None:
    """A part whose bytes are not those that the manifest describes is refused."""
    result = in_parts(tmp_path, b"1\n")
    next(tmp_path.rglob("0.ndjson")).write_bytes(b"2\n")
    with pytest.raises(BlobsUnavailable, match="SHA-256 differs"):
        list(results.records(result))


def test_a_part_that_is_gone_is_named(tmp_path: Path) -> None:
    """A part that is not there is named, with the reason."""
    result = in_parts(tmp_path, b"1\n")
    gone = next(tmp_path.rglob("0.ndjson"))
    gone.unlink()
    with pytest.raises(BlobsUnavailable, match="No such file") as caught:
        list(results.records(result))
    assert str(gone) in caught.value.message


def test_a_manifest_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A manifest that is not one is refused, not guessed at."""
    result = BASE.model_copy(update={"manifest": blob(tmp_path / "manifest.json", b'{"parts": []}')})
    with pytest.raises(BlobsUnavailable, match="not a manifest"):
        list(results.records(result))


@pytest.mark.parametrize("url", ["https://example.com/x", "file://elsewhere/x", "s3://bucket/x"])
def test_only_files_of_this_machine_are_read(url: str) -> None:
    """A URL of another kind or another machine is refused."""
    with pytest.raises(BlobsUnavailable, match="not a file of this machine"):
        results.path_of(url)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_path_survives_its_url(name: str) -> None:
    """Whatever is in a path, its URL leads back to it."""
    path = Path("/blobs") / name.lstrip("/")
    assert results.path_of(path.as_uri()) == path


def test_records_are_written_whole(tmp_path: Path) -> None:
    """The file that was asked for holds every record, and nothing is left beside it."""
    target = tmp_path / "out.ndjson"
    results.write(BASE.model_copy(update={"records": "1\n"}), target)
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"1\n", [target])


def test_a_result_that_cannot_be_read_leaves_no_file(tmp_path: Path) -> None:
    """Where a part is missing, an older file stands, and no piece of the new one is left."""
    target = tmp_path / "out.ndjson"
    target.write_bytes(b"old")
    result = in_parts(tmp_path, b"1\n", b"2\n")
    next(tmp_path.rglob("1.ndjson")).unlink()
    with pytest.raises(BlobsUnavailable):
        results.write(result, target)
    assert target.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"out.ndjson", "a b#c%d"}


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """A device that takes no bytes is named with its reason, and is not replaced by a file."""
    # A link, so that a mistake would cost the link and not the machine's device.
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(BlobsUnavailable, match=f"{full} cannot be written: No space left"):
        results.write(BASE.model_copy(update={"records": "1\n"}), full)
    assert full.is_symlink()
    assert full.is_char_device()


def test_a_summary_tells_counts_costs_and_files(tmp_path: Path) -> None:
    """People are told what was retrieved, what it cost, what it waited for, and where the first files are."""
    cost = Cost(requests=1200, seconds=3.21, waits={"session": 2.0, "retry": 0.01})
    listed = in_parts(tmp_path, b"1\n", files=tuple(map(file, range(25))))
    told = results.summary(listed.model_copy(update={"cost": cost, "notes": ("went by key",)}))
    assert told.splitlines()[:6] == [
        "job       j",
        "records   2 Thing in 1 page",
        "strategy  one",
        "cost      1,200 requests, 3.2 s",
        "waited    2.0 s for session",
        "note      went by key",
    ]
    assert "f19.jpg, 5 bytes, SHA-256 0a" in told
    assert "f20.jpg" not in told
    assert "and 5 files more" in told

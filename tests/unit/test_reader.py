"""Reading results back: exact, in order, checked against what the worker wrote, written whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from worker.blobs.directory import Directory, path_of
from worker.errors import BlobsUnavailable
from worker.job import Compression, Job
from worker.page import Attachment, Cursor, Page, Record, Sink
from worker.publisher import INLINE_BYTES, Publisher
from worker.reader import Reader
from worker.result import Cost, Manifest, Result
from worker.summary import summary

RECORDS = [{"id": str(number), "Total": Decimal("2200.0000"), "text": "x" * 4000} for number in range(100)]


def attachment(number: int) -> Attachment:
    """A file of a detail row."""

    def save(sink: Sink) -> None:
        sink.write(b"file %d" % number * 100)

    told = {"record_id": "row", "file_id": str(number), "name": f"f{number}.jpg"}
    return Attachment(**told, save=save, keys=("SO", str(number)), detail="Details")


def published(
    root: Path, records: Iterable[Record], compression: Compression = Compression.NONE, files: int = 0
) -> Result:
    """A result of these records, a page each ten."""
    rows = list(records)
    job = Job(entity="Thing", compression=compression)
    with Publisher(Directory(root)).draft("j", job, None) as draft:
        for start in range(0, max(1, len(rows)), 10):
            draft.add(Page(records=rows[start : start + 10], cursor=Cursor(strategy="one", passed=start)))
        pictures = tuple(attachment(number) for number in range(files))
        gone = (("SO", "000009"),) if rows else ()
        draft.add(Page(records=[], cursor=Cursor(strategy="one", passed=0), attachments=pictures, gone=gone))
        return draft.publish().result(
            Cost(requests=1200, seconds=3.21, waits={"session": 2.0, "retry": 0.01})
        )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory whose name must be quoted in an address."""
    return tmp_path / "a b#c%d"


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("number", [0, 3, 100], ids=["none", "inline", "parts"])
def test_records_come_back_as_they_were(home: Path, number: int, compression: Compression) -> None:
    """Inline or in parts, compressed or not, the same records come back in order, digit for digit."""
    reader = Reader(Directory(home))
    result = published(home, RECORDS[:number], compression, files=2)
    assert (result.manifest is None) == (number < 100)
    assert list(reader.records(result)) == RECORDS[:number]
    lines = list(reader.lines(result))
    assert b"".join(lines) == b"".join(reader.text(result))
    assert all(b"2200.0000" in line for line in lines)
    assert [(file.keys, file.detail) for file in reader.files(result)] == [
        (("SO", "0"), "Details"),
        (("SO", "1"), "Details"),
    ]
    assert [b"".join(reader.content(file)) for file in reader.files(result)] == [
        b"file 0" * 100,
        b"file 1" * 100,
    ]
    assert list(reader.tombstones(result)) == ([("SO", "000009")] if number else [])


@pytest.mark.parametrize("compression", Compression)
def test_a_part_is_what_other_programs_read(home: Path, compression: Compression) -> None:
    """A part is a file that gunzip or zstd reads, of the encoding, sizes and lines that its manifest says."""
    result = published(home, RECORDS, compression)
    assert result.manifest is not None
    manifest = Reader(Directory(home)).manifest(result.manifest)
    (part,) = manifest.records
    stored = path_of(part.url).read_bytes()
    match compression:
        case Compression.NONE:
            text = stored
        case Compression.GZIP:
            text = gzip.decompress(stored)
        case Compression.ZSTD:
            with zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True) as frames:
                text = frames.read()
    assert text.splitlines(keepends=True) == list(Reader(Directory(home)).lines(result))
    assert (part.encoding, part.size, part.text_size, part.records) == (
        compression,
        len(stored),
        len(text),
        100,
    )
    assert (manifest.count, manifest.size, manifest.sha256) == (100, len(text), result.sha256)
    assert compression is Compression.NONE or len(stored) < len(text) / 10


def spoil(change: Callable[[bytes], bytes | None]) -> Callable[[Path], None]:
    """What somebody did to a file; None removes it."""

    def do(path: Path) -> None:
        content = change(path.read_bytes())
        path.unlink()
        if content is not None:
            path.write_bytes(content)

    return do


SPOILT = {
    "gone": spoil(lambda content: None),
    "empty": spoil(lambda content: b""),
    "short": spoil(lambda content: content[:-1]),
    "padded": spoil(lambda content: content + b"\n"),
    "zeros": spoil(lambda content: content + bytes(200_000)),
    "another": spoil(lambda content: content[:100] + b"!" + content[101:]),
}


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("how", SPOILT)
def test_a_part_that_is_not_what_was_written_is_named(home: Path, how: str, compression: Compression) -> None:
    """A part that is missing, short, padded or another is named at the end of the reading at the latest."""
    result = published(home, RECORDS, compression)
    (path,) = home.rglob("records-00001.*")
    SPOILT[how](path)
    with pytest.raises(BlobsUnavailable, match=r"records-00001"):
        list(Reader(Directory(home)).records(result))


@pytest.mark.parametrize("how", SPOILT)
def test_a_file_that_is_not_what_was_written_is_named(home: Path, how: str) -> None:
    """So is an attached file."""
    reader = Reader(Directory(home))
    result = published(home, RECORDS[:1], files=1)
    (file,) = reader.files(result)
    path = path_of(file.url)
    SPOILT[how](path)
    wrong = {"gone": "No such file", "another": "SHA-256 differs"}.get(how, "bytes, and the worker wrote")
    with pytest.raises(BlobsUnavailable, match=f"{file.sha256}.*{wrong}"):
        list(reader.content(file))


def test_records_that_are_not_those_of_the_result_are_noticed(home: Path) -> None:
    """Where each part is whole, but some are missing or in another order, it is noticed too; so it is inline."""
    small = published(home, RECORDS[:3])
    with pytest.raises(BlobsUnavailable, match="the job j are not what the worker wrote"):
        list(Reader(Directory(home)).records(small.model_copy(update={"records": '{"id":"1"}\n'})))
    large = published(home, RECORDS)
    with pytest.raises(BlobsUnavailable, match="the job j are not what the worker wrote"):
        list(Reader(Directory(home)).records(large.model_copy(update={"size": large.size - 1})))


def test_a_manifest_of_another_kind_is_refused(home: Path) -> None:
    """A manifest that is not one is refused, not guessed at."""
    result = published(home, RECORDS)
    path = home / "jobs" / "j" / "manifest.json"
    told = json.loads(path.read_bytes())
    SPOILT["gone"](path)
    path.write_bytes(json.dumps({**told, "parts": []}).encode())
    assert result.manifest is not None
    blob = result.manifest.model_copy(update=_about(path))
    with pytest.raises(BlobsUnavailable, match="not a manifest"):
        list(Reader(Directory(home)).records(result.model_copy(update={"manifest": blob})))


def _about(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("compression", Compression)
def test_reading_takes_little_memory(home: Path, compression: Compression) -> None:
    """A result of 30 MiB is read in no more than a chunk of it and a record."""
    result = published(home, (RECORDS[n % 100] for n in range(7500)), compression)
    assert result.size > 30_000_000
    tracemalloc.start()
    try:
        read = sum(1 for _ in Reader(Directory(home)).records(result))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == 7500
    assert peak < 8 * 1024 * 1024


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_path_survives_its_url(name: str) -> None:
    """Whatever is in a path, its URL leads back to it."""
    path = Path("/blobs") / name.lstrip("/")
    assert path_of(path.as_uri()) == path


def test_records_are_written_whole(home: Path, tmp_path: Path) -> None:
    """The file that was asked for holds every record, and nothing is left beside it."""
    target = tmp_path / "out.ndjson"
    result = published(home, RECORDS)
    Reader(Directory(home)).write(result, target)
    assert [json.loads(line)["id"] for line in target.read_bytes().splitlines()] == [
        record["id"] for record in RECORDS
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"out.ndjson", home.name}


def test_a_result_that_cannot_be_read_leaves_no_file(home: Path, tmp_path: Path) -> None:
    """Where a part is not what it was, an older file stands, and no piece of the new one is left."""
    target = tmp_path / "out.ndjson"
    target.write_bytes(b"old")
    result = published(home, RECORDS)
    SPOILT["short"](next(home.rglob("records-00001.*")))
    with pytest.raises(BlobsUnavailable):
        Reader(Directory(home)).write(result, target)
    assert target.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"out.ndjson", home.name}


def test_a_full_disk_is_named(home: Path, tmp_path: Path) -> None:
    """A device that takes no bytes is named with its reason, and is not replaced by a file."""
    # A link, so that a mistake would cost the link and not the machine's device.
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(BlobsUnavailable, match=f"{full} cannot be written: No space left"):
        Reader(Directory(home)).write(published(home, RECORDS[:1]), full)
    assert full.is_symlink()
    assert full.is_char_device()


def test_a_summary_tells_counts_costs_and_files(home: Path) -> None:
    """People are told what was retrieved, what was seen, what it cost, what it waited for, and where files are."""
    result = published(home, RECORDS, files=25)
    told = summary(Reader(Directory(home)), result.model_copy(update={"notes": ("went by key",)}))
    assert told.splitlines()[:7] == [
        "job       j",
        "records   100 Thing in 11 pages",
        "strategy  one",
        "promised  nothing, 1 vanished",
        "cost      1,200 requests, 3.2 s",
        "waited    2.0 s for session",
        "note      went by key",
    ]
    assert "f19.jpg, 700 bytes, SHA-256 " in told
    assert "f20.jpg" not in told
    assert "and 5 files more" in told
    assert told.endswith("manifest.json")


def test_a_manifest_says_what_its_result_says(home: Path) -> None:
    """Whoever has only the manifest knows the entity, connection, counts, strategy and consistency too."""
    result = published(home, RECORDS)
    assert result.manifest is not None
    manifest = Reader(Directory(home)).manifest(result.manifest)
    shared = Manifest.model_fields.keys() & Result.model_fields.keys() - {"records", "files", "tombstones"}
    assert {name: getattr(manifest, name) for name in shared} == {
        name: getattr(result, name) for name in shared
    }
    assert manifest.size > INLINE_BYTES

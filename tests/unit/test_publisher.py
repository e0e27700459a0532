"""Pages become a result: exact, whole or absent, inline or in parts."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.blobs.directory import Directory
from worker.errors import AnswerCut, BlobsUnavailable, Stopping
from worker.job import Compression, Job, Values
from worker.page import Attachment, Cursor, Page, Record, Sink
from worker.parts import PART_BYTES
from worker.publisher import INLINE_BYTES, Publisher, plain
from worker.result import Blob, Cost, File, Manifest, Published
from worker.series import ENCODER

FIELDS = st.text(st.sampled_from("ABCdef"), min_size=1, max_size=6).map(lambda name: "F" + name)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=20)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4)
)


@st.composite
def pairs(draw: st.DrawFn, depth: int = 2) -> tuple[Record, Record]:
    """A record as the ERP writes it, and as a caller wants it, made side by side."""
    wire: Record = {"id": "r", "note": {"value": ""}, "custom": {}}
    wanted: Record = {"id": "r", "note": "", "custom": {}}
    for name in draw(st.sets(FIELDS, max_size=5)):
        wire[name], wanted[name] = draw(_members(depth))
    return wire, wanted


def _members(depth: int) -> st.SearchStrategy[tuple[object, object]]:
    value = SCALARS.map(lambda scalar: ({"value": scalar}, scalar))
    typed = SCALARS.map(lambda scalar: ({"type": "CustomStringField", "value": scalar}, scalar))
    empty: st.SearchStrategy[tuple[object, object]] = st.just(({}, None))
    null = st.just((None, None))
    if depth == 0:
        return value | typed | empty | null
    rows = st.lists(pairs(depth - 1), max_size=3)
    return (
        value
        | empty
        | pairs(depth - 1)
        | rows.map(lambda found: ([w for w, _ in found], [p for _, p in found]))
    )


WIRE = Job(entity="SalesOrder", values=Values.WIRE)
PLAIN = Job(entity="SalesOrder")


def published(root: Path, pages: Iterable[Page], job: Job = WIRE) -> Published:
    """What a publisher makes of these pages."""
    publisher = Publisher(Directory(root))
    with publisher.draft("job-1", job, None) as draft:
        for page in pages:
            draft.add(page)
        result = draft.publish()
    publisher.discard("job-1")
    return result


def page_of(*records: Record, attachments: tuple[Attachment, ...] = (), notes: tuple[str, ...] = ()) -> Page:
    """A page with these records."""
    cursor = Cursor(strategy="one", passed=len(records))
    return Page(records=records, cursor=cursor, attachments=attachments, notes=notes)


def attachment(content: bytes, name: str = "Stock Items (A)\\a.jpg", file_id: str = "") -> Attachment:
    """A file with this content."""

    def save(sink: Sink) -> None:
        sink.write(b"cut off")
        sink.restart()
        sink.write(content)

    told = file_id or hashlib.sha256(content + name.encode()).hexdigest()
    return Attachment(record_id="r1", file_id=told, name=name, save=save)


def bytes_of(blob: Blob) -> bytes:
    """What a blob holds, checked against what is said of it."""
    content = Path(blob.url.removeprefix("file://")).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (blob.size, blob.sha256)
    return content


def manifest_of(result: Published) -> Manifest:
    """The manifest of a large result."""
    assert result.manifest is not None
    assert (result.records, result.files) == (None, None)
    return Manifest.model_validate_json(bytes_of(result.manifest))


def files_in(root: Path) -> list[str]:
    """The names of the files under a directory."""
    return sorted(path.name for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("wire", "wanted"),
    [
        ({"value": "x"}, "x"),
        ({"value": None}, None),
        ({"value": Decimal("2200.0000")}, Decimal("2200.0000")),
        ({}, None),
        (None, None),
        ([], []),
        ({"type": "CustomDecimalField", "value": 1}, 1),
        ({"type": "CustomStringField"}, None),
        (
            {"value": "en", "translations": {"en": "x", "fr": None}},
            {"value": "en", "translations": {"en": "x", "fr": None}},
        ),
        ({"value": "bad", "error": "no such item"}, {"value": "bad", "error": "no such item"}),
        ([{"id": "1", "Qty": {"value": 1}, "Lot": {}}], [{"id": "1", "Qty": 1, "Lot": None}]),
        ({"id": "c", "Email": {}, "custom": {}}, {"id": "c", "Email": None, "custom": {}}),
        ([{"id": "1", "filename": "a", "href": "/f"}], [{"id": "1", "filename": "a", "href": "/f"}]),
    ],
)
def test_a_member_unwrapped(wire: object, wanted: object) -> None:
    """Values lose their wrapping, empty fields are null, and what says more than a value stays as it is."""
    assert plain({"Member": wire}) == {"Member": wanted}


def test_custom_fields_unwrapped() -> None:
    """Custom fields keep their views; a record without any keeps its empty object."""
    assert plain({"custom": {}}) == {"custom": {}}
    custom = {"Document": {"AttributePRODUCT": {"type": "CustomStringField", "value": "Bananas 1 lb"}}}
    assert plain({"custom": custom}) == {"custom": {"Document": {"AttributePRODUCT": "Bananas 1 lb"}}}


@given(pairs())
def test_any_record_unwrapped(pair: tuple[Record, Record]) -> None:
    """At whatever depth, each member of a record comes out as the caller wants it."""
    wire, wanted = pair
    assert plain(wire) == wanted


@given(st.lists(pairs(), min_size=1, max_size=4))
def test_numbers_are_exact_to_the_digit(tmp_path_factory: pytest.TempPathFactory, found: list[Any]) -> None:
    """From the ERP's text to the result's, no digit of any number changes, and no line holds two records."""
    texts = [msgspec.json.Encoder(decimal_format="number").encode(wire).decode() for wire, _ in found]
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    page = page_of(*(decoder.decode(text) for text in texts))
    root = tmp_path_factory.mktemp("blobs", numbered=True)
    result = published(root, [page], PLAIN)
    assert result.records is not None
    lines = result.records.split("\n")
    assert lines.pop() == ""
    digits = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
    assert digits == [plain(json.loads(text, parse_float=str, parse_int=str)) for text in texts]
    on_the_wire = published(root, [page])
    assert on_the_wire.records == "".join(text + "\n" for text in texts)


def test_decimals_keep_their_scale(tmp_path: Path) -> None:
    """The ERP's 2200.0000 is 2200.0000 in the result too, not 2200.0 and not a string."""
    record = {"id": "1", "OrderTotal": {"value": Decimal("2200.0000")}}
    assert published(tmp_path, [page_of(record)], PLAIN).records == '{"id":"1","OrderTotal":2200.0000}\n'


def filling(size: int) -> Record:
    """A record whose line, newline included, has so many bytes."""
    return {"v": "x" * (size - len('{"v":""}\n'))}


def test_up_to_64_kib_is_inline(tmp_path: Path) -> None:
    """A result of exactly the limit travels by itself; one byte more makes it a manifest."""
    half = INLINE_BYTES // 2
    small = published(tmp_path, [page_of(filling(half)), page_of(filling(half))])
    assert small.records is not None
    assert (len(small.records), small.manifest, files_in(tmp_path)) == (INLINE_BYTES, None, [])
    large = published(tmp_path, [page_of(filling(half)), page_of(filling(half + 1))])
    assert [part.size for part in manifest_of(large).records] == [INLINE_BYTES + 1]


def test_files_count_towards_what_is_inline(tmp_path: Path) -> None:
    """Records and the list of files share one limit, so that a result is never half inline."""
    record = filling(INLINE_BYTES - 10)
    large = published(tmp_path, [page_of(record, attachments=(attachment(b"picture"),))])
    manifest = manifest_of(large)
    (line,) = bytes_of(manifest.files[0]).splitlines()
    assert bytes_of(File.model_validate_json(line)) == b"picture"
    assert (large.count, large.file_count, manifest.files[0].records) == (1, 1, 1)
    beside = Path(manifest.files[0].url.removeprefix("file://")).parent
    assert files_in(beside) == ["files-00001.ndjson", "records-00001.ndjson"]


def test_an_empty_list_is_an_empty_text(tmp_path: Path) -> None:
    """A result without records says so without a manifest."""
    result = published(tmp_path, [page_of()])
    assert (result.records, result.files, result.count, result.pages) == ("", (), 0, 1)


def test_a_large_result_is_parts_in_order(tmp_path: Path) -> None:
    """All records are in the parts, each once and in order, in parts of about 8 MiB with true counts."""
    line = filling(4096)
    total = 2 * PART_BYTES // 4096 + 700
    pages = (
        page_of(*({"n": n, **line} for n in range(start, start + 350))) for start in range(0, total, 350)
    )
    result = published(tmp_path, pages)
    manifest = manifest_of(result)
    texts = [bytes_of(part) for part in manifest.records]
    numbers = [json.loads(line)["n"] for text in texts for line in text.splitlines()]
    assert numbers == list(range(result.count))
    assert result.count >= total
    assert [part.records for part in manifest.records] == [text.count(b"\n") for text in texts]
    assert all(PART_BYTES <= len(text) < PART_BYTES * 1.1 for text in texts[:-1])
    assert len(texts) == 3


def test_memory_does_not_grow_with_the_result(tmp_path: Path) -> None:
    """A result of 20 MiB takes no more memory than a page of it and what is inline."""
    page = page_of(*(filling(2048) for _ in range(100)))
    tracemalloc.start()
    try:
        result = published(tmp_path, (page for _ in range(100)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(part.size for part in manifest_of(result).records) == 100 * 100 * 2048
    assert peak < 2 * 1024 * 1024


def test_attached_files_are_blobs_with_a_name(tmp_path: Path) -> None:
    """A file is described inline and kept under its hash; its name is shown, and is no path."""
    files = (attachment(b"one"), attachment(b"two", "Items (A)\\..\\..\\b.jpg"), attachment(b"one", "c.jpg"))
    result = published(tmp_path, [page_of({"id": "r1"}, attachments=files)])
    assert result.files is not None
    assert [file.name for file in result.files] == ["a.jpg", "b.jpg", "c.jpg"]
    assert [bytes_of(file) for file in result.files] == [b"one", b"two", b"one"]
    assert {file.record_id for file in result.files} == {"r1"}
    assert files_in(tmp_path) == sorted(hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))
    assert result.file_count == 3


@pytest.mark.parametrize("error", [AnswerCut("the body ended early"), Stopping("the worker stops")])
def test_an_attempt_that_fails_shows_nothing(tmp_path: Path, error: Exception) -> None:
    """Whatever ends the pages, nothing that was written can be seen; with the end of the job it goes."""

    def failing() -> Iterator[Page]:
        yield page_of(*(filling(4096) for _ in range(100)))
        raise error

    with pytest.raises(type(error)):
        published(tmp_path, failing())
    assert "manifest.json" not in files_in(tmp_path)
    Publisher(Directory(tmp_path)).discard("job-1")
    assert files_in(tmp_path) == []


def test_a_download_that_fails_is_not_kept(tmp_path: Path) -> None:
    """A file that was cut for good fails the attempt, and no byte of it can be seen."""

    def cut(sink: Sink) -> None:
        sink.write(b"half of it")
        raise AnswerCut("the body ended early")

    broken = Attachment(record_id="r1", file_id="f1", name="a", save=cut)
    with pytest.raises(AnswerCut):
        published(tmp_path, [page_of({"id": "r1"}, attachments=(broken,))])
    assert files_in(tmp_path) == []


def test_a_small_result_needs_no_blob_directory(tmp_path: Path) -> None:
    """Where blobs cannot be written, small results still come; a large one fails and names the directory."""
    (tmp_path / "blobs").write_text("a file in the way")
    assert published(tmp_path / "blobs", [page_of({"id": "1"})]).count == 1
    with pytest.raises(BlobsUnavailable, match="blobs"):
        published(tmp_path / "blobs", [page_of(filling(INLINE_BYTES + 1))])


def test_a_second_try_gives_the_result_that_stands(tmp_path: Path) -> None:
    """A job whose first try was published before it was lost is not published twice; the counts are the first's."""
    first = published(tmp_path, [page_of(*(filling(4096) for _ in range(30)))])
    second = published(tmp_path, [page_of(*(filling(4096) for _ in range(20)))])
    assert (second.manifest, second.count) == (first.manifest, 30)


SIZES = st.sampled_from([10, 100, 4096, INLINE_BYTES // 2, INLINE_BYTES + 1])


@st.composite
def page_lists(draw: st.DrawFn) -> list[Page]:
    """Pages of records of all sizes, some with files, and with notes that repeat."""
    pages = []
    for number in range(draw(st.integers(1, 6))):
        records = [{"n": number, **filling(size)} for size in draw(st.lists(SIZES, max_size=4))]
        files = tuple(attachment(b"%d" % named) for named in draw(st.lists(st.integers(0, 3), max_size=3)))
        notes = tuple(draw(st.lists(st.sampled_from(["slow", "gone"]), max_size=2)))
        pages.append(page_of(*records, attachments=files, notes=notes))
    return pages


@settings(max_examples=40, deadline=None)
@given(pages=page_lists(), cuts=st.sets(st.integers(0, 5)), torn=st.booleans())
def test_a_draft_goes_on_from_any_checkpoint(pages: list[Page], cuts: set[int], torn: bool) -> None:
    """However often and wherever a job is interrupted, its result is that of a job that never was, byte for byte."""
    with TemporaryDirectory() as whole, TemporaryDirectory() as cut, pytest.MonkeyPatch.context() as patched:
        patched.setattr("worker.series.PART_BYTES", 2 * INLINE_BYTES)
        expected = published(Path(whole), pages)
        publisher = Publisher(Directory(Path(cut)))
        kept, done = None, 0
        while True:
            with publisher.draft("job-1", WIRE, kept) as draft:
                assert (draft.after and draft.after.passed, draft.pages) == _after(pages[:done])
                for page in pages[done:]:
                    draft.add(page)
                    done += 1
                    kept = draft.checkpoint(page.cursor).text()
                    if done - 1 in cuts:
                        if torn and done < len(pages):
                            draft.add(pages[done])  # its checkpoint never comes
                        break
                else:
                    result = draft.publish()
                    break
        assert told(result, Path(cut)) == told(expected, Path(whole))


def _after(pages: list[Page]) -> tuple[int | None, int]:
    return (pages[-1].cursor.passed if pages else None), len(pages)


def told(result: Published, root: Path) -> list[object]:
    """All that a caller gets, with the bytes of every part instead of their place."""
    facts = [result.count, result.file_count, result.pages, result.strategy, result.notes, result.records]
    if result.manifest is None:
        files = [file.model_copy(update={"url": bytes_of(file)}) for file in result.files or ()]
        return [*facts, files]
    manifest = manifest_of(result)
    texts = [bytes_of(part).replace(str(root).encode(), b"") for part in (*manifest.records, *manifest.files)]
    return [*facts, texts, [part.records for part in (*manifest.records, *manifest.files)]]


def test_a_draft_survives_its_own_publishing(tmp_path: Path) -> None:
    """A job whose worker ended after the manifest was shown, and before anybody was told, ends with that manifest."""
    publisher = Publisher(Directory(tmp_path))
    page = page_of(*(filling(4096) for _ in range(30)))
    with publisher.draft("job-1", WIRE, None) as draft:
        draft.add(page)
        kept = draft.checkpoint(page.cursor).text()
        first = draft.publish()
    with publisher.draft("job-1", WIRE, kept) as draft:
        assert draft.publish() == first
    publisher.discard("job-1")
    assert [part.records for part in manifest_of(first).records] == [30]


@pytest.mark.parametrize("lost", ["the open part", "a sealed part", "the meaning"])
def test_a_draft_whose_stage_is_lost_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Where what was kept is not there or cannot be read, the job begins at its beginning, and is whole."""
    if lost == "a sealed part":
        monkeypatch.setattr("worker.series.PART_BYTES", INLINE_BYTES)
    publisher = Publisher(Directory(tmp_path))
    page = page_of(*(filling(4096) for _ in range(30)))
    with publisher.draft("job-1", WIRE, None) as draft:
        draft.add(page)
        kept = draft.checkpoint(page.cursor).text()
    if lost == "the meaning":
        kept = '{"cursor":7}'
    else:
        (part,) = (tmp_path / "jobs" / "job-1").rglob("records-00001*")
        part.unlink()
    with publisher.draft("job-1", WIRE, kept) as draft:
        assert (draft.after, draft.pages, draft.records) == (None, 0, 0)
        draft.add(page)
        assert draft.publish().count == 30


@pytest.mark.parametrize("compression", Compression)
def test_a_checkpoint_stays_small(tmp_path: Path, compression: Compression) -> None:
    """However many pages there were, what another attempt needs is told in little, and it goes on with all of it."""
    publisher = Publisher(Directory(tmp_path))
    job = Job(entity="SalesOrder", compression=compression)
    kept, lines = None, [filling(4096) for _ in range(17)]
    for slice_ in range(4):
        with publisher.draft("job-1", job, kept) as draft:
            assert draft.records == slice_ * 40 * 17
            for _ in range(40):
                page = page_of(*lines)
                draft.add(page)
                kept = draft.checkpoint(page.cursor).text()
                assert len(kept) < 25_000
    with publisher.draft("job-1", job, kept) as draft:
        result = draft.publish()
    assert result.count == 160 * 17
    assert result.sha256 == hashlib.sha256(ENCODER.encode_lines(lines) * 160).hexdigest()


def test_notes_come_once_and_not_without_end(tmp_path: Path) -> None:
    """A note that many pages carry is told once, and of very many notes the first are told with a count."""
    result = published(tmp_path, [page_of(notes=("slow", f"gone {number}")) for number in range(40)])
    assert result.notes[:3] == ("slow", "gone 0", "gone 1")
    assert (len(result.notes), result.notes[-1]) == (21, "… and 21 notes more")


def test_what_is_published_becomes_the_jobs_result(tmp_path: Path) -> None:
    """The result names its job and entity, with the counts, the strategy and the cost."""
    job = Job.parse({"entity": "StockItem", "connection": "main"})
    result = published(tmp_path, [page_of({"id": "1"})], job).result(Cost(requests=3))
    assert (result.job_id, result.entity, result.connection) == ("job-1", "StockItem", "main")
    assert (result.count, result.strategy, result.cost.requests) == (1, "one", 3)
    assert result.records == '{"id":"1"}\n'

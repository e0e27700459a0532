"""Records that are read again take the place of earlier ones: every record once, in the latest form."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.blobs.directory import Directory
from worker.job import Compression, Job
from worker.page import Cursor, Page
from worker.publisher import Publisher
from worker.reader import Reader
from worker.result import Cost, Result

IDS = st.integers(0, 12).map(str)


@st.composite
def page_lists(draw: st.DrawFn) -> list[Page]:
    """Pages of a list, in which a record that moves may come twice, and then pages that read some again."""
    size = draw(st.sampled_from([1, 3000]))
    listed = draw(st.lists(st.lists(IDS, max_size=4), max_size=6))
    # What comes twice has changed, so it is read again.
    every = [each for page in listed for each in page]
    twice = sorted({each for each in every if every.count(each) > 1})
    again = [*draw(st.lists(st.lists(IDS, max_size=4), max_size=4)), twice]
    number = 0
    pages: list[Page] = []
    for ids, is_repair in [*((ids, False) for ids in listed), *((ids, True) for ids in again)]:
        records = []
        for each in ids:
            number += draw(st.integers(0, 1))
            records.append({"id": each, "n": number, "text": "x" * size})
        pages.append(
            Page(records=records, cursor=Cursor(strategy="b", passed=len(pages)), is_repair=is_repair)
        )
    return pages


def latest(pages: list[Page]) -> list[dict[str, Any]]:
    """What is to come out: each record once, at its first place, as it was read last."""
    found: dict[str, dict[str, Any]] = {}
    for page in pages:
        for record in page.records:
            found[record["id"]] = record
    return list(found.values())


def result_of(root: Path, job: Job, pages: list[Page], cuts: set[int]) -> Result:
    """What comes of these pages by attempts that end after the pages of those numbers."""
    kept, done = None, 0
    while True:
        with Publisher(Directory(root)).draft("j", job, kept) as draft:
            for page in pages[done:]:
                draft.add(page)
                done += 1
                kept = draft.checkpoint(page.cursor).text()
                if done in cuts:
                    break
            else:
                return draft.publish().result(Cost())


@settings(max_examples=150, deadline=None)
@given(
    pages=page_lists(),
    cuts=st.sets(st.integers(1, 11), max_size=3),
    compression=st.sampled_from(list(Compression)),
)
def test_every_record_comes_once_as_it_was_read_last(
    pages: list[Page], cuts: set[int], compression: Compression
) -> None:
    """However records move, change and appear, and wherever the job is cut, each is there once, in its latest form."""
    with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patched:
        patched.setattr("worker.series.PART_BYTES", 10_000)
        patched.setattr("worker.series.HELD_BYTES", 3_000)
        patched.setattr("worker.publisher.INLINE_BYTES", 3_000)
        root = Path(place)
        result = result_of(root, Job(entity="A", compression=compression), pages, cuts)
        reader = Reader(Directory(root))
        assert list(reader.records(result)) == latest(pages)
        assert result.count == len(latest(pages))
        assert result.sha256 == hashlib.sha256(b"".join(reader.text(result))).hexdigest()
        first = {record["id"]: record for page in reversed(pages) for record in reversed(page.records)}
        listed = {record["id"] for page in pages if not page.is_repair for record in page.records}
        seen = result.consistency
        assert seen.appeared == len(first.keys() - listed)
        assert seen.changed == sum(first[r["id"]] != r for r in latest(pages) if r["id"] in listed)


def test_parts_that_nothing_changes_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repair rewrites the parts that hold what it changes, and no other."""
    monkeypatch.setattr("worker.series.PART_BYTES", 100_000)
    text = "x" * 1000
    pages = [
        Page(
            records=[{"id": f"{page}-{n}", "text": text} for n in range(120)],
            cursor=Cursor(strategy="b", passed=page),
        )
        for page in range(3)
    ]
    again = Page(
        records=[{"id": "1-7", "text": "new"}, {"id": "2-3", "text": text}],
        cursor=pages[-1].cursor,
        is_repair=True,
    )
    result = result_of(tmp_path, Job(entity="A"), [*pages, again], set())
    assert result.manifest is not None
    names = [
        part.url.rpartition("/")[2] for part in Reader(Directory(tmp_path)).manifest(result.manifest).records
    ]
    assert [name.partition("-")[0] for name in names].count("mended") == 1
    assert len(names) == 3
    assert (result.consistency.changed, result.consistency.appeared, result.count) == (1, 0, 360)


def test_what_was_promised_and_when_is_in_the_result(tmp_path: Path) -> None:
    """The ERP's clock at the first and last page, the promise and what is gone come through any cut."""
    cursor = Cursor(strategy="b", passed=1)
    pages = [
        Page(records=[{"id": "1"}], cursor=cursor, at="2026-01-01T00:00:00Z", promised="fresh"),
        Page(records=[], cursor=cursor, gone=(("SO", "1"), ("SO", "2"))),
        Page(records=[{"id": "2"}], cursor=cursor, at="2026-01-01T00:10:00Z"),
    ]
    for cuts in (set[int](), {1, 2}):
        result = result_of(tmp_path, Job(entity="A", branch="MYSTORE"), pages, cuts)
        assert (result.t0, result.t1) == ("2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z")
        assert (result.consistency.promised, result.consistency.vanished) == ("fresh", 2)
        assert result.tombstones == (("SO", "1"), ("SO", "2"))
        assert result.branch == "MYSTORE"

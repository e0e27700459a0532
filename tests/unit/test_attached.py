"""Attached files on their way into a result: several at once, each once, and none that is too large."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from worker.blobs.directory import Directory
from worker.errors import FileTooLarge
from worker.job import Job
from worker.page import Attachment, Cursor, Page, Sink
from worker.publisher import Publisher
from worker.result import Published


def published(root: Path, *pages: Page) -> Published:
    """What a publisher makes of these pages."""
    with Publisher(Directory(root)).draft("job-1", Job(entity="StockItem"), None) as draft:
        for page in pages:
            draft.add(page)
        return draft.publish()


def page_of(attachments: Sequence[Attachment], at_once: int = 1) -> Page:
    """A page with these files."""
    cursor = Cursor(strategy="one", passed=1, over=True)
    return Page(records=[{"id": "r"}], cursor=cursor, attachments=attachments, at_once=at_once)


def test_as_many_files_come_at_once_as_there_are_sessions(tmp_path: Path) -> None:
    """Three at once of nine, and they are listed in the order of their records all the same."""
    meeting, most = threading.Barrier(3, timeout=20), [0, 0]

    def save(number: int, sink: Sink) -> None:
        most[0] += 1
        most[1] = max(most)
        meeting.wait()
        sink.write(str(number).encode())
        most[0] -= 1

    def attachment(number: int) -> Attachment:
        def fetch(sink: Sink) -> None:
            save(number, sink)

        return Attachment(record_id="r", file_id=f"f{number}", name=f"{number}.jpg", save=fetch)

    result = published(tmp_path, page_of([attachment(number) for number in range(9)], at_once=3))
    assert result.files is not None
    assert [file.name for file in result.files] == [f"{number}.jpg" for number in range(9)]
    assert most[1] == 3


def test_a_file_is_retrieved_once_for_all_its_records(tmp_path: Path) -> None:
    """One id on three records of two pages is one download, and three lines with the keys of their records."""
    asked: list[str] = []

    def fetch(sink: Sink) -> None:
        asked.append("f1")
        sink.write(b"picture")

    def attachment(key: str) -> Attachment:
        return Attachment(
            record_id=f"id-{key}", file_id="f1", name="a.jpg", save=fetch, keys=(key,), detail="Details"
        )

    result = published(tmp_path, page_of([attachment("A"), attachment("B")], 3), page_of([attachment("C")]))
    assert asked == ["f1"]
    assert result.files is not None
    assert [(file.keys, file.record_id, file.detail) for file in result.files] == [
        (("A",), "id-A", "Details"),
        (("B",), "id-B", "Details"),
        (("C",), "id-C", "Details"),
    ]
    assert len({file.url for file in result.files}) == 1


def test_a_file_that_is_too_large_is_left_out_and_noted(tmp_path: Path) -> None:
    """The others come; nothing of it is kept, and a note names it and says why."""

    def refuse(sink: Sink) -> None:
        sink.write(b"the beginning")
        raise FileTooLarge("it is over 1 MiB")

    def take(sink: Sink) -> None:
        sink.write(b"small")

    large = Attachment(record_id="r", file_id="f1", name="film.mp4", save=refuse)
    small = Attachment(record_id="r", file_id="f2", name="a.jpg", save=take)
    result = published(tmp_path, page_of([large, small, large]))
    assert result.files is not None
    assert [file.name for file in result.files] == ["a.jpg"]
    assert result.notes == ("the file film.mp4 was left out: it is over 1 MiB",)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1

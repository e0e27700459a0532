"""Files of records: found at every depth, chosen by name, written under a cap."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest

from worker.attachments import MIB, is_wanted, with_files
from worker.erp.client import Erp
from worker.errors import AnswerMalformed, FileTooLarge
from worker.job import FileChoice
from worker.page import Attachment, Cursor, Page, Query, Record, Sink

ALL = Query(entity="Order", key_fields=("Number",), files=FileChoice())


@dataclass
class Written:
    """A sink that shows what was written to it."""

    told: bytes = b""

    def write(self, chunk: bytes) -> None:
        """Add some bytes."""
        self.told += chunk

    def restart(self) -> None:
        """Forget them."""
        self.told = b""


def fetch(href: str, sink: Sink) -> None:
    """A download of the address itself, which is cut once."""
    sink.write(b"cut")
    sink.restart()
    sink.write(href.encode())


ERP = cast(Erp, SimpleNamespace(download=fetch, seats=3))


def a_file(number: int) -> dict[str, str]:
    """A file as the ERP lists it."""
    return {"id": f"f{number}", "filename": f"Orders (1)\\{number}.jpg", "href": f"/files/{number}"}


def found(record: Record, query: Query = ALL) -> tuple[Attachment, ...]:
    """The files of a page with this record."""
    page = Page(records=[record], cursor=Cursor(strategy="one", passed=1), notes=("kept",))
    (told,) = with_files(ERP, query, iter([page]))
    assert (told.records, told.notes, told.at_once) == ([record], ("kept",), 3)
    return tuple(told.attachments)


def test_files_are_found_at_every_depth() -> None:
    """Each file comes with its own row, the way to it, and the keys of its record."""
    record = {
        "id": "top",
        "Number": {"value": "000001"},
        "note": {"value": "files"},
        "files": [a_file(1), a_file(2)],
        "Lines": [{"id": "line-1", "files": [a_file(3)]}, {"id": "line-2", "files": []}],
        "Contact": {"id": "contact", "Address": {"id": "address", "files": [a_file(4)]}},
        "custom": {"files": {"x": {"type": "CustomStringField", "value": "y"}}},
        "_links": {"files:put": "/files/{filename}"},
    }
    told = found(record)
    assert [(each.record_id, each.file_id, each.detail) for each in told] == [
        ("top", "f1", None),
        ("top", "f2", None),
        ("line-1", "f3", "Lines"),
        ("address", "f4", "Contact/Address"),
    ]
    assert {each.keys for each in told} == {("000001",)}
    assert told[0].name == "Orders (1)\\1.jpg"


def test_a_query_without_files_has_none() -> None:
    """Where the job wants no files, those that are listed all the same are not retrieved."""
    page = Page(records=[{"id": "top", "files": [a_file(1)]}], cursor=Cursor(strategy="one"))
    assert list(with_files(ERP, Query(entity="Order"), iter([page]))) == [page]


@pytest.mark.parametrize(
    ("name", "include", "exclude", "wanted"),
    [
        ("a.pdf", (), (), True),
        ("a.pdf", ("*.pdf",), (), True),
        ("Orders (1)\\A.PDF", ("*.pdf",), (), True),
        ("a.pdf", ("*.jpg", "a.*"), (), True),
        ("a.pdf", ("*.jpg",), (), False),
        ("a.pdf", (), ("*.pdf",), False),
        ("a.pdf", ("*.pdf",), ("a.*",), False),
        ("Orders (1)\\b.pdf", ("Orders*",), (), False),
        ("Stock Items (1/2)\\b.pdf", ("b.*",), (), True),
    ],
)
def test_names_are_chosen(
    name: str, include: tuple[str, ...], exclude: tuple[str, ...], wanted: bool
) -> None:
    """Patterns go by the file's own name, in any case; what is excluded is never wanted."""
    assert is_wanted(name, FileChoice(include=include, exclude=exclude)) is wanted


def test_an_attachment_saves_its_own_bytes() -> None:
    """Saving downloads from the address that the ERP gave for that file."""
    saved: list[Written] = []
    for each in found({"id": "top", "files": [a_file(1), a_file(2)]}):
        saved.append(Written())
        each.save(saved[-1])
    assert [sink.told for sink in saved] == [b"/files/1", b"/files/2"]


def test_a_file_over_the_cap_is_refused_as_it_comes() -> None:
    """No byte beyond the cap is kept; what an attempt before wrote does not count."""
    pieces = [b"x" * MIB, b"y"]

    def pour(href: str, sink: Sink) -> None:
        sink.write(pieces[0])
        sink.restart()
        for piece in pieces:
            sink.write(piece)

    erp = cast(Erp, SimpleNamespace(download=pour, seats=1))
    page = Page(records=[{"id": "top", "files": [a_file(1)]}], cursor=Cursor(strategy="one"))
    query = Query(entity="Order", files=FileChoice(largest_mib=1))
    ((each,),) = ([*told.attachments] for told in with_files(erp, query, iter([page])))
    sink = Written()
    with pytest.raises(FileTooLarge, match="over 1 MiB"):
        each.save(sink)
    assert len(sink.told) == MIB
    del pieces[1]
    each.save(sink)


@pytest.mark.parametrize("entry", [{}, {"id": "1", "filename": "a"}, {**a_file(1), "href": None}, "a.jpg"])
def test_a_file_without_an_address_is_malformed(entry: Any) -> None:
    """A file that does not say what it is makes the answer malformed, and the record is named."""
    with pytest.raises(AnswerMalformed, match="a file of the record top"):
        found({"id": "top", "files": [entry]})

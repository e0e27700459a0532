"""The sandbox's generated files: thousands, from their ids alone, some shared, some alike, one as big as wanted."""

import hashlib
import json
from collections import Counter
from typing import Any

from deploy.sandbox.attachments import BIG_FILE_ID, Attachments
from deploy.sandbox.builds import BUILDS
from deploy.sandbox.content import Drawn, whole
from deploy.sandbox.generate import Volume
from deploy.sandbox.instance import Instance

BUILD = BUILDS["2024R1"]
VOLUME = Volume(orders=40, items=100, files_each=2, seed=3)


def files(instance: Instance, entity: str, expand: str) -> list[list[dict[str, Any]]]:
    """The files of each row of a list, those of its lines behind its own."""
    rows = json.loads(instance.list(entity, {"$expand": expand}).body)
    return [[f for part in (row, *row.get("Details", ())) for f in part.get("files", ())] for row in rows]


def content(instance: Instance, file_id: str) -> bytes:
    """The bytes of a file that is there."""
    answer = instance.file(file_id)
    assert (answer.status, answer.content_type) == (200, "application/octet-stream")
    return answer.body if answer.drawn is None else whole(answer.drawn)


def test_every_item_and_line_has_its_files() -> None:
    """As many as asked for; the same from the same seed, and others from another."""
    instance, again = Instance(BUILD, "x", VOLUME), Instance(BUILD, "x", VOLUME)
    other = Instance(BUILD, "x", Volume(orders=40, items=100, files_each=2, seed=4))
    by_item = [found for found in files(instance, "StockItem", "files") if len(found) == 2]
    assert len(by_item) == 100
    lines = [f for found in files(instance, "SalesOrder", "Details,Details/files") for f in found]
    generated = json.loads(
        instance.list("SalesOrder", {"$expand": "Details", "$filter": "OrderNbr ge '000101'"}).body
    )
    assert len(lines) == 2 * sum(len(row["Details"]) for row in generated)
    for found in (by_item[0][0], lines[0]):
        assert content(instance, found["id"]) == content(again, found["id"])
        assert other.file(found["id"]).status == 404
        assert "\\" in found["filename"]


def test_some_are_shared_and_some_alike() -> None:
    """An id may be at two items, a content under several ids, a few are empty; sizes are spread over three decades."""
    instance = Instance(BUILD, "x", Volume(items=400, files_each=1))
    ids = [found[0]["id"] for found in files(instance, "StockItem", "files") if found]
    times = Counter(ids)
    assert set(times.values()) == {1, 2}
    assert sum(count == 2 for count in times.values()) == 40
    contents = {file_id: content(instance, file_id) for file_id in times}
    hashes = Counter(hashlib.sha256(text).hexdigest() for text in contents.values() if text)
    assert max(hashes.values()) > 3
    sizes = sorted(len(text) for text in contents.values())
    assert sizes[0] == 0
    assert sizes[len(sizes) // 10] < 1000 < 50_000 < sizes[-len(sizes) // 10] < 200_001


def test_a_file_goes_with_the_last_record_that_has_it() -> None:
    """Deleting an item takes its files; one that its neighbour has too stays until that is deleted."""
    instance = Instance(BUILD, "x", Volume(items=20, files_each=2))
    rows = json.loads(instance.list("StockItem", {"$expand": "files"}).body)
    [one, other] = [row for row in rows if row["InventoryID"]["value"] in ("PART000009", "PART000010")]
    shared, own = one["files"][0]["id"], one["files"][1]["id"]
    assert shared == other["files"][0]["id"]
    instance.delete("StockItem", one["id"])
    assert (instance.file(own).status, instance.file(shared).status) == (404, 200)
    instance.delete("StockItem", other["id"])
    assert instance.file(shared).status == 404


def test_a_generated_file_can_be_overwritten() -> None:
    """The bytes change under the same id."""
    instance = Instance(BUILD, "x", Volume(items=1, files_each=1))
    item = json.loads(instance.get("StockItem", ["PART000001"], {"$expand": "files"}).body)
    name = item["files"][0]["filename"].split("\\")[1]
    assert instance.attach("StockItem", item["id"], name, b"new") == item["files"][0]["id"]
    assert content(instance, item["files"][0]["id"]) == b"new"


def test_ids_that_are_no_files() -> None:
    """An id that looks like a file's, and one beyond the files that there are, find nothing."""
    attachments = Attachments(each=1)
    [file] = attachments.of_item(0, "")
    place = attachments.place(file.id)
    assert place is not None
    assert Attachments(each=0).place(file.id) is None
    assert attachments.place(file.id[:-1] + ("0" if file.id[-1] != "0" else "1")) is None
    assert Instance(BUILD, "x", Volume(items=0, files_each=1)).file(file.id).status == 404


def test_the_big_file_is_as_big_as_said_and_never_whole() -> None:
    """Its pieces are small, all different, and as many as its size asks for."""
    instance = Instance(BUILD, "x", Volume(big_file=5_000_001))
    item = json.loads(instance.get("StockItem", ["AACOMPUT01"], {"$expand": "files"}).body)
    assert [file["id"] for file in item["files"]] == [BIG_FILE_ID]
    drawn = instance.file(BIG_FILE_ID).drawn
    assert isinstance(drawn, Drawn)
    pieces = list(drawn.pieces())
    assert (sum(map(len, pieces)), len(drawn), len(set(pieces))) == (5_000_001, 5_000_001, len(pieces))
    assert max(map(len, pieces)) <= 262_144

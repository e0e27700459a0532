"""Jobs through their handlers, strategies and the publisher, against the sandbox over TLS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.erp_floor import connection_to
from tests.sandbox_process import Sandbox
from worker.blobs import BlobStore
from worker.erp import query as filters
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.direct import direct
from worker.errors import KeysInvalid
from worker.handler import Endpoint
from worker.job import Job
from worker.publisher import Publisher
from worker.registry import Registry
from worker.result import Cost, File, Result

ENTITIES = ["Customer", "Payment", "SalesInvoice", "SalesOrder", "Shipment", "StockItem"]
CUSTOMER = {"filter": "CustomerID eq :customer", "params": {"customer": "C000000003"}}


@dataclass(frozen=True)
class Desk:
    """Does jobs one after another on one session of a sandbox."""

    sandbox: Sandbox
    erp: Erp
    blobs: Path

    def do(self, entity: str, **job: Any) -> Result:
        """The result of a job."""
        asked = Job.parse({"entity": entity, **job})
        handler = Registry.load().handler_for(entity)
        connection = self.erp.connection
        bound = filters.bind(asked.filter, asked.params) if asked.filter else None
        query = handler.query(asked, bound, Endpoint(connection.endpoint, connection.version))
        with Publisher(BlobStore(self.blobs)).draft("job-1", asked.values, None) as draft:
            for page in handler.retrieve(self.erp, query):
                draft.add(page)
            return draft.publish().result("job-1", asked, Cost())

    def requests(self, since: int) -> list[str]:
        """The GETs that the ERP saw after an event, without what lies before their entity."""
        seen = (event for event in self.sandbox.events(since) if event["kind"] == "arrival")
        return [event["path"].partition("/20.200.001/")[2] for event in seen if event["method"] == "GET"]

    def last_event(self) -> int:
        """The number of the newest event."""
        return max((int(event["n"]) for event in self.sandbox.events()), default=0)


@pytest.fixture
def desk(sandbox: Sandbox, tmp_path: Path) -> Iterator[Desk]:
    """A signed-in session of a sandbox with the course's records."""
    with direct(connection_to(sandbox), Deadline(60), "job-1") as erp:
        yield Desk(sandbox, erp, tmp_path / "blobs")


def records_of(result: Result) -> list[dict[str, Any]]:
    """The records of a small result; their numbers as text, digit for digit."""
    assert result.records is not None
    return [json.loads(line, parse_float=str) for line in result.records.splitlines()]


def content_of(file: File) -> bytes:
    """The bytes of a file, checked against its size and hash."""
    content = Path(file.url.removeprefix("file://")).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
    return content


def test_the_courses_orders_come_in_one_request(desk: Desk) -> None:
    """Lesson 2.1: a customer's nine orders with their lines and shipments are one GET."""
    began = desk.last_event()
    fields = ["OrderNbr", "OrderTotal", "Details/InventoryID", "Shipments/ShipmentNbr"]
    result = desk.do("SalesOrder", **CUSTOMER, select=fields)
    assert (result.count, result.pages, result.strategy) == (9, 1, "one")
    first = records_of(result)[0]
    assert (first["OrderNbr"], first["OrderTotal"]) == ("000001", "2200.0000")
    assert [line["InventoryID"] for line in first["Details"]] == ["AAMACHINE1"]
    assert all(record["Shipments"] is not None for record in records_of(result))
    assert desk.requests(began) == ["SalesOrder"]


def test_the_courses_orders_come_in_batches(desk: Desk) -> None:
    """Lesson 2.2: by five, the same nine orders are two GETs, and no more."""
    began = desk.last_event()
    whole = desk.do("SalesOrder", **CUSTOMER, select=["OrderNbr"])
    batched = desk.do("SalesOrder", **CUSTOMER, select=["OrderNbr"], page_size=5)
    assert (batched.count, batched.pages, batched.strategy) == (9, 2, "batches")
    assert [row["id"] for row in records_of(batched)] == [row["id"] for row in records_of(whole)]
    assert desk.requests(began) == ["SalesOrder"] * 3


def test_the_courses_payments_come_by_key(desk: Desk) -> None:
    """Lesson 2.3: the list cannot be optimized, so payments come one by one, and the result gives the reason."""
    began = desk.last_event()
    fields = ["ReferenceNbr", "Type", "ApplicationHistory/DisplayRefNbr"]
    result = desk.do("Payment", **CUSTOMER, select=fields)
    assert (result.count, result.strategy) == (1, "by_key")
    (note,) = result.notes
    assert "ApplicationHistory.DisplayRefNbr: View Adjustments_History has BQL delegate" in note
    assert records_of(result)[0]["ApplicationHistory"][0]["DisplayRefNbr"] == "INV000045"
    assert desk.requests(began) == ["Payment", "Payment", "Payment/Payment/000001"]


def test_the_courses_picture_comes_whole_after_a_cut(desk: Desk) -> None:
    """Lesson 3.1: an item's picture is saved under its hash, and a download that is cut begins again."""
    desk.sandbox.control("faults", {"kind": "cut", "path": _files_path(desk), "bytes": 5000})
    result = desk.do("StockItem", keys=["AAMACHINE1"], select=["InventoryID"], attachments=True)
    assert result.files is not None
    (file,) = result.files
    assert (file.name, file.record_id) == ("T2MCRO.jpg", records_of(result)[0]["id"])
    assert content_of(file).startswith(b"\xff\xd8")
    assert desk.sandbox.control("faults", method="GET") == []
    assert [path.name for path in desk.blobs.rglob("*") if path.is_file()] == [file.sha256]


def _files_path(desk: Desk) -> str:
    site = desk.sandbox.url.rpartition("/")[2]
    return f"/{site}/entity/Default/20.200.001/files/"


def test_files_of_one_content_are_kept_once(desk: Desk) -> None:
    """Two files of one content are one blob beside the picture, and the result has both names."""
    (item,) = records_of(desk.do("StockItem", keys=["AAMACHINE1"], select=["InventoryID"]))
    for name in ("again.txt", "elbow.txt"):
        desk.sandbox.control(f"records/StockItem/{item['id']}/files/{name}", b"same", "PUT")
    result = desk.do("StockItem", filter="InventoryID eq 'AAMACHINE1'", attachments=True)
    assert result.files is not None
    same = [file for file in result.files if content_of(file) == b"same"]
    assert {file.name for file in same} == {"again.txt", "elbow.txt"}
    assert len({file.url for file in same}) == 1
    assert len([path for path in desk.blobs.rglob("*") if path.is_file()]) == 2


def test_records_are_found_by_their_keys(desk: Desk) -> None:
    """The handlers' key fields are those that the ERP takes: each record of a list is found again by them."""
    for entity in ENTITIES:
        names = Registry.load().handler_for(entity).key_fields(entity, Endpoint("Default", "20.200.001"))
        listed = records_of(desk.do(entity, select=list(names), limit=20))
        assert listed
        for record in listed:
            (found,) = records_of(desk.do(entity, keys=[record[name] for name in names], select=list(names)))
            assert found["id"] == record["id"]


def test_what_a_job_expands_comes_with_narrow_fields(desk: Desk) -> None:
    """An expanded entity without a selected field of its own comes whole, where the ERP would leave it out."""
    (record,) = records_of(
        desk.do("Customer", keys=["C000000003"], select=["CustomerID"], expand=["MainContact/Address"])
    )
    assert record["MainContact"]["Address"]["Country"] == "US"


def test_a_job_without_fields_gets_its_handlers(desk: Desk) -> None:
    """A handler's own details come where a job names no fields, and none where it asks for none."""
    (whole,) = records_of(desk.do("SalesOrder", keys=["SO", "000001"]))
    assert whole["Details"]
    (bare,) = records_of(desk.do("SalesOrder", keys=["SO", "000001"], expand=[]))
    assert "Details" not in bare


def test_a_wrong_number_of_keys_never_reaches_the_erp(desk: Desk) -> None:
    """A job that cannot name a record is refused before any request."""
    began = desk.last_event()
    with pytest.raises(KeysInvalid, match="OrderType, OrderNbr"):
        desk.do("SalesOrder", keys=["000001"])
    assert desk.requests(began) == []

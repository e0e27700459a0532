"""Jobs through their handlers, strategies and the publisher, against the sandbox over TLS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.erp_floor import connection_to
from tests.sandbox_process import Sandbox, start_sandbox
from worker.blobs.directory import Directory
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
from worker.values import business_date, instant

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
        with Publisher(Directory(self.blobs)).draft("job-1", asked, None) as draft:
            for page in handler.retrieve(self.erp, query):
                draft.add(page)
            return draft.publish().result(Cost())

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
    return [json.loads(line, parse_float=str) for line in result.records.split("\n") if line]


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
    """Lesson 2.2: by five, the same nine orders are two GETs, and a third that sees the end."""
    began = desk.last_event()
    whole = desk.do("SalesOrder", **CUSTOMER, select=["OrderNbr"])
    batched = desk.do("SalesOrder", **CUSTOMER, select=["OrderNbr"], page_size=5)
    assert (batched.count, batched.pages, batched.strategy) == (9, 2, "batches")
    assert [row["id"] for row in records_of(batched)] == [row["id"] for row in records_of(whole)]
    assert desk.requests(began) == ["SalesOrder"] * 4


def test_the_courses_payments_come_by_key(desk: Desk) -> None:
    """Lesson 2.3: the list cannot be optimized, so payments come one by one, and the result gives the reason."""
    began = desk.last_event()
    fields = ["ReferenceNbr", "Type", "ApplicationHistory/DisplayRefNbr"]
    result = desk.do("Payment", **CUSTOMER, select=fields)
    assert (result.count, result.strategy) == (1, "by_key")
    reason, way_out = result.notes
    assert "ApplicationHistory.DisplayRefNbr: View Adjustments_History has BQL delegate" in reason
    assert way_out == "without ApplicationHistory.DisplayRefNbr it can be listed"
    assert records_of(result)[0]["ApplicationHistory"][0]["DisplayRefNbr"] == "INV000045"
    assert sorted(desk.requests(began)) == [*["Payment"] * 3, "Payment/Payment/000001"]


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


def wire_rows(desk: Desk, entity: str) -> list[Any]:
    """A list as the ERP sends it, by a client that is not ours; its numbers as text, digit for digit."""
    sandbox = desk.sandbox
    headers = {"Authorization": f"Bearer {sandbox.token()}"}
    answer = sandbox.http.get(f"{sandbox.url}/entity/Default/20.200.001/{entity}", headers=headers)
    sandbox.http.post(f"{sandbox.url}/entity/auth/logout", headers=headers)
    rows: list[Any] = json.loads(answer.raise_for_status().text, parse_float=str, parse_int=str)
    return rows


def unwrapped(member: Any) -> Any:
    """A member of a record of scalars, as a plain result has it."""
    return member.get("value") if isinstance(member, dict) else member


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_value_comes_as_the_erp_sent_it(desk: Desk, entity: str) -> None:
    """Every scalar, of whatever type: numbers digit for digit, texts, dates and stamps to the letter, null as null."""
    expected = wire_rows(desk, entity)
    assert expected
    forms: list[tuple[str, Callable[[Any], Any]]] = [("wire", lambda member: member), ("plain", unwrapped)]
    for values, form in forms:
        result = desk.do(entity, expand=[], values=values, page_size=7)
        assert result.records is not None
        lines = result.records.split("\n")[:-1]
        found = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
        assert len(found) == len(expected)
        for row, sent in zip(found, expected, strict=True):
            assert row.keys() == sent.keys()
            for name in row.keys() - {"rowNumber", "custom", "_links"}:
                assert row[name] == form(sent[name]), (entity, name)


@pytest.mark.parametrize(
    "values",
    [
        {"OrderTotal": "9999999999999999999999.9999"},
        {"OrderTotal": "-0.0001", "OrderedQty": "0.000000"},
        {"Description": 'quotes " and \\ back, \u2028 lines, \U0001f600, 0 and null'},
        {"Date": "2026-02-28", "Hold": True},
    ],
)
def test_extreme_values_come_as_they_are(desk: Desk, values: dict[str, Any]) -> None:
    """Long decimals, negative and zero ones with their scale, any text, and a day that stays that day."""
    record = {"OrderType": "SO", "OrderNbr": "EXTREME", "CustomerID": "C000000003", **values}
    desk.sandbox.control("records/SalesOrder", record)
    (sent,) = (row for row in wire_rows(desk, "SalesOrder") if row["OrderNbr"] == {"value": "EXTREME"})
    (found,) = records_of(desk.do("SalesOrder", keys=["SO", "EXTREME"], expand=[]))
    for name in values:
        assert str(found[name]) == str(sent[name]["value"])
    if "Date" in values:
        assert business_date(found["Date"]).isoformat() == "2026-02-28"


def test_the_moment_of_a_change_is_known_by_the_users_zone(tmp_path: Path) -> None:
    """A stamp has the user's clock and the server's offset: read by the user's zone it is the moment of the change."""
    with start_sandbox("--control", "--server-offset=+03:00", "--user-offset=-05:00") as sandbox:
        with direct(connection_to(sandbox), Deadline(60), "job-1") as erp:
            desk = Desk(sandbox, erp, tmp_path)
            before = datetime.now(UTC) - timedelta(seconds=1)
            (order,) = records_of(desk.do("SalesOrder", keys=["SO", "000001"], expand=[]))
            sandbox.control(f"records/SalesOrder/{order['id']}", {"Description": "changed"}, "PATCH")
            (changed,) = records_of(desk.do("SalesOrder", keys=["SO", "000001"], expand=[]))
        stamp = instant(changed["LastModified"], timezone(timedelta(hours=-5)))
        assert before <= stamp <= datetime.now(UTC)
        assert changed["LastModified"].endswith("+03:00")

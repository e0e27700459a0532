"""Writes as jobs, over real sockets: records inserted, changed and deleted, files attached; each sent once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors
from tests.runner_bench import Killed
from tests.sandbox_process import Sandbox, start_sandbox
from worker.blobs.names import file_key
from worker.errors import (
    DataRefused,
    JobInvalid,
    KeysInvalid,
    OperationFailed,
    OutcomeUnknown,
    PreconditionFailed,
    RecordNotFound,
    RightsMissing,
    WorkerError,
)
from worker.jobstore import LEASE_SECONDS
from worker.runner import Done, Failed

ORDER = {"kind": "upsert", "entity": "SalesOrder", "keys": ["SO", "000004"]}
PATH = "/MyStoreInstance/entity/Default/24.200.001/SalesOrder"


@pytest.fixture(scope="module")
def erp() -> Iterator[Sandbox]:
    """A newer build."""
    with start_sandbox("--control", "--build", "2025R1") as running:
        yield running


@pytest.fixture
def bench(erp: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> Iterator[ErpBench]:
    """A worker of that ERP, whose log is empty but for what a test does."""
    erp.control("faults", method="DELETE")
    erp.control("close-sessions")
    erp.control("events", method="DELETE")
    yield ErpBench(erp, store_url, floors, tmp_path, version="24.200.001")
    erp.control("rights", {"SalesOrder": True}, "PATCH")
    erp.control("account", {"view_only": False}, "PATCH")


def kept(bench: ErpBench) -> int:
    """How many writes the ERP has kept."""
    return sum(event["kind"] == "change" for event in bench.sandbox.events())


def test_a_record_is_inserted_changed_and_deleted(bench: ErpBench) -> None:
    """A new record gets its number from the ERP; it is changed by its keys, and by its id; and it is gone at last."""
    new = {"Description": "By a job", "CustomerID": "C000000003", "OrderType": "SO"}
    [made] = bench.records({**ORDER, "keys": None, "mode": "insert", "record": new}, "a")
    keys = [made["OrderType"], made["OrderNbr"]]
    [changed] = bench.records({**ORDER, "keys": keys, "mode": "update", "record": {"Description": "b"}}, "b")
    [again] = bench.records({**ORDER, "keys": None, "id": made["id"], "record": {"Description": "c"}}, "c")
    assert (changed["id"], changed["Description"], again["Description"]) == (made["id"], "b", "c")
    gone = {"kind": "delete", "entity": "SalesOrder", "keys": keys}
    assert bench.records(gone, "d") == [{"outcome": "deleted", "record": f"SalesOrder {'/'.join(keys)}"}]
    with pytest.raises(RecordNotFound):
        bench.result({"entity": "SalesOrder", "keys": keys}, "e")
    assert (kept(bench), len(bench.sent("PUT")), len(bench.sent("DELETE"))) == (4, 3, 1)


def test_details_are_added_changed_and_removed(bench: ErpBench) -> None:
    """A row without an id is new, one with its id is changed, one that says delete goes; each in one request."""
    asked = {"entity": "SalesOrder", "keys": ["SO", "000004"], "expand": ["Details"]}
    [before] = bench.records(asked, "a")
    first, second = before["Details"]
    rows = [
        {"id": first["id"], "OrderQty": "7.5"},
        {"id": second["id"], "delete": True},
        {"InventoryID": "AAMACHINE1", "OrderQty": 2},
    ]
    [after] = bench.records({**ORDER, "record": {"Details": rows}}, "b")
    found = {row["InventoryID"]: row["OrderQty"] for row in after["Details"]}
    assert found == {first["InventoryID"]: Decimal("7.5"), "AAMACHINE1": Decimal("2")}
    assert len(bench.sent("PUT")) == 1


def test_custom_fields_are_written(bench: ErpBench) -> None:
    """A user-defined field is written by its View.Field, and comes back."""
    body = {**ORDER, "record": {"custom": {"Document.AttributePRODUCT": "Bananas"}}}
    [found] = bench.records({**body, "custom": ["Document.AttributePRODUCT"]})
    assert found["custom"]["Document"]["AttributePRODUCT"] == "Bananas"


@pytest.mark.parametrize(("mode", "keys"), [("insert", ["SO", "000001"]), ("update", ["SO", "999999"])])
def test_what_may_be_there_before(bench: ErpBench, mode: str, keys: list[str]) -> None:
    """One that was to be new and is there, or to be there and is not, is refused, and nothing is kept."""
    with pytest.raises(PreconditionFailed):
        bench.result({**ORDER, "keys": keys, "mode": mode, "record": {"Description": "x"}})
    assert kept(bench) == 0


def test_a_bad_value_is_a_table(bench: ErpBench) -> None:
    """What the ERP does not take is told field by field."""
    with pytest.raises(DataRefused) as caught:
        bench.result({**ORDER, "record": {"CustomerID": "ABARTENDE1"}})
    told = {row["field"]: row for row in caught.value.errors}
    assert told["CustomerID"] == {
        "field": "CustomerID",
        "value": "ABARTENDE1",
        "error": "'Customer' cannot be found in the system.",
    }
    assert kept(bench) == 0


REFUSED: list[tuple[Mapping[str, Any], type[WorkerError], str]] = [
    ({"record": {"Descriptio": "x"}}, JobInvalid, "did you mean Description"),
    ({"record": {"OrderedQty": "many"}}, JobInvalid, "must be a number"),
    ({"record": {"Details": [{"Quantity": 1}]}}, JobInvalid, "no such field"),
    ({"record": {"OrderNbr": "000005"}}, JobInvalid, "otherwise"),
    ({"record": {"Description": "x"}, "keys": ["SO"]}, KeysInvalid, "OrderType, OrderNbr"),
    ({"record": {}}, JobInvalid, "must be an object"),
    ({"record": {"Description": "x" * 2_000_000}}, JobInvalid, "at most 1,048,576"),
]


@pytest.mark.parametrize(("more", "kind", "words"), REFUSED)
def test_what_the_schema_refuses_is_never_sent(
    bench: ErpBench, more: Mapping[str, Any], kind: type[WorkerError], words: str
) -> None:
    """Unknown fields, wrong types, missing keys and a job that is too large end it before anything is written."""
    with pytest.raises(kind, match=words):
        bench.result({**ORDER, **more})
    assert bench.sent("PUT") == []


def test_without_rights(bench: ErpBench) -> None:
    """Whoever may not open the form gets the ERP's words."""
    bench.sandbox.control("rights", {"SalesOrder": False}, "PATCH")
    with pytest.raises(RightsMissing, match="insufficient rights"):
        bench.result({**ORDER, "record": {"Description": "x"}})


def test_read_back_finds_what_was_not_kept(bench: ErpBench) -> None:
    """A user who may only look gets a 200, and nothing is kept: the job that reads back says so."""
    body = {**ORDER, "record": {"Description": "kept?", "CustomerOrder": "x"}}
    assert bench.records({**body, "read_back": True}, "a")[0]["Description"] == "kept?"
    bench.sandbox.control("account", {"view_only": True}, "PATCH")
    changed = {**body, "record": {"Description": "not kept"}}
    assert bench.records(changed, "b")
    with pytest.raises(OperationFailed, match="Description is 'kept\\?' and not 'not kept'"):
        bench.result({**changed, "read_back": True}, "c")


def test_a_lost_answer_is_not_sent_again(bench: ErpBench) -> None:
    """Nobody knows whether it was kept: the job says so, and where to look. An idempotent one goes on."""
    body = {**ORDER, "record": {"Description": "once"}}
    bench.sandbox.control(
        "faults", {"kind": "cut", "when": "after", "bytes": 5, "path": PATH, "method": "PUT"}
    )
    outcome = bench.outcome(body, "a")
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, OutcomeUnknown)
    assert "look at SalesOrder SO/000004" in outcome.error.message
    assert (len(bench.sent("PUT")), kept(bench)) == (1, 1)
    bench.sandbox.control(
        "faults", {"kind": "cut", "when": "after", "bytes": 5, "path": PATH, "method": "PUT"}
    )
    assert isinstance(bench.outcome({**body, "idempotent": True}, "b"), Done)


def test_who_has_looked_begins_it_anew(bench: ErpBench) -> None:
    """A job whose outcome nobody knew is sent again when a person asks for that."""
    body = {**ORDER, "record": {"Description": "by hand"}}
    bench.sandbox.control("faults", {"kind": "reset", "path": PATH, "method": "PUT"})
    assert isinstance(bench.outcome(body), Failed)
    bench.jobs.retry("j")
    assert isinstance(bench.outcome(body), Done)
    assert len(bench.sent("PUT")) == 2


def test_a_killed_worker(bench: ErpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies once the ERP has answered leaves a job that ends well, by reading what was written."""
    body = {**ORDER, "record": {"Description": "again"}}
    with monkeypatch.context() as patch:
        patch.setattr(bench.jobs, "finish", dies)
        with pytest.raises(Killed):
            bench.take("j", body)
    bench.later(LEASE_SECONDS + 1)
    bench.swept()
    [found] = bench.records(body)
    assert (found["Description"], len(bench.sent("PUT"))) == ("again", 1)


def dies(*_: object) -> None:
    """As a worker that is killed."""
    raise Killed


@pytest.mark.parametrize("keys", [["AALEGO500"], ["1/2-ELBOW"]])
def test_a_file_is_attached(bench: ErpBench, keys: list[str]) -> None:
    """The bytes come from the workers' blob store, go as they are read, and come back with the same hash."""
    content = bytes(range(256)) * 4096
    asked = {"kind": "upload", "entity": "StockItem", "keys": keys, "name": "plan é.bin"}
    source = blob(bench, content)
    [told] = bench.records({**asked, "source": source, "comment": "by a job"}, "a")
    result = bench.result({"entity": "StockItem", "keys": keys, "attachments": True}, "b")
    files = {file.name: file for file in result.files or ()}
    assert (files["plan é.bin"].file_id, files["plan é.bin"].sha256) == (told["file_id"], source["sha256"])


def test_a_blob_that_is_another_is_not_sent(bench: ErpBench) -> None:
    """A file that is not what the job says is refused before a byte of it goes to the ERP."""
    source = {**blob(bench, b"these"), "size": 4}
    asked = {
        "kind": "upload",
        "entity": "StockItem",
        "keys": ["AALEGO500"],
        "name": "a.bin",
        "source": source,
    }
    with pytest.raises(JobInvalid, match="5 bytes"):
        bench.result(asked)
    assert bench.sent("PUT") == []


def blob(bench: ErpBench, content: bytes) -> dict[str, Any]:
    """A blob of the workers' store, as a job names it."""
    digest = hashlib.sha256(content).hexdigest()
    spool = bench.blobs.spool()
    spool.write(content)
    bench.blobs.share(file_key(digest), spool)
    spool.close()
    return {"size": len(content), "sha256": digest}


def test_a_stop_waits_for_a_write(bench: ErpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is told to stop cuts what it reads after a grace, but never a write: the job ends well."""
    monkeypatch.setattr("worker.erp.gateway.GRACE_SECONDS", 0.1)
    gateway = bench.another()
    bench.sandbox.control("faults", {"kind": "delay", "seconds": 1.0, "path": PATH, "method": "PUT"})
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(bench.take, "j", {**ORDER, "record": {"Description": "slow"}})
        while not gateway.is_writing:
            time.sleep(0.01)
        bench.runner.stop()
        gateway.stop()
        assert isinstance(writing.result(), Done)
    assert not gateway.is_writing

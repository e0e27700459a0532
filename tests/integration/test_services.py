"""What a Python client of the ERP offers as fifteen services, each as jobs of ours, against a newer build.

The services and the two worked examples are those of easy-acumatica's guide to its client.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors
from tests.sandbox_process import Sandbox, start_sandbox
from worker.blobs.names import file_key
from worker.filters import F


@pytest.fixture(scope="module")
def erp() -> Iterator[Sandbox]:
    """A newer build."""
    with start_sandbox("--control", "--build", "2025R1", "--operation-seconds", "0.1") as running:
        yield running


@pytest.fixture
def bench(erp: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> ErpBench:
    """A worker of that ERP."""
    erp.control("close-sessions")
    return ErpBench(erp, store_url, floors, tmp_path, version="24.200.001")


def listed(bench: ErpBench, entity: str, **more: Any) -> list[Any]:
    """Records of an entity, by a job of their own."""
    return bench.records({"entity": entity, **more}, f"list-{entity}-{len(more)}-{more.get('limit', 0)}")


def contacts(bench: ErpBench) -> None:
    """Contacts: create, find, change, delete."""
    made = one(bench, "Contact", {"LastName": "Hopper", "Email": "grace@example.com"}, "insert")
    by = F.Email == "grace@example.com"
    found = listed(bench, "Contact", filter=by.text, params=by.params, select=["LastName", "ContactID"])
    assert [row["LastName"] for row in found] == ["Hopper"]
    assert one(bench, "Contact", {"LastName": "Murray"}, "update", id=made["id"])["LastName"] == "Murray"
    assert bench.records({"kind": "delete", "entity": "Contact", "id": made["id"]}, "gone")


def customers(bench: ErpBench) -> None:
    """Customers: list, create, change."""
    assert listed(bench, "Customer", keys=["C000000003"])[0]["CustomerName"]
    made = {"CustomerID": "NEWONE", "CustomerName": "New", "MainContact": {"Email": "a@example.com"}}
    assert one(bench, "Customer", made, "insert")["MainContact"]["Email"] == "a@example.com"


def codes(bench: ErpBench) -> None:
    """Payroll and benefit codes."""
    assert listed(bench, "DeductionBenefitCode")
    assert listed(bench, "EarningTypeCode")


def files(bench: ErpBench) -> None:
    """Files: list, retrieve, attach."""
    content = b"a file of ours"
    spool = bench.blobs.spool()
    spool.write(content)
    bench.blobs.share(file_key(spool.sha256), spool)
    source = {"size": spool.size, "sha256": spool.sha256}
    spool.close()
    where = {"entity": "StockItem", "keys": ["AAMACHINE1"]}
    assert bench.records({"kind": "upload", **where, "name": "ours.txt", "source": source}, "up")
    result = bench.result({**where, "attachments": {"include": ["ours.*"]}}, "down")
    assert [file.sha256 for file in result.files or ()] == [hashlib.sha256(content).hexdigest()]


def inquiries(bench: ErpBench) -> None:
    """Generic inquiries, by the endpoint and by OData."""
    rows = bench.records(
        {"kind": "inquiry", "entity": "InventorySummaryInquiry", "parameters": {"InventoryID": "AALEGO500"}},
        "i",
    )
    assert rows
    assert bench.records({"kind": "inquiry", "entity": "BI-Inventory", "interface": "gi", "limit": 3}, "gi")


def records(bench: ErpBench) -> None:
    """Any record: create, change, by key, by filter, by id, delete."""
    made = one(bench, "Warehouse", {"WarehouseID": "NORTH", "Description": "Cold"}, "insert")
    assert listed(bench, "Warehouse", keys=["NORTH"])[0]["id"] == made["id"]
    by_id = bench.records({"entity": "Warehouse", "keys": [made["id"]]}, "by-id")
    assert by_id[0]["Description"] == "Cold"
    assert bench.records({"kind": "delete", "entity": "Warehouse", "keys": ["NORTH"]}, "gone")


def transactions(bench: ErpBench) -> None:
    """Ledger transactions, with their lines."""
    assert listed(bench, "JournalTransaction", expand=["Details"], limit=3)[0]["Details"]


def actions(bench: ErpBench) -> None:
    """Standard and custom actions."""
    order = {"kind": "action", "entity": "SalesOrder", "keys": ["SO", "000007"]}
    assert bench.records({**order, "action": "PutOnHold"}, "hold")
    made = one(bench, "Case", {"Subject": "A leak"}, "insert")
    close = {"kind": "action", "entity": "Case", "id": made["id"], "action": "Close"}
    assert bench.records({**close, "custom": {"FilterPreview.Reason": "Abandoned"}}, "close")


def activities(bench: ErpBench) -> None:
    """Activities, which are linked to a record by its id."""
    made = one(
        bench, "Activity", {"Summary": "Called", "RelatedEntityType": "PX.Objects.AR.Customer"}, "insert"
    )
    assert listed(bench, "Activity", keys=[made["id"]])[0]["Summary"] == "Called"


def accounts(bench: ErpBench) -> None:
    """Accounts and account groups."""
    account = listed(bench, "Account", limit=1)[0]
    changed = one(bench, "Account", {"Description": "Cash"}, "update", keys=[account["AccountCD"]])
    assert changed["Description"] == "Cash"
    assert listed(bench, "AccountGroup")


def payments(bench: ErpBench) -> None:
    """Payments: create, retrieve, release (a long operation)."""
    body = {
        "Type": "Payment",
        "CustomerID": "C000000003",
        "PaymentAmount": "10.00",
        "Hold": False,
        "Status": "Balanced",
    }
    made = one(bench, "Payment", body, "insert")
    assert listed(bench, "Payment", keys=[made["Type"], made["ReferenceNbr"]])
    release = {"kind": "action", "entity": "Payment", "id": made["id"], "action": "ReleasePayment"}
    bench.sandbox.control(f"records/Payment/{made['id']}", {"Status": "Balanced"}, "PATCH")
    assert bench.records(release, "release")[0]["outcome"] == "done"


def invoices(bench: ErpBench) -> None:
    """Invoices: create, change, retrieve."""
    made = one(bench, "Invoice", {"Type": "Invoice", "Customer": "C000000003", "Description": "a"}, "insert")
    changed = one(bench, "Invoice", {"Description": "b"}, "update", id=made["id"])
    assert changed["Description"] == "b"


def employees(bench: ErpBench) -> None:
    """Employees: retrieve."""
    employee = listed(bench, "Employee", limit=1)[0]
    assert listed(bench, "Employee", keys=[employee["EmployeeID"]])


def leads(bench: ErpBench) -> None:
    """Leads: create."""
    assert one(bench, "Lead", {"LastName": "Lovelace", "Email": "ada@example.com"}, "insert")["LeadID"]


def ledgers(bench: ErpBench) -> None:
    """Ledgers: retrieve."""
    assert listed(bench, "Ledger", expand=["Branches", "Companies"])


SERVICES: tuple[Callable[[ErpBench], None], ...] = (
    contacts,
    customers,
    codes,
    files,
    inquiries,
    records,
    transactions,
    actions,
    activities,
    accounts,
    payments,
    invoices,
    employees,
    leads,
    ledgers,
)


def one(bench: ErpBench, entity: str, record: dict[str, Any], mode: str, **named: Any) -> dict[str, Any]:
    """The record as it was written."""
    body = {"kind": "upsert", "entity": entity, "record": record, "mode": mode, **named}
    [written] = bench.records(body, f"{mode}-{entity}")
    assert isinstance(written, dict)
    return written


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.__name__)
def test_each_service(bench: ErpBench, service: Callable[[ErpBench], None]) -> None:
    """What the service does, jobs do."""
    service(bench)


def test_the_first_worked_example(bench: ErpBench) -> None:
    """Active customers of a class, by a filter that is built in Python, and two of their fields."""
    classes = listed(bench, "Customer", select=["CustomerClass", "Status"])
    wanted = classes[0]["CustomerClass"]
    by = (F.Status == "Active") & (F.CustomerClass == wanted)
    found = listed(bench, "Customer", filter=by.text, params=by.params, select=["CustomerID", "CustomerName"])
    expected = sum(row["CustomerClass"] == wanted and row["Status"] == "Active" for row in classes)
    assert (len(found), expected > 0) == (expected, True)
    assert {"CustomerID", "CustomerName"} <= set(found[0])


def test_the_second_worked_example(bench: ErpBench) -> None:
    """A new stock item, from three fields."""
    fields = {
        "InventoryID": "NEW-ITEM-001",
        "Description": "A Brand New Stock Item",
        "ItemClass": "STOCKITEM",
    }
    one(bench, "StockItem", fields, "insert")
    [found] = listed(bench, "StockItem", keys=["NEW-ITEM-001"], select=list(fields))
    assert {name: found[name] for name in fields} == fields

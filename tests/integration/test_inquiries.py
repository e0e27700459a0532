"""Inquiries as jobs, over real sockets: by the endpoint's PUT, and by both dialects of OData."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors
from tests.runner_bench import Killed, killing
from tests.sandbox_process import Sandbox, start_sandbox
from tests.store_process import start_store
from worker.erp.csdl import Service
from worker.erp.wire import Answer, Request, Wire
from worker.errors import (
    AnswerMalformed,
    AnswerTooLarge,
    FilterInvalid,
    FilterRefused,
    JobInvalid,
    NotInEndpoint,
    ParameterInvalid,
    RightsMissing,
    WorkerError,
)
from worker.inquiries import ORDERED, UNORDERED
from worker.jobstore import LEASE_SECONDS, JobStore

SUMMARY = {"kind": "inquiry", "entity": "InventorySummaryInquiry"}
GI = {"kind": "inquiry", "interface": "gi", "entity": "BI-Inventory"}
DAC = {"kind": "inquiry", "interface": "dac", "entity": "SOOrder"}
BY_SITE = {**GI, "entity": "Items by Warehouse"}
GUIDE = Path(__file__).parents[2] / "docs" / "inquiries.md"
STOCKED = 16
"""Rows of the demo's stock."""


@pytest.fixture(scope="module")
def newer() -> Iterator[Sandbox]:
    """A build that serves feeds below /t, in pages of four rows at most."""
    options = ("--build", "2025R1", "--odata-page", "4", "--forbid-dac", "ARPayment")
    with start_sandbox("--control", *options) as running:
        yield running


@pytest.fixture(scope="module")
def older() -> Iterator[Sandbox]:
    """A build that serves generic inquiries by OData v3."""
    with start_sandbox("--control", "--build", "2022R1") as running:
        yield running


@pytest.fixture
def bench(newer: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> ErpBench:
    """A worker of the newer build."""
    return bench_of(newer, store_url, floors, tmp_path, version="24.200.001")


@pytest.fixture
def old_bench(older: Sandbox, floors: Floors, tmp_path: Path) -> Iterator[ErpBench]:
    """A worker of the older build, with a store of its own."""
    with start_store() as store_url:
        yield bench_of(older, store_url, floors, tmp_path / "older")


def bench_of(site: Sandbox, store_url: str, floors: Floors, blobs: Path, **connection: Any) -> ErpBench:
    """A worker of a site whose log is empty but for what a test does."""
    site.control("faults", method="DELETE")
    site.control("close-sessions")
    site.control("events", method="DELETE")
    return ErpBench(site, store_url, floors, blobs, **connection)


def fed(bench: ErpBench) -> list[tuple[str, str]]:
    """The paths of feeds that the ERP was asked for, below the site, and their queries."""
    arrivals = [event for event in bench.sandbox.events() if event["kind"] == "arrival"]
    asked = [(event["path"].partition("/MyStoreInstance")[2], event["query"]) for event in arrivals]
    return [(path, query) for path, query in asked if "odata" in path and not path.endswith("$metadata")]


def refused(bench: ErpBench, kind: type[WorkerError], body: dict[str, Any]) -> WorkerError:
    """The error of this kind that a job fails with."""
    with pytest.raises(kind) as caught:
        bench.result(body, body["entity"])
    return caught.value


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL))
def test_the_examples_of_the_guide(bench: ErpBench, example: str) -> None:
    """Each job in docs/inquiries.md is one, and finds rows."""
    assert bench.records(json.loads(example)) != []


def test_an_inquirys_rows_are_records(bench: ErpBench) -> None:
    """Its parameters are sent in one PUT that expands its rows, and these are the records, unwrapped."""
    body = {**SUMMARY, "parameters": {"InventoryID": "AALEGO500"}, "select": ["QtyOnHand", "WarehouseID"]}
    [row] = bench.records(body)
    assert (row["QtyOnHand"], row["WarehouseID"]) == (1999, "MAIN")
    assert "QtyAvailable" not in row
    assert bench.sent("PUT") == ["InventorySummaryInquiry"]
    assert (bench.result(body).consistency.promised, bench.result(body).notes) == ("stable", ())


def test_all_of_an_inquiry_or_some(bench: ErpBench) -> None:
    """Without parameters it gives every row; a limit leaves the rest out."""
    assert len(bench.records(SUMMARY, "all")) == STOCKED
    assert len(bench.records({**SUMMARY, "limit": 3}, "some")) == 3


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"entity": "SalesOrder", "parameters": {"OrderType": "SO"}}, JobInvalid, "would write a record"),
        ({"parameters": {"InventoryId": "A"}}, JobInvalid, "did you mean InventoryID"),
        ({"parameters": {"Results": [{}]}}, JobInvalid, "plain value"),
        ({"parameters": {"ExpandByLotSerialNbr": 1}}, JobInvalid, "true or false"),
        ({"select": ["QtyOnhand"]}, JobInvalid, "did you mean QtyOnHand"),
        ({"results": "Rows"}, JobInvalid, "which detail has the rows: Results"),
    ],
)
def test_what_is_no_inquiry_is_not_put(
    bench: ErpBench, change: dict[str, Any], kind: type[WorkerError], words: str
) -> None:
    """An entity that keeps records, an unknown parameter or field: refused, and nothing is written."""
    assert words in str(refused(bench, kind, {**SUMMARY, **change}))
    assert bench.sent("PUT") == []


def test_the_erps_links_are_followed(bench: ErpBench) -> None:
    """A feed that the ERP serves in pages of four comes whole, in no more requests than it has pages."""
    result = bench.result(GI)
    names = [row["InventoryID"] for row in bench.records(GI)]
    assert (len(names), len(set(names)), result.pages) == (STOCKED, STOCKED, STOCKED // 4)
    asked = fed(bench)
    assert {path for path, _ in asked} == {"/t/MyStore/api/odata/gi/BI-Inventory"}
    assert len(asked) == STOCKED // 4
    assert [query.partition("$top=")[2].partition("&")[0] for _, query in asked] == [
        "500",
        "496",
        "492",
        "488",
    ]
    assert (result.consistency.promised, result.notes) == (None, (ORDERED,))


@pytest.mark.parametrize(
    ("limit", "size"), [(1, None), (3, 2), (4, 3), (6, 5), (16, 3), (100, 16), (None, 1)]
)
def test_pages_of_any_size(bench: ErpBench, limit: int | None, size: int | None) -> None:
    """Whatever the job's pages and limit are, beside the ERP's own pages, each row comes once and in order."""
    every = [row["InventoryID"] for row in bench.records(GI, "every")]
    some = {name: value for name, value in (("limit", limit), ("page_size", size)) if value}
    assert [row["InventoryID"] for row in bench.records({**GI, **some}, "some")] == every[:limit]


def test_one_page_promises(old_bench: ErpBench) -> None:
    """What came in one answer is as it was at one moment, and needs no note."""
    result = old_bench.result(GI)
    assert (result.count, result.pages, result.notes) == (STOCKED, 1, ())
    assert result.consistency.promised == "stable"
    assert result.t0 is not None
    [(path, _)] = fed(old_bench)
    assert path == "/odata/MyStore/BI-Inventory"


def test_both_dialects_say_the_same(bench: ErpBench, old_bench: ErpBench) -> None:
    """Numbers are numbers and texts are trimmed, whichever dialect they came by."""
    select = ["InventoryID", "Description", "Warehouse", "QtyOnHand", "DefaultPrice"]
    new, old = (each.records({**GI, "select": select}) for each in (bench, old_bench))
    assert new == old
    assert isinstance(old[3]["DefaultPrice"], Decimal | int)
    [wire] = old_bench.records({**GI, "filter": "InventoryID eq 'AALEGO500'", "values": "wire"}, "wire")
    assert (wire["InventoryID"], wire["QtyOnHand"]) == (f"{'AALEGO500':30}", "1999.000000")


@pytest.mark.parametrize(
    ("text", "params", "count"),
    [
        ("substringof('machine',Description)", {}, 1),
        ("startswith(InventoryID, :start) and QtyOnHand gt 10.5", {"start": "AA"}, 3),
        ("DefaultPrice ge 25.00M and (Warehouse eq 'MAIN' or Description eq null)", {}, 11),
        ("InventoryID eq :name", {"name": "A' or InventoryID ne '"}, 0),
        ("LastModified ge date'2015-01-01'", {}, STOCKED),
        ("LastModified lt :day", {"day": {"date": "2015-01-01"}}, 0),
    ],
)
def test_a_filter_in_both_dialects(
    bench: ErpBench, old_bench: ErpBench, text: str, params: dict[str, Any], count: int
) -> None:
    """The same filter finds the same rows by either dialect, with its values bound."""
    body = {**GI, "filter": text, "params": params, "select": ["InventoryID"]}
    new, old = (each.records(body) for each in (bench, old_bench))
    assert [row["InventoryID"] for row in new] == [row["InventoryID"] for row in old]
    assert len(new) == count


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"filter": "Nope eq 1"}, FilterInvalid, "no column Nope"),
        ({"filter": "QtyOnHnd gt 1"}, FilterInvalid, "did you mean QtyOnHand"),
        ({"filter": "cf.String(f='Item.UsrX') eq 'A'"}, FilterInvalid, "custom fields"),
        ({"filter": "QtyOnHand eq 'many'"}, FilterInvalid, "Edm.Decimal"),
        ({"select": ["Qty"]}, JobInvalid, "no column Qty"),
        ({"filter": "LastModified gt datetimeoffset'2024-01-01T10:00'"}, FilterInvalid, "with a zone"),
        ({"entity": "Items by Warehouse", "parameters": {"Itm": "A"}}, ParameterInvalid, "did you mean Item"),
        ({"entity": "Items by Warehouse", "parameters": {"Item": "A/B"}}, ParameterInvalid, "no URL"),
        ({"entity": "Items(1)"}, JobInvalid, "no URL"),
        ({"entity": ".."}, JobInvalid, "no URL"),
        ({"entity": "$metadata"}, JobInvalid, "no URL"),
        ({"interface": "dac", "entity": "SOOrder", "parameters": {"A": 1}}, JobInvalid, "give a filter"),
    ],
)
def test_what_a_feed_does_not_have_is_not_asked_for(
    bench: ErpBench, change: dict[str, Any], kind: type[WorkerError], words: str
) -> None:
    """Unknown columns and parameters, types that do not go together, names that no URL carries: no feed is asked."""
    assert words in str(refused(bench, kind, {**GI, **change}))
    assert fed(bench) == []


def test_parameters_of_an_inquiry(bench: ErpBench) -> None:
    """They are sent in the path, those that are left out as null; a quote stays in its text."""
    rows = bench.records({**BY_SITE, "parameters": {"Item": "AALEGO500"}})
    assert [(row["InventoryID"], row["Warehouse"]) for row in rows] == [("AALEGO500", "MAIN")]
    assert bench.records({**BY_SITE, "parameters": {"Item": "A'),Site=('x"}}, "hostile") == []
    assert {path for path, _ in fed(bench)} == {
        f"/t/MyStore/api/odata/gi/Items by Warehouse_WithParameters(Item={item},Site=null)"
        for item in ("'AALEGO500'", "'A''),Site=(''x'")
    }


@pytest.mark.parametrize("name", ["SOOrder", "PX_Objects_SO_SOOrder"])
def test_a_class_has_two_names(bench: ErpBench, old_bench: ErpBench, name: str) -> None:
    """A data access class is found by its long name and its short one, whichever the build has; codes are codes."""
    body = {**DAC, "entity": name, "filter": "OrderNbr eq '000001'", "select": ["OrderNbr", "Status"]}
    assert bench.records(body) == old_bench.records(body) == [{"OrderNbr": "000001", "Status": "N"}]


def test_a_calculated_column_is_no_filter(bench: ErpBench) -> None:
    """The ERP's empty answer to such a filter is an error by name, and never an empty result."""
    assert "calculated column" in str(refused(bench, FilterRefused, {**GI, "filter": "StockValue gt 0"}))


def test_what_is_not_exposed_says_what_to_do(bench: ErpBench, old_bench: ErpBench) -> None:
    """A generic inquiry that is not exposed, and a class without rights, are named with the way out."""
    for each in (bench, old_bench):
        error = refused(each, NotInEndpoint, {**GI, "entity": "Internal Prices"})
        assert "'Internal Prices'" in str(error)
        assert "Expose via OData" in str(error)
    assert "ARPayment" in str(refused(bench, RightsMissing, {**DAC, "entity": "ARPayment"}))


def test_a_feed_is_looked_up_once(bench: ErpBench) -> None:
    """A second job for a feed costs no request but for its rows, on whatever worker."""
    bench.records({**GI, "limit": 1}, "first")
    before = len(bench.sandbox.events())
    bench.another()
    bench.records({**GI, "limit": 1}, "second")
    arrivals = [event for event in bench.sandbox.events()[before:] if event["kind"] == "arrival"]
    assert [event["path"].rpartition("/")[2] for event in arrivals] == ["BI-Inventory"]


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("killed_at", range(STOCKED // 4 - 1))
def test_a_killed_worker_loses_no_page(
    bench: ErpBench, monkeypatch: pytest.MonkeyPatch, killed_at: int, kept: bool
) -> None:
    """Another worker goes on behind the last page that was kept; each page but one that was not is asked for once."""
    whole = bench.records(GI, "whole")
    before = len(fed(bench))
    with monkeypatch.context() as patched:
        killing(patched, JobStore, "checkpoint", {killed_at}, after=kept)
        with pytest.raises(Killed):
            bench.take("j", GI)
    bench.another()
    bench.later(LEASE_SECONDS * 2)
    bench.swept()
    assert bench.records(GI) == whole
    assert len(fed(bench)) - before == STOCKED // 4 + (not kept)


@pytest.mark.parametrize(
    "link",
    [
        "https://example.com/elsewhere?$skip=4",
        "{site}/t/MyStore/api/odata/gi/Sales%20Orders?$skip=4",
        "{site}/t/MyStore/api/odata/gi/BI-Inventory",
        "../../../../../entity/auth/logout?$skip=4",
        "//[::1?$skip=4",
    ],
)
def test_a_link_to_elsewhere_is_not_followed(bench: ErpBench, link: str) -> None:
    """Whatever address an answer names as its next page, nothing but the feed's own path is asked; it is read again."""
    told = {"value": [], "@odata.nextLink": link.format(site=bench.sandbox.url)}
    path = "/MyStoreInstance/t/MyStore/api/odata/gi/BI"
    fault = {"kind": "status", "status": 200, "body": json.dumps(told), "path": path}
    bench.sandbox.control("faults", fault)
    assert len(bench.records(GI)) == STOCKED
    assert {asked for asked, _ in fed(bench)} == {"/t/MyStore/api/odata/gi/BI-Inventory"}


def test_a_list_that_stands_still(bench: ErpBench) -> None:
    """An ERP that gives the same page again and again gets no job that never ends, nor one with rows twice."""
    told = json.dumps({"value": [{"InventoryID": "A", "Warehouse": "MAIN"}]})
    fault = {
        "kind": "status",
        "status": 200,
        "body": told,
        "path": "/MyStoreInstance/t/MyStore/api/odata/gi/BI",
    }
    bench.sandbox.control("faults", {**fault, "times": 9})
    assert "same page" in str(refused(bench, AnswerMalformed, {**GI, "page_size": 1}))


def test_links_that_lead_round(bench: ErpBench) -> None:
    """Pages whose links lead to each other are noticed, however many they are, and also where rows tell no keys."""
    path = "/MyStoreInstance/t/MyStore/api/odata/gi/BI"
    for number in range(20):
        told = {"value": [{"Warehouse": "MAIN"}], "@odata.nextLink": f"BI-Inventory?$skip={number % 3}"}
        fault = {"kind": "status", "status": 200, "body": json.dumps(told), "path": path}
        bench.sandbox.control("faults", fault)
    assert "same page" in str(refused(bench, AnswerMalformed, GI))
    assert len(fed(bench)) < 10


def test_a_limit_holds_whatever_the_erp_gives(bench: ErpBench) -> None:
    """Rows beyond the job's limit, which nobody has asked for, are no part of the result."""
    told = json.dumps({"value": [{"InventoryID": name, "Warehouse": "MAIN"} for name in "ABC"]})
    fault = {
        "kind": "status",
        "status": 200,
        "body": told,
        "path": "/MyStoreInstance/t/MyStore/api/odata/gi/BI",
    }
    bench.sandbox.control("faults", fault)
    assert [row["InventoryID"] for row in bench.records({**GI, "limit": 2})] == ["A", "B"]


def test_a_site_of_one_tenant(old_bench: ErpBench) -> None:
    """Where no feed is served below the tenant's name, it is looked for without that."""
    fault = {"kind": "status", "status": 404, "path": "/MyStoreInstance/odata/MyStore/", "body": "{}"}
    old_bench.sandbox.control("faults", {**fault, "times": 9})
    assert len(old_bench.records(GI)) == STOCKED
    assert [path for path, _ in fed(old_bench)] == ["/odata/BI-Inventory"]
    old_bench.sandbox.control("faults", {**fault, "times": 9, "path": "/MyStoreInstance/odata"})
    assert "switched on" in str(refused(old_bench, NotInEndpoint, {**GI, "entity": "Sales Orders"}))


def test_a_service_too_large_to_describe(bench: ErpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where $metadata is over the connection's cap the feed is read all the same, in an order that is not promised."""

    def too_large(self: Service, document: bytes) -> None:
        raise AnswerTooLarge("too large")

    monkeypatch.setattr(Service, "__init__", too_large)
    result = bench.result({**GI, "filter": "QtyOnHand gt 0"})
    assert (result.count, result.notes) == (STOCKED, (UNORDERED,))


def test_basic_takes_no_seat_of_its_own(
    newer: Sandbox, store_url: str, floors: Floors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection by cookies asks OData by Basic within its session: one sign-in for all of it."""
    by_cookies = {
        "sign_in": "cookie",
        "client_id": "",
        "client_secret": SecretStr(""),
        "session_seconds": 600,
    }
    sent: list[Request] = []
    real = Wire.send

    def send(wire: Wire, request: Request, *more: Any) -> Answer:
        sent.append(request)
        return real(wire, request, *more)

    monkeypatch.setattr(Wire, "send", send)
    bench = bench_of(newer, store_url, floors, tmp_path, version="24.200.001", **by_cookies)
    assert len(bench.records(GI)) == STOCKED
    feeds = [request for request in sent if "odata" in request.path]
    basic = b64encode(f"{newer.username}:{newer.password}".encode()).decode()
    assert {request.headers["Authorization"] for request in feeds} == {f"Basic {basic}"}
    assert all(request.cookies for request in feeds)
    assert basic not in repr(feeds)
    signed_in = [event for event in bench.sandbox.events() if event["kind"] == "sign_in"]
    assert [event["grant"] for event in signed_in] == ["cookie"]

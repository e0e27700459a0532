"""Schemas read once from the sandbox and kept in a real store; jobs that go by them, and are told of drift."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox, start_sandbox
from worker.erp.schemas import FAILURE_SECONDS, Absent, Known, Schemas
from worker.errors import EntityUnknown, FieldUnknown, FilterInvalid, JobInvalid, JobRefused
from worker.result import Result

VERSION = "24.200.001"
DOCUMENT = f"/MyStoreInstance/entity/Default/{VERSION}/swagger.json"

UNKNOWN_FIELD = {
    "message": "An error has occurred.",
    "exceptionMessage": "The given key was not present in the dictionary.",
    "exceptionType": "System.Collections.Generic.KeyNotFoundException",
}
"""What the ERP says of a field that it does not know (reported by live instances)."""


@pytest.fixture(scope="module")
def site() -> Iterator[Sandbox]:
    """A site of the newest build without limits."""
    with start_sandbox("--control", "--build", "2025R1", "--max-sessions", "0") as running:
        yield running


@pytest.fixture(autouse=True)
def _afresh(site: Sandbox) -> None:
    """Each test begins with an empty log and no fault."""
    site.control("events", method="DELETE")
    site.control("faults", method="DELETE")


@pytest.fixture
def start(site: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> Iterator[Callable[..., ErpBench]]:
    """Starts a worker with a connection to the site."""
    benches: list[ErpBench] = []

    def started(**connection: Any) -> ErpBench:
        given = {"version": VERSION, **connection}
        benches.append(ErpBench(site, store_url, floors, tmp_path / "blobs", **given))
        return benches[-1]

    yield started
    for bench in benches:
        bench.client.close()


def paths(bench: ErpBench) -> list[str]:
    """What was read below the endpoint, in order."""
    return bench.sent("GET")


def answered(site: Sandbox, path: str, document: object, times: int = 1) -> None:
    """Let the ERP answer a path with this."""
    fault = {"kind": "status", "status": 200, "path": path, "body": json.dumps(document), "times": times}
    site.control("faults", fault)


def changed_document(site: Sandbox, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The endpoint's document, with a change in its schemas."""
    response = site.http.get(
        f"{site.url}/entity/Default/{VERSION}/swagger.json",
        headers={"Authorization": f"Bearer {site.token()}"},
    )
    document: dict[str, Any] = response.raise_for_status().json()
    change(document["components"]["schemas"])
    return document


def own(schemas: dict[str, Any], entity: str) -> dict[str, Any]:
    """The fields of an entity in a document's schemas."""
    return cast(dict[str, Any], schemas[entity]["allOf"][1]["properties"])


def expire(bench: ErpBench) -> None:
    """Let every look at a schema be long ago."""
    for key in bench.client.scan_iter("acuworker:schema:*"):
        if not key.endswith(b":custom"):
            bench.client.hset(key, "looked_at", "0")


def notes_of(result: Result) -> list[str]:
    """The names of the notes of a result."""
    return [note.split(":")[0] for note in result.notes]


def test_one_document_serves_the_fleet(start: Callable[..., ErpBench]) -> None:
    """Many jobs, of several entities and on two workers, read the endpoint's schema once."""
    bench = start()
    for number, entity in enumerate(("Customer", "Vendor", "Customer")):
        bench.result({"entity": entity}, f"a{number}")
    bench.another()
    bench.result({"entity": "Vendor"}, "b")
    assert paths(bench).count("swagger.json") == 1


def test_jobs_that_begin_at_once_read_one_document(start: Callable[..., ErpBench]) -> None:
    """Where nobody knows the schema yet, one of a worker's jobs reads it, and the others wait for that."""
    bench = start(max_sessions=4)
    names = ("Customer", "Vendor", "Warehouse", "Ledger", "Tax", "Account")
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: bench.result({"entity": name, "limit": 1}, name), names))
    assert paths(bench).count("swagger.json") == 1


def test_a_handler_of_its_own_reads_no_schema(start: Callable[..., ErpBench]) -> None:
    """A job for sales orders makes no request for the schema; once it is known, it is checked by it."""
    bench = start()
    bench.result({"entity": "SalesOrder", "keys": ["SO", "000001"]}, "a")
    assert "swagger.json" not in paths(bench)
    bench.result({"entity": "Customer"}, "b")
    with pytest.raises(JobInvalid, match="SalesOrder has no field OrderNumber; did you mean"):
        bench.result({"entity": "SalesOrder", "select": ["OrderNumber"]}, "c")


@pytest.mark.parametrize(
    ("body", "kind", "advice"),
    [
        ({"entity": "Vendor", "select": ["VendrID"]}, JobInvalid, "did you mean VendorID"),
        ({"entity": "Vendor", "expand": ["MainContcat"]}, JobInvalid, "did you mean MainContact"),
        ({"entity": "Vendor", "filter": "VendrID eq 'x'"}, FilterInvalid, "did you mean VendorID"),
        ({"entity": "Vendor", "filter": "VendorID eq 5"}, FilterInvalid, "compare it with a text"),
        ({"entity": "SalesPricesInquiry"}, JobInvalid, '"kind": "inquiry"'),
    ],
)
def test_nothing_is_asked_that_the_erp_would_refuse(
    start: Callable[..., ErpBench], body: dict[str, Any], kind: type[JobRefused], advice: str
) -> None:
    """A job that names what is not there is refused with the schema as its only request."""
    bench = start()
    with pytest.raises(kind, match=re.escape(advice)):
        bench.result(body)
    assert paths(bench) == ["swagger.json"]


def test_an_unknown_entity_is_named_with_those_that_are_like_it(start: Callable[..., ErpBench]) -> None:
    """An entity that the endpoint lacks is asked of nobody."""
    bench = start()
    outcome = bench.take("j", {"entity": "Vendro"})
    assert isinstance(reason_of(outcome), EntityUnknown)
    assert "did you mean Vendor" in str(reason_of(outcome))
    assert paths(bench) == ["swagger.json"]


def reason_of(outcome: Any) -> object:
    """Why a job ended, or waits."""
    return getattr(outcome, "error", None) or getattr(outcome, "reason", None)


@pytest.mark.parametrize(
    ("endpoint", "version", "entity", "expand"),
    [
        ("MANUFACTURING", "24.200.001", "BillOfMaterial", ["Operations/Material/ReferenceDesignators/Spots"]),
        ("eCommerce", "24.200.001", "Customer", ["MainContact/Address"]),
        ("MyStoreExt", "1.0", "MyStoreWidget", ["Parts", "Size"]),
        ("MyStoreExt", "1.0", "User", []),
    ],
)
def test_other_endpoints_are_served(
    start: Callable[..., ErpBench], endpoint: str, version: str, entity: str, expand: list[str]
) -> None:
    """An entity of any endpoint is listed in pages, known by its swagger.json alone, with what is nested in it."""
    bench = start(endpoint=endpoint, version=version)
    found = bench.records({"entity": entity, "page_size": 3, "expand": expand})
    assert len({row["id"] for row in found}) == len(found) >= 5
    for path in expand:
        assert all(row[path.split("/")[0]] is not None for row in found)


def test_custom_fields_are_typed_filtered_and_checked(start: Callable[..., ErpBench]) -> None:
    """Custom fields come unwrapped and of their type, a filter goes by them, and one that is not there is refused;
    the skeleton that tells them is read once, and only for jobs that name any."""
    bench = start()
    bench.records({"entity": "Vendor"}, "a")
    assert "Vendor/%24adHocSchema" not in paths(bench)
    names = ["UsrScore", "UsrRank", "UsrChecked", "UsrNote", "UsrToken", "UsrReviewedOn"]
    view = "Vendor"
    fields = [f"{view}.{name}" for name in names]
    rows = bench.records({"entity": "Vendor", "select": ["VendorID", *fields]}, "b")
    plain = [row["custom"][view] for row in rows]
    types = {name: {type(row[name]).__name__ for row in plain} - {"NoneType"} for name in names}
    assert types == {
        "UsrScore": {"Decimal"},
        "UsrRank": {"int"},
        "UsrChecked": {"bool"},
        "UsrNote": {"str"},
        "UsrToken": {"str"},
        "UsrReviewedOn": {"str"},
    }
    score = max(row["UsrScore"] for row in plain if row["UsrScore"] is not None)
    best = {
        "filter": f"cf.Decimal(f='{view}.UsrScore') ge :score",
        "params": {"score": {"decimal": str(score)}},
    }
    found = bench.records({"entity": "Vendor", **best}, "c")
    assert [row["id"] for row in found] == [
        row["id"] for row in rows if row["custom"][view]["UsrScore"] == score
    ]
    with pytest.raises(JobInvalid, match=f"no custom field {view}.UsrScor; did you mean"):
        bench.result({"entity": "Vendor", "custom": [f"{view}.UsrScor"]}, "d")
    assert [path for path in paths(bench) if "adHoc" in path] == ["Vendor/$adHocSchema"]


def test_a_custom_field_that_the_erp_cuts_is_named(start: Callable[..., ErpBench], site: Sandbox) -> None:
    """Records that come without a custom field that was asked for bring a note with its name."""
    bench = start()
    bench.result({"entity": "Vendor"}, "a")
    row = {"id": "x", "VendorID": {"value": "V1"}, "custom": {}}
    answered(site, f"/MyStoreInstance/entity/Default/{VERSION}/Vendor", [row], times=9)
    result = bench.result({"entity": "SalesOrder", "limit": 1, "custom": ["Document.UsrNote"]}, "b")
    assert "CustomFieldMissing" not in notes_of(result)
    # An own handler, so that the skeleton does not refuse it first.
    answered(site, f"/MyStoreInstance/entity/Default/{VERSION}/SalesOrder", [row], times=9)
    result = bench.result({"entity": "SalesOrder", "limit": 1, "custom": ["Document.UsrNote"]}, "c")
    assert result.notes == (
        "CustomFieldMissing: Document.UsrNote was asked for, and records came without it",
    )


def test_a_changed_schema_is_told(start: Callable[..., ErpBench], site: Sandbox) -> None:
    """Between two looks a field came and one went: jobs for that entity are told which until the next look; others
    and later ones are not."""
    bench = start()

    def change(schemas: dict[str, Any]) -> None:
        fields = own(schemas, "Vendor")
        fields["Older"] = fields.pop("VendorName")

    answered(site, DOCUMENT, changed_document(site, change))
    assert notes_of(bench.result({"entity": "Vendor"}, "a")) == []
    expire(bench)
    result = bench.result({"entity": "Vendor"}, "b")
    assert notes_of(result) == ["SchemaChanged"]
    assert result.notes[0].endswith("it has VendorName now; it lost Older")
    assert notes_of(bench.result({"entity": "Vendor"}, "c")) == ["SchemaChanged"]
    assert notes_of(bench.result({"entity": "Customer"}, "d")) == []
    expire(bench)
    assert notes_of(bench.result({"entity": "Vendor"}, "e")) == []


def test_a_field_that_is_gone_meanwhile_is_told_by_name(
    start: Callable[..., ErpBench], site: Sandbox
) -> None:
    """Where the ERP knows nothing of what the schema has, that is read again, and the job is refused by name."""
    bench = start()
    answered(
        site,
        DOCUMENT,
        changed_document(site, lambda all_: own(all_, "Vendor").update(Older=own(all_, "Vendor")["Status"])),
    )
    bench.result({"entity": "Vendor", "limit": 1}, "a")
    expire_again(bench)
    with pytest.raises(JobInvalid, match="Vendor has no field Older"):
        bench.result({"entity": "Vendor", "select": ["Older"]}, "b")
    assert paths(bench).count("swagger.json") >= 2


def test_a_default_that_is_gone_meanwhile_does_not_cost_the_job(
    start: Callable[..., ErpBench], site: Sandbox
) -> None:
    """Where the ERP refuses what a handler asks for by itself, and the schema now lacks it, the job goes on without."""
    bench = start()
    bench.result({"entity": "Vendor", "limit": 1}, "a")
    expire_again(bench)
    site.control(
        "faults",
        {
            "kind": "status",
            "body": json.dumps(UNKNOWN_FIELD),
            "path": f"/MyStoreInstance/entity/Default/{VERSION}/SalesOrder",
        },
    )
    answered(site, DOCUMENT, changed_document(site, lambda all_: own(all_, "SalesOrder").pop("Shipments")))
    result = bench.result({"entity": "SalesOrder", "limit": 1}, "b")
    assert (result.count, notes_of(result)) == (1, ["SchemaChanged", "FieldVanished"])
    record = json.loads(result.records or "")
    assert ("Details" in record, "Shipments" in record) == (True, False)


def expire_again(bench: ErpBench) -> None:
    """Let the look be some minutes ago: not due, and old enough to be repeated."""
    for key in bench.client.scan_iter("acuworker:schema:*"):
        looked_at = float(bench.client.hget(key, "looked_at") or 0)
        bench.client.hset(key, "looked_at", repr(looked_at - 300))


def test_a_field_that_the_erp_refuses_though_it_has_it_is_its_own_error(
    start: Callable[..., ErpBench], site: Sandbox
) -> None:
    """Where another look shows nothing new, the job ends with what the ERP has said."""
    bench = start()
    bench.result({"entity": "Vendor", "limit": 1}, "a")
    expire_again(bench)
    fault = {"kind": "status", "status": 500, "times": 9, "body": json.dumps(UNKNOWN_FIELD)}
    site.control("faults", {**fault, "path": f"/MyStoreInstance/entity/Default/{VERSION}/Vendor"})
    with pytest.raises(FieldUnknown):
        bench.result({"entity": "Vendor", "select": ["Status"]}, "b")
    assert paths(bench) == ["swagger.json", "Vendor", "Vendor", "swagger.json"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "status", "status": 403, "body": '{"message": "no rights"}'}, "RightsMissing"),
        ({"kind": "status", "status": 404, "body": "{}"}, "NotInEndpoint"),
        ({"kind": "status", "status": 200, "body": "[1, 2]"}, "AnswerMalformed"),
        ({"kind": "huge", "mebibytes": 2}, "AnswerTooLarge"),
    ],
)
def test_a_job_goes_on_without_a_schema(
    start: Callable[..., ErpBench], site: Sandbox, fault: dict[str, Any], reason: str
) -> None:
    """Where the document cannot be had, jobs go by the catalogue, and say why; the ERP is not asked each time."""
    bench = start(max_answer_mib=1)
    site.control("faults", {**fault, "path": DOCUMENT, "times": 99})
    for number in range(2):
        result = bench.result({"entity": "Vendor", "limit": 1}, f"j{number}")
        assert result.count == 1
        assert len(result.notes) == 1
        assert f"cannot be read, so fields are not checked: {reason}" in result.notes[0]
    assert paths(bench).count("swagger.json") == 1


def test_a_schema_is_kept_for_so_many_hours(site: Sandbox, store_url: str, floors: Floors) -> None:
    """It is taken for what the ERP has for as long as the setting says, and an old one while there is no newer."""
    now = [1_000_000.0]
    settings = settings_for(connection_to(site, version=VERSION), store_url)
    gateway = floors.start(settings)
    store = redis.Redis.from_url(store_url)
    schemas = Schemas(store, 2, lambda: now[0])
    with gateway.job("default"):
        erp = erp_of(gateway)
        first = schemas.of(erp)
        assert isinstance(first, Known)
        now[0] += 2 * 3600 - 1
        assert schemas.of(erp) == first
        site.control("faults", {"kind": "status", "status": 404, "path": DOCUMENT})
        now[0] += 1
        failed = schemas.of(erp)
        assert failed == replace(
            first, failure="NotInEndpoint: the endpoint has no such entity, record or path (404: 404)"
        )
        now[0] += FAILURE_SECONDS - 1
        assert schemas.of(erp) == failed
        asked = len(
            [event for event in site.events() if event.get("path") == DOCUMENT and event["kind"] == "arrival"]
        )
        assert asked == 2
        now[0] += 1
        second = schemas.of(erp)
        assert isinstance(second, Known)
        assert second == replace(first, read_at=now[0])
        assert schemas.known(erp.connection) == second
    store.close()


def test_no_schema_is_known_before_somebody_looked(site: Sandbox, store_url: str, floors: Floors) -> None:
    """What the store has is told without asking the ERP; a failure is told with its reason."""
    gateway = floors.start(settings_for(connection_to(site, version=VERSION), store_url))
    schemas, connection = gateway.schemas, gateway.connection("default")
    assert schemas.known(connection) is None
    assert schemas.known_custom(connection, "Vendor") is None
    site.control("faults", {"kind": "status", "status": 404, "path": DOCUMENT})
    with gateway.job("default"):
        absent = schemas.of(erp_of(gateway))
        assert isinstance(absent, Absent)
        assert "NotInEndpoint" in absent.reason
        custom = schemas.custom(erp_of(gateway), "Nothing")
    assert (custom, schemas.known_custom(connection, "Nothing")) == (None, None)

"""What the ERP has by now, or gives in an odd form: looked at again by those who miss something, and by nobody else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox, start_sandbox
from worker.erp.schemas import AGAIN_SECONDS, Schemas
from worker.errors import AnswerMalformed, EntityUnknown, JobInvalid, RequestRefused, StoreUnavailable
from worker.explore import known
from worker.runner import Failed, Parked
from worker.storage import WAY_OUT
from worker.visit import Visit, visiting

VERSION = "24.200.001"
PLACE = f"/MyStoreInstance/entity/Default/{VERSION}"
DOCUMENT = f"{PLACE}/swagger.json"


@pytest.fixture(scope="module")
def site() -> Iterator[Sandbox]:
    """A site of the newest build without limits."""
    with start_sandbox("--control", "--build", "2025R1", "--max-sessions", "0") as running:
        yield running


@pytest.fixture
def bench(site: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> Iterator[ErpBench]:
    """A worker with a connection to the site, whose log is empty, and without faults."""
    site.control("events", method="DELETE")
    site.control("faults", method="DELETE")
    bench = ErpBench(site, store_url, floors, tmp_path / "blobs", version=VERSION)
    with closing(bench.client):
        yield bench


def looked(bench: ErpBench, seconds: float) -> None:
    """Let every look at a schema be so long ago."""
    for key in bench.client.scan_iter("acuworker:schema:*"):
        if not key.endswith(b":custom"):
            bench.client.hset(key, "looked_at", str(time.time() - seconds))


def without(site: Sandbox, entity: str, field: str) -> dict[str, Any]:
    """The endpoint's document, without a field."""
    headers = {"Authorization": f"Bearer {site.token()}"}
    response = site.http.get(f"{site.url}/entity/Default/{VERSION}/swagger.json", headers=headers)
    document: dict[str, Any] = response.raise_for_status().json()
    del document["components"]["schemas"][entity]["allOf"][1]["properties"][field]
    return document


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/plain; charset=utf-8", "application/octet-stream", ""]
)
def test_a_document_of_another_type_is_not_had(bench: ErpBench, content_type: str) -> None:
    """A server that gives the schema a type of its own is not away: jobs go on without the schema, and say so."""
    bench.sandbox.control(
        "faults", {"kind": "content_type", "path": DOCUMENT, "content_type": content_type, "times": 9}
    )
    result = bench.result({"entity": "Vendor", "limit": 1})
    assert result.count == 1
    assert "fields are not checked: AnswerMalformed" in result.notes[0]


def test_a_page_in_place_of_metadata_is_about_odata_alone(bench: ErpBench) -> None:
    """Where OData is described by a page for people, the inquiry fails, and other jobs go on."""
    path = "/MyStoreInstance/t/MyStore/api/odata/gi/$metadata"
    bench.sandbox.control(
        "faults", {"kind": "content_type", "path": path, "content_type": "text/html", "times": 9}
    )
    with pytest.raises(AnswerMalformed, match="text/html in place of XML"):
        bench.result({"kind": "inquiry", "interface": "gi", "entity": "BI-Inventory"}, "a")
    assert bench.result({"entity": "Vendor", "limit": 1}, "b").count == 1


def test_what_the_schema_surely_lacks_is_refused_at_once(bench: ErpBench) -> None:
    """No worker can know an entity that the endpoint itself does not have."""
    outcome = bench.take("j", {"entity": "Vendro"})
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, EntityUnknown)
    assert "did you mean Vendor" in str(outcome.error)


def test_without_a_schema_another_worker_may_know_it(bench: ErpBench) -> None:
    """An entity that only our own list lacks waits for a worker with its plugin."""
    bench.sandbox.control("faults", {"kind": "status", "status": 404, "path": DOCUMENT})
    outcome = bench.take("j", {"entity": "Vendro"})
    assert isinstance(outcome, Parked)
    assert isinstance(outcome.reason, EntityUnknown)


@pytest.mark.parametrize(("entity", "field"), [("Vendor", "VendorName"), ("SalesOrder", "Description")])
def test_a_field_that_came_meanwhile_is_found(bench: ErpBench, entity: str, field: str) -> None:
    """Before a job is refused for what is not in the schema, that is read again, unless it just was; also for an entity
    with a handler of its own."""
    body = json.dumps(without(bench.sandbox, entity, field))
    bench.sandbox.control("faults", {"kind": "status", "status": 200, "path": DOCUMENT, "body": body})
    bench.result({"entity": "Customer", "limit": 1}, "a")
    job = {"entity": entity, "select": [field], "limit": 1}
    asked = bench.sent("GET").count("swagger.json")
    with pytest.raises(JobInvalid, match=f"has no field {field}"):
        bench.result(job, "b")
    assert bench.sent("GET").count("swagger.json") == asked
    looked(bench, AGAIN_SECONDS + 1)
    assert field in bench.records(job, "c")[0]
    assert bench.sent("GET").count("swagger.json") == asked + 1


def test_custom_fields_are_read_anew(bench: ErpBench) -> None:
    """They are in no schema whose change would tell of them: who misses one has them read again, unless they just
    were."""
    now = [1_000_000.0]
    schemas = Schemas(bench.client, 24, lambda: now[0])
    fault = {
        "kind": "status",
        "status": 200,
        "path": f"{PLACE}/Vendor/$adHocSchema",
        "body": '{"custom": {}}',
    }
    bench.sandbox.control("faults", fault)
    with bench.gateway.job("default"):
        erp = erp_of(bench.gateway)
        assert schemas.custom(erp, "Vendor") == {}
        now[0] += AGAIN_SECONDS - 1
        assert schemas.custom(erp, "Vendor", anew=True) == {}
        now[0] += 1
        assert schemas.custom(erp, "Vendor") == {}
        assert schemas.custom(erp, "Vendor", anew=True)


def test_nobody_who_wants_the_newest_gets_an_old_one(bench: ErpBench) -> None:
    """A command that is to read what the endpoint has now says why it cannot; others go by what was known."""
    visit = Visit(erp_of(bench.gateway), bench.gateway)
    with bench.gateway.job("default"):
        before = known(visit, anew=False)
        bench.sandbox.control("faults", {"kind": "status", "status": 404, "path": DOCUMENT})
        looked(bench, AGAIN_SECONDS + 1)
        with pytest.raises(RequestRefused, match="does not tell what the endpoint has: NotInEndpoint"):
            known(visit, anew=True)
        assert known(visit, anew=False).schema == before.schema


def test_a_command_without_a_store_says_so_at_once(site: Sandbox, tmp_path: Path) -> None:
    """Where no store runs nothing is tried again and again: what to look at is told."""
    settings = settings_for(connection_to(site), f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(StoreUnavailable, match=WAY_OUT[:20]), visiting(settings, "default", "endpoints"):
        raise AssertionError("there is no store")

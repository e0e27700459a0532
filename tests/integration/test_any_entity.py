"""Every entity of the vendor's endpoints through jobs: listed, filtered, fetched by key and by id, with its types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors
from tests.sandbox_process import Sandbox, start_sandbox
from worker.erp.schema import SCALARS, Schema, is_detail, is_named_inquiry, nested_in
from worker.erp.schemas import Known
from worker.errors import JobInvalid, NotOptimizable
from worker.handler import Endpoint
from worker.registry import Registry
from worker.runner import Done, Failed

COUNTS = {"20.200.001": 105, "24.200.001": 119}
"""Top-level entities in the vendor's metadata of each version."""

ONLY_BY_KEY = frozenset({"PurchaseOrder", "Shipment"})
"""Those that the ERP cannot filter by any other field (reported by live instances)."""

NEVER_LISTED = {"PhysicalInventoryCount": ["000001", "000002"]}
"""Those that it cannot list at all (reported by live instances), and keys of records that there are."""

NOTHING_TO_SHOW = {"EmailProcessing", "ProjectBilling"}
"""Forms for processing where nothing waits for it."""

SESSIONS = 3

PYTHON: Mapping[str, tuple[type, ...]] = {
    "String": (str,),
    "Boolean": (bool,),
    "Decimal": (int, Decimal),
    **dict.fromkeys(("Int", "Short", "Long", "Byte"), (int,)),
}


@pytest.fixture(scope="module")
def site() -> Iterator[Sandbox]:
    """A site that serves both versions, with seven records of each entity."""
    with start_sandbox("--control", "--build", "2025R1", "--max-sessions", "0") as running:
        yield running


class Clerk:
    """Does jobs for any entity of one version of the endpoint."""

    def __init__(self, bench: ErpBench, site: Sandbox) -> None:
        self._bench = bench
        self._site = site
        self._token = site.token()
        self._numbers = count()
        self.records("Account")
        known = bench.gateway.schemas.known(bench.gateway.connection("default"))
        assert isinstance(known, Known)
        self.schema: Schema = known.schema

    def ended(self, entity: str, **job: Any) -> Done | Failed:
        """How a job ends."""
        return self._bench.outcome({"entity": entity, **job}, f"j{next(self._numbers)}")

    def records(self, entity: str, **job: Any) -> list[dict[str, Any]]:
        """The records of a job."""
        return self._bench.records({"entity": entity, **job}, f"j{next(self._numbers)}")

    @property
    def version(self) -> str:
        """Of the endpoint."""
        return self._bench.gateway.connection("default").version

    def keys(self, entity: str) -> tuple[str, ...]:
        """The key fields of an entity that are known."""
        endpoint = Endpoint("Default", self.version, self.schema)
        return Registry.load().handler_for(entity).key_fields(entity, endpoint)

    def there(self, entity: str) -> list[str]:
        """The ids of all records that the ERP has."""
        url = f"{self._site.url}/entity/Default/{self.version}/{entity}"
        response = self._site.http.get(url, headers={"Authorization": f"Bearer {self._token}"})
        return [row["id"] for row in response.raise_for_status().json()]


@pytest.fixture(params=COUNTS)
def clerk(
    request: pytest.FixtureRequest, site: Sandbox, store_url: str, floors: Floors, tmp_path: Path
) -> Iterator[Clerk]:
    """A worker with a connection to a version of the endpoint."""
    version = str(request.param)
    bench = ErpBench(site, store_url, floors, tmp_path / "blobs", version=version, max_sessions=SESSIONS)
    yield Clerk(bench, site)
    bench.client.close()


def test_every_entity_of_the_endpoint(clerk: Clerk, capsys: pytest.CaptureFixture[str]) -> None:
    """Each entity that keeps records is listed whole, filtered, and fetched by key and by id, every value of its type;
    an inquiry is refused with the kind of job that it takes, and asked by one."""
    entities = sorted(clerk.schema.top)
    inquiries = [name for name in entities if is_named_inquiry(name)]
    with ThreadPoolExecutor(SESSIONS) as pool:
        seen = list(pool.map(lambda name: _seen(clerk, name), set(entities) - set(inquiries)))
        rows = list(pool.map(lambda name: _asked(clerk, name), inquiries))
    version = clerk.version
    with capsys.disabled():
        print(
            f"\nDefault/{version}: {len(seen)} entities with {sum(seen)} records, {len(inquiries)} inquiries with "
            f"{sum(rows)} rows"
        )
    assert len(entities) == COUNTS[version]
    assert min(seen) > 0
    assert {name for name, count_ in zip(inquiries, rows, strict=True) if not count_} <= NOTHING_TO_SHOW


def _seen(clerk: Clerk, entity: str) -> int:
    """Read an entity in every way; how many records it has."""
    listed = _listed(clerk, entity)
    _require_types(clerk.schema, entity, listed)
    whole = [path for path, type_ in clerk.schema.fields(entity).items() if type_ not in SCALARS]
    sample = max(listed, key=lambda row: sum(value not in (None, "") for value in row.values()))
    by_id = clerk.records(entity, keys=[sample["id"]], expand=whole)
    assert [row["id"] for row in by_id] == [sample["id"]], entity
    _require_types(clerk.schema, entity, by_id, expanded=True)
    if keys := clerk.keys(entity):
        named = clerk.records(entity, keys=[str(sample[name]) for name in keys])
        assert [row["id"] for row in named] == [sample["id"]], entity
    if entity not in NEVER_LISTED:
        _require_filtered(clerk, entity, keys, sample, listed)
    return len(listed)


def _asked(clerk: Clerk, inquiry: str) -> int:
    """Ask an inquiry, which cannot be listed; how many rows it has."""
    ended = clerk.ended(inquiry)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, JobInvalid)
    assert '"kind": "inquiry"' in str(ended.error)
    rows = clerk.records(inquiry, kind="inquiry")
    (detail,) = filter(is_detail, clerk.schema.fields(inquiry).values())
    _require_types(clerk.schema, nested_in(detail), rows)
    return len(rows)


def _listed(clerk: Clerk, entity: str) -> list[dict[str, Any]]:
    """All records of an entity, by pages that are too small for them; by key where the ERP lists none."""
    if entity in NEVER_LISTED:
        ended = clerk.ended(entity)
        assert isinstance(ended, Failed)
        assert isinstance(ended.error, NotOptimizable)
        return [row for number in NEVER_LISTED[entity] for row in clerk.records(entity, keys=[number])]
    listed = clerk.records(entity, page_size=5)
    assert sorted(row["id"] for row in listed) == sorted(clerk.there(entity)), entity
    return listed


def _require_filtered(
    clerk: Clerk, entity: str, keys: Sequence[str], sample: dict[str, Any], listed: list[dict[str, Any]]
) -> None:
    """A filter by one field of each type that the sample has finds the sample, and what is equal to it."""
    types = {name: type_ for name, type_ in clerk.schema.fields(entity).items() if type_ in SCALARS}
    usable = keys if entity in ONLY_BY_KEY else types
    fields = {types[name]: name for name in usable if sample.get(name) not in (None, "")}
    text = " and ".join(f"{name} eq :{name}" for name in fields.values())
    params = {name: _literal(type_, sample[name]) for type_, name in fields.items()}
    found = clerk.records(entity, filter=text, params=params)
    wanted = [row["id"] for row in listed if all(row.get(name) == sample[name] for name in fields.values())]
    assert sorted(row["id"] for row in found) == sorted(wanted), (entity, text, params)


def _literal(type_: str, value: Any) -> Any:
    """A value as a job's parameter."""
    match type_:
        case "DateTime":
            return {"datetimeoffset": value}
        case "Guid":
            return {"guid": value}
        case "Decimal":
            return {"decimal": str(value)}
    return value


def _require_types(
    schema: Schema, entity: str, rows: Sequence[Mapping[str, Any]], *, expanded: bool = False
) -> None:
    """Every value is of its field's type; linked entities and details are there where they were asked for."""
    for row in rows:
        for name, type_ in schema.fields(entity).items():
            value = row.get(name)
            if type_ in SCALARS:
                assert name in row, (entity, name)
                assert value is None or _is_of(type_, value), (entity, name, type_, value)
            elif expanded and is_detail(type_):
                assert isinstance(value, list), (entity, name)
                _require_types(schema, nested_in(type_), value)
            elif expanded and value is not None:
                _require_types(schema, type_, [value])


def _is_of(type_: str, value: Any) -> bool:
    if type_ == "DateTime":
        return datetime.fromisoformat(value).tzinfo is not None
    if type_ == "Guid":
        return bool(str(UUID(value)) == value)
    return type(value) in PYTHON[type_]

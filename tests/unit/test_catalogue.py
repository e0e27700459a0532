"""What the catalogue knows of the vendor's Default endpoint."""

from __future__ import annotations

import re

import pytest

from deploy.sandbox.builds import BUILDS, Build
from deploy.sandbox.contracts import load_schema
from plugins.catalogue import (
    ADDED,
    ENTITIES,
    LAST_MODIFIED,
    RETIRED,
    STAMPLESS,
    combos,
    key_fields,
    stamp,
)
from worker.erp.schema import is_named_inquiry
from worker.errors import EntityUnknown, JobInvalid
from worker.handler import Endpoint


@pytest.mark.parametrize(
    ("entity", "endpoint", "version", "keys"),
    [
        ("Customer", "Default", "20.200.001", ("CustomerID",)),
        ("Invoice", "Default", "22.200.001", ("Type", "ReferenceNbr")),
        ("ProjectTask", "Default", "24.200.001", ("ProjectID", "ProjectTaskID")),
        ("Activity", "Default", "24.200.001", ()),
        ("TrialBalance", "Default", "20.200.001", ()),
        ("TrialBalance", "Default", "23.200.001", ()),
        ("WorkCalendar", "Default", "23.200.001", ()),
        ("InventoryIssue", "Default", "24.200.001", ("ReferenceNbr",)),
        ("Customer", "Default", "25.200.001", ("CustomerID",)),
        ("Anything", "Default", "25.200.001", ()),
        ("Anything", "Default", "18.200.001", ()),
        ("Anything", "MyEndpoint", "20.200.001", ()),
        ("Customer", "MyEndpoint", "20.200.001", ()),
    ],
)
def test_key_fields_of_an_entity(entity: str, endpoint: str, version: str, keys: tuple[str, ...]) -> None:
    """Key fields are given where they are known for sure, and what an endpoint may have is never refused."""
    assert key_fields(entity, Endpoint(endpoint, version)) == keys


@pytest.mark.parametrize(
    ("entity", "version", "advice"),
    [
        ("SalesOrders", "20.200.001", "did you mean SalesOrder"),
        ("SALESORDER", "20.200.001", "did you mean SalesOrder"),
        ("Xyzzy", "22.200.001", "names are case-sensitive"),
        ("WorkCalendar", "20.200.001", "has no entity 'WorkCalendar'"),
        ("TrialBalance", "24.200.001", "has no entity 'TrialBalance'"),
    ],
)
def test_an_entity_that_the_endpoint_lacks_is_refused(entity: str, version: str, advice: str) -> None:
    """An entity that no such endpoint has is refused with names that are like it."""
    with pytest.raises(EntityUnknown, match=re.escape(advice)) as caught:
        key_fields(entity, Endpoint("Default", version))
    assert caught.value.field == "entity"


@pytest.mark.parametrize("entity", ["SalesPricesInquiry", "CompaniesStructure", "EmailProcessing"])
def test_an_inquiry_is_told_as_one(entity: str) -> None:
    """What keeps no records is refused with the kind of job that it takes, though no schema is known."""
    with pytest.raises(JobInvalid, match=re.escape('"kind": "inquiry"')):
        key_fields(entity, Endpoint("Default", "24.200.001"))


def test_the_catalogue_counts_what_the_metadata_has() -> None:
    """There are 105 entities in 20.200.001 and 119 in 24.200.001, as in the vendor's metadata."""
    assert len(ENTITIES.keys() - ADDED) == 105
    assert len(ENTITIES.keys() - RETIRED) == 119
    assert ENTITIES.keys() >= RETIRED | ADDED


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_combos_and_stamps_are_what_the_endpoint_has(build: Build) -> None:
    """As the sandbox defines its entities: a key with codes behind it is a combo, and a stamp is a field of its own."""
    endpoint = Endpoint(build.endpoint, build.version)
    for name, entity in load_schema(build).items():
        if is_named_inquiry(name):
            continue
        coded = tuple(key for key in entity.form.keys if entity.fields[key].codes)
        assert not key_fields(name, endpoint) or combos(name, endpoint) == coded, name
        found = stamp(name, endpoint)
        own = {"LastModified", "LastModifiedDateTime"} & entity.fields.keys()
        assert found is None or found in own, name


@pytest.mark.parametrize(
    ("entity", "endpoint", "version", "found"),
    [
        ("SalesOrder", "Default", "20.200.001", "LastModified"),
        ("Customer", "Default", "24.200.001", "LastModifiedDateTime"),
        ("Warehouse", "Default", "20.200.001", None),
        ("SalesInvoice", "Default", "20.200.001", None),
        ("Anything", "Default", "25.200.001", None),
        ("SalesOrder", "MyEndpoint", "20.200.001", None),
    ],
)
def test_the_stamp_of_an_entity(entity: str, endpoint: str, version: str, found: str | None) -> None:
    """A stamp is named where it is known for sure, as a filter over any other field would fail."""
    assert stamp(entity, Endpoint(endpoint, version)) == found


@pytest.mark.parametrize(
    ("entity", "found"),
    [("Payment", ("Type",)), ("SalesOrder", ()), ("ProjectTransaction", ("Module",)), ("Activity", ())],
)
def test_the_combos_among_the_keys(entity: str, found: tuple[str, ...]) -> None:
    """What is shown by a label is told, as nobody knows by which text the ERP orders it."""
    assert combos(entity, Endpoint("Default", "24.200.001")) == found


def test_what_is_said_of_some_entities_is_said_of_entities_that_there_are() -> None:
    """No name in the catalogue's lists is a slip."""
    assert ENTITIES.keys() >= STAMPLESS | LAST_MODIFIED
    assert not STAMPLESS & LAST_MODIFIED

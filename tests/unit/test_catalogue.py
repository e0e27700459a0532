"""What the catalogue knows of the vendor's Default endpoint."""

from __future__ import annotations

import re

import pytest

from plugins.catalogue import ADDED, ENTITIES, RETIRED, key_fields
from worker.errors import EntityUnknown
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


def test_the_catalogue_counts_what_the_metadata_has() -> None:
    """There are 105 entities in 20.200.001 and 119 in 24.200.001, as in the vendor's metadata."""
    assert len(ENTITIES.keys() - ADDED) == 105
    assert len(ENTITIES.keys() - RETIRED) == 119
    assert ENTITIES.keys() >= RETIRED | ADDED

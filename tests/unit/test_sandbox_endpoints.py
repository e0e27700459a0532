"""The sandbox's endpoints: every entity of each, with records that are there, typed, found, and the same everywhere."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.contracts import Schema
from deploy.sandbox.definitions import Definition, merged
from deploy.sandbox.generate import Volume
from deploy.sandbox.instance import Instance
from deploy.sandbox.schema import DETAIL, Contract, Entity, TopLevel

BUILD = BUILDS["2025R1"]
NEW = Instance(BUILD, "MyStoreInstance")
OLD = Instance(BUILDS["2022R1"], "MyStoreInstance")
ALL = [(contract, entity) for contract in NEW.contracts for entity in contract.entities.values()]
RECORDS = [
    pytest.param(contract, entity, id=f"{contract.name}/{contract.version}/{entity.name}")
    for contract, entity in ALL
    if not entity.form.inquiry and entity.form.lists != "one by one"
]
DEEP = ("CompaniesStructure", "PhysicalInventoryCount", "SalesPricesInquiry", "VendorPricesInquiry")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHAPES = {
    "String": str,
    "Boolean": bool,
    "DateTime": str,
    "Guid": str,
    "Decimal": Decimal,
    "Int": int,
    "Short": int,
    "Long": int,
    "Byte": int,
}


def rows(contract: Contract, entity: str, **options: str) -> list[dict[str, Any]]:
    """A list through an endpoint; option names without their dollar."""
    answer = NEW.list(entity, {f"${name}": value for name, value in options.items()}, contract)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = json.loads(answer.body, parse_float=Decimal)
    return found


def literal(kind: str, value: object) -> str:
    """A value as a filter writes it."""
    text = str(value).replace("'", "''")
    prefix = {"DateTime": "datetimeoffset", "Guid": "guid"}.get(kind, "")
    if kind in ("String", "DateTime", "Guid"):
        return f"{prefix}'{text}'"
    return text.lower() if kind == "Boolean" else text


def nested_paths(entity: Entity, before: str = "") -> Iterator[str]:
    """What can be expanded, level by level."""
    for field in entity.fields.values():
        if field.nested is not None and not field.delegate:
            yield before + field.name
            yield from nested_paths(field.nested, f"{before}{field.name}/")


def check_types(entity: Entity, record: dict[str, Any]) -> None:
    """Every value in a record is of its field's type."""
    for name, field in entity.fields.items():
        if field.nested is None and "value" in record.get(name, {}):
            value = record[name]["value"]
            assert type(value) is SHAPES[field.kind], (entity.name, name, value)
            assert field.kind != "Guid" or GUID.fullmatch(str(value)), (entity.name, name, value)
        elif field.nested is not None and name in record:
            for inner in record[name] if field.kind == DETAIL else [record[name]]:
                check_types(field.nested, inner)


def test_the_endpoints_have_what_the_vendor_lists() -> None:
    """105 entities in Default/20.200.001, 119 in 24.200.001 with 163 typed actions; and some beside them."""
    counts = {(each.name, each.version): len(each.entities) for each in NEW.contracts}
    assert counts[("Default", "20.200.001")] == 105
    assert counts[("Default", "24.200.001")] == 119
    assert sum(len(entity.actions) for entity in NEW.contracts[0].entities.values()) == 163
    assert set(counts) > {("MANUFACTURING", "24.200.001"), ("eCommerce", "24.200.001"), ("MyStoreExt", "1.0")}


@pytest.mark.parametrize("build", ["2022R1", "2024R1"])
def test_a_recorded_build_has_one_endpoint(build: str) -> None:
    """The recorded builds serve what they served, by the list of 20.200.001."""
    [contract] = Schema(BUILDS[build]).contracts
    assert (contract.version, len(contract.entities)) == (BUILDS[build].version, 105)


@pytest.mark.parametrize(("contract", "entity"), RECORDS)
def test_every_entity_has_records_of_its_types(contract: Contract, entity: TopLevel) -> None:
    """A list with all that is nested has rows whose every value is of the type that the endpoint defines."""
    found = rows(contract, entity.name, expand=",".join(nested_paths(entity)))
    assert found
    for record in found:
        check_types(entity, record)
        assert GUID.fullmatch(record["id"])


@pytest.mark.parametrize(("contract", "entity"), RECORDS)
def test_every_record_is_found_by_key_by_id_and_by_filter(contract: Contract, entity: TopLevel) -> None:
    """What a list shows is found by its id, by its keys in a path, and by a filter on its keys."""
    keys = entity.form.keys
    for record in rows(contract, entity.name):
        by_id = NEW.get(entity.name, [record["id"]], {}, contract)
        assert json.loads(by_id.body)["id"] == record["id"]
        if not keys or any(mark in str(record[keys[-1]]["value"]) for mark in "#%/"):
            continue
        values = [str(record[key]["value"]) for key in keys]
        assert json.loads(NEW.get(entity.name, values, {}, contract).body)["id"] == record["id"]
        text = " and ".join(
            f"{key} eq {literal(entity.fields[key].kind, record[key]['value'])}" for key in keys
        )
        assert [row["id"] for row in rows(contract, entity.name, filter=text)] == [record["id"]]


@pytest.mark.parametrize(("contract", "entity"), RECORDS)
def test_every_type_of_field_can_be_filtered(contract: Contract, entity: TopLevel) -> None:
    """A record is among those that have its value, in one field of each type."""
    if entity.form.lists == "by keys":
        return  # reported: it fails when it is filtered by other fields
    record = rows(contract, entity.name)[-1]
    fields = {
        field.kind: field for field in entity.fields.values() if record.get(field.name, {}).get("value")
    }
    for kind in fields.keys() & SHAPES.keys():
        text = f"{fields[kind].name} eq {literal(kind, record[fields[kind].name]['value'])}"
        assert record["id"] in [row["id"] for row in rows(contract, entity.name, filter=text)], text


def test_records_are_the_tenants_whatever_the_endpoint() -> None:
    """A record has one id, and a change made through the data is seen through every endpoint that has the field."""
    instance = Instance(BUILD, "x")
    record_id = instance.id_of("StockItem", ["MOUSE"])
    instance.change("StockItem", record_id, {"Description": "Mouse, wireless"})
    with_it = [contract for contract in instance.contracts if "StockItem" in contract.entities]
    for contract in with_it:
        body = json.loads(instance.get("StockItem", ["MOUSE"], {}, contract).body)
        assert (body["id"], body["Description"]["value"]) == (record_id, "Mouse, wireless")
    assert len(with_it) == 4


def test_an_endpoint_shows_its_own_fields_and_links() -> None:
    """A field of one endpoint is unknown to another, and `_links` lead back to the endpoint that was asked."""
    own = NEW.contract("mystoreext", "1.0")
    assert own is not None
    one = json.loads(NEW.get("StockItem", ["MOUSE"], {}, own).body)
    for record in (one, rows(own, "StockItem")[0]):
        assert "StoreGrade" in record
        assert record["_links"]["self"].startswith("/MyStoreInstance/entity/MyStoreExt/1.0/StockItem/")
    assert NEW.list("StockItem", {"$select": "StoreGrade"}).status == 500
    assert NEW.list("SalesOrder", {}, own).status == 404


def test_a_bill_of_material_is_four_levels_deep() -> None:
    """Operations, their material, its designators and their spots come where each level is expanded."""
    contract = NEW.contract("MANUFACTURING", "24.200.001")
    assert contract is not None
    path = ["Operations", "Material", "ReferenceDesignators", "Spots"]
    expand = ",".join("/".join(path[: depth + 1]) for depth in range(len(path)))
    [first, *_] = rows(contract, "BillOfMaterial", expand=expand)
    for name in path:
        first = first[name][0]
    assert {"Side", "XPosition"} <= first.keys()
    assert contract.entities["BillOfMaterial"].form.keys == ("BOMID", "Revision")


@pytest.mark.parametrize("instance", [OLD, NEW], ids=["2022R1", "2025R1"])
def test_some_entities_cannot_be_listed(instance: Instance) -> None:
    """The optimizer fails on those that live instances report, in the words of the recorded failure."""
    for name in DEEP:
        answer = instance.list(name, {})
        body = json.loads(answer.body)
        assert (answer.status, "Optimization cannot be performed" in body["exceptionMessage"]) == (
            500,
            True,
        ), name
    record = next(instance.rows("PhysicalInventoryCount"))
    assert instance.get("PhysicalInventoryCount", [record.id], {}).status == 200
    assert b"CannotOptimizeException" in instance.get("SalesPricesInquiry", [record.id], {}).body
    for text, status in (("OrderNbr eq '000001'", 200), ("VendorID eq 'VENDOR01'", 500)):
        assert instance.list("PurchaseOrder", {"$filter": text}).status == status


def test_a_view_with_a_delegate_fails_in_lists_alone() -> None:
    """`User` with `Roles` fails in a list, as reported, and comes for one user."""
    contract = NEW.contract("MyStoreExt", "1.0")
    assert NEW.list("User", {"$expand": "Roles"}, contract).status == 500
    [user, *_] = rows(NEW.contracts[4], "User")
    assert json.loads(NEW.get("User", [user["id"]], {"$expand": "Roles"}, contract).body)["Roles"]


def test_an_entity_that_comes_whole() -> None:
    """JournalTransaction has all its fields whatever `$select` says, as reported."""
    [record, *_] = rows(NEW.contracts[0], "JournalTransaction", select="BatchNbr")
    assert {"BatchNbr", "Module", "LedgerID"} <= record.keys()


def test_generated_records_follow_from_the_seed() -> None:
    """The same seed gives the same records, another one others; as many as are asked for."""
    bodies = [Instance(BUILD, "x", Volume(seed=seed)).list("Vendor", {}).body for seed in (1, 1, 2)]
    assert bodies[0] == bodies[1] != bodies[2]
    for count in (0, 3):
        assert len(list(Instance(BUILD, "x", Volume(rows_each=count)).rows("Vendor"))) == count


def test_some_values_are_empty() -> None:
    """Among the generated values some are empty, but neither keys nor stamps."""
    vendors = rows(NEW.contracts[0], "Vendor")
    assert any(each == {} for record in vendors for name, each in record.items() if name != "custom")
    assert all(record["VendorID"] and record["LastModifiedDateTime"] for record in vendors)


def test_the_same_data_cannot_have_two_types() -> None:
    """Two endpoints that disagree about a field's type are refused: their records would not be the same."""
    one, other = ({"A": Definition("A", "XX000000", {"F": kind})} for kind in ("String", "Int"))
    with pytest.raises(ValueError, match=r"A\.F is String here and Int there"):
        merged([one, other])

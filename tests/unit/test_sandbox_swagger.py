"""How the sandbox's endpoints describe themselves: OpenAPI in two forms, and the skeletons of single entities."""

import json
from typing import Any

import pytest

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.describing import ad_hoc_schema, swagger
from deploy.sandbox.instance import Instance
from deploy.sandbox.schema import Contract

NEW = Instance(BUILDS["2025R1"], "MyStoreInstance")
OLD = Instance(BUILDS["2022R1"], "MyStoreInstance")
MAIN = NEW.contracts[0]
PLACES = [pytest.param(instance, contract) for instance in (NEW, OLD) for contract in instance.contracts]


def described(instance: Instance, contract: Contract) -> dict[str, Any]:
    """The endpoint's document."""
    answer = swagger(instance, contract, "https://erp.example")
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


def references(value: Any) -> set[str]:
    """All that a document refers to."""
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set[str]()
        return own.union(*(references(each) for each in value.values()))
    return set[str]().union(*(references(each) for each in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(("instance", "contract"), PLACES)
def test_every_reference_leads_somewhere(instance: Instance, contract: Contract) -> None:
    """What a document refers to is in it, in either form of OpenAPI."""
    document = described(instance, contract)
    for reference in references(document):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_the_main_document_is_as_large_as_the_vendors() -> None:
    """OpenAPI 3.0.1 with 877 paths for Default/24.200.001, contract version 4, and the endpoint's address."""
    document = described(NEW, MAIN)
    assert (document["openapi"], len(document["paths"])) == ("3.0.1", 877)
    assert document["info"] == {"title": "Default/24.200.001", "version": "4"}
    assert document["servers"] == [{"url": "https://erp.example/MyStoreInstance/entity/Default/24.200.001"}]
    assert "securitySchemes" not in document["components"]


def test_an_entity_is_the_base_and_its_fields() -> None:
    """Every field is in an entity's schema with its type, upon the base that all entities have."""
    schemas = described(NEW, MAIN)["components"]["schemas"]
    base, own = schemas["SalesOrder"]["allOf"]
    assert base == {"$ref": "#/components/schemas/Entity"}
    assert list(own["properties"]) == list(MAIN.entities["SalesOrder"].fields)
    assert own["properties"]["OrderTotal"] == {"$ref": "#/components/schemas/DecimalValue"}
    assert own["properties"]["Details"]["items"] == {"$ref": "#/components/schemas/SalesOrderDetail"}
    assert own["properties"]["Totals"] == {"$ref": "#/components/schemas/Totals"}
    assert schemas["DecimalValue"]["properties"]["value"]["type"] == "number"
    assert {"id", "rowNumber", "note", "custom", "error", "files", "_links"} == schemas["Entity"][
        "properties"
    ].keys()


def test_an_action_tells_its_parameters() -> None:
    """A typed action has a path and a schema with its entity and its parameters; custom ones share a path."""
    document = described(NEW, MAIN)
    assert {"post"} == document["paths"]["/SalesOrder/SalesOrderCreateShipment"].keys()
    assert {"post"} == document["paths"]["/SalesOrder/{actionName}"].keys()
    schema = document["components"]["schemas"]["SalesOrderCreateShipment"]
    assert schema["properties"]["entity"] == {"$ref": "#/components/schemas/SalesOrder"}
    parameters = schema["properties"]["parameters"]["properties"]
    assert parameters["ShipmentDate"] == {"$ref": "#/components/schemas/DateTimeValue"}


def test_the_oldest_build_writes_openapi_2() -> None:
    """The same as OpenAPI 2.0: `definitions`, and bodies among the parameters."""
    document = described(OLD, OLD.contracts[0])
    assert document["swagger"] == "2.0"
    assert document["basePath"] == "/MyStoreInstance/entity/Default/20.200.001"
    assert len(document["definitions"]["Payment"]["allOf"]) == 2
    put = document["paths"]["/Payment"]["put"]
    [body] = [each for each in put["parameters"] if each.get("in") == "body"]
    assert body["schema"] == {"$ref": "#/definitions/Payment"}
    assert put["responses"]["200"]["schema"] == {"$ref": "#/definitions/Payment"}


def test_user_defined_fields_are_in_the_skeleton_alone() -> None:
    """`$adHocSchema` has every field empty, a row of each detail, and the user-defined fields, which swagger lacks."""
    document = json.loads(ad_hoc_schema(NEW, MAIN, "SalesOrder").body)
    assert document["OrderNbr"] == {}
    [line] = document["Details"]
    assert line["InventoryID"] == {}
    assert line["custom"]["Transactions"]["UsrX"] == {"type": "CustomStringField", "value": None}
    kinds = {field["type"] for field in document["custom"]["Document"].values()}
    assert {"CustomStringField", "CustomDecimalField", "CustomBooleanField", "CustomDateTimeField"} <= kinds
    assert "UsrX" not in json.dumps(described(NEW, MAIN))


@pytest.mark.parametrize(("instance", "newer"), [(NEW, True), (OLD, False)])
def test_newer_builds_list_workflow_actions(instance: Instance, newer: bool) -> None:
    """`_workflowActions` is in the skeletons of newer builds, and of no other."""
    document = json.loads(ad_hoc_schema(instance, instance.contracts[0], "Case").body)
    assert ("_workflowActions" in document) is newer


def test_an_unknown_entity_has_no_skeleton() -> None:
    """It is as unknown as in a list."""
    assert ad_hoc_schema(NEW, MAIN, "Nothing").status == 404


@pytest.mark.parametrize("contract", NEW.contracts, ids=lambda contract: contract.name)
def test_every_user_defined_field_can_be_asked_for(contract: Contract) -> None:
    """What a skeleton tells is had by `$custom`, with that type; a filter finds it again."""
    for name, entity in contract.entities.items():
        if entity.form.lists in ("one by one", "nothing"):
            continue
        custom = ",".join(entity.custom)
        [record, *_] = json.loads(NEW.list(name, {"$custom": custom}, contract).body)
        for path, kind in entity.custom.items():
            view, _, field = path.partition(".")
            assert record["custom"][view][field]["type"] == f"Custom{kind}Field"

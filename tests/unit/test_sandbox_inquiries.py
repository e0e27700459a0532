"""The sandbox's inquiries: what a PUT of parameters is answered with."""

import json
from typing import Any

import pytest

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.inquiries import run
from deploy.sandbox.inquiry_rows import ROWS
from deploy.sandbox.instance import Instance

INSTANCE = Instance(BUILDS["2025R1"], "MyStoreInstance")
MAIN = INSTANCE.contracts[0]


def ask(entity: str, query: dict[str, str] | None = None, endpoint: str = "", **given: Any) -> Any:
    """The answer to a PUT of these parameters."""
    contract = INSTANCE.contract(endpoint, "1.0") if endpoint else MAIN
    assert contract is not None
    body = json.dumps({name: {"value": value} for name, value in given.items()}).encode()
    answer = run(INSTANCE, contract, contract.entities[entity], body, query or {})
    assert answer.status == 200
    return json.loads(answer.body)


def rows(entity: str, detail: str = "Results", endpoint: str = "", **given: Any) -> list[dict[str, Any]]:
    """The rows that these parameters choose, unwrapped."""
    found = ask(entity, {"$expand": detail}, endpoint, **given)[detail]
    return [
        {name: cell.get("value") for name, cell in row.items() if isinstance(cell, dict)} for row in found
    ]


def test_rows_come_only_where_they_are_expanded() -> None:
    """One object with its parameters; each answer and row has an id of its own, no note and no links."""
    bare, whole = ask("InventorySummaryInquiry"), ask("InventorySummaryInquiry", {"$expand": "Results"})
    assert "Results" not in bare
    assert len({bare["id"], whole["id"], *(row["id"] for row in whole["Results"])}) == 2 + len(
        whole["Results"]
    )
    assert (whole["rowNumber"], whole["note"], whole["Results"][0]["note"]) == (1, None, None)
    assert "_links" not in whole
    assert "_links" not in whole["Results"][0]


def test_parameters_choose_rows_and_come_back() -> None:
    """By item and by warehouse; what is on open orders is not available."""
    assert ask("InventorySummaryInquiry", InventoryID="AALEGO500")["InventoryID"] == {"value": "AALEGO500"}
    (row,) = rows("InventorySummaryInquiry", InventoryID="AALEGO500", WarehouseID="MAIN")
    assert (row["QtyOnHand"], row["WarehouseID"]) == (1999, "MAIN")
    assert row["QtyAvailable"] < 1999
    assert rows("InventorySummaryInquiry", InventoryID="AALEGO500", WarehouseID="YOGI") == []
    assert len(rows("InventorySummaryInquiry", WarehouseID="YOGI")) == 1


def test_a_change_of_the_data_is_seen() -> None:
    """Rows are computed when they are asked for."""
    before = len(rows("SalesPricesInquiry", "SalesPriceDetails"))
    INSTANCE.insert("StockItem", {"InventoryID": "BRANDNEW", "DefaultPrice": 7})
    assert len(rows("SalesPricesInquiry", "SalesPriceDetails")) == before + 1
    (row,) = rows("SalesPricesInquiry", "SalesPriceDetails", InventoryID="BRANDNEW")
    assert row["Price"] == 7


def test_the_tenant_s_own_inquiry() -> None:
    """A generic inquiry that a custom endpoint maps, whose rows are in a detail of another name."""
    detail = "ItemAvailabilityDataInquiryDetails"
    (row,) = rows("ItemAvailabilityDataInquiry", detail, "MyStoreExt", InventoryID="AAMACHINE1")
    assert (row["InventoryID"], row["OnHand"], row["WarehouseID"]) == ("AAMACHINE1", 130, "MAIN")


@pytest.mark.parametrize("build", sorted(BUILDS))
def test_every_inquiry_has_rows_in_every_build(build: str) -> None:
    """By the field names of the endpoint that is asked."""
    instance = Instance(BUILDS[build], "x")
    for contract in instance.contracts:
        for name in ROWS.keys() & contract.entities.keys():
            definition = contract.entities[name]
            (detail,) = (field.name for field in definition.fields.values() if field.nested)
            found = json.loads(run(instance, contract, definition, b"{}", {"$expand": detail}).body)[detail]
            assert found, name
            assert any("value" in cell for cell in found[0].values() if isinstance(cell, dict)), name


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"InventoryID":7}'])
def test_a_body_that_is_no_record_is_400(body: bytes) -> None:
    """As with actions."""
    definition = MAIN.entities["InventorySummaryInquiry"]
    assert run(INSTANCE, MAIN, definition, body, {}).status == 400


def test_a_parameter_of_the_wrong_type_is_422() -> None:
    """With the error at its field."""
    definition = MAIN.entities["InventorySummaryInquiry"]
    answer = run(INSTANCE, MAIN, definition, b'{"WarehouseID":{"value":7}}', {})
    assert (answer.status, json.loads(answer.body)["WarehouseID"]["value"]) == (422, 7)


def test_an_unknown_detail_is_the_erp_s_500() -> None:
    """As with any other record."""
    definition = MAIN.entities["InventorySummaryInquiry"]
    assert run(INSTANCE, MAIN, definition, b"{}", {"$expand": "Result"}).status == 500

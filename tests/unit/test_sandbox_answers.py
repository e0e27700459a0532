"""What the sandbox's answers contain: $select, $expand and $custom, notes, links, files, and values as written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.contracts import load_schema
from deploy.sandbox.instance import Instance, Variants
from deploy.sandbox.schema import DETAIL

OLD = Instance(BUILDS["2022R1"], "MyStoreInstance")
NEW = Instance(BUILDS["2024R1"], "MyStoreInstance")
ALWAYS = {"id", "rowNumber", "note", "custom"}
SCALARS = [
    name for name, field in load_schema(BUILDS["2022R1"])["SalesOrder"].fields.items() if not field.nested
]


def order(instance: Instance = OLD, /, **options: str) -> dict[str, Any]:
    """Order 000001 by key; option names without their dollar."""
    answer = instance.get(
        "SalesOrder", ["SO", "000001"], {f"${name}": value for name, value in options.items()}
    )
    assert (answer.status, answer.rows) == (200, 1), answer.body
    record: dict[str, Any] = json.loads(answer.body)
    return record


def members(record: dict[str, Any]) -> list[str]:
    """The names in a record beyond those that every record has."""
    return [name for name in record if name not in ALWAYS | {"_links"}]


def test_by_default_all_scalars_and_nothing_nested() -> None:
    """Without options a record has every scalar field of its entity, empty ones as `{}`, and no nested entity."""
    record = order()
    assert members(record) == SCALARS
    assert record["ShipVia"] == {}
    assert record["OrderNbr"] == {"value": "000001"}


@settings(deadline=None)
@given(st.permutations(["OrderTotal", "OrderNbr", "CustomerID", "Date"]))
def test_members_keep_the_contract_order(names: list[str]) -> None:
    """However `$select` is written, members come in the order of the endpoint's definition."""
    record = order(select=",".join(names))
    assert list(record) == [
        "id",
        "rowNumber",
        "note",
        "CustomerID",
        "Date",
        "OrderNbr",
        "OrderTotal",
        "custom",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"select": "OrderNbr"}, ["OrderNbr"]),
        ({"select": " OrderNbr , Date "}, ["Date", "OrderNbr"]),
        ({"select": "OrderNbr,Details/InventoryID"}, ["OrderNbr"]),
        ({"select": "OrderNbr", "expand": "Details"}, ["OrderNbr"]),
        ({"select": "OrderNbr,Details/InventoryID", "expand": "Details,Shipments"}, ["Details", "OrderNbr"]),
        ({"select": "OrderNbr,Details", "expand": "Details"}, ["Details", "OrderNbr"]),
        ({"select": "id,note,OrderNbr,custom"}, ["OrderNbr"]),
        ({"select": "custom.Document,OrderNbr"}, ["OrderNbr"]),
        ({"select": "OrderNbr", "expand": "files"}, ["OrderNbr"]),
        ({"select": "OrderNbr,files", "expand": "files"}, ["OrderNbr", "files"]),
        ({"select": "OrderNbr,files"}, ["OrderNbr"]),
        ({"select": "OrderNbr", "filter": "CustomerID eq 'x'"}, ["OrderNbr"]),
    ],
)
def test_select_and_expand_together(options: dict[str, str], expected: list[str]) -> None:
    """A nested entity needs both an expansion and, when anything is selected, a selected member; so do files."""
    assert members(order(**options)) == expected


def test_an_expanded_entity_has_all_its_scalars_unless_some_are_selected() -> None:
    """`$select` restricts nested entities as it does the record."""
    line = order(expand="Details")["Details"][0]
    assert {"InventoryID", "OrderQty", "UnitPrice", "LastModifiedDate"} <= set(line)
    assert "Allocations" not in line
    line = order(expand="Details", select="Details/UnitPrice,Details/InventoryID")["Details"][0]
    assert members(line) == ["InventoryID", "UnitPrice"]
    whole = order(expand="Details", select="Details")["Details"][0]
    assert members(whole) == members(order(expand="Details")["Details"][0])


def test_each_nested_level_is_expanded_by_its_own_path() -> None:
    """MainContact does not bring its Address along; MainContact/Address does."""

    def contact(expand: str) -> dict[str, Any]:
        answer = OLD.get("Customer", ["C000000003"], {"$expand": expand})
        record: dict[str, Any] = json.loads(answer.body)["MainContact"]
        return record

    assert "Address" not in contact("MainContact")
    assert contact("MainContact,MainContact/Address")["Address"]["City"] == {"value": "San Francisco"}


def test_a_linked_entity_without_data_is_an_object_of_empty_fields() -> None:
    """Linked entities are part of their record; nothing known of one leaves its fields empty."""
    totals = order(expand="Totals")["Totals"]
    assert totals["rowNumber"] == 1
    assert totals["note"] is None
    assert totals["TaxTotal"] == {}


@pytest.mark.parametrize(
    "options",
    [
        {"$select": "Nope"},
        {"$select": "ordernbr"},
        {"$select": "OrderNbr,Details/Nope", "$expand": "Details"},
        {"$select": "Nope/OrderNbr"},
        {"$select": "OrderNbr/x"},
        {"$expand": "Nope"},
        {"$expand": "OrderNbr"},
        {"$expand": "Details/Nope"},
        {"$custom": "Document.Nope"},
        {"$expand": "Details", "$custom": "Details/Transactions.Nope"},
    ],
)
def test_an_unknown_name_is_a_500(options: dict[str, str]) -> None:
    """Live instances answer KeyNotFoundException, not 400, in lists and by key."""
    for answer in (OLD.list("SalesOrder", options), OLD.get("SalesOrder", ["SO", "000001"], options)):
        body = json.loads(answer.body)
        assert (answer.status, answer.content_type) == (500, "application/json; charset=utf-8")
        assert body["exceptionType"] == "System.Collections.Generic.KeyNotFoundException"


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_options_get_an_answer(select: str, expand: str, custom: str) -> None:
    """No text in `$select`, `$expand` or `$custom` makes the sandbox raise."""
    query = {"$select": select, "$expand": expand, "$custom": custom}
    assert OLD.list("SalesOrder", query).status in (200, 500)
    assert OLD.get("SalesOrder", ["SO", "000001"], query).status in (200, 500)


def test_filter_fields_join_the_output_of_lists() -> None:
    """A field of the filter is in the output though `$select` leaves it out, in an expanded entity too."""
    query = {"$filter": "CustomerID eq 'C000000003' and OrderTotal gt 2200", "$select": "OrderNbr"}
    (record,) = json.loads(OLD.list("SalesOrder", query).body)
    assert members(record) == ["CustomerID", "OrderNbr", "OrderTotal"]
    linked = {"$filter": "MainContact/Email eq 'info@jevy-comp.con'", "$expand": "MainContact"}
    for select, named in (("CustomerID,MainContact/Phone1", ["Email", "Phone1"]), ("CustomerID", ["Email"])):
        (record,) = json.loads(OLD.list("Customer", linked | {"$select": select}).body)
        assert members(record["MainContact"]) == named


def test_custom_fields_are_typed_and_grouped_by_view() -> None:
    """`$custom` fills `custom` for the record and for its lines; otherwise it is empty."""
    instance = Instance(BUILDS["2022R1"], "MyStoreInstance")
    record_id = order(instance)["id"]
    instance.change("SalesOrder", record_id, {"custom": {"Document": {"AttributePRODUCT": "Bananas 1 lb"}}})
    record = order(instance, custom="Document.AttributePRODUCT,Details/Transactions.UsrX", expand="Details")
    value = {"type": "CustomStringField", "value": "Bananas 1 lb"}
    assert record["custom"] == {"Document": {"AttributePRODUCT": value}}
    empty = {"type": "CustomStringField", "value": None}
    assert record["Details"][0]["custom"] == {"Transactions": {"UsrX": empty}}
    assert order(instance, expand="Details")["Details"][0]["custom"] == {}


def test_rows_without_a_note_have_a_new_id_on_every_call() -> None:
    """Shipment rows carry a null note, no links, and an id that lasts for one answer."""
    first, second = (order(NEW, expand="Shipments")["Shipments"][0] for _ in range(2))
    assert first.pop("id") != second.pop("id")
    assert first == second
    assert first["note"] is None
    assert "_links" not in first


@pytest.mark.parametrize(("instance", "lasting"), [(OLD, True), (NEW, False)])
def test_rows_of_the_history_have_notes_in_the_older_build_only(instance: Instance, lasting: bool) -> None:
    """ApplicationHistory: a note and a lasting id in 2022R1, neither in 2024R1."""
    query = {"$expand": "ApplicationHistory"}
    bodies = [json.loads(instance.get("Payment", ["Payment", "000001"], query).body) for _ in range(2)]
    first, second = (body["ApplicationHistory"][0] for body in bodies)
    assert (first["id"] == second["id"]) is lasting
    assert first["note"] == ({"value": ""} if lasting else None)


def test_links_depend_on_the_build_and_the_site() -> None:
    """`_links` are absent from 2022R1; in 2024R1 only records have `self`, and rows with notes take files."""
    assert "_links" not in order(OLD, expand="Details")
    record = order(NEW, expand="Details")
    base = "/MyStoreInstance/entity/Default/22.200.001"
    graph = f"{base}/files/PX.Objects.SO.SOOrderEntry"
    line = record["Details"][0]
    assert record["_links"] == {
        "self": f"{base}/SalesOrder/{record['id']}",
        "files:put": f"{graph}/Document/{record['id']}/{{filename}}",
    }
    assert line["_links"] == {"files:put": f"{graph}/Transactions/{line['id']}/{{filename}}"}
    root = order(Instance(BUILDS["2024R1"], ""))
    assert root["_links"]["self"] == f"/entity/Default/22.200.001/SalesOrder/{root['id']}"


@pytest.mark.parametrize(
    ("field", "given", "written"),
    [
        ("OrderTotal", 2200, "2200.0000"),
        ("OrderTotal", "0.00005", "0.0001"),
        ("OrderTotal", -1.5, "-1.5000"),
        ("OrderedQty", 1, "1.000000"),
        ("CurrencyRate", 1, "1.00000000"),
        ("Hold", True, "true"),
        ("Description", "trimmed   ", '"trimmed"'),
        ("Description", 'Ünïcode "x" \\ \n €', '"Ünïcode \\"x\\" \\\\ \\n €"'),
        ("Description", "", '""'),
        ("Date", "2022-10-28", '"2022-10-28T00:00:00+03:00"'),
        ("LastModified", "2022-08-03T16:52:16.350", '"2022-08-03T16:52:16.35+03:00"'),
        ("LastModified", "2022-08-03T13:52:16Z", '"2022-08-03T16:52:16+03:00"'),
    ],
)
def test_values_are_written_as_the_erp_writes_them(field: str, given: object, written: str) -> None:
    """Decimals keep their scale, dates their server offset, stamps lose trailing zeros, text stays unescaped UTF-8."""
    instance = Instance(BUILDS["2022R1"], "MyStoreInstance")
    instance.change("SalesOrder", order(instance)["id"], {field: given})
    body = instance.get("SalesOrder", ["SO", "000001"], {"$select": field}).body.decode()
    assert f'"{field}":{{"value":{written}}}' in body


def test_a_null_field_is_an_empty_object() -> None:
    """Setting a field to null empties it."""
    instance = Instance(BUILDS["2022R1"], "MyStoreInstance")
    instance.change("SalesOrder", order(instance)["id"], {"CustomerOrder": None})
    assert order(instance, select="CustomerOrder")["CustomerOrder"] == {}


def test_the_optimizer_fails_on_the_history_in_lists_only() -> None:
    """One line for each field asked for, in contract order; by key, or with no field of it, the request succeeds."""
    select = "Type,ApplicationHistory/DisplayRefNbr,ApplicationHistory/DisplayDocType"
    query = {"$select": select, "$expand": "ApplicationHistory"}
    answer = NEW.list("Payment", query)
    body = json.loads(answer.body)
    assert answer.status == 500
    assert body["exceptionMessage"] == (
        "Optimization cannot be performed.The following fields cause the error:\r\n"
        "ApplicationHistory.DisplayDocType: View ARPost has BQL delegate\r\n"
        "ApplicationHistory.DisplayRefNbr: View ARPost has BQL delegate\r\n"
    )
    assert body["exceptionType"] == "PX.Api.ContractBased.OptimizedExport.CannotOptimizeException"
    first_frame = (
        "   at PX.Api.ContractBased.OptimizedExport.NotWorkingOptimizedExportProvider.get_CanOptimize()\r\n"
    )
    assert body["stackTrace"].startswith(first_frame)
    assert NEW.get("Payment", ["Payment", "000001"], query).status == 200
    assert NEW.list("Payment", {"$select": select}).status == 200
    assert NEW.list("Payment", {"$select": "Type", "$expand": "ApplicationHistory"}).status == 200


def test_the_optimizer_names_every_field_when_none_is_selected() -> None:
    """Expanding the history without `$select` asks for all its fields, and the failure lists them all."""
    body = json.loads(OLD.list("Payment", {"$expand": "ApplicationHistory"}).body)
    lines = body["exceptionMessage"].split("\r\n")[1:-1]
    assert len(lines) == 24
    assert all(line.endswith(": View Adjustments_History has BQL delegate") for line in lines)


@pytest.mark.parametrize("instance", [OLD, NEW])
def test_every_other_nested_entity_can_be_expanded_in_lists(instance: Instance) -> None:
    """Apart from the history, every field of the definition that is nested has an answer."""
    for name, entity in load_schema(BUILDS["2024R1"]).items():
        if entity.form.lists in ("one by one", "nothing"):
            continue
        for field in entity.fields.values():
            if field.nested is None or field.delegate:
                continue
            rows = json.loads(instance.list(name, {"$expand": field.name}).body)
            assert isinstance(rows[0][field.name], list if field.kind == DETAIL else dict)


@pytest.mark.parametrize(
    ("entity", "keys"),
    [
        ("SalesOrder", ["SO", "000001"]),
        ("SalesOrder", ["so", "000001 "]),
        ("SalesOrder", ["SO|000001"]),
        ("SalesOrder", ["", "c01087ca-7281-e511-80c0-00155d012302"]),
        ("SalesOrder", ["C01087CA-7281-E511-80C0-00155D012302"]),
        ("Payment", ["Payment", "000001"]),
        ("SalesInvoice", ["Invoice", "INV000046"]),
        ("StockItem", ["1/2-ELBOW"]),
        ("StockItem", ["#10-SCREW"]),
        ("StockItem", ["50%-OFF"]),
        ("Customer", ["c000000003"]),
        ("Shipment", ["000008"]),
    ],
)
def test_a_record_is_found_by_key_or_id(entity: str, keys: list[str]) -> None:
    """Keys in the form's order without regard to case, `|` between them or not, labels for combos; or the id."""
    answer = OLD.get(entity, keys, {})
    assert (answer.status, json.loads(answer.body)["rowNumber"]) == (200, 1)


@pytest.mark.parametrize(
    ("entity", "keys"),
    [
        ("SalesOrder", ["SO", "999999"]),
        ("SalesOrder", ["SO"]),
        ("SalesOrder", ["SO", "000001", "x"]),
        ("SalesOrder", []),
        ("SalesOrder", ["c01087ca-7281-e511-80c0-00155d012303"]),
        ("StockItem", ["2acd2eed-1614-e511-9b82-c86000dddf0c"]),
    ],
)
def test_a_missing_record_is_a_500_or_by_choice_a_404(entity: str, keys: list[str]) -> None:
    """The exception is the same under either status."""
    for status in (500, 404):
        answer = Instance(BUILDS["2022R1"], "x", variants=Variants(missing_status=status)).get(
            entity, keys, {}
        )
        body = json.loads(answer.body)
        assert answer.status == status
        assert body["exceptionMessage"] == "No entity satisfies the condition."
        assert body["exceptionType"] == "PX.Api.ContractBased.NoEntitySatisfiesTheConditionException"

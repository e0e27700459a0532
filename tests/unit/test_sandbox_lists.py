"""Lists of the sandbox: which rows match, in which order, on which page."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.collation import COLLATIONS
from deploy.sandbox.generate import Volume
from deploy.sandbox.instance import Instance, Variants
from deploy.sandbox.ordering import Ordering

BUILD = BUILDS["2022R1"]
INSTANCE = Instance(BUILD, "MyStoreInstance", Volume(orders=60, customers=7))


def listed(entity: str, instance: Instance = INSTANCE, **options: str) -> list[dict[str, Any]]:
    """The rows of a list that must succeed; option names without their dollar."""
    answer = instance.list(entity, {f"${name}": value for name, value in options.items()})
    assert answer.status == 200, answer.body
    rows: list[dict[str, Any]] = json.loads(answer.body)
    assert len(rows) == answer.rows
    return rows


def values(rows: list[dict[str, Any]], field: str) -> list[Any]:
    """A field's value in each row; None where it is empty."""
    return [row[field].get("value") for row in rows]


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("CustomerID eq 'C000000001'", ["000003"]),
        ("CustomerID eq 'c000000001'", ["000003"]),
        ("CustomerID eq 'C000000001  '", ["000003"]),
        ("CustomerID eq 'C000000001' or CustomerOrder eq 'so180-009-01'", ["000001", "000003"]),
        ("OrderNbr gt '000009' and OrderNbr lt '000100'", ["000010", "000011"]),
        ("OrderNbr ge '000010' and OrderNbr le '000011'", ["000010", "000011"]),
        ("OrderTotal eq 2480", ["000010"]),
        ("OrderTotal eq 2480.0M and OrderedQty eq 4", ["000010"]),
        (f"OrderNbr eq '000010' and OrderTotal lt {'9' * 5000}", ["000010"]),
        ("OrderTotal ge 2480M and CustomerID eq 'C000000003'", ["000010"]),
        ("Date lt datetimeoffset'2015-10-19'", ["000010"]),
        ("Date eq datetimeoffset'2015-10-13T21:00:00Z'", ["000010"]),
        ("substringof('LEGO',OrderNbr)", []),
        ("startswith(CustomerOrder,'so111')", ["000010"]),
        ("endswith(CustomerOrder,'-222-33')", ["000010"]),
        ("substringof('222',CustomerOrder) and CustomerID eq 'C000000003'", ["000010"]),
        ("substringof('222',CustomerOrder) eq true", []),
        ("endswith(CustomerOrder,'-222-33') eq true", []),
        ("CustomerOrder eq null", []),
        ("OrderNbr le '000003' and Description eq null", ["000001", "000003"]),
        ("Description ne null", []),
        ("Description ne 'x'", []),
        ("OrderNbr gt null", []),
        ("OrderNbr eq '000001' and Approved eq true", ["000001"]),
        ("Details/InventoryID eq 'AALEGO500'", []),
        ("OrderNbr eq '000001' or Details/InventoryID eq 'AALEGO500'", ["000001"]),
    ],
)
def test_a_filter_finds_what_the_database_would(condition: str, numbers: list[str]) -> None:
    """Strings compare without case and trailing blanks, empty fields only with null, detail lines with nothing."""
    assert values(listed("SalesOrder", filter=condition, select="OrderNbr"), "OrderNbr") == numbers


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("MainContact/Email eq 'INFO@jevy-comp.con'", ["C000000003"]),
        ("MainContact/Address/City eq 'San Francisco'", ["C000000003"]),
        ("MainContact/Address/City ne null", ["C000000003"]),
        ("CustomerID ge 'C000000003' and MainContact/Address/City eq 'San Francisco'", ["C000000003"]),
    ],
)
def test_linked_entities_can_be_filtered(condition: str, names: list[str]) -> None:
    """A path through linked entities reaches their fields, expanded or not."""
    assert values(listed("Customer", filter=condition, select="CustomerID"), "CustomerID") == names


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("Hold eq 'false'", "'Edm.Boolean' and 'Edm.String' for operator kind 'Equal'"),
        ("OrderNbr eq 5", "'Edm.String' and 'Edm.Int32'"),
        ("OrderTotal gt '5'", "'Edm.Decimal' and 'Edm.String' for operator kind 'GreaterThan'"),
        ("Date gt datetime'2022-01-01'", "'Edm.DateTimeOffset' and 'Edm.DateTime'"),
        ("Hold gt true", "'Edm.Boolean' and 'Edm.Boolean' for operator kind 'GreaterThan'"),
        ("Nope eq 1", "property named 'Nope' on type 'Default.SalesOrder'"),
        ("customerID eq 'x'", "property named 'customerID'"),
        ("OrderNbr/Length eq 1", "property named 'Length' on type 'Edm.String'"),
        ("Details eq 'x'", "navigation property"),
        ("substringof('x',OrderTotal)", "No function signature"),
        ("substringof(5,OrderNbr)", "No function signature"),
        ("substringof('x',OrderNbr) eq 'true'", "'Edm.Boolean' and 'Edm.String' for operator kind 'Equal'"),
        ("startswith(OrderNbr,'x') ne 1", "'Edm.Boolean' and 'Edm.Int32' for operator kind 'NotEqual'"),
        ("cf.String(f='Document.Nope') eq 'x'", "custom field 'Document.Nope'"),
        ("cf.Decimal(f='Document.AttributePRODUCT') eq 1", "custom field 'Document.AttributePRODUCT'"),
    ],
)
def test_a_filter_that_does_not_fit_the_entity_is_a_500(condition: str, words: str) -> None:
    """Wrong literal types and unknown fields are the OData library's exceptions."""
    answer = INSTANCE.list("SalesOrder", {"$filter": condition})
    body = json.loads(answer.body)
    assert (answer.status, body["exceptionType"]) == (500, "Microsoft.Data.OData.ODataException")
    assert words in body["exceptionMessage"]
    assert list(body) == ["message", "exceptionMessage", "exceptionType", "stackTrace"]
    assert "\r\n" in body["stackTrace"]


def test_custom_fields_can_be_filtered() -> None:
    """`cf.Type(f='View.Field')` finds the records that have the value."""
    instance = Instance(BUILD, "MyStoreInstance")
    order = {
        "OrderType": "SO",
        "OrderNbr": "000050",
        "custom": {"Document": {"AttributePRODUCT": "Bananas 1 lb"}},
    }
    instance.insert("SalesOrder", order)
    condition = "cf.String(f='Document.AttributePRODUCT') eq 'BANANAS 1 lb'"
    assert values(listed("SalesOrder", instance, filter=condition), "OrderNbr") == ["000050"]


@settings(deadline=None)
@given(
    st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
    st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
    st.sampled_from(["000000", "000001", "000005", "000101", "000130", "000160", "999999"]),
    st.sampled_from(["AA", "SO", "so", "TT"]),
    st.integers(0, 80),
    st.integers(0, 80),
)
def test_a_search_by_keys_finds_what_a_scan_finds(
    type_is: str, number_is: str, number: str, order_type: str, skip: int, top: int
) -> None:
    """Walking on from a key gives the rows, and the page of them, that trying every row gives."""
    by_keys = f"OrderType {type_is} '{order_type}' and OrderNbr {number_is} '{number}'"
    # A condition under `or` says nothing about where to begin.
    by_scan = f"({by_keys}) or OrderType eq null"
    page = {"$skip": str(skip), "$top": str(top), "$select": "OrderNbr"}
    answer = INSTANCE.list("SalesOrder", page | {"$filter": by_keys})
    assert answer == INSTANCE.list("SalesOrder", page | {"$filter": by_scan})
    assert answer.skipped == min(skip, len(listed("SalesOrder", filter=by_scan)))


@pytest.mark.parametrize("condition", ["", "OrderType eq 'SO'"])
def test_rows_passed_over_are_counted(condition: str) -> None:
    """`$skip` passes over no more rows than there are, filtered or not."""
    for skip, passed in ((0, 0), (69, 69), (70, 70), (500, 70)):
        answer = INSTANCE.list(
            "SalesOrder", {"$filter": condition, "$skip": str(skip), "$select": "OrderNbr"}
        )
        assert (answer.skipped, answer.rows) == (passed, 70 - passed)


@settings(deadline=None)
@given(st.integers(0, 80), st.integers(0, 80))
def test_pages_are_cut_from_the_whole_list(skip: int, top: int) -> None:
    """`$skip` comes before `$top`, and row numbers begin at 1 on every page."""
    whole = values(listed("SalesOrder", select="OrderNbr"), "OrderNbr")
    page = listed("SalesOrder", select="OrderNbr", skip=str(skip), top=str(top))
    assert values(page, "OrderNbr") == whole[skip : skip + top]
    assert [row["rowNumber"] for row in page] == list(range(1, len(page) + 1))


def test_rows_come_in_the_order_of_keys_and_all_of_them() -> None:
    """Without `$top` a list is everything, ascending."""
    numbers = values(listed("SalesOrder"), "OrderNbr")
    assert len(numbers) == 70
    assert numbers == sorted(numbers)


def test_combo_keys_are_in_the_order_of_their_stored_codes() -> None:
    """Labels sort otherwise than codes (Voided Payment is RPM, Prepayment PPM), and rows follow the codes."""
    instance = Instance(BUILD, "MyStoreInstance")
    for label in ("Voided Payment", "Prepayment", "Credit Memo", "Balance WO"):
        instance.insert("Payment", {"Type": label, "ReferenceNbr": "000009"})
    order = ["Credit Memo", "Payment", "Prepayment", "Voided Payment", "Balance WO"]
    assert values(listed("Payment", instance), "Type") == order
    assert values(listed("Payment", instance, filter="Type ge 'prepayment'"), "Type") == order[2:]


@pytest.mark.parametrize(
    ("collation", "expected"),
    [
        ("sql", ["#10-SCREW", "1/2-ELBOW", "50%-OFF", "A-2", "A1", "A3", "AA"]),
        ("word", ["#10-SCREW", "1/2-ELBOW", "50%-OFF", "A1", "A-2", "A3", "AA"]),
        ("letters-first", ["#10-SCREW", "A-2", "AA", "A1", "A3", "1/2-ELBOW", "50%-OFF"]),
    ],
)
def test_the_collation_is_the_servers(collation: str, expected: list[str]) -> None:
    """The order of keys is a choice of the server, and searches by key follow it."""
    instance = Instance(BUILD, "MyStoreInstance", variants=Variants(ordering=Ordering(COLLATIONS[collation])))
    for item in ("AA", "A3", "A-2", "A1"):
        instance.insert("StockItem", {"InventoryID": item})
    names = [name for name in values(listed("StockItem", instance), "InventoryID") if name in expected]
    assert names == expected
    after = listed("StockItem", instance, filter=f"InventoryID gt '{expected[2]}'")
    assert [name for name in values(after, "InventoryID") if name in expected] == expected[3:]


@settings(deadline=None)
@given(st.text(max_size=6), st.text(max_size=6), st.sampled_from(sorted(COLLATIONS)))
def test_collations_agree_on_what_is_equal(one: str, other: str, collation: str) -> None:
    """Two strings sort alike exactly when the database calls them equal."""
    how = COLLATIONS[collation]
    assert (how.key(one) == how.key(other)) == (how.fold(one) == how.fold(other))


@pytest.mark.parametrize("option", ["$top", "$skip"])
@pytest.mark.parametrize("value", ["-1", "x", "1.5", "0x10", "٣", "9" * 12])
def test_a_count_that_is_none_is_a_400(option: str, value: str) -> None:
    """A `$top` or `$skip` that cannot be bound to a number is refused, naming it."""
    answer = INSTANCE.list("SalesOrder", {option: value})
    assert answer.status == 400
    assert json.loads(answer.body)["modelState"] == {
        option: [f"The value '{value}' is not valid for {option}."]
    }


def test_top_zero_is_an_empty_page() -> None:
    """`$top=0` is a count like any other."""
    assert listed("SalesOrder", top="0") == []


def test_orderby_is_ignored() -> None:
    """`$orderby` is not part of the contract and changes nothing."""
    assert listed("SalesOrder", orderby="OrderNbr desc", top="3") == listed("SalesOrder", top="3")


def test_shipments_list_by_key_only() -> None:
    """A key filter works on Shipment; any other fails in the optimizer, naming the field."""
    assert values(listed("Shipment", filter="ShipmentNbr eq '000002'"), "ShipmentNbr") == ["000002"]
    answer = INSTANCE.list(
        "Shipment", {"$filter": "ShipmentNbr ge '000002' and Status eq 'Open' and Hold eq true"}
    )
    body = json.loads(answer.body)
    assert answer.status == 500
    assert body["exceptionType"] == "PX.Api.ContractBased.OptimizedExport.CannotOptimizeException"
    assert body["exceptionMessage"] == (
        "Optimization cannot be performed.The following fields cause the error:\r\n"
        "Status: Field Status is marked as non-optimizable\r\nHold: Field Hold is marked as non-optimizable\r\n"
    )


def test_shipments_filtered_by_other_fields_may_come_back_empty() -> None:
    """The other reported behaviour can be chosen: 200 and no row."""
    instance = Instance(BUILD, "MyStoreInstance", variants=Variants(refuse_non_key_filters=False))
    assert listed("Shipment", instance, filter="Status eq 'Confirmed'") == []
    assert values(listed("Shipment", instance, filter="ShipmentNbr eq '000002'"), "ShipmentNbr") == ["000002"]


def test_and_across_views_may_come_back_empty() -> None:
    """The reported behaviour of some composite entities can be chosen; each half alone still matches."""
    instance = Instance(BUILD, "MyStoreInstance", variants=Variants(match_across_views=False))
    city, number = "MainContact/Address/City eq 'San Francisco'", "CustomerID eq 'C000000003'"
    assert listed("Customer", instance, filter=f"{number} and {city}") == []
    assert len(listed("Customer", instance, filter=city)) == 1
    assert len(listed("Customer", instance, filter=f"{number} and Status eq 'Active'")) == 1


def test_an_unknown_entity_is_a_404() -> None:
    """An entity that the endpoint does not have is not found, in lists and by key."""
    assert INSTANCE.list("Nope", {}).status == 404
    assert INSTANCE.get("Nope", ["1"], {}).status == 404

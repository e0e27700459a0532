"""Plain values in the form of the wire: what the schema would refuse is refused, all else comes back as it was."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.erp import wrapping
from worker.erp.schema import Schema
from worker.errors import JobInvalid
from worker.publisher import plain

SCHEMA = Schema(
    types={
        "Order": {
            "OrderNbr": "String",
            "Hold": "Boolean",
            "Total": "Decimal",
            "Count": "Int",
            "Few": "Byte",
            "Date": "DateTime",
            "NoteID": "Guid",
            "Contact": "Contact",
            "Details": "Line[]",
        },
        "Contact": {"Email": "String", "Address": "Address"},
        "Address": {"City": "String"},
        "Line": {"Qty": "Decimal", "InventoryID": "String"},
    },
    top={"Order": {}},
)
GUID = "c01087ca-7281-e511-80c0-00155d012302"

GOOD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"OrderNbr": "1"}, {"OrderNbr": {"value": "1"}}),
    ({"OrderNbr": None}, {"OrderNbr": {"value": None}}),
    ({"Total": "12.50"}, {"Total": {"value": Decimal("12.50")}}),
    ({"Total": 12}, {"Total": {"value": 12}}),
    ({"Date": "2026-11-21"}, {"Date": {"value": "2026-11-21"}}),
    ({"Contact": {"Address": {"City": "X"}}}, {"Contact": {"Address": {"City": {"value": "X"}}}}),
    (
        {"Details": [{"Qty": 1}, {"id": GUID, "delete": True}]},
        {"Details": [{"Qty": {"value": 1}}, {"id": GUID, "delete": True}]},
    ),
    ({"note": "hello"}, {"note": {"value": "hello"}}),
    (
        {"custom": {"Document.AttributeCOLOR": "red", "Document.UsrN": 1, "Item.UsrD": 1.5}},
        {
            "custom": {
                "Document": {
                    "AttributeCOLOR": {"type": "CustomStringField", "value": "red"},
                    "UsrN": {"type": "CustomIntField", "value": 1},
                },
                "Item": {"UsrD": {"type": "CustomDecimalField", "value": 1.5}},
            }
        },
    ),
    (
        {"custom": {"A.B": {"type": "CustomDateTimeField", "value": "2026-01-01"}}},
        {"custom": {"A": {"B": {"type": "CustomDateTimeField", "value": "2026-01-01"}}}},
    ),
]

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"OrderNbe": "1"}, "record.OrderNbe", "did you mean OrderNbr"),
    ({"OrderNbr": 1}, "record.OrderNbr", "must be a text"),
    ({"Hold": "true"}, "record.Hold", "true or false"),
    ({"Total": "much"}, "record.Total", "must be a number"),
    ({"Total": True}, "record.Total", "must be a number"),
    ({"Count": 2**31}, "record.Count", "whole number from"),
    ({"Few": -1}, "record.Few", "whole number from 0 to 255"),
    ({"Count": 1.0}, "record.Count", "whole number"),
    ({"Date": "soon"}, "record.Date", "must be a date"),
    ({"NoteID": "1"}, "record.NoteID", "GUID"),
    ({"Contact": "x"}, "record.Contact", "must be an object"),
    ({"Contact": {"Emial": "x"}}, "record.Contact.Emial", "did you mean Email"),
    ({"Details": {"Qty": 1}}, "record.Details", "must be a list of rows"),
    ({"Details": [{"Qty": 1}, 5]}, "record.Details[1]", "must be an object"),
    ({"Details": [{"Qty": "x"}]}, "record.Details[0].Qty", "must be a number"),
    ({"Details": [{"delete": 1}]}, "record.Details[0].delete", "true or false"),
    ({"custom": {"COLOR": 1}}, "record.custom.COLOR", "View.Field"),
    ({"custom": {"A.B": [1]}}, "record.custom.A.B", "plain value"),
]


@pytest.mark.parametrize(("given_", "wire"), GOOD)
def test_wrapped(given_: dict[str, Any], wire: dict[str, Any]) -> None:
    """Every member has the form that the ERP takes, at every depth."""
    assert wrapping.record(given_, "Order", SCHEMA) == wire


@pytest.mark.parametrize(("given_", "field", "words"), BAD)
def test_refused(given_: dict[str, Any], field: str, words: str) -> None:
    """What the ERP would refuse is named with its place in the job, and with what would be right."""
    with pytest.raises(JobInvalid, match=words) as caught:
        wrapping.record(given_, "Order", SCHEMA)
    assert caught.value.field == field


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "OrderNbr": st.none() | st.text(max_size=20),
        "Hold": st.booleans(),
        "Count": st.integers(-(2**31), 2**31 - 1),
        "Contact": st.fixed_dictionaries({}, optional={"Email": st.text(max_size=9)}),
        "Details": st.lists(st.fixed_dictionaries({"InventoryID": st.text(max_size=9)}), max_size=3),
    },
)


@given(VALUES)
def test_wrapping_is_undone_by_unwrapping(record: dict[str, Any]) -> None:
    """A record that is written and read is the same, with a schema and without one."""
    assert plain(wrapping.record(record, "Order", SCHEMA)) == {
        name: value or None if name == "Contact" else value for name, value in record.items()
    }
    assert wrapping.record(record, "Order", None) == wrapping.record(record, "Order", SCHEMA)

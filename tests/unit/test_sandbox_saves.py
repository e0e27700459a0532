"""What a PUT or DELETE does to the sandbox's records, and what it answers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.instance import Instance, Variants
from deploy.sandbox.saves import Write, Written, delete, put

CUSTOMER = "C000000003"


def value(plain: object) -> dict[str, object]:
    """A value as the wire has it."""
    return {"value": plain}


class Site:
    """An instance that is written to through one endpoint."""

    def __init__(self, build: str = "2025R1", **variants: Any) -> None:
        self.instance = Instance(BUILDS[build], "Site", variants=Variants(**variants))
        self.contract = self.instance.contracts[0]

    def put(self, entity: str, body: object, query: Mapping[str, str] | None = None, **how: bool) -> Written:
        """What becomes of a body."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return put(self.instance, Write(self.contract, entity, query or {}, **how), content)

    def get(self, entity: str, *keys: str, **options: str) -> dict[str, Any]:
        """A record; option names without their dollar."""
        answer = self.instance.get(entity, keys, {f"${name}": text for name, text in options.items()})
        assert answer.status == 200, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found


@pytest.fixture
def site() -> Site:
    """An untouched site."""
    return Site()


def body_of(written: Written, status: int = 200) -> dict[str, Any]:
    """The answer's body, its status being as it should."""
    assert written.answer.status == status, written.answer.body
    found: dict[str, Any] = json.loads(written.answer.body)
    return found


def order(**fields: object) -> dict[str, object]:
    """An order of the course's customer."""
    return {"CustomerID": value(CUSTOMER), **fields}


def test_a_new_order_is_numbered_and_completed(site: Site) -> None:
    """Without a number the form gives one; what it sets by itself is in the answer beside what was sent."""
    line = {"InventoryID": value("AALEGO500"), "OrderQty": value(3)}
    written = site.put("SalesOrder", order(Details=[line]))
    answered = body_of(written)
    assert (written.op, answered["note"]) == ("insert", None)
    assert answered["OrderTotal"] == value(75.0)
    assert {"OrderType", "OrderNbr", "Status", "LastModified"} <= answered.keys()
    assert not {"Description", "TaxTotal"} & answered.keys()
    assert set(answered["Details"][0]) == {
        "id",
        "rowNumber",
        "note",
        "InventoryID",
        "OrderQty",
        "custom",
        "_links",
    }
    kept = site.get("SalesOrder", "SO", answered["OrderNbr"]["value"], expand="Details")
    assert (kept["id"], kept["NoteID"]["value"]) == (written.record, written.record)
    assert kept["Details"][0]["UnitPrice"] == value(25.0)


@pytest.mark.parametrize(
    ("entity", "body", "key"),
    [
        ("SalesOrder", {"OrderNbr": value("<NEW>")}, "OrderNbr"),
        ("Payment", {}, "ReferenceNbr"),
        ("Case", {"Subject": value("Broken")}, "CaseID"),
        ("Contact", {"LastName": value("Doe")}, "ContactID"),
    ],
)
def test_forms_that_number_give_each_record_another(
    site: Site, entity: str, body: dict[str, object], key: str
) -> None:
    """Two records with no number get two."""
    first, second = (body_of(site.put(entity, body))[key]["value"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("by", ["keys", "id", "filter"])
def test_a_record_is_updated_by_its_keys_its_id_or_a_filter(site: Site, by: str) -> None:
    """Each way names the same record, and only what is sent changes."""
    before = site.get("Customer", CUSTOMER)
    sent: dict[str, object] = {"CustomerClass": value("EXPORT")}
    named = {"keys": {"CustomerID": value(CUSTOMER)}, "id": {"id": before["id"]}, "filter": {}}[by]
    query = {"$filter": f"CustomerID eq '{CUSTOMER}'"} if by == "filter" else {}
    written = site.put("Customer", {**named, **sent}, query)
    after = site.get("Customer", CUSTOMER)
    assert (written.op, after["CustomerClass"]) == ("update", value("EXPORT"))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"CustomerClass", "LastModifiedDateTime"}


def test_a_filter_that_finds_several_is_refused(site: Site) -> None:
    """No record is chosen by chance."""
    written = site.put("Customer", {"CustomerName": value("X")}, {"$filter": "Status eq 'Active'"})
    assert (written.answer.status, written.op) == (500, "")


def test_a_filter_that_finds_nothing_inserts(site: Site) -> None:
    """As with keys that no record has."""
    written = site.put("Customer", {"CustomerID": value("NEWONE")}, {"$filter": "CustomerID eq 'NEWONE'"})
    assert (written.op, written.keys) == ("insert", ("NEWONE",))


def test_a_filter_that_finds_nothing_does_not_double_a_record(site: Site) -> None:
    """Keys that another record has are refused, and the record stays as it is."""
    before = site.get("Customer", CUSTOMER)
    body = {"CustomerID": value(CUSTOMER), "CustomerName": value("Other")}
    written = site.put("Customer", body, {"$filter": "CustomerID eq 'NEWONE'"})
    assert (written.answer.status, written.op) == (500, "")
    assert site.get("Customer", CUSTOMER) == before


def test_an_id_that_no_record_has_is_missed_as_by_get() -> None:
    """A body's id never inserts."""
    for status in (500, 404):
        site = Site(missing_status=status)
        body = {"id": "00000000-0000-4000-8000-000000000000", "CustomerName": value("X")}
        assert site.put("Customer", body).answer.status == status


def test_details_are_added_changed_and_deleted(site: Site) -> None:
    """A row without an id is added, one with it changed, one with `delete` taken away; the others stay."""
    before = site.get("SalesOrder", "SO", "000010", expand="Details")["Details"]
    rows = [
        {"InventoryID": value("MOUSE"), "OrderQty": value(2)},
        {"id": before[0]["id"], "OrderQty": value(9)},
        {"id": before[1]["id"], "delete": True},
    ]
    body = {"OrderType": value("SO"), "OrderNbr": value("000010"), "Details": rows}
    body_of(site.put("SalesOrder", body))
    after = site.get("SalesOrder", "SO", "000010", expand="Details")
    assert [row["id"] for row in after["Details"]][:3] == [before[n]["id"] for n in (0, 2, 3)]
    assert [row["OrderQty"]["value"] for row in after["Details"]] == [9.0, 1.0, 1.0, 2.0]
    assert after["OrderTotal"]["value"] == sum(row["Amount"]["value"] for row in after["Details"])


def test_a_linked_entity_is_changed_in_place(site: Site) -> None:
    """What was sent of it changes, the rest stays; not expanded it has null for what is nested in it."""
    body = {"CustomerID": value(CUSTOMER), "MainContact": {"Email": value("new@jevy.example")}}
    answered = body_of(site.put("Customer", body))
    contact = answered["MainContact"]
    assert (contact["Email"], contact["Address"], "Phone1" in contact) == (
        value("new@jevy.example"),
        None,
        False,
    )
    kept = site.get("Customer", CUSTOMER, expand="MainContact,MainContact/Address")["MainContact"]
    assert kept["CompanyName"] == value("Jevy Computers")
    assert kept["Address"]["City"] == value("San Francisco")
    again = body_of(
        site.put("Customer", body, {"$expand": "MainContact", "$select": "CustomerName,MainContact"})
    )
    assert again["CustomerName"] == value("Jevy Computers")
    assert "Phone1" in again["MainContact"]


@pytest.mark.parametrize(
    ("how", "key", "status"),
    [
        ({"only_new": True}, CUSTOMER, 412),
        ({"only_new": True}, "NEWONE", 200),
        ({"only_known": True}, "NEWONE", 412),
        ({"only_known": True}, CUSTOMER, 200),
        ({"patch": True}, "NEWONE", 404),
        ({"patch": True}, CUSTOMER, 200),
    ],
)
def test_conditions(site: Site, how: dict[str, bool], key: str, status: int) -> None:
    """Insert-only and update-only are kept to, and a PATCH never inserts."""
    written = site.put("Customer", {"CustomerID": value(key)}, None, **how)
    assert (written.answer.status, bool(written.op)) == (status, status == 200)


@pytest.mark.parametrize(
    ("entity", "body", "path", "words"),
    [
        (
            "SalesOrder",
            {"CustomerID": value("NOBODY")},
            ("CustomerID",),
            "'Customer' cannot be found in the system.",
        ),
        ("SalesOrder", order(OrderTotal=value(1), Date=value("soon")), ("Date",), "'soon' is no valid value"),
        ("SalesOrder", order(Hold=value(7)), ("Hold",), "'7' is no valid value"),
        ("SalesOrder", order(Details=[{"OrderQty": value("x")}]), ("Details", 0, "OrderQty"), "'x' is no"),
        (
            "SalesOrder",
            order(Details=[{"InventoryID": value("NOTHING")}]),
            ("Details", 0, "InventoryID"),
            "'Inventory ID' cannot be found in the system.",
        ),
        ("Payment", {"Type": value("Wish")}, ("Type",), "The list value 'Wish' is not allowed"),
        ("StockItem", {"Description": value("X")}, ("InventoryID",), "'InventoryID' cannot be empty."),
    ],
)
def test_a_bad_field_is_told_where_it_is(
    site: Site, entity: str, body: dict[str, object], path: tuple[Any, ...], words: str
) -> None:
    """A 422 echoes the body with the error at its field, and nothing is kept."""
    found: Any = body_of(site.put(entity, body), 422)
    for step in path:
        found = found[step]
    assert words in found["error"]
    assert len(list(site.instance.rows(entity))) == len(list(Site().instance.rows(entity)))


def test_older_builds_fail_with_an_exception() -> None:
    """The older form of a failed save: a 500 that names the fields in its message."""
    document = body_of(Site(bad_save=500).put("SalesOrder", {"CustomerID": value("NOBODY")}), 500)
    assert document["exceptionType"].endswith("OutcomeEntityHasErrorsException")
    assert document["exceptionMessage"] == (
        "Inserting  'Sales Order' record raised at least one error. Please review the errors.\n"
        "CustomerID: 'Customer' cannot be found in the system."
    )


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"NaN", b'{"CustomerID": NaN}', b'{"CustomerID": "X"}', b'{"Contacts": {}}']
)
def test_a_body_that_is_no_record_is_a_bad_request(site: Site, body: bytes) -> None:
    """What cannot be bound to the entity is a 400."""
    assert site.put("Customer", body).answer.status == 400


def test_a_query_that_is_refused_saves_nothing(site: Site) -> None:
    """An unknown field in `$select` is a 500 as in a list, and the record is as before."""
    before = site.get("Customer", CUSTOMER)
    body = {"CustomerID": value(CUSTOMER), "CustomerName": value("Other")}
    assert site.put("Customer", body, {"$select": "Nothing"}).answer.status == 500
    assert site.get("Customer", CUSTOMER) == before


def test_what_cannot_be_set_is_passed_over(site: Site) -> None:
    """A 200 does not prove that a field was saved: unknown ones and those that a form computes are left out."""
    body = {
        "OrderType": value("SO"),
        "OrderNbr": value("000004"),
        "OrderTotal": value(1),
        "Nonsense": value(1),
    }
    assert body_of(site.put("SalesOrder", body))["OrderTotal"] == value(420.0)


def test_whoever_may_only_look_saves_nothing(site: Site) -> None:
    """The answer is that of a save, and the record is as before."""
    before = site.get("Customer", CUSTOMER)
    body = {"CustomerID": value(CUSTOMER), "CustomerName": value("Other")}
    written = site.put("Customer", body, keeps=False)
    assert (body_of(written)["CustomerName"], written.op) == (value("Other"), "")
    assert site.get("Customer", CUSTOMER) == before


def test_a_null_empties_a_field_and_nothing_leaves_it(site: Site) -> None:
    """`{"value": null}` and `{}` are not the same."""
    body = {"CustomerID": value(CUSTOMER), "CustomerClass": value(None), "CurrencyID": {}}
    body_of(site.put("Customer", body))
    kept = site.get("Customer", CUSTOMER)
    assert (kept["CustomerClass"], kept["CurrencyID"]) == ({}, value("USD"))


def test_user_defined_fields_are_saved_and_unknown_ones_cut(site: Site) -> None:
    """Those of the form are kept and found by a filter; one that it lacks is not in the answer, and no error."""
    fields = {
        "UsrRank": {"type": "CustomIntField", "value": 7},
        "AttributePRODUCT": {"type": "CustomStringField", "value": "Bananas 1 lb"},
        "UsrNothing": {"type": "CustomStringField", "value": "x"},
    }
    body = {"OrderType": value("SO"), "OrderNbr": value("000004"), "custom": {"Document": fields}}
    answered = body_of(site.put("SalesOrder", body))["custom"]["Document"]
    assert answered.keys() == {"UsrRank", "AttributePRODUCT"}
    kept = site.get("SalesOrder", "SO", "000004", custom="Document.UsrRank,Document.AttributePRODUCT")
    assert kept["custom"]["Document"] == answered
    query = {"$filter": "cf.Int(f='Document.UsrRank') eq 7", "$select": "OrderNbr"}
    [found] = json.loads(site.instance.list("SalesOrder", query).body)
    assert found["OrderNbr"] == value("000004")


def test_a_user_defined_field_of_the_wrong_type_is_an_error(site: Site) -> None:
    """As with any other field."""
    custom = {"Document": {"UsrRank": {"type": "CustomIntField", "value": "many"}}}
    body = {"OrderType": value("SO"), "OrderNbr": value("000004"), "custom": custom}
    assert site.put("SalesOrder", body).answer.status == 422


def test_lines_have_user_defined_fields_too(site: Site) -> None:
    """Those of a detail row are under the row's own `custom`, and come with `$custom`."""
    custom = {"Transactions": {"UsrX": {"type": "CustomStringField", "value": "red"}}}
    body = order(Details=[{"InventoryID": value("MOUSE"), "custom": custom}])
    answered = body_of(site.put("SalesOrder", body))
    assert answered["Details"][0]["custom"]["Transactions"]["UsrX"]["value"] == "red"
    kept = site.get("SalesOrder", answered["id"], expand="Details", custom="Details/Transactions.UsrX")
    assert kept["Details"][0]["custom"]["Transactions"]["UsrX"]["value"] == "red"


def test_a_note_is_kept(site: Site) -> None:
    """The text of a note comes back with the record."""
    body_of(site.put("Customer", {"CustomerID": value(CUSTOMER), "note": value("pays late")}))
    assert site.get("Customer", CUSTOMER)["note"] == value("pays late")


def test_a_record_is_deleted_by_keys_or_id(site: Site) -> None:
    """204, and it is missed from then on, by DELETE as by GET."""
    write = Write(site.contract, "SalesOrder", {})
    for keys in (["SO", "000001"], [site.get("SalesOrder", "SO", "000003")["id"]]):
        gone = delete(site.instance, write, keys)
        assert (gone.answer.status, gone.answer.body, gone.op) == (204, b"", "delete")
        assert delete(site.instance, write, keys).answer.status == 500
        assert site.instance.get("SalesOrder", keys, {}).status == 500


def test_an_entity_that_the_endpoint_lacks_is_not_written(site: Site) -> None:
    """It is as unknown as in a list."""
    assert site.put("Nothing", {}).answer.status == 404


def test_an_older_endpoint_writes_the_same_record(site: Site) -> None:
    """A record that was written through one endpoint is read through another."""
    older = site.instance.contracts[1]
    body = json.dumps({"CustomerID": value(CUSTOMER), "CustomerName": value("Jevy")}).encode()
    assert put(site.instance, Write(older, "Customer", {}), body).answer.status == 200
    assert site.get("Customer", CUSTOMER)["CustomerName"] == value("Jevy")


def test_every_entity_takes_back_what_it_gave(site: Site) -> None:
    """A record that was read can be sent as it is: it is updated, and none is added."""
    for name, entity in site.contract.entities.items():
        if entity.form.inquiry:
            continue
        rows = list(site.instance.rows(name))
        sent = site.get(name, rows[0].id)
        written = site.put(name, {key: each for key, each in sent.items() if key != "_links"})
        assert (written.answer.status, written.op) == (200, "update"), (name, written.answer.body)
        assert len(list(site.instance.rows(name))) == len(rows)


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
_NAMES = st.sampled_from(
    ["id", "CustomerID", "OrderNbr", "Date", "Details", "custom", "note", "ShipToAddress", "X"]
)
_JSON = st.recursive(
    _PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | st.just("value"), inner, max_size=4),
    max_leaves=12,
)
_ANY = Site()


@given(body=st.dictionaries(_NAMES, _JSON, max_size=5))
def test_any_body_gets_an_answer(body: dict[str, Any]) -> None:
    """No JSON makes the sandbox raise, and what is refused changes nothing."""
    before = len(list(_ANY.instance.rows("SalesOrder")))
    written = _ANY.put("SalesOrder", body)
    assert written.answer.status in (200, 400, 422, 500)
    assert len(list(_ANY.instance.rows("SalesOrder"))) == before + (written.op == "insert")

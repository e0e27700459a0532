"""Changes to the sandbox's data: rows inserted, changed, deleted and given files while clients read."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.instance import Instance

LINE_ID = "a7d978fb-7281-e511-80c0-00155d012302"


@pytest.fixture
def instance() -> Instance:
    """The demo records."""
    return Instance(BUILDS["2022R1"], "MyStoreInstance")


def by_id(instance: Instance, entity: str, record_id: str, **options: str) -> dict[str, Any]:
    """A record by id; option names without their dollar."""
    answer = instance.get(entity, [record_id], {f"${name}": value for name, value in options.items()})
    assert answer.status == 200, answer.body
    record: dict[str, Any] = json.loads(answer.body)
    return record


def numbers(instance: Instance) -> list[str]:
    """The numbers of all sales orders, as listed."""
    rows = json.loads(instance.list("SalesOrder", {"$select": "OrderNbr"}).body)
    return [row["OrderNbr"]["value"] for row in rows]


def test_an_inserted_record_is_in_its_place(instance: Instance) -> None:
    """It is listed where its key belongs, found by id and by key, with its lines and a stamp."""
    record_id = instance.insert(
        "SalesOrder",
        {"OrderType": "SO", "OrderNbr": "000002", "Details": [{"InventoryID": "MOUSE", "OrderQty": 2}]},
    )
    assert numbers(instance)[:3] == ["000001", "000002", "000003"]
    record = by_id(instance, "SalesOrder", record_id, expand="Details")
    assert record["Details"][0]["InventoryID"] == {"value": "MOUSE"}
    assert record["LastModified"]["value"] > "2016"
    assert json.loads(instance.get("SalesOrder", ["SO", "000002"], {}).body)["id"] == record_id


def test_a_change_sets_fields_and_the_stamp_and_nothing_else(instance: Instance) -> None:
    """What was not given stays; LastModified or LastModifiedDateTime moves on."""
    for entity, keys, stamp in (
        ("SalesOrder", ["SO", "000001"], "LastModified"),
        ("Customer", ["C000000003"], "LastModifiedDateTime"),
    ):
        before = json.loads(instance.get(entity, keys, {}).body)
        instance.change(entity, before["id"], {"Status": "Changed"})
        after = json.loads(instance.get(entity, keys, {}).body)
        assert after[stamp]["value"] > before[stamp]["value"]
        assert after["Status"] == {"value": "Changed"}
        differing = {name for name in before if before[name] != after[name]}
        assert differing == {"Status", stamp}


def test_a_changed_key_moves_the_record(instance: Instance) -> None:
    """Under the new key it is found and listed, under the old one it is gone."""
    record_id = json.loads(instance.get("SalesOrder", ["SO", "000001"], {}).body)["id"]
    instance.change("SalesOrder", record_id, {"OrderNbr": "000020"})
    assert numbers(instance)[-1] == "000020"
    assert instance.get("SalesOrder", ["SO", "000001"], {}).status == 500
    assert by_id(instance, "SalesOrder", record_id)["OrderNbr"] == {"value": "000020"}


def test_a_deleted_record_is_gone_with_its_files(instance: Instance) -> None:
    """Neither list, key, id nor file finds it."""
    item = json.loads(instance.get("StockItem", ["AAMACHINE1"], {"$expand": "files"}).body)
    instance.delete("StockItem", item["id"])
    assert instance.get("StockItem", ["AAMACHINE1"], {}).status == 500
    assert instance.get("StockItem", [item["id"]], {}).status == 500
    assert item["id"] not in instance.list("StockItem", {}).body.decode()
    assert instance.file(item["files"][0]["id"]).status == 404


def test_a_file_is_attached_overwritten_and_read(instance: Instance) -> None:
    """A new name adds a file, the same name in any case replaces the bytes under the same id."""
    record_id = json.loads(instance.get("Payment", ["Payment", "000001"], {}).body)["id"]
    first = instance.attach("Payment", record_id, "a.txt", b"one")
    second = instance.attach("Payment", record_id, "b.txt", b"two")
    assert instance.attach("Payment", record_id, "A.txt", b"three") == first
    files = by_id(instance, "Payment", record_id, expand="files")["files"]
    assert {file["id"] for file in files} == {first, second}
    assert "Payments and Applications (PMT, 000001)\\b.txt" in {file["filename"] for file in files}
    answer = instance.file(first)
    assert (answer.status, answer.content_type, answer.body) == (200, "application/octet-stream", b"three")


def test_a_file_of_a_detail_row_is_listed_there(instance: Instance) -> None:
    """`Details/files` shows it on its line and not on the order, and it outlives a file of the order."""
    order_id = json.loads(instance.get("SalesOrder", ["SO", "000001"], {}).body)["id"]
    own = instance.attach("SalesOrder", order_id, "a.txt", b"order")
    lines = instance.attach("SalesOrder", LINE_ID, "a.txt", b"line")
    record = by_id(instance, "SalesOrder", order_id, expand="files,Details,Details/files")
    assert [file["id"] for file in record["files"]] == [own]
    assert [file["id"] for file in record["Details"][0]["files"]] == [lines]
    assert (
        record["Details"][0]["files"][0]["href"]
        == f"/MyStoreInstance/entity/Default/20.200.001/files/{lines}"
    )
    assert instance.file(lines).body == b"line"
    assert "files" not in by_id(instance, "SalesOrder", order_id, expand="Details")["Details"][0]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"OrderType": "SO"}, "needs its keys: OrderType, OrderNbr"),
        ({"OrderType": "SO", "OrderNbr": "000001"}, "already"),
        ({"OrderType": "so", "OrderNbr": "000001 "}, "already"),
        (
            {"OrderType": "SO", "OrderNbr": "1", "id": "c01087ca-7281-e511-80c0-00155d012302"},
            "already",
        ),
        ({"OrderType": "SO", "OrderNbr": "1", "Nope": 1}, "no field 'Nope'"),
        ({"OrderType": "SO", "OrderNbr": 1}, "OrderNbr is of type String"),
        ({"OrderType": "SO", "OrderNbr": "1", "Hold": 1}, "Hold is of type Boolean"),
        ({"OrderType": "SO", "OrderNbr": "1", "OrderTotal": True}, "OrderTotal is of type Decimal"),
        ({"OrderType": "SO", "OrderNbr": "1", "OrderTotal": "x"}, "OrderTotal is of type Decimal"),
        ({"OrderType": "SO", "OrderNbr": "1", "OrderTotal": float("nan")}, "OrderTotal is of type Decimal"),
        ({"OrderType": "SO", "OrderNbr": "1", "Date": "tomorrow"}, "Date is of type DateTime"),
        ({"OrderType": "SO", "OrderNbr": "1", "Details": "x"}, "Details takes a list of objects"),
        ({"OrderType": "SO", "OrderNbr": "1", "Details": ["x"]}, "Details takes a list of objects"),
        ({"OrderType": "SO", "OrderNbr": "1", "Totals": []}, "Totals takes an object"),
        ({"OrderType": "SO", "OrderNbr": "1", "Details": [{"LineNbr": 1.5}]}, "LineNbr is of type Int"),
        ({"OrderType": "SO", "OrderNbr": "1", "id": "7"}, "id is of type Guid"),
        (
            {"OrderType": "SO", "OrderNbr": "1", "custom": {"Document": {"Nope": 1}}},
            "custom field Document.Nope",
        ),
        ({"OrderType": "SO", "OrderNbr": "1", "custom": {"Document": 1}}, "custom takes an object"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_and_changes_nothing(
    instance: Instance, record: dict[str, object], words: str
) -> None:
    """The error names the field and what would be right."""
    before = numbers(instance)
    with pytest.raises(ValueError, match=words):
        instance.insert("SalesOrder", record)
    assert numbers(instance) == before


def test_a_change_to_a_taken_key_is_refused_and_changes_nothing(instance: Instance) -> None:
    """Two records never share a key."""
    record_id = json.loads(instance.get("SalesOrder", ["SO", "000001"], {}).body)["id"]
    with pytest.raises(ValueError, match="already"):
        instance.change("SalesOrder", record_id, {"OrderNbr": "000003"})
    assert by_id(instance, "SalesOrder", record_id)["OrderNbr"] == {"value": "000001"}


def test_changing_what_does_not_exist_says_so(instance: Instance) -> None:
    """An unknown entity or id is a LookupError that names it."""
    with pytest.raises(LookupError, match="no entity 'Nope'"):
        instance.insert("Nope", {})
    for act in (
        lambda: instance.change("SalesOrder", LINE_ID, {}),
        lambda: instance.delete("SalesOrder", LINE_ID),
        lambda: instance.attach("Payment", LINE_ID, "a.txt", b""),
    ):
        with pytest.raises(LookupError, match=LINE_ID):
            act()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["insert", "delete", "move"]), st.integers(0, 30), st.integers(0, 30)))
)
def test_order_and_indexes_survive_any_changes(steps: list[tuple[str, int, int]]) -> None:
    """After any inserts, deletes and moves the list is sorted, complete, and each record is found by both ways."""
    instance = Instance(BUILDS["2022R1"], "MyStoreInstance")
    expected = {
        number: json.loads(instance.get("SalesOrder", ["SO", number], {}).body)["id"]
        for number in numbers(instance)
    }
    for action, one, other in steps:
        number, target = f"{one:06}", f"{other:06}"
        if action == "insert" and number not in expected:
            expected[number] = instance.insert("SalesOrder", {"OrderType": "SO", "OrderNbr": number})
        elif action == "delete" and number in expected:
            instance.delete("SalesOrder", expected.pop(number))
        elif action == "move" and number in expected and target not in expected:
            expected[target] = expected.pop(number)
            instance.change("SalesOrder", expected[target], {"OrderNbr": target})
    assert numbers(instance) == sorted(expected)
    for number, record_id in expected.items():
        assert json.loads(instance.get("SalesOrder", ["SO", number], {}).body)["id"] == record_id
        assert by_id(instance, "SalesOrder", record_id)["OrderNbr"]["value"] == number

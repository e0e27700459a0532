"""What makes paging hard at the sandbox: combo keys, collations, awkward keys, data views, clocks of other zones."""

import json
import time
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.collation import COLLATIONS
from deploy.sandbox.generate import Volume
from deploy.sandbox.instance import Instance, Variants
from deploy.sandbox.ordering import Combo, Ordering, Zones

BUILD = BUILDS["2022R1"]
BY_CODE = ["Credit Memo", "Payment", "Prepayment", "Voided Payment", "Balance WO"]
EASTERN, MOSCOW = timezone(timedelta(hours=-5)), timezone(timedelta(hours=3))


def listed(instance: Instance, entity: str, condition: str = "", **options: str) -> list[dict[str, Any]]:
    """The rows of a list that must succeed; option names without their dollar."""
    answer = instance.list(
        entity, {"$filter": condition} | {f"${name}": text for name, text in options.items()}
    )
    assert answer.status == 200, answer.body
    rows: list[dict[str, Any]] = json.loads(answer.body)
    return rows


def values(rows: list[dict[str, Any]], field: str) -> list[Any]:
    """A field's value in each row."""
    return [row[field]["value"] for row in rows]


def types(order: Combo, compare: Combo, condition: str = "") -> list[str]:
    """The types of payments of a site with five of them."""
    instance = Instance(
        BUILD, "x", variants=Variants(ordering=Ordering(combo_order=order, combo_compare=compare))
    )
    for label in BY_CODE:
        if label != "Payment":
            instance.insert("Payment", {"Type": label, "ReferenceNbr": "000009"})
    return values(listed(instance, "Payment", condition, select="Type"), "Type")


@pytest.mark.parametrize(
    ("order", "compare", "rows", "from_prepayment"),
    [
        ("code", "code", BY_CODE, ["Prepayment", "Voided Payment", "Balance WO"]),
        ("code", "label", BY_CODE, ["Prepayment", "Voided Payment"]),
        ("label", "label", sorted(BY_CODE), ["Prepayment", "Voided Payment"]),
        ("label", "code", sorted(BY_CODE), ["Balance WO", "Prepayment", "Voided Payment"]),
    ],
)
def test_a_combo_key_is_sorted_and_compared_as_chosen(
    order: Combo, compare: Combo, rows: list[str], from_prepayment: list[str]
) -> None:
    """Rows in one order, `ge` in another; `eq` and `ne` go by the label, in any case, under all of them."""
    assert types(order, compare) == rows
    assert types(order, compare, "Type ge 'Prepayment'") == from_prepayment
    assert types(order, compare, "Type eq 'voided payment'") == ["Voided Payment"]
    assert types(order, compare, "Type ne 'Payment'") == [label for label in rows if label != "Payment"]


@pytest.mark.parametrize(
    ("collation", "expected", "equal"),
    [
        ("sql", ["creme 2", "CREME-", "crème", "crème 3"], {"crème": "CRÈME  "}),
        ("accents", ["crème", "creme 2", "crème 3", "CREME-"], {"crème": "CRÈME"}),
        (
            "accents-ignored",
            ["crème", "creme 2", "crème 3", "CREME-"],
            {"crème": "CREME", "CREME-": "crèmé- "},
        ),
        ("binary", ["CREME-", "creme 2", "crème", "crème 3"], {"crème": "crème "}),
    ],
)
def test_a_collation_sorts_and_equals(collation: str, expected: list[str], equal: dict[str, str]) -> None:
    """Accents and case count, weigh or are ignored; trailing blanks never count and are never written."""
    instance = Instance(BUILD, "x", variants=Variants(ordering=Ordering(COLLATIONS[collation])))
    for key in ("crème  ", "CREME-", "creme 2", "crème 3"):
        instance.insert("StockItem", {"InventoryID": key})
    rows = values(listed(instance, "StockItem"), "InventoryID")
    assert [key for key in rows if key in expected] == expected
    for stored, written in equal.items():
        assert values(listed(instance, "StockItem", f"InventoryID eq '{written}'"), "InventoryID") == [stored]


@pytest.mark.parametrize(
    ("collation", "found"),
    [("sql", ["CREMEFR"]), ("accents-ignored", ["CREMEFR", "crèmefr 2"]), ("binary", [])],
)
def test_parts_of_text_match_as_the_collation_has_it(collation: str, found: list[str]) -> None:
    """`substringof` and `startswith` know the case and the accents that `eq` knows."""
    instance = Instance(BUILD, "x", variants=Variants(ordering=Ordering(COLLATIONS[collation])))
    for key in ("CREMEFR", "crèmefr 2"):
        instance.insert("StockItem", {"InventoryID": key})
    for condition in ("substringof('emefr',InventoryID)", "startswith(InventoryID,'cremef')"):
        assert values(listed(instance, "StockItem", condition), "InventoryID") == found


@settings(deadline=None)
@given(st.sampled_from(sorted(COLLATIONS)), st.integers(0, 50), st.data())
def test_order_and_comparison_agree_within_a_collation(
    collation: str, seed: int, data: st.DataObject
) -> None:
    """From any awkward key on, `ge` finds what follows it in the list, `gt` that without it, and `eq` it alone."""
    variants = Variants(ordering=Ordering(COLLATIONS[collation]))
    instance = Instance(BUILD, "x", Volume(awkward_keys=60, seed=seed), variants)
    keys = values(listed(instance, "StockItem", select="InventoryID"), "InventoryID")
    at = data.draw(st.integers(0, len(keys) - 1))
    literal = keys[at].replace("'", "''")
    for operator, rest in (
        ("ge", keys[at:]),
        ("gt", keys[at + 1 :]),
        ("lt", keys[:at]),
        ("eq", keys[at : at + 1]),
    ):
        condition = f"InventoryID {operator} '{literal}'"
        assert values(listed(instance, "StockItem", condition), "InventoryID") == rest
        # Under `or` with another field, each row is tested.
        scanned = f"{condition} or Description eq 'nothing'"
        assert values(listed(instance, "StockItem", scanned), "InventoryID") == rest


@pytest.mark.parametrize("collation", sorted(COLLATIONS))
def test_awkward_keys_are_as_many_and_as_awkward_as_asked_for(collation: str) -> None:
    """Each of four entities has so many more, all different to the database, with all that is hard in them."""
    variants = Variants(ordering=Ordering(COLLATIONS[collation]))
    plain, grown = Instance(BUILD, "x"), Instance(BUILD, "x", Volume(awkward_keys=200), variants)
    for entity in ("StockItem", "Customer", "Payment", "SalesOrder"):
        assert len(listed(grown, entity)) == len(listed(plain, entity)) + 200
    keys = values(listed(grown, "StockItem"), "InventoryID")
    fold = COLLATIONS[collation].fold
    assert len({fold(key) for key in keys}) == len(keys)
    assert all(any(char in key for key in keys) for char in "é' -%/&#")
    assert all(key == key.strip() for key in keys)
    assert len(set(values(listed(grown, "Payment"), "Type"))) == 7
    assert len(set(values(listed(grown, "SalesOrder"), "OrderType"))) > 4


@pytest.mark.parametrize(
    ("entity", "key", "other"),
    [
        ("SalesOrder", "OrderNbr ge '000001'", "LastModified ge datetimeoffset'2000-01-01'"),
        ("StockItem", "InventoryID ge 'A'", "ItemType eq 'Finished Good'"),
        ("Payment", "Type eq 'Payment'", "LastModifiedDateTime ge datetimeoffset'2000-01-01'"),
        ("Customer", "CustomerID ge 'C'", "CustomerClass eq 'LOCAL'"),
        ("Customer", "CustomerID ge 'C'", "MainContact/Address/Country ne null"),
    ],
)
def test_and_across_views_is_empty_where_chosen(entity: str, key: str, other: str) -> None:
    """A key and a field of the form's other view each find rows, and together none; within a view they do."""
    usual, strict = Instance(BUILD, "x"), Instance(BUILD, "x", variants=Variants(match_across_views=False))
    for instance in (usual, strict):
        assert listed(instance, entity, key)
        assert listed(instance, entity, other)
        assert listed(instance, entity, f"({key}) and {key}")
    assert listed(usual, entity, f"{key} and ({other})")
    assert listed(strict, entity, f"{key} and ({other})") == []


def test_stamps_print_the_users_clock_with_the_servers_offset() -> None:
    """The recorded trap: 11:05:29Z for a user at -05:00 on a server at +03:00 is 06:05:29+03:00; days stay days."""
    instance = Instance(BUILD, "x", variants=Variants(ordering=Ordering(zones=Zones(MOSCOW, EASTERN))))
    order_id = instance.id_of("SalesOrder", ["SO", "000001"])
    instance.change(
        "SalesOrder", order_id, {"LastModified": "2019-08-15T11:05:29.017Z", "Date": "2019-08-15"}
    )
    record = json.loads(instance.get("SalesOrder", [order_id], {}).body)
    assert record["LastModified"] == {"value": "2019-08-15T06:05:29.017+03:00"}
    assert record["Date"] == {"value": "2019-08-15T00:00:00+03:00"}


@settings(deadline=None)
@given(
    st.integers(-12, 14),
    st.integers(-12, 14),
    st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
)
def test_a_stamp_as_printed_finds_its_record(server: int, user: int, moment: datetime) -> None:
    """Filters mirror what is printed: with its offset or without it the text is the record's own; none other is."""
    zones = Zones(timezone(timedelta(hours=server)), timezone(timedelta(hours=user)))
    instance = Instance(BUILD, "x", variants=Variants(ordering=Ordering(zones=zones)))
    order_id = instance.id_of("SalesOrder", ["SO", "000001"])
    instance.change(
        "SalesOrder", order_id, {"LastModified": moment.isoformat(), "Date": moment.date().isoformat()}
    )
    record = json.loads(instance.get("SalesOrder", [order_id], {}).body)
    printed, day = record["LastModified"]["value"], record["Date"]["value"]
    assert day.startswith(f"{moment.date().isoformat()}T00:00:00")
    for literal in (printed, printed[:-6]):
        for operator, count in (("eq", 1), ("gt", 0), ("lt", 0)):
            condition = f"OrderNbr eq '000001' and LastModified {operator} datetimeoffset'{literal}'"
            assert len(listed(instance, "SalesOrder", condition)) == count
    assert listed(instance, "SalesOrder", f"OrderNbr eq '000001' and Date eq datetimeoffset'{day[:10]}'")


def test_a_change_of_lines_moves_the_stamp_or_not() -> None:
    """With silent detail edits only a change of the record itself is stamped."""
    for edits, moved in (("stamp", True), ("silent", False)):
        instance = Instance(BUILD, "x", variants=Variants(detail_edits=edits))  # type: ignore[arg-type]
        order_id = instance.id_of("SalesOrder", ["SO", "000001"])

        def stamp(instance: Instance = instance, order_id: str = order_id) -> str:
            return str(json.loads(instance.get("SalesOrder", [order_id], {}).body)["LastModified"]["value"])

        stamps = [stamp()]
        instance.change("SalesOrder", order_id, {"Details": [{"InventoryID": "MOUSE"}]})
        stamps.append(stamp())
        time.sleep(0.002)  # a stamp has milliseconds
        instance.change("SalesOrder", order_id, {"Details": [], "Hold": True})
        stamps.append(stamp())
        assert [one < other for one, other in pairwise(stamps)] == [moved, True]

"""Planned changes of the sandbox's data: what is made when, that it is written down, and what is refused."""

import json
from typing import Any

import pytest

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.changes import Change
from deploy.sandbox.events import EventLog
from deploy.sandbox.generate import Volume
from deploy.sandbox.instance import Instance
from deploy.sandbox.plan import Plan, step_of

QUERY = {"$filter": "OrderNbr ge '000101'", "$select": "OrderNbr"}


class Desk:
    """A site's data, its plan and its log, read as a request reads them."""

    def __init__(self, *steps: dict[str, Any]) -> None:
        self.instance = Instance(BUILDS["2022R1"], "x", Volume(orders=30))
        self.log = EventLog()
        self.plan = Plan(self.instance, self.log)
        self.plan.make([step_of(step) for step in steps])

    def page(self, skip: int = 0, top: int = 10) -> list[str]:
        """The numbers of the orders on a page."""
        self.plan.before("SalesOrder")
        answer = self.instance.list("SalesOrder", {**QUERY, "$skip": str(skip), "$top": str(top)})
        self.plan.after("SalesOrder", answer.ids)
        return [row["OrderNbr"]["value"] for row in json.loads(answer.body)]

    def done(self) -> list[Any]:
        """What the plan has done, without ids."""
        found: Any = self.plan.as_json()["done"]
        return [{name: value for name, value in one.items() if name != "id"} for one in found]


def delete(number: str, before: int) -> dict[str, Any]:
    """A deletion before a request."""
    return {"before_request": before, "op": "delete", "entity": "SalesOrder", "keys": ["SO", number]}


def test_a_change_is_made_before_the_request_that_it_names() -> None:
    """Not sooner, not later, and once; other entities' requests do not count."""
    desk = Desk(delete("000101", 2), delete("000102", 2), delete("000103", 4))
    assert desk.page()[0] == "000101"
    desk.plan.before("StockItem")
    assert [desk.page()[0] for _ in range(3)] == ["000103", "000103", "000104"]
    assert desk.done() == [
        {"request": request, "op": "delete", "entity": "SalesOrder", "keys": ["SO", number]}
        for request, number in ((2, "000101"), (2, "000102"), (4, "000103"))
    ]
    assert [event.facts["keys"] for event in desk.log.since(0)] == ["SO, 000101", "SO, 000102", "SO, 000103"]


@pytest.mark.parametrize(
    ("row", "deleted"),
    [
        ("first", ["000101", "000112", "000123"]),
        ("middle", ["000106", "000117", "000127"]),
        ("last", ["000110", "000121", "000130"]),
    ],
)
def test_one_delete_a_page_makes_offsets_lose_rows(row: str, deleted: list[str]) -> None:
    """The control: whichever row of the page is deleted, what follows moves up, and `$skip` passes one over."""
    desk = Desk({"each_page": "delete", "entity": "SalesOrder", "row": row})
    seen = [number for skip in (0, 10, 20) for number in desk.page(skip)]
    assert [f"{n:06}" for n in range(101, 131) if f"{n:06}" not in seen] == ["000111", "000122"]
    assert [(change["op"], change["keys"][1]) for change in desk.done()] == [
        ("delete", key) for key in deleted
    ]


def test_one_insert_a_page_makes_offsets_see_rows_twice() -> None:
    """A row is inserted beside one of the page, under a key of its own, and what follows moves down."""
    desk = Desk({"each_page": "insert", "entity": "SalesOrder", "values": {"CustomerID": "C000000001"}})
    seen = [number for skip in (0, 10, 20) for number in desk.page(skip)]
    assert sorted(number for number in set(seen) if seen.count(number) > 1) == ["000110", "000119"]
    assert len({tuple(change["keys"]) for change in desk.done()}) == 3
    assert all(change["keys"][1].startswith("0001") for change in desk.done())


def test_an_update_a_page_so_many_times() -> None:
    """Rows are changed and stamped as often as said; a random row is the same from the same seed."""
    step = {
        "each_page": "update",
        "entity": "SalesOrder",
        "row": "random",
        "times": 2,
        "values": {"Hold": True},
    }
    desks = [Desk({**step, "seed": seed}) for seed in (1, 1, 2)]
    for desk in desks:
        for skip in (0, 10, 20):
            desk.page(skip)
    assert desks[0].done() == desks[1].done() != desks[2].done()
    assert len(desks[0].done()) == 2
    assert desks[0].plan.as_json()["left"] == 0


def test_an_empty_page_changes_nothing() -> None:
    """There is no row that a change could be made to."""
    desk = Desk({"each_page": "delete", "entity": "SalesOrder"})
    assert desk.page(500) == []
    assert desk.done() == []


def test_a_change_that_cannot_be_made_is_written_down() -> None:
    """The request goes on, and the error is among what was done."""
    desk = Desk(delete("999999", 1))
    assert desk.page()
    [done] = desk.done()
    assert "no record with the keys SO, 999999" in done["error"]
    assert desk.log.since(0) == []


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ([], "JSON object"),
        ({}, "each_page is one of"),
        ({"each_page": "drop", "entity": "SalesOrder"}, "each_page is one of"),
        ({"each_page": "delete", "row": "third"}, "row is one of"),
        ({"each_page": "delete", "times": "2"}, "times should be of type int"),
        ({"each_page": "delete", "page": 2}, "no field 'page'"),
        ({"before_request": 0, "op": "delete"}, "before_request is a number from 1"),
        ({"before_request": 1, "op": "drop"}, "op is one of"),
        ({"before_request": 1, "op": "delete", "entity": "SalesOrder"}, "keys or its id"),
        ({"before_request": 1, "op": "insert", "entity": "SalesOrder", "id": "x"}, "keys or its id"),
    ],
)
def test_a_step_that_is_wrong_is_refused(step: object, words: str) -> None:
    """The error names what is wrong."""
    with pytest.raises(ValueError, match=words):
        step_of(step)


def test_changes_by_id_and_by_keys() -> None:
    """A record is named either way; what was done says both."""
    instance = Instance(BUILDS["2022R1"], "x")
    made = Change.from_json(
        {"op": "insert", "entity": "Payment", "values": {"Type": "Refund", "ReferenceNbr": "7"}}
    ).apply(instance)
    by_keys = {"op": "update", "entity": "Payment", "keys": ["refund", "7"], "values": {"Hold": True}}
    assert Change.from_json(by_keys).apply(instance) == {**made, "op": "update"}
    assert json.loads(instance.get("Payment", ["Refund", "7"], {}).body)["Hold"] == {"value": True}
    gone = Change.from_json({"op": "delete", "entity": "Payment", "id": made["id"]}).apply(instance)
    assert gone == {**made, "op": "delete"}
    with pytest.raises(LookupError, match="no record"):
        Change.from_json(by_keys).apply(instance)

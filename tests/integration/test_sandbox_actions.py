"""Actions of the sandbox over real sockets: every status that the vendor documents, and long operations."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox

BASE = "/entity/Default/20.200.001"
NOWHERE = "00000000-0000-0000-0000-000000000000"
ORDER = {"OrderType": {"value": "SO"}, "OrderNbr": {"value": "000004"}}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site without limits, whose operations run until they are told to end."""
    with start_sandbox("--control", "--max-sessions", "0", "--operation-seconds", "600") as running:
        yield running


@pytest.fixture(autouse=True)
def _afresh(sandbox: Sandbox) -> None:
    """Every test begins with no open session and an empty log."""
    sandbox.control("close-sessions")
    sandbox.control("operations", {"long": []}, method="PATCH")
    sandbox.control("rights", {"Case": True}, method="PATCH")
    sandbox.control("events", method="DELETE")


class Caller:
    """A client with a token, and so with a session of its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._head = {"Authorization": f"Bearer {sandbox.token()}"}

    def act(
        self, action: str, entity: object, body: bytes | None = None, **parameters: Any
    ) -> httpx.Response:
        """Post an action, `Entity/Action`, on a record."""
        content = body or json.dumps({"entity": entity, "parameters": parameters}).encode()
        url = f"{self._sandbox.url}{BASE}/{action}"
        return self._sandbox.http.post(url, content=content, headers=self._head)

    def get(self, path: str) -> httpx.Response:
        """Read below the endpoint, or a Location."""
        whole = (
            httpx.URL(self._sandbox.url).join(path)
            if path.startswith("/")
            else f"{self._sandbox.url}{BASE}/{path}"
        )
        return self._sandbox.http.get(whole, headers=self._head)

    def value(self, path: str, field: str) -> Any:
        """One field of a record."""
        return self.get(path).json()[field].get("value")

    def sign_out(self) -> None:
        """End the session; the token lives on."""
        self._sandbox.http.post(f"{self._sandbox.url}/entity/auth/logout", headers=self._head)


@pytest.fixture
def caller(sandbox: Sandbox) -> Caller:
    """One client."""
    return Caller(sandbox)


def executed(sandbox: Sandbox) -> list[str]:
    """The actions that were executed, in order."""
    return [event["action"] for event in sandbox.events() if event["kind"] == "action"]


def outcomes(sandbox: Sandbox) -> list[str]:
    """How the operations ended, in order."""
    return [event["outcome"] for event in sandbox.events() if event["kind"] == "operation_end"]


_numbers = iter(range(1, 1000))


def new_case(sandbox: Sandbox, **values: Any) -> str:
    """The id of a case that is open."""
    fields = {"CaseID": f"T{next(_numbers):05}", "Status": "Open", **values}
    return str(sandbox.control("records/Case", fields)["id"])


def reason(value: object) -> dict[str, Any]:
    """The parameter of the vendor's example."""
    return {"custom": {"FilterPreview": {"Reason": {"type": "CustomStringField", "value": value}}}}


def new_order(sandbox: Sandbox, status: str = "Open") -> dict[str, Any]:
    """The keys of an order with one line."""
    number = f"9{next(_numbers):05}"
    line = {"InventoryID": "AALEGO500", "OrderQty": 2, "UOM": "EA", "WarehouseID": "MAIN"}
    values = {"OrderType": "SO", "OrderNbr": number, "CustomerID": "C000000001", "Details": [line]}
    sandbox.control(
        "records/SalesOrder", {**values, "Status": status, "Hold": status == "On Hold", "OrderedQty": 2}
    )
    return {"OrderType": {"value": "SO"}, "OrderNbr": {"value": number}}


def path_of(order: dict[str, Any]) -> str:
    """Where an order is read."""
    return f"SalesOrder/SO/{order['OrderNbr']['value']}"


def test_close_is_done_at_once_and_seen_by_the_next_read(sandbox: Sandbox, caller: Caller) -> None:
    """204 with the record's Location; its status, reason and date have changed, and the log has it once."""
    case = new_case(sandbox)
    done = caller.act("Case/Close", {"id": case}, **reason("Abandoned"))
    assert (done.status_code, done.content) == (204, b"")
    assert done.headers["location"] == f"/MyStoreInstance{BASE}/Case/{case}"
    record = caller.get(done.headers["location"]).json()
    assert (record["Status"]["value"], record["Reason"]["value"]) == ("Closed", "Abandoned")
    assert record["ClosingDate"]["value"]
    assert executed(sandbox) == ["Close"]


def test_close_as_a_long_operation(sandbox: Sandbox, caller: Caller) -> None:
    """Told to, the same action is a 202 whose polls end in a 204."""
    sandbox.control("operations", {"long": ["Case/Close"]}, method="PATCH")
    case = new_case(sandbox)
    begun = caller.act("Case/Close", {"id": case}, **reason("Resolved"))
    assert (begun.status_code, begun.headers["content-length"]) == (202, "0")
    assert caller.get(begun.headers["location"]).status_code == 202
    assert sandbox.control("finish-operations") == {"finished": 1}
    ended = caller.get(begun.headers["location"])
    assert ended.status_code == 204
    assert ended.headers["location"] == f"/MyStoreInstance{BASE}/Case/{case}"
    assert caller.value(f"Case/{case}", "Status") == "Closed"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"7", b'{"parameters":{}}', b'{"entity":{"id":7}}', b'{"entity":[]}']
)
def test_a_body_that_says_nothing_is_400(sandbox: Sandbox, caller: Caller, body: bytes) -> None:
    """And nothing is executed."""
    assert caller.act("Case/Close", None, body).status_code == 400
    assert executed(sandbox) == []


def test_close_without_a_token_is_401(sandbox: Sandbox) -> None:
    """Whoever is not signed in executes nothing."""
    body = {"entity": {"id": new_case(sandbox)}}
    assert sandbox.http.post(f"{sandbox.url}{BASE}/Case/Close", json=body).status_code == 401
    assert executed(sandbox) == []


def test_close_without_the_right_is_403(sandbox: Sandbox, caller: Caller) -> None:
    """The refusal names the form."""
    sandbox.control("rights", {"Case": False}, method="PATCH")
    refused = caller.act("Case/Close", {"id": new_case(sandbox)})
    assert refused.status_code == 403
    assert refused.json() == {"message": "You have insufficient rights to access the Case (CR306000) form."}


@pytest.mark.parametrize("action", ["Case/Shut", "Case/close", "Payment/Close", "Nothing/Close"])
def test_an_action_that_is_not_there_is_404(sandbox: Sandbox, caller: Caller, action: str) -> None:
    """Of this entity or at all; names are exact."""
    assert caller.act(action, {"id": NOWHERE}).status_code == 404


def test_a_wrong_reason_is_422_at_its_field(sandbox: Sandbox, caller: Caller) -> None:
    """The error stands beside the value, within `entity`, and the case stays open."""
    case = new_case(sandbox)
    refused = caller.act("Case/Close", {"id": case, "Subject": {"value": 7}}, **reason("Weather"))
    assert refused.status_code == 422
    entity = refused.json()["entity"]
    assert entity["id"] == case
    assert entity["Subject"] == {"value": 7, "error": "The value '7' is not valid for 'Subject'."}
    assert entity["custom"]["FilterPreview"]["Reason"]["error"].startswith("The list value 'Weather'")
    assert caller.value(f"Case/{case}", "Status") == "Open"
    assert executed(sandbox) == []


def test_close_in_a_full_queue_is_429() -> None:
    """A request too many is declined, and executes nothing."""
    limits = ("--max-sessions", "0", "--max-concurrent", "1", "--latency", "200,0,0", "--control")
    with start_sandbox(*limits) as full, ThreadPoolExecutor(30) as pool:
        callers = [Caller(full) for _ in range(26)]
        bodies = [{"id": new_case(full)} for _ in callers]
        answers = list(
            pool.map(lambda pair: pair[0].act("Case/Close", pair[1]), zip(callers, bodies, strict=True))
        )
        declined = [answer for answer in answers if answer.status_code == 429]
        assert declined
        assert len(executed(full)) == len(answers) - len(declined)


def test_close_of_a_closed_case_is_500(sandbox: Sandbox, caller: Caller) -> None:
    """The second execution of the same action is refused: nobody can take it for done."""
    case = new_case(sandbox)
    caller.act("Case/Close", {"id": case})
    refused = caller.act("Case/Close", {"id": case})
    assert refused.status_code == 500
    assert refused.json()["exceptionMessage"] == "The Close button is disabled."
    assert executed(sandbox) == ["Close"]


def test_a_record_that_is_missing_is_as_with_a_get(sandbox: Sandbox, caller: Caller) -> None:
    """By id or by keys: 500 with the ERP's own exception."""
    for entity in ({"id": NOWHERE}, {"CaseID": {"value": "none"}}, {"Subject": {"value": "x"}}):
        refused = caller.act("Case/Close", entity)
        assert refused.status_code == 500
        assert refused.json()["exceptionMessage"] == "No entity satisfies the condition."


def test_an_answer_that_is_lost_was_executed_all_the_same(sandbox: Sandbox, caller: Caller) -> None:
    """A fault behind the work leaves the client in doubt, and the record changed."""
    case = new_case(sandbox)
    sandbox.control(
        "faults", {"kind": "reset", "when": "after", "method": "POST", "path": f"/MyStoreInstance{BASE}"}
    )
    with pytest.raises(httpx.TransportError):
        caller.act("Case/Close", {"id": case})
    assert executed(sandbox) == ["Close"]
    assert caller.value(f"Case/{case}", "Status") == "Closed"


def test_orders_go_on_hold_and_off_it(sandbox: Sandbox, caller: Caller) -> None:
    """Workflow actions that are in no endpoint, by keys, with the body's `Entity` in capitals too."""
    order = new_order(sandbox)
    assert caller.act("SalesOrder/PutOnHold", order).status_code == 204
    assert (caller.value(path_of(order), "Status"), caller.value(path_of(order), "Hold")) == ("On Hold", True)
    body = json.dumps({"Entity": order}).encode()
    assert caller.act("SalesOrder/ReleaseFromHold", None, body).status_code == 204
    assert (caller.value(path_of(order), "Status"), caller.value(path_of(order), "Hold")) == ("Open", False)
    assert caller.act("SalesOrder/ReleaseFromHold", order).status_code == 500


def test_a_shipment_is_created_by_a_long_operation(sandbox: Sandbox, caller: Caller) -> None:
    """It is there when the operation has ended, on the order and by itself; a warehouse that is not there is a 422."""
    order = new_order(sandbox)
    bad = caller.act("SalesOrder/SalesOrderCreateShipment", order, WarehouseID={"value": "MOON"})
    assert bad.json()["entity"]["WarehouseID"] == {
        "value": "MOON",
        "error": "'Warehouse' cannot be found in the system.",
    }
    day = {"value": "2026-10-01"}
    begun = caller.act(
        "SalesOrder/SalesOrderCreateShipment", order, ShipmentDate=day, WarehouseID={"value": "YOGI"}
    )
    assert begun.status_code == 202
    sandbox.control("finish-operations")
    assert caller.get(begun.headers["location"]).status_code == 204
    (row,) = caller.get(f"{path_of(order)}?$expand=Shipments").json()["Shipments"]
    shipment = caller.get(f"Shipment/{row['ShipmentNbr']['value']}?$expand=Details").json()
    assert (shipment["Status"]["value"], shipment["WarehouseID"]["value"]) == ("Open", "YOGI")
    assert [line["InventoryID"]["value"] for line in shipment["Details"]] == ["AALEGO500"]


def test_the_release_of_a_payment_names_no_record(sandbox: Sandbox, caller: Caller) -> None:
    """Its end has a Location with an id of zeros, as recorded."""
    values = {"Type": "Payment", "ReferenceNbr": "900001", "Status": "Balanced"}
    payment = sandbox.control("records/Payment", values)["id"]
    begun = caller.act("Payment/ReleasePayment", {"id": payment})
    sandbox.control("finish-operations")
    assert caller.get(begun.headers["location"]).headers["location"].endswith(f"/Payment/{NOWHERE}")
    assert caller.value(f"Payment/{payment}", "Status") == "Open"


def test_an_item_gets_another_key(sandbox: Sandbox, caller: Caller) -> None:
    """The dialog's value becomes the key; one that is taken, or none, is a 422."""
    sandbox.control("records/StockItem", {"InventoryID": "OLDNAME"})

    def change(key: object) -> httpx.Response:
        dialog = {"ChangeIDDialog": {"CD": {"type": "CustomStringField", "value": key}}}
        return caller.act("StockItem/ChangeID", {"InventoryID": {"value": "OLDNAME"}}, custom=dialog)

    assert [change("AALEGO500").status_code, change("").status_code] == [422, 422]
    assert change("NEWNAME").status_code == 204
    assert caller.get("StockItem/NEWNAME").status_code == 200
    assert caller.get("StockItem/OLDNAME").status_code == 500


def test_the_form_is_closed_to_the_session_while_an_operation_runs(sandbox: Sandbox, caller: Caller) -> None:
    """Reads and actions of that form fail in that session; other forms, other sessions and the poll do not."""
    begun = caller.act("SalesOrder/SalesOrderCreateShipment", new_order(sandbox))
    busy = caller.get("SalesOrder?$top=1")
    assert (busy.status_code, busy.json()["exceptionType"]) == (500, "PX.Data.PXException")
    assert caller.act("SalesOrder/PutOnHold", ORDER).status_code == 500
    assert caller.get("StockItem?$top=1").status_code == 200
    assert Caller(sandbox).get("SalesOrder?$top=1").status_code == 200
    assert caller.get(begun.headers["location"]).status_code == 202
    sandbox.control("finish-operations")
    assert caller.get("SalesOrder?$top=1").status_code == 200


def test_a_session_runs_one_long_operation_at_a_time(sandbox: Sandbox, caller: Caller) -> None:
    """The second one fails, on another form too, and is not executed."""
    payment = sandbox.control(
        "records/Payment", {"Type": "Payment", "ReferenceNbr": "900002", "Status": "Balanced"}
    )
    assert caller.act("SalesOrder/SalesOrderCreateShipment", new_order(sandbox)).status_code == 202
    assert caller.act("Payment/ReleasePayment", payment).status_code == 500
    assert executed(sandbox) == ["SalesOrderCreateShipment"]
    assert Caller(sandbox).act("Payment/ReleasePayment", payment).status_code == 202


def test_an_operation_is_its_session_s_own(sandbox: Sandbox, caller: Caller) -> None:
    """Another session does not know it; nor does anybody once its session has ended, and its work is not done."""
    order = new_order(sandbox)
    location = caller.act("SalesOrder/SalesOrderCreateShipment", order).headers["location"]
    assert Caller(sandbox).get(location).status_code == 404
    caller.sign_out()
    assert outcomes(sandbox) == ["aborted"]
    assert caller.get(location).status_code == 404
    assert caller.value(path_of(order), "Status") == "Open"
    assert [event["state"] for event in sandbox.events() if event["kind"] == "poll"] == ["unknown", "unknown"]


def test_an_operation_can_fail(sandbox: Sandbox, caller: Caller) -> None:
    """Its polls get the ERP's error, as often as they ask; the work is not done."""
    order = new_order(sandbox)
    location = caller.act("SalesOrder/SalesOrderCreateShipment", order).headers["location"]
    sandbox.control("fail-operation", {"status": 422, "words": "Nothing can be shipped."})
    sandbox.control("finish-operations")
    polls = [caller.get(location) for _ in range(2)]
    assert [poll.status_code for poll in polls] == [422, 422]
    assert polls[0].json()["exceptionMessage"] == "Nothing can be shipped."
    assert caller.value(path_of(order), "Status") == "Open"
    assert outcomes(sandbox) == ["failed"]


def test_polls_cost_the_license_nothing() -> None:
    """A hundred of them are neither counted, nor delayed, nor declined, though the minute is full."""
    limits = ("--max-per-minute", "4", "--max-concurrent", "1", "--control", "--operation-seconds", "600")
    with start_sandbox(*limits) as tight:
        caller = Caller(tight)
        location = caller.act("SalesOrder/SalesOrderCreateShipment", new_order(tight)).headers["location"]
        began = time.monotonic()
        assert {caller.get(location).status_code for _ in range(100)} == {202}
        assert time.monotonic() - began < 30  # the rest of the minute's quota would take longer
        assert tight.tally()["requests"] == 2


def test_an_operation_ends_by_itself(sandbox: Sandbox) -> None:
    """After the time that the option says."""
    with start_sandbox("--control", "--operation-seconds", "0.2") as quick:
        caller = Caller(quick)
        location = caller.act("SalesOrder/SalesOrderCreateShipment", new_order(quick)).headers["location"]
        while caller.get(location).status_code == 202:
            time.sleep(0.02)
        assert caller.get(location).status_code == 204
        assert outcomes(quick) == ["done"]


def test_an_action_may_say_nothing_of_where_the_record_is() -> None:
    """With --action-location none: the 204 has no Location (one report against the recordings)."""
    with start_sandbox("--control", "--action-location", "none") as silent:
        done = Caller(silent).act("Case/Close", {"id": new_case(silent)})
        assert (done.status_code, "location" in done.headers) == (204, False)

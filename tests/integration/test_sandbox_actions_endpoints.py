"""Actions and inquiries of the newest build over real sockets, through several endpoints of one site."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site of the newest build, whose operations run until they are told to end."""
    options = ("--build", "2025R1", "--max-sessions", "0", "--operation-seconds", "600", "--control")
    with start_sandbox(*options) as running:
        yield running


@pytest.fixture
def call(sandbox: Sandbox) -> Any:
    """Sends a request below /entity as one client, whose session is its own."""
    head = {"Authorization": f"Bearer {sandbox.token()}"}

    def send(method: str, path: str, body: object = None) -> httpx.Response:
        url = f"{sandbox.url}/entity/{path}"
        return sandbox.http.request(method, url, json=body, headers=head)

    return send


def test_a_form_is_busy_through_every_endpoint(sandbox: Sandbox, call: Any) -> None:
    """Reads, writes and actions of another endpoint, and of another entity of that form; not what is elsewhere."""
    item = call("GET", "Default/24.200.001/StockItem/AAMACHINE1").json()["id"]
    sandbox.control("operations", {"long": ["StockItem/UpdateStandardCostStockItem"]}, method="PATCH")
    begun = call("POST", "Default/24.200.001/StockItem/UpdateStandardCostStockItem", {"entity": {"id": item}})
    assert begun.status_code == 202
    fields = {"InventoryID": {"value": "AAMACHINE1"}}
    busy = [
        call("GET", "MyStoreExt/1.0/StockItem?$top=1"),
        call("GET", "Default/20.200.001/StockItem/AAMACHINE1"),
        call("PUT", "Default/24.200.001/StockItem", fields),
        call("POST", "MyStoreExt/1.0/StockItem/PrintLabel", {"entity": fields}),
    ]
    assert {answer.status_code for answer in busy} == {500}
    assert call("GET", "MyStoreExt/1.0/MyStoreWidget?$top=1").status_code == 200
    sandbox.control("finish-operations")
    assert call("GET", "MyStoreExt/1.0/StockItem?$top=1").status_code == 200


def test_a_form_that_one_endpoint_alone_has_is_busy_too(sandbox: Sandbox, call: Any) -> None:
    """The tenant's own form, and nothing of the vendor's."""
    widget = {"id": call("GET", "MyStoreExt/1.0/MyStoreWidget?$top=1").json()[0]["id"]}
    sandbox.control("operations", {"long": ["MyStoreWidget/RetireWidget"]}, method="PATCH")
    assert call("POST", "MyStoreExt/1.0/MyStoreWidget/RetireWidget", {"entity": widget}).status_code == 202
    assert call("GET", "MyStoreExt/1.0/MyStoreWidget?$top=1").status_code == 500
    assert call("GET", "Default/24.200.001/StockItem?$top=1").status_code == 200
    sandbox.control("finish-operations")


def test_an_endpoint_has_its_own_actions(call: Any) -> None:
    """A typed one is nowhere else; its parameter reaches the record."""
    widget = call("GET", "MyStoreExt/1.0/MyStoreWidget?$top=1").json()[0]
    body = {"entity": {"id": widget["id"]}, "parameters": {"Colour": {"value": "green"}}}
    assert call("POST", "MyStoreExt/1.0/MyStoreWidget/PaintWidget", body).status_code == 204
    painted = call("GET", f"MyStoreExt/1.0/MyStoreWidget/{widget['id']}").json()
    assert painted["Colour"] == {"value": "green"}
    assert call("POST", "Default/24.200.001/StockItem/PrintLabel", body).status_code == 404
    wrong = {"entity": {"id": widget["id"]}, "parameters": {"Colour": {"value": ""}}}
    refused = call("POST", "MyStoreExt/1.0/MyStoreWidget/PaintWidget", wrong)
    assert refused.json()["entity"]["Colour"]["error"] == "'Colour' cannot be empty."


def test_inquiries_are_put(call: Any) -> None:
    """The vendor's and the tenant's own; rows only where they are asked for."""
    asked = {"InventoryID": {"value": "AALEGO500"}, "WarehouseID": {"value": "MAIN"}}
    summary = call("PUT", "Default/24.200.001/InventorySummaryInquiry?$expand=Results", asked)
    assert summary.status_code == 200
    assert [row["QtyOnHand"]["value"] for row in summary.json()["Results"]] == [1999]
    assert "Results" not in call("PUT", "Default/24.200.001/InventorySummaryInquiry", {}).json()
    detail = "ItemAvailabilityDataInquiryDetails"
    own = call("PUT", f"MyStoreExt/1.0/ItemAvailabilityDataInquiry?$expand={detail}", {}).json()
    assert len(own[detail]) > 10
    assert call("PUT", "MyStoreExt/1.0/InventorySummaryInquiry", {}).status_code == 404


def test_a_processing_form_is_put_and_then_processed(sandbox: Sandbox, call: Any) -> None:
    """With the id that the PUT was answered with: a long operation."""
    form = call("PUT", "Default/24.200.001/EmailProcessing", {}).json()
    begun = call(
        "POST", "Default/24.200.001/EmailProcessing/ProcessAllEmailProcessing", {"Entity": {"id": form["id"]}}
    )
    assert begun.status_code == 202
    assert sandbox.control("finish-operations") == {"finished": 1}


def test_a_cookie_session_that_ends_takes_its_operation_along(sandbox: Sandbox) -> None:
    """As a bearer's does: by sign-out, or by a restart of the site."""
    name = {"name": sandbox.username, "password": sandbox.password}
    for end in ("logout", "restart"):
        with httpx.Client(verify=sandbox.context()) as client:
            client.post(f"{sandbox.url}/entity/auth/login", json=name)
            sandbox.control("records/Case", {"CaseID": end, "Status": "Closed"})
            body = {"entity": {"CaseID": {"value": end}}}
            begun = client.post(f"{sandbox.url}/entity/Default/24.200.001/Case/ReleaseCase", json=body)
            assert begun.status_code == 202
            if end == "logout":
                client.post(f"{sandbox.url}/entity/auth/logout")
            else:
                sandbox.control("close-sessions")
            assert client.get(httpx.URL(sandbox.url).join(begun.headers["location"])).status_code == 401
        assert sandbox.control("operations", method="GET")[-1]["state"] == "aborted"

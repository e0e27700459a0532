"""A client of somebody else's meets the sandbox: easy-acumatica starts, lists, reads, writes and runs inquiries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from easy_acumatica import AcumaticaClient
from easy_acumatica.odata import F, QueryOptions

from tests.sandbox_process import Sandbox, start_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site at the root of its host: the client cannot put a file to one that is below it."""
    with start_sandbox("--build", "2025R1", "--site", "", "--max-sessions", "0") as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client, made of nothing but what the endpoint says of itself."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", sandbox.ca_file)
    made = AcumaticaClient(
        base_url=sandbox.url,
        username=sandbox.username,
        password=sandbox.password,
        tenant=sandbox.tenant,
        cache_dir=tmp_path,
    )
    yield made
    made.close()


def test_it_starts_with_every_entity(client: Any) -> None:
    """It takes the newest version of the endpoint, and has a service for each of its 119 entities."""
    assert client.endpoints["Default"]["version"] == "24.200.001"
    assert len([name for name in client.list_services() if name != "Inquiries"]) == 119
    assert "invoke_action_sales_order_create_shipment" in dir(client.sales_order)


def test_it_lists_and_reads(client: Any) -> None:
    """By its own filter, and by keys."""
    found = client.customer.get_list(
        QueryOptions(filter=F.CustomerID == "C000000003", select=["CustomerName"])
    )
    assert [row["CustomerName"] for row in found] == [{"value": "Jevy Computers"}]
    assert client.sales_order.get_by_keys(OrderType="SO", OrderNbr="000001")["OrderTotal"] == {
        "value": 2200.0
    }


def test_it_writes_and_deletes(client: Any) -> None:
    """A record of its own model, a file at it, and the record's end."""
    order = client.sales_order.put_entity(client.models.SalesOrder(CustomerID="C000000003"))
    client.sales_order.put_file(order["id"], "a.txt", b"hello", comment="first")
    [file] = client.sales_order.get_files(order["id"])
    assert file["comment"] == "first"
    assert client.sales_order.delete_by_id(order["id"]) is None
    assert not client.sales_order.get_list(QueryOptions(filter=F.OrderNbr == order["OrderNbr"]["value"]))


def test_it_runs_an_inquiry(client: Any) -> None:
    """A PUT of parameters, answered with rows."""
    options = QueryOptions(expand=["Results"])
    found = client.inventory_summary_inquiry.put_entity({"InventoryID": {"value": "MOUSE"}}, options=options)
    assert {row["WarehouseID"]["value"] for row in found["Results"]} == {"MAIN"}

"""endpoints, entities, describe and new-handler as processes, on a real store and the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.command_line import CommandLine, shell_for
from tests.erp_floor import connection_to
from tests.sandbox_process import Sandbox, start_sandbox


@pytest.fixture
def site() -> Iterator[Sandbox]:
    """A site of the newest build, with a trial's license."""
    with start_sandbox("--control", "--build", "2025R1") as running:
        yield running


@pytest.fixture
def shell(site: Sandbox, store_url: str, tmp_path: Path) -> CommandLine:
    """A command line whose connection is the site."""
    key = Fernet.generate_key().decode()
    connection = connection_to(site, version="24.200.001")
    return shell_for(
        tmp_path,
        connection,
        ACUWORKER_STORE_URL=store_url,
        ACUWORKER_STORE_KEYS=key,
        ACUWORKER_CONNECTIONS_FILE=str(tmp_path / "connections.toml"),
    )


def test_what_the_erp_has_can_be_looked_up(shell: CommandLine, site: Sandbox) -> None:
    """The endpoints with the tenant's own, the entities, and one of them, cost a request each at most; no session is
    left open, and the schema is read once."""
    endpoints = shell.run("endpoints")
    assert endpoints.status == 0, endpoints.err
    assert "MyStoreExt" in endpoints.out
    (mine,) = (line for line in endpoints.out.splitlines() if "this connection's" in line)
    assert "24.200.001" in mine
    entities = shell.run("entities", "--like", "ship")
    assert "ShipmentNbr" in entities.out
    assert "of 119 entities of Default/24.200.001" in entities.err
    described = json.loads(shell.run("describe", "Vendor", "--json").out)
    assert (described["keys"], described["stamp"]) == (["VendorID"], "LastModifiedDateTime")
    assert described["custom"]["Vendor.UsrScore"] == "Decimal"
    shown = shell.run("describe", "Vendor")
    assert "keys: VendorID" in shown.out
    asked = [event["path"].rpartition("/entity")[2] for event in site.events() if event["kind"] == "arrival"]
    read = [path for path in asked if "auth" not in path and "identity" not in path]
    assert read == [
        "",
        "/Default/24.200.001/swagger.json",
        "/Default/24.200.001/Vendor/$adHocSchema",
    ]
    assert site.tally()["open_sessions"] == 0


def test_a_wrong_name_ends_in_one_line(shell: CommandLine) -> None:
    """An entity, a connection or a folder that will not do is named with the way out, and status 1."""
    for arguments, advice in (
        (("describe", "Vendro"), "did you mean Vendor"),
        (("entities", "--connection", "other"), "there is no connection 'other'; there is default"),
        (("new-handler", "SalesOrder"), "plugins.sales_order.SalesOrder"),
        (("new-handler", "Shipment", "--to", "."), "is there already"),
    ):
        done = shell.run(*arguments)
        assert (done.status, done.out) == (1, ""), arguments
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert advice in done.err


def test_a_handler_is_written(shell: CommandLine) -> None:
    """new-handler prints the files that it wrote, and how to install them."""
    done = shell.run("new-handler", "Shipment")
    assert done.status == 0, done.err
    assert done.out.split() == [
        "shipment-handler/pyproject.toml",
        "shipment-handler/shipment_handler/__init__.py",
        "shipment-handler/tests/test_shipment_handler.py",
    ]
    assert "pip install -e shipment-handler" in done.err
    assert all((shell.directory / path).is_file() for path in done.out.split())


def test_an_erp_that_does_not_tell_is_named(shell: CommandLine, site: Sandbox) -> None:
    """Without a right to the schema nothing is made up."""
    path = "/MyStoreInstance/entity/Default/24.200.001/swagger.json"
    site.control(
        "faults", {"kind": "status", "status": 403, "body": '{"message": "no"}', "path": path, "times": 9}
    )
    done = shell.run("describe", "Vendor")
    assert done.status == 1
    assert "the ERP does not tell what the endpoint has: RightsMissing" in done.err

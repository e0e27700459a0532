"""What is told of an endpoint and its entities, and the package that is written for one."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from deploy.sandbox.builds import BUILDS
from deploy.sandbox.describing import ad_hoc_schema, swagger
from deploy.sandbox.instance import Instance
from worker import scaffold
from worker.erp.endpoints import EndpointVersion
from worker.erp.schema import Schema, read, read_custom
from worker.errors import JobInvalid, Misconfigured
from worker.explore import Description, description, endpoint_table, entity_table, named_like, tree
from worker.handler import Endpoint
from worker.visit import patience

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = Instance(BUILDS["2025R1"], "Site")
MAIN = INSTANCE.contracts[0]
ENDPOINT = Endpoint(MAIN.name, MAIN.version, read(swagger(INSTANCE, MAIN, "https://erp.example").body))


def about(entity: str, endpoint: Endpoint = ENDPOINT) -> Description:
    """All about an entity of the newest build."""
    return description(entity, endpoint, read_custom(ad_hoc_schema(INSTANCE, MAIN, entity).body))


def printed(*things: object) -> str:
    """What a terminal of 120 columns shows."""
    screen = StringIO()
    Console(width=120, file=screen).print(*things)
    return screen.getvalue()


def test_an_entity_is_described() -> None:
    """Keys, combos, stamp, handler, nested fields, actions with parameters and custom fields are all there."""
    bill = about("Bill")
    assert (bill.keys, bill.combos, bill.stamp) == (
        ("Type", "ReferenceNbr"),
        ("Type",),
        "LastModifiedDateTime",
    )
    assert (bill.handler, bill.inquiry) == ("fallback", False)
    assert bill.fields["Amount"] == "Decimal"
    assert bill.fields["Details"]["type"] == "BillDetail[]"
    assert bill.fields["Details"]["fields"]["Amount"] == "Decimal"
    assert "ReleaseBill" in bill.actions
    assert (bill.custom or {})["Document.UsrScore"] == "Decimal"
    assert bill.details == tuple(
        name for name, field in MAIN.entities["Bill"].fields.items() if field.kind == "Detail"
    )


def test_a_handler_of_its_own_and_an_inquiry_are_told() -> None:
    """Who serves an entity is named, and of an inquiry how it is asked."""
    assert about("SalesOrder").handler == "plugins.sales_order.SalesOrder"
    inquiry = about("SalesPricesInquiry")
    assert (inquiry.inquiry, inquiry.keys) == (True, ())
    assert '"kind": "inquiry"' in printed(tree(inquiry))


def test_the_picture_shows_what_lies_within_what() -> None:
    """A tree has the nested fields under their detail, marks the keys, and has every custom field and action."""
    shown = printed(tree(about("SalesOrder")))
    assert "├── keys: OrderType, OrderNbr" in shown
    assert "OrderNbr  String  key" in shown
    lines = shown.splitlines()
    details = next(number for number, line in enumerate(lines) if "Details  SalesOrderDetail[]" in line)
    assert lines[details + 1].index("──") > lines[details].index("──")
    assert "Document.UsrScore  Decimal" in shown
    assert "CancelSalesOrder(" in shown


def test_a_type_within_itself_is_shown_once() -> None:
    """A picture ends, whatever the endpoint nests."""
    schema = Schema(types={"A": {"X": "Int", "Within": "A", "Rows": "A[]"}}, top={"A": {}})
    told = description("A", Endpoint("Own", "1", schema), None)
    assert told.fields["Rows"] == {"type": "A[]", "fields": {}}
    assert "the ERP does not tell" in printed(tree(told))


def test_entities_are_listed_with_their_keys() -> None:
    """A line for each has its keys, its id where none are known, or that it is an inquiry."""
    shown = printed(
        entity_table(ENDPOINT.schema or Schema({}, {}), ENDPOINT, ["Bill", "Task", "SalesPricesInquiry"])
    )
    assert "Type, ReferenceNbr" in shown
    assert re.search(r"^Task +id ", shown, re.MULTILINE)
    assert re.search(r"^SalesPricesInquiry +inquiry ", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("like", "found"),
    [
        (None, ["Bill", "Customer", "CustomerClass"]),
        ("cust", ["Customer", "CustomerClass"]),
        ("custmer", ["Customer", "CustomerClass"]),
        ("xyzzy", []),
    ],
)
def test_names_are_found_by_a_part_or_nearly(like: str | None, found: list[str]) -> None:
    """A part of a name in any case finds it; where none has the part, those that are almost so."""
    assert named_like(["CustomerClass", "Bill", "Customer"], like) == found


def test_the_connections_endpoint_is_marked() -> None:
    """Of the endpoints in all versions the one that jobs go to is told."""
    found = [EndpointVersion(name="Default", version=version) for version in ("20.200.001", "24.200.001")]
    shown = printed(endpoint_table(found, "Default", "24.200.001")).splitlines()
    assert [line for line in shown if "this connection's" in line] == [
        line for line in shown if "24.200" in line
    ]


class Screen(StringIO):
    """What is written, and whether anything was."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = threading.Event()

    def write(self, text: str) -> int:
        """Note that there is something to see."""
        self.shown.set()
        return super().write(text)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_who_waits_hears_why(is_terminal: bool) -> None:
    """After a while a terminal shows what is being done, and nothing of it afterwards; a pipe never does."""
    screen = Screen()
    with patience("asking", Console(file=screen, force_terminal=is_terminal), quiet_seconds=0):
        assert screen.shown.wait(10 if is_terminal else 0.2) == is_terminal
    assert bool(screen.getvalue()) == is_terminal


@pytest.mark.parametrize("entity", ["Shipment", "Invoice", "Task", "SalesPriceWorksheet"])
def test_a_written_package_passes_its_own_test(entity: str, tmp_path: Path) -> None:
    """The handler, its entry point and its test work as they stand, for entities with keys, combos, and none."""
    folder = tmp_path / "mine"
    texts = scaffold.files(about(entity))
    scaffold.write(texts, folder)
    assert sorted(texts) == sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", folder],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    handler = (folder / scaffold.package_of(entity) / "__init__.py").read_text(encoding="utf-8")
    assert f"keys = {about(entity).keys!r}".replace("'", '"') in handler


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A folder that is there is left as it is, and one that cannot be made is named."""
    texts = scaffold.files(about("Shipment"))
    with pytest.raises(Misconfigured, match="is there already"):
        scaffold.write(texts, tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be written"):
        scaffold.write(texts, tmp_path / "file" / "below")


def test_what_needs_no_handler_gets_none() -> None:
    """An inquiry takes none, and an entity that has one takes no second."""
    with pytest.raises(JobInvalid, match="needs no handler"):
        scaffold.files(about("SalesPricesInquiry"))
    with pytest.raises(Misconfigured, match=r"plugins\.sales_order\.SalesOrder"):
        scaffold.files(about("SalesOrder"))


@pytest.mark.parametrize(
    ("entity", "package"),
    [
        ("Shipment", "shipment_handler"),
        ("FOBPoint", "fob_point_handler"),
        ("StockItem", "stock_item_handler"),
    ],
)
def test_a_package_is_named_like_its_entity(entity: str, package: str) -> None:
    """In words of lower case."""
    assert scaffold.package_of(entity) == package

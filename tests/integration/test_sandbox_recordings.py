"""The course's nineteen recorded exchanges, replayed over HTTPS against the sandbox of the same build.

The expected bodies are made here, from facts about the demo records and the rules of the wire, by code of the test's
own; the recorded `Content-Length` of each tells that they are right to the byte. Variations of the recorded requests
follow, because canned bodies would pass the recorded ones.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.recordings import RANDOM_ID, RECORDINGS, Recording
from tests.sandbox_process import Sandbox, start_sandbox

SITE = "/MyStoreInstance"
JSON = "application/json; charset=utf-8"
HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}
TAIL = "-e511-80c0-00155d012302"

# Number, id, customer's order, day of October, shipment, invoice; then its lines: id, item, quantity, price.
ORDERS = """
000001 c01087ca-7281 SO180-009-01 28 000001 -         | a7d978fb-7281 AAMACHINE1 1 2200
000004 35268d8b-7381 SO185-009-26 28 -      -         | efdbe4a2-7381 AALEGO500 10 25 | f1dbe4a2-7381 CONGRILL 1 170
000005 fabe46be-7381 SO245-567-45 29 000002 INV000045 | c6c800ca-7381 AALEGO500 1 25
000006 330470e7-7381 SO123-455-67 29 -      -         | aff82efe-7381 AAMACHINE1 1 2200
000007 1a37a70e-7481 SO256-783-14 21 000003 -         | 34d94420-7481 CONTABLE1 2 85
000008 c68dfa2f-7481 SO145-689-90 19 000004 INV000046 | cca6ab40-7481 CONGRILL 3 170 | f54a444a-7481 AALEGO500 1 25
000009 e91dcf53-7481 SO459-123-45 29 000005 INV000046 | 3229256a-7481 AALEGO500 2 25
000010 fa29da74-7481 SO111-222-33 14 000006 INV000047 | 3773e487-7481 CONTABLE1 1 85 \
| ba2ed28f-7481 AALEGO500 1 25 | bc2ed28f-7481 AAMACHINE1 1 2200 | 3689749a-7481 CONGRILL 1 170
000011 33f41ca8-7481 SO098-876-65 29 000007 INV000047 | 48f7f6b9-7481 CONGRILL 1 170
"""

ORDER_FIELDS = (
    "CustomerID",
    "CustomerOrder",
    "Date",
    "Details",
    "OrderedQty",
    "OrderNbr",
    "OrderTotal",
    "OrderType",
)
COURSE = "CustomerID eq 'C000000003'"
ORDER_SELECT = (
    "OrderNbr,OrderType,CustomerID,CustomerOrder,Details/InventoryID,Details/OrderQty,Details/UnitPrice,Date,"
    "OrderedQty,OrderTotal,Shipments/InvoiceNbr,Shipments/ShipmentNbr"
)
PAGE_SELECT = "OrderNbr,OrderType,CustomerID,OrderTotal"
HISTORY_SELECT = "ApplicationHistory/DisplayDocType,ApplicationHistory/DisplayRefNbr"
PAYMENT_SELECT = f"ReferenceNbr,Type,Status,ApplicationDate,{HISTORY_SELECT}"
PAYMENTS = "Type eq 'Payment' and CustomerID eq 'C000000003'"


@dataclass(frozen=True)
class Server:
    """A running sandbox, the recording that it should repeat, and a token for it."""

    sandbox: Sandbox
    recording: Recording
    token: str

    def get(self, path: str, **options: str) -> httpx.Response:
        """GET below the endpoint; option names without their dollar."""
        query = "&".join(f"${name}={value}" for name, value in options.items())
        root = f"{self.sandbox.url}/entity/Default/{self.recording.version}"
        return self.fetch(f"{root}/{path}" + (f"?{query}" if query else ""))

    def fetch(self, url: str) -> httpx.Response:
        """GET with the recorded headers."""
        return self.sandbox.http.get(url, headers=HEADERS | {"Authorization": f"Bearer {self.token}"})

    @property
    def base(self) -> str:
        """The endpoint's path, as links spell it."""
        return f"{SITE}/entity/Default/{self.recording.version}"


@pytest.fixture(scope="module", params=RECORDINGS, ids=lambda recording: recording.build)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A sandbox with the recorded credentials, signed in and out and used again, as the recordings went."""
    recording: Recording = request.param
    credentials = ("--username", "admin", "--password", "123", "--client-guid", recording.client_guid)
    with start_sandbox(
        "--build", recording.build, *credentials, "--client-secret", recording.client_secret
    ) as sandbox:
        token = _token(sandbox, recording)
        answer = sandbox.http.post(
            f"{sandbox.url}/entity/auth/logout", headers=HEADERS | {"Authorization": f"Bearer {token}"}
        )
        assert (answer.status_code, answer.content) == (204, b"")
        yield Server(sandbox, recording, token)


def _token(sandbox: Sandbox, recording: Recording) -> str:
    """The recorded token request, and what is known of its answer."""
    form = {
        "grant_type": "password",
        "username": "admin",
        "password": "123",
        "scope": "api",
        "client_id": f"{recording.client_guid}@MyStore",
        "client_secret": recording.client_secret,
    }
    answer = sandbox.http.post(f"{sandbox.url}/identity/connect/token", data=form)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json; charset=UTF-8")
    body = answer.json()
    assert list(body) == ["access_token", "expires_in", "token_type", "scope"]
    assert body | {"access_token": ""} == {
        "access_token": "",
        "expires_in": 3600,
        "token_type": "Bearer",
        "scope": "api",
    }
    token: str = body["access_token"]
    assert re.fullmatch(r"[\w-]{43}", token)
    return token


def written(value: object) -> str:
    """JSON by the rules of the wire: no blanks, decimals with their scale, an `id` of a noteless row 36 long."""
    match value:
        case dict():
            return (
                "{" + ",".join(f"{written(name)}:{written(member)}" for name, member in value.items()) + "}"
            )
        case list():
            return "[" + ",".join(written(member) for member in value) + "]"
        case Decimal():
            return str(value)
        case _:
            return json.dumps("0" * 36 if value == RANDOM_ID else value, ensure_ascii=False)


def anonymous(value: Any) -> Any:
    """A body with the ids of rows without a note made equal."""
    if isinstance(value, list):
        return [anonymous(member) for member in value]
    if not isinstance(value, dict):
        return value
    members = {name: anonymous(member) for name, member in value.items()}
    return members | {"id": RANDOM_ID} if "rowNumber" in value and value["note"] is None else members


def check(answer: httpx.Response, expected: Any, length: int | None = None) -> None:
    """The answer is this JSON, member for member in this order, and exactly as long; `length` is the recorded one."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON), answer.text
    body = anonymous(json.loads(answer.content, parse_float=Decimal))
    assert written(body) == written(expected)
    assert len(written(expected).encode()) == len(answer.content) == int(answer.headers["content-length"])
    assert length in (None, len(answer.content))


def record(
    server: Server, row_id: str, number: int, fields: dict[str, Any], path: str, view: str
) -> dict[str, Any]:
    """An object with what every object has; `path` is that of `self`, empty for a row; no `view`, no note."""
    result: dict[str, Any] = {"id": row_id, "rowNumber": number, "note": {"value": ""} if view else None}
    result |= fields | {"custom": {}}
    if server.recording.links and view:
        links = {"self": f"{server.base}/{path}/{row_id}"} if path else {}
        result["_links"] = links | {"files:put": f"{server.base}/files/{view}/{row_id}/{{filename}}"}
    return result


def orders(server: Server, fields: Sequence[str], skip: int = 0, top: int = 9) -> list[dict[str, Any]]:
    """The course's orders as the page should show them, with the members named, in contract order."""
    lines = [line for line in ORDERS.splitlines() if line][skip : skip + top]
    return [_order(server, line, number, fields) for number, line in enumerate(lines, 1)]


def _order(server: Server, line: str, number: int, fields: Sequence[str]) -> dict[str, Any]:
    head, *details = (part.split() for part in line.split("|"))
    order_number, row_id, customer_order, day, shipment, invoice = head
    graph = "PX.Objects.SO.SOOrderEntry"
    priced = [(detail[0], detail[1], int(detail[2]), int(detail[3])) for detail in details]
    every = {
        "CustomerID": {"value": "C000000003"},
        "CustomerOrder": {"value": customer_order},
        "Date": {"value": f"{server.recording.order_year}-10-{day}T00:00:00+03:00"},
        "Details": [
            record(server, f"{line_id}{TAIL}", at, _line(item, quantity, price), "", f"{graph}/Transactions")
            for at, (line_id, item, quantity, price) in enumerate(priced, 1)
        ],
        "OrderedQty": {"value": Decimal(f"{sum(line[2] for line in priced)}.000000")},
        "OrderNbr": {"value": order_number},
        "OrderTotal": {"value": Decimal(f"{sum(line[2] * line[3] for line in priced)}.0000")},
        "OrderType": {"value": "SO"},
        "Shipments": [
            record(
                server, RANDOM_ID, 1, {"InvoiceNbr": _field(invoice), "ShipmentNbr": _field(shipment)}, "", ""
            )
            for _ in range(shipment != "-")
        ],
    }
    chosen = {name: value for name, value in every.items() if name in fields}
    return record(server, f"{row_id}{TAIL}", number, chosen, "SalesOrder", f"{graph}/Document")


def _line(item: str, quantity: int, price: int) -> dict[str, Any]:
    return {
        "InventoryID": {"value": item},
        "OrderQty": {"value": Decimal(f"{quantity}.000000")},
        "UnitPrice": {"value": Decimal(f"{price}.000000")},
    }


def _field(text: str) -> dict[str, str]:
    return {} if text == "-" else {"value": text}


def payment(server: Server, fields: dict[str, Any]) -> dict[str, Any]:
    """The course's payment with these members."""
    view = "PX.Objects.AR.ARPaymentEntry/Document"
    return record(server, "f141db06-68fc-e811-b817-00155d408001", 1, fields, "Payment", view)


def payment_fields(server: Server) -> dict[str, Any]:
    """The members of the payment by key."""
    named = {"DisplayDocType": {"value": "Invoice"}, "DisplayRefNbr": {"value": "INV000045"}}
    row_id = server.recording.history_id
    row = record(
        server, row_id, 1, named, "", "" if row_id == RANDOM_ID else "PX.Objects.AR.ARPaymentEntry/x"
    )
    return {
        "ApplicationDate": {"value": server.recording.applied},
        "ApplicationHistory": [row],
        "ReferenceNbr": {"value": "000001"},
        "Status": {"value": "Closed"},
        "Type": {"value": "Payment"},
    }


def stock_item(server: Server) -> dict[str, Any]:
    """The course's stock item with its file."""
    file_id = "9be45eb7-f97d-400b-96a5-1c4cf82faa96"
    name = "Stock Items (AAMACHINE1)\\T2MCRO.jpg"
    view = "PX.Objects.IN.InventoryItemMaint/Item"
    item = {"InventoryID": {"value": "AAMACHINE1"}}
    files = [{"id": file_id, "filename": name, "href": f"{server.base}/files/{file_id}"}]
    return record(server, "2acd2eed-1614-e511-9b82-c86000dddf0b", 1, item, "StockItem", view) | {
        "files": files
    }


def test_the_list_of_orders_with_details_and_shipments(server: Server) -> None:
    """Lesson 2.1: the recorded body to the byte, but for the ids of shipment rows."""
    answer = server.get("SalesOrder", select=ORDER_SELECT, filter=COURSE, expand="Details,Shipments")
    check(answer, orders(server, (*ORDER_FIELDS, "Shipments")), server.recording.lengths["orders"])


def test_the_pages_of_orders(server: Server) -> None:
    """Lesson 2.2: five orders, then the other four, numbered from 1 again."""
    fields = PAGE_SELECT.split(",")
    first = server.get("SalesOrder", select=PAGE_SELECT, filter=COURSE, top="5")
    check(first, orders(server, fields, 0, 5), server.recording.lengths["first"])
    following = server.get("SalesOrder", select=PAGE_SELECT, filter=COURSE, top="5", skip="5")
    check(following, orders(server, fields, 5, 5), server.recording.lengths["next"])


def test_the_list_of_payments_that_fails(server: Server) -> None:
    """Lesson 2.3: the optimizer's exception, with the view's name of the build."""
    answer = server.get("Payment", select=PAYMENT_SELECT, filter=PAYMENTS, expand="ApplicationHistory")
    assert (answer.status_code, answer.headers["content-type"]) == (500, JSON)
    body = answer.json()
    trace = body.pop("stackTrace")
    cause = f"View {server.recording.history_view} has BQL delegate"
    assert list(body.items()) == [
        ("message", "An error has occurred."),
        (
            "exceptionMessage",
            "Optimization cannot be performed.The following fields cause the error:\r\n"
            f"ApplicationHistory.DisplayDocType: {cause}\r\nApplicationHistory.DisplayRefNbr: {cause}\r\n",
        ),
        ("exceptionType", "PX.Api.ContractBased.OptimizedExport.CannotOptimizeException"),
    ]
    frame = (
        "   at PX.Api.ContractBased.OptimizedExport.NotWorkingOptimizedExportProvider.get_CanOptimize()\r\n"
    )
    assert trace.startswith(frame)


def test_the_keys_of_payments(server: Server) -> None:
    """Lesson 2.3: the filter's CustomerID is in the body though only the keys were selected."""
    answer = server.get("Payment", select="ReferenceNbr,Type", filter=PAYMENTS)
    fields = {"CustomerID": "C000000003", "ReferenceNbr": "000001", "Type": "Payment"}
    expected = payment(server, {name: {"value": value} for name, value in fields.items()})
    check(answer, [expected], server.recording.lengths["keys"])


def test_the_payment_by_its_keys(server: Server) -> None:
    """Lesson 2.3: one record, with the history that the list could not give."""
    answer = server.get("Payment/Payment/000001", select=PAYMENT_SELECT, expand="ApplicationHistory")
    check(answer, payment(server, payment_fields(server)), server.recording.lengths["payment"])


def test_the_stock_item_and_its_file(server: Server) -> None:
    """Lesson 3.1: the item names its file; the file comes chunked, as bytes of no particular kind."""
    answer = server.get("StockItem/AAMACHINE1", select="InventoryID,files", expand="files")
    check(answer, stock_item(server), server.recording.lengths["item"])
    file = server.fetch(str(httpx.URL(server.sandbox.url).join(answer.json()["files"][0]["href"])))
    assert (file.status_code, file.headers["content-type"]) == (200, "application/octet-stream")
    assert file.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in file.headers
    assert (file.content[:2], file.content[-2:]) == (b"\xff\xd8", b"\xff\xd9")


@pytest.mark.parametrize("top", range(1, 10))
def test_pages_of_any_size(server: Server, top: int) -> None:
    """Every `$top` from 1 to 9, at the beginning and further on, with `$select` written in another order."""
    fields = PAGE_SELECT.split(",")
    turned = ",".join(fields[top % 4 :] + fields[: top % 4])
    for skip in (0, 9 - top, 3):
        answer = server.get("SalesOrder", select=turned, filter=COURSE, top=str(top), skip=str(skip))
        check(answer, orders(server, fields, skip, top))


@pytest.mark.parametrize(
    ("expand", "left_out"),
    [("Details", {"Shipments"}), ("Shipments", {"Details"}), ("", {"Details", "Shipments"})],
)
def test_an_expansion_left_out(server: Server, expand: str, left_out: set[str]) -> None:
    """Selected members of an entity that is not expanded are not in the body."""
    reverse = ",".join(reversed(ORDER_SELECT.split(",")))
    answer = server.get("SalesOrder", select=reverse, filter=COURSE, expand=expand)
    check(answer, orders(server, [name for name in (*ORDER_FIELDS, "Shipments") if name not in left_out]))


def test_the_payment_and_the_item_without_their_expansions(server: Server) -> None:
    """The history and the files are gone, the rest stays."""
    fields = payment_fields(server)
    del fields["ApplicationHistory"]
    check(server.get("Payment/Payment/000001", select=PAYMENT_SELECT), payment(server, fields))
    item = stock_item(server)
    del item["files"]
    check(server.get("StockItem/AAMACHINE1", select="InventoryID,files"), item)


@pytest.mark.parametrize(
    ("entity", "keys", "expand"),
    [
        ("Customer", ("CustomerID",), "MainContact,MainContact/Address"),
        ("Payment", ("Type", "ReferenceNbr"), "DocumentsToApply,files"),
        ("SalesInvoice", ("Type", "ReferenceNbr"), "Details"),
        ("SalesOrder", ("OrderType", "OrderNbr"), "Details,Shipments,Details/files"),
        ("Shipment", ("ShipmentNbr",), "Details,Orders"),
        ("StockItem", ("InventoryID",), "WarehouseDetails,files"),
    ],
)
def test_every_record_is_the_same_in_lists_by_key_and_by_id(
    server: Server, entity: str, keys: Sequence[str], expand: str
) -> None:
    """Three ways to one record give one body, as long as the rules of the wire make it."""
    whole = server.get(entity, expand=expand)
    rows = anonymous(json.loads(whole.content, parse_float=Decimal))
    check(whole, rows)
    for row in rows:
        alone = row | {"rowNumber": 1}
        check(server.get(f"{entity}/{row['id']}", expand=expand), alone)
        values = [row[key]["value"] for key in keys]
        if not any(refused in "".join(values) for refused in "/#%"):
            check(server.get(f"{entity}/{'/'.join(values)}", expand=expand), alone)

"""The sandbox's moving data over TLS: planned changes, stamps by the server's clock, files that are cut or huge."""

import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from deploy.sandbox.attachments import BIG_FILE_ID
from tests.sandbox_process import Sandbox, start_sandbox

BASE = "/entity/Default/20.200.001"
ORDERS, ITEMS, BIG = 60, 40, 32 * 2**20


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site with generated orders and files, whose API user lives at -05:00."""
    data = ("--orders", str(ORDERS), "--items", str(ITEMS), "--files-each", "1", "--big-file", str(BIG))
    with start_sandbox("--control", "--max-sessions", "0", *data, "--user-offset=-05:00") as running:
        yield running


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client who is signed in."""
    authorized = {"Authorization": f"Bearer {sandbox.token()}"}
    with httpx.Client(
        verify=sandbox.context(), headers=authorized, base_url=sandbox.url + BASE, timeout=20
    ) as made:
        yield made


@pytest.fixture(autouse=True)
def _calm(sandbox: Sandbox) -> None:
    """No fault and no plan is left from another test."""
    sandbox.control("faults", method="DELETE")
    sandbox.control("plan", method="DELETE")


def numbers(client: httpx.Client, **options: str | int) -> list[str]:
    """The numbers of the orders on a page; option names without their dollar."""
    query = {f"${name}": value for name, value in {"select": "OrderNbr", **options}.items()}
    return [row["OrderNbr"]["value"] for row in client.get("/SalesOrder", params=query).json()]


def test_rows_go_between_two_pages(sandbox: Sandbox, client: httpx.Client) -> None:
    """With one delete a page, walking by `$skip` loses a row for each; the plan and the event log say which went."""
    before = numbers(client)
    rule = {"each_page": "delete", "entity": "SalesOrder", "row": "first", "times": 3}
    assert sandbox.control("plan", [rule])["left"] == 1
    seen = [number for skip in range(0, len(before), 10) for number in numbers(client, skip=skip, top=10)]
    plan = sandbox.control("plan", method="GET")
    gone = [change["keys"][1] for change in plan["done"]]
    lost = [number for number in before if number not in seen]
    assert (len(gone), len(lost), set(lost) & set(gone)) == (3, 3, set())
    events = [event for event in sandbox.events() if event["kind"] == "change"]
    assert [event["keys"] for event in events] == [f"SO, {number}" for number in gone]
    sandbox.control(
        "changes",
        [
            {"op": "insert", "entity": "SalesOrder", "values": {"OrderType": "SO", "OrderNbr": n}}
            for n in gone
        ],
    )
    assert numbers(client) == before


def test_changes_name_records_by_their_keys(sandbox: Sandbox, client: httpx.Client) -> None:
    """Insert, update and delete in one request; what cannot be made is a 404 that says so, or a 400."""
    made, changed = sandbox.control(
        "changes",
        [
            {"op": "insert", "entity": "SalesOrder", "values": {"OrderType": "SO", "OrderNbr": "900000"}},
            {"op": "update", "entity": "SalesOrder", "keys": ["SO", "900000"], "values": {"Status": "Moved"}},
        ],
    )
    assert made["id"] == changed["id"]
    assert client.get("/SalesOrder/SO/900000").json()["Status"] == {"value": "Moved"}
    sandbox.control("changes", [{"op": "delete", "entity": "SalesOrder", "keys": ["SO", "900000"]}])
    url = httpx.URL(sandbox.url).join("/_sandbox/changes")
    gone = sandbox.http.post(url, json=[{"op": "delete", "entity": "SalesOrder", "keys": ["SO", "900000"]}])
    wrong = sandbox.http.post(url, json=[{"op": "drop"}])
    no_list = sandbox.http.post(url, json={"op": "delete"})
    assert (gone.status_code, wrong.status_code, no_list.status_code) == (404, 400, 400)
    assert "no record with the keys SO, 900000" in gone.json()["error"]


def test_every_answer_says_the_servers_time(sandbox: Sandbox, client: httpx.Client) -> None:
    """Date is the clock by which changes are stamped; the stamp prints the user's time with the server's offset."""
    change = {"op": "update", "entity": "SalesOrder", "keys": ["SO", "000001"], "values": {"Hold": True}}
    answers = [
        client.get("/SalesOrder/SO/000001"),
        client.get("/SalesOrder/SO/nope"),
        sandbox.http.get(sandbox.url),
    ]
    for answer in answers:
        assert abs(parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)) < timedelta(seconds=5)
    sandbox.control("changes", [change])
    answer = client.get("/SalesOrder/SO/000001")
    stamp = answer.json()["LastModified"]["value"]
    assert stamp.endswith("+03:00")
    assert "TimeZone=GMTM0500G;" in answer.headers["Set-Cookie"]
    users_clock = datetime.fromisoformat(stamp.removesuffix("+03:00") + "-05:00")
    assert abs(parsedate_to_datetime(answer.headers["Date"]) - users_clock) < timedelta(seconds=5)
    condition = f"LastModified ge datetimeoffset'{stamp}'"
    assert numbers(client, filter=condition) == ["000001"]


def test_a_share_of_the_files_comes_broken(sandbox: Sandbox, client: httpx.Client) -> None:
    """Each fourth is cut and each fourth reset, wherever else the requests go; the others are whole."""
    path = httpx.URL(sandbox.url).path + BASE + "/files"
    sandbox.control("faults", {"kind": "cut", "path": path, "bytes": 100, "every": 4, "times": 100})
    sandbox.control(
        "faults", {"kind": "reset", "path": path, "bytes": 50, "every": 3, "phase": 1, "times": 100}
    )
    rows = client.get(
        "/StockItem", params={"$expand": "files", "$filter": "startswith(InventoryID,'PART')"}
    ).json()
    outcomes = [outcome(client, f"/files/{row['files'][0]['id']}") for row in rows]
    assert (len(rows), outcomes[0::4], outcomes[2::4]) == (ITEMS, ["broken"] * 10, ["broken"] * 10)
    assert set(outcomes[1::4]) == set(outcomes[3::4]) == {"whole"}


def outcome(client: httpx.Client, path: str) -> str:
    """Whether a file arrives."""
    try:
        return "whole" if client.get(path).status_code == 200 else "refused"
    except httpx.TransportError:
        return "broken"


@pytest.mark.parametrize("extra", [10, -10])
def test_a_length_that_is_wrong(sandbox: Sandbox, client: httpx.Client, extra: int) -> None:
    """A length beyond the end breaks the connection; a shorter one is all there is."""
    whole = client.get("/StockItem/AAMACHINE1").content
    path = httpx.URL(sandbox.url).path + BASE
    sandbox.control("faults", {"kind": "length", "path": path, "bytes": extra})
    if extra > 0:
        with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
            client.get("/StockItem/AAMACHINE1")
    else:
        assert client.get("/StockItem/AAMACHINE1").content == whole[:extra]


def test_a_big_file_streams(sandbox: Sandbox, client: httpx.Client) -> None:
    """Both times the same bytes, chunked; and a cut ends it where it says."""
    digests = [download(client) for _ in range(2)]
    assert digests[0] == digests[1]
    path = httpx.URL(sandbox.url).path + BASE + "/files"
    sandbox.control("faults", {"kind": "cut", "path": path, "bytes": 1_000_000})
    got = 0
    with client.stream("GET", f"/files/{BIG_FILE_ID}") as response, pytest.raises(httpx.RemoteProtocolError):
        for piece in response.iter_bytes():
            got += len(piece)
    assert got <= 1_000_000


def download(client: httpx.Client) -> str:
    """The hash of the big file, all of it."""
    digest, size = hashlib.sha256(), 0
    with client.stream("GET", f"/files/{BIG_FILE_ID}") as response:
        assert response.headers["transfer-encoding"] == "chunked"
        for piece in response.iter_bytes():
            digest.update(piece)
            size += len(piece)
    assert size == BIG
    return digest.hexdigest()


def test_thousands_of_payments_with_details_by_key() -> None:
    """5,000 payments list with their documents; with their history they fail as one did, and come one by one."""
    with start_sandbox("--control", "--customers", "5000") as sandbox:
        authorized = {"Authorization": f"Bearer {sandbox.token()}"}
        with httpx.Client(
            verify=sandbox.context(), headers=authorized, base_url=sandbox.url + BASE
        ) as client:
            query = {
                "$select": "Type,ReferenceNbr",
                "$filter": "Type eq 'Payment' and ReferenceNbr ge '005000'",
            }
            rows: list[dict[str, Any]] = client.get("/Payment", params=query).json()
            assert len(rows) == 101
            failed = client.get("/Payment", params={"$expand": "ApplicationHistory", "$top": 1})
            assert (failed.status_code, "CannotOptimize" in failed.text) == (500, True)
            found = client.get(f"/Payment/{rows[-1]['id']}", params={"$expand": "ApplicationHistory"}).json()
            assert len(found["ApplicationHistory"]) == 1


def test_half_a_million_orders_are_there_at_once() -> None:
    """The site starts in seconds, and the last page is found as quickly as the first."""
    with start_sandbox("--control", "--orders", "500000", timeout=60) as sandbox:
        authorized = {"Authorization": f"Bearer {sandbox.token()}"}
        with httpx.Client(
            verify=sandbox.context(), headers=authorized, base_url=sandbox.url + BASE
        ) as client:
            times = []
            for first in ("000101", "499901"):
                condition = f"OrderType eq 'SO' and OrderNbr ge '{first}'"
                client.get("/SalesOrder", params={"$filter": condition, "$top": 1})
                began = time.monotonic()
                assert len(numbers(client, filter=condition, top=100, skip=20)) == 100
                times.append(time.monotonic() - began)
    assert times[1] < 10 * times[0] + 0.5

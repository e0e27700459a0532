"""The sandbox's writes and endpoints over TLS: statuses, headers, cookies, files, rights, and the event log."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox

BASE = "/entity/Default/24.200.001"
ROOT = "/MyStoreInstance/entity/Default/24.200.001"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site of the newest build, with a clerk who may only look."""
    users = ("--user", "clerk:look-and-no-more", "--view-only", "clerk")
    with start_sandbox("--build", "2025R1", "--control", "--max-sessions", "0", *users) as running:
        yield running


def client_of(sandbox: Sandbox, **credentials: str) -> httpx.Client:
    """A client who is signed in."""
    authorized = {"Authorization": f"Bearer {sandbox.token(**credentials)}"}
    return httpx.Client(verify=sandbox.context(), headers=authorized, base_url=sandbox.url, timeout=20)


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """The first user, signed in."""
    with client_of(sandbox) as made:
        yield made


def order(client: httpx.Client, **fields: object) -> dict[str, Any]:
    """A new order of the course's customer."""
    body = {
        "CustomerID": {"value": "C000000003"},
        **{name: {"value": value} for name, value in fields.items()},
    }
    answer = client.put(f"{BASE}/SalesOrder", json=body)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def test_anybody_sees_the_vendors_endpoints_and_a_user_the_tenants(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    """`GET /entity` needs no sign-in; the tenant's own endpoint is in it for those who are."""
    anonymous = sandbox.http.get(f"{sandbox.url}/entity").json()
    signed_in = client.get("/entity").json()
    assert anonymous["version"]["acumaticaBuildVersion"] == "25.093.0036"
    names = [
        {(each["name"], each["version"]) for each in seen["endpoints"]} for seen in (anonymous, signed_in)
    ]
    assert names[1] - names[0] == {("MyStoreExt", "1.0")}
    assert {
        "name": "Default",
        "version": "20.200.001",
        "href": "/MyStoreInstance/entity/Default/20.200.001/",
    } in (anonymous["endpoints"])


def test_the_description_of_an_endpoint_needs_a_user_and_is_counted(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    """`swagger.json` is a 401 without sign-in, and a request like any other with it."""
    path = f"{BASE}/swagger.json"
    assert sandbox.http.get(sandbox.url + path).status_code == 401
    before = sandbox.tally()["requests"]
    document = client.get(path, params={"company": "MyStore"}).json()
    assert document["servers"] == [{"url": str(httpx.URL(sandbox.url).join(ROOT))}]
    assert sandbox.tally()["requests"] == before + 1
    assert client.get(f"{BASE}/SalesOrder/$adHocSchema").json()["custom"]["Document"]


def test_a_save_names_and_times_its_request(sandbox: Sandbox, client: httpx.Client) -> None:
    """A PUT answers with the cookies of writes, and the event log has the request and what it did."""
    since = sandbox.events()[-1]["n"]
    body = {"CustomerID": {"value": "C000000004"}, "CustomerName": {"value": "KRK"}}
    answer = client.put(f"{BASE}/Customer", json=body)
    names = [cookie.partition("=")[0] for cookie in answer.headers.get_list("set-cookie")]
    assert (answer.status_code, names) == (200, ["Locale", "UserBranch", "requestid", "requeststat"])
    log = [event for event in sandbox.events(since) if event["kind"] in ("arrival", "change", "end")]
    assert [event["kind"] for event in log] == ["arrival", "change", "end"]
    assert (log[0]["method"], log[1]["op"], log[1]["keys"], log[2]["status"]) == (
        "PUT",
        "update",
        "C000000004",
        200,
    )


@pytest.mark.parametrize(
    ("header", "key", "status"), [("If-None-Match", "C000000003", 412), ("If-Match", "NEW1", 412)]
)
def test_conditions_are_headers(client: httpx.Client, header: str, key: str, status: int) -> None:
    """Insert-only and update-only are asked for as HTTP has it."""
    answer = client.put(f"{BASE}/Customer", json={"CustomerID": {"value": key}}, headers={header: "*"})
    assert answer.status_code == status


def test_a_record_is_deleted(client: httpx.Client) -> None:
    """204 without a body or its type, and the record is gone."""
    made = order(client)
    answer = client.delete(f"{BASE}/SalesOrder/SO/{made['OrderNbr']['value']}")
    assert (answer.status_code, answer.content, "content-type" in answer.headers) == (204, b"", False)
    assert client.get(f"{BASE}/SalesOrder/{made['id']}").status_code == 500


def test_patch_is_of_newer_builds(client: httpx.Client) -> None:
    """A PATCH changes a record, and never makes one."""
    answer = client.patch(
        f"{BASE}/Customer", json={"CustomerID": {"value": "C000000005"}, "Terms": {"value": "30D"}}
    )
    assert (answer.status_code, answer.json()["Terms"]) == (200, {"value": "30D"})
    assert client.patch(f"{BASE}/Customer", json={"CustomerID": {"value": "NOBODY"}}).status_code == 404


def test_the_recorded_builds_know_no_patch() -> None:
    """As their `swagger.json`."""
    with start_sandbox("--max-sessions", "0") as older, client_of(older) as client:
        assert client.patch("/entity/Default/20.200.001/Customer", json={}).status_code == 405


def test_a_file_is_put_where_the_record_says(client: httpx.Client) -> None:
    """204 with the file's place; the same name overwrites under the same id, and its comment with it."""
    made = order(client)
    put = made["_links"]["files:put"].removeprefix("/MyStoreInstance").replace("{filename}", "a b.txt")
    first = client.put(put, content=b"one", headers={"PX-CbFileComment": "draft"})
    assert (first.status_code, first.content) == (204, b"")
    assert first.headers["location"].startswith(f"{ROOT}/files/")
    path = f"{BASE}/SalesOrder/{made['id']}?$expand=files"
    [file] = client.get(path).json()["files"]
    assert (file["comment"], file["href"]) == ("draft", first.headers["location"])
    assert client.put(put, content=b"two").headers["location"] == file["href"]
    [file] = client.get(path).json()["files"]
    assert "comment" not in file
    assert client.get(file["href"].removeprefix("/MyStoreInstance")).content == b"two"


def test_a_file_is_put_to_a_detail_row(client: httpx.Client) -> None:
    """A row's `files:put` attaches to the row."""
    body = {"CustomerID": {"value": "C000000003"}, "Details": [{"InventoryID": {"value": "MOUSE"}}]}
    made = client.put(f"{BASE}/SalesOrder", json=body).json()
    put = made["Details"][0]["_links"]["files:put"].removeprefix("/MyStoreInstance")
    assert client.put(put.replace("{filename}", "line.txt"), content=b"x").status_code == 204
    read = client.get(f"{BASE}/SalesOrder/{made['id']}?$expand=Details,Details/files").json()
    assert read["Details"][0]["files"][0]["filename"].endswith("\\line.txt")


def test_a_file_is_put_by_keys_and_never_by_id(client: httpx.Client) -> None:
    """The older path takes the keys; one that is guessed with the id is a 404, as reported."""
    made = order(client)
    number = made["OrderNbr"]["value"]
    assert client.put(f"{BASE}/SalesOrder/SO/{number}/files/n.txt", content=b"x").status_code == 204
    assert client.put(f"{BASE}/SalesOrder/{made['id']}/files/n.txt", content=b"x").status_code == 404
    assert (
        client.put(f"{BASE}/files/PX.Objects.XX.Nothing/X/{made['id']}/n.txt", content=b"x").status_code
        == 404
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/SalesOrder/SO/000001", 405),
        ("DELETE", "/SalesOrder", 405),
        ("DELETE", "/SalesOrder/SO/000001/files/x.txt", 405),
        ("PUT", "/Nothing", 404),
        ("DELETE", "/Nothing/1", 404),
        ("PUT", "/../25.200.001/Customer", 404),
    ],
)
def test_what_cannot_be_written(client: httpx.Client, method: str, path: str, status: int) -> None:
    """A method that a resource does not take, and a resource that is not there."""
    assert client.request(method, BASE + path, content=b"{}").status_code == status


def test_writing_needs_a_user_and_a_right(sandbox: Sandbox, client: httpx.Client) -> None:
    """401 without sign-in; 403 in the ERP's words for an entity that is forbidden."""
    assert sandbox.http.put(f"{sandbox.url}{BASE}/Vendor", json={}).status_code == 401
    sandbox.control("rights", {"Vendor": False}, method="PATCH")
    answer = client.put(f"{BASE}/Vendor", json={})
    sandbox.control("rights", {"Vendor": True}, method="PATCH")
    assert (answer.status_code, answer.json()) == (
        403,
        {"message": "You have insufficient rights to access the Vendor (AP303000) form."},
    )


def test_who_may_only_look_is_told_that_he_saved(sandbox: Sandbox, client: httpx.Client) -> None:
    """A 200 does not prove that anything was kept (reported); the control API can lift it."""
    body = {"CustomerID": {"value": "C000000001"}, "CustomerName": {"value": "Changed"}}
    with client_of(sandbox, username="clerk", password="look-and-no-more") as clerk:
        assert clerk.put(f"{BASE}/Customer", json=body).json()["CustomerName"] == {"value": "Changed"}
        assert client.get(f"{BASE}/Customer/C000000001").json()["CustomerName"] != {"value": "Changed"}
        sandbox.control("account", {"user": "clerk", "view_only": False}, method="PATCH")
        clerk.put(f"{BASE}/Customer", json=body)
    assert client.get(f"{BASE}/Customer/C000000001").json()["CustomerName"] == {"value": "Changed"}


def test_a_save_takes_its_time() -> None:
    """With `--write-latency` a save lasts so long, and a read does not."""
    with start_sandbox("--max-sessions", "0", "--write-latency", "0.5") as slow, client_of(slow) as client:
        began = time.monotonic()
        client.get("/entity/Default/20.200.001/Customer/C000000001").raise_for_status()
        read = time.monotonic()
        client.put(
            "/entity/Default/20.200.001/Customer", json={"CustomerID": {"value": "X1"}}
        ).raise_for_status()
        assert time.monotonic() - read >= 0.5
        assert read >= began


def test_a_save_is_made_though_nobody_waits_for_it() -> None:
    """A client that gives up a slow save has not undone it: what became of it, only a read tells."""
    customers = "/entity/Default/20.200.001/Customer"
    with start_sandbox("--max-sessions", "0", "--write-latency", "2") as slow, client_of(slow) as client:
        body = {"CustomerID": {"value": "X1"}, "CustomerName": {"value": "Slow"}}
        with pytest.raises(httpx.ReadTimeout), client_of(slow) as hasty:
            hasty.put(customers, json=body, timeout=httpx.Timeout(20, read=0.05))
        until = time.monotonic() + 20
        while client.get(f"{customers}/X1").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_user_who_is_not_there_cannot_be_kept_from_saving() -> None:
    """`--view-only` names one of the users."""
    with pytest.raises(RuntimeError), start_sandbox("--view-only", "nobody"):
        pass

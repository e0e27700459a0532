"""OData of the sandbox over real sockets: both families of addresses, both dialects, and who may ask."""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox

GI = "t/MyStore/api/odata/gi"
DAC = "t/MyStore/api/odata/dac"
ATOM = {
    "m": "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata",
    "a": "http://www.w3.org/2005/Atom",
}
FIELD = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site without limits, with pages of five rows and one class that nobody may read."""
    options = ("--control", "--max-sessions", "0", "--odata-page", "5", "--forbid-dac", "ARPayment")
    with start_sandbox(*options, "--tenants", "Second") as running:
        yield running


@pytest.fixture(autouse=True)
def _afresh(sandbox: Sandbox) -> None:
    """Every test begins with no open session, an empty log and no cookies."""
    sandbox.control("close-sessions")
    sandbox.control("events", method="DELETE")
    sandbox.http.cookies.clear()


@pytest.fixture
def token(sandbox: Sandbox) -> str:
    """A bearer token."""
    return sandbox.token()


def ask(sandbox: Sandbox, path: str, token: str = "", **options: str) -> httpx.Response:
    """Read below the site; `$` is put before the options."""
    head = {"Authorization": f"Bearer {token}"} if token else {}
    params = {f"${name.lstrip('_')}": value for name, value in options.items()}
    return sandbox.http.get(f"{sandbox.url}/{path}", params=params or None, headers=head)


def parsed(answer: httpx.Response) -> ElementTree.Element:
    """An answer that is XML."""
    return ElementTree.fromstring(answer.content)  # noqa: S314 - the sandbox's own


def rows(sandbox: Sandbox, path: str, token: str, **options: str) -> list[dict[str, Any]]:
    """The rows of a page."""
    answer = ask(sandbox, path, token, **options)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


def test_the_older_inquiries_are_atom_and_json_on_request(sandbox: Sandbox, token: str) -> None:
    """Decimals are texts, blanks are kept, stamps have no offset; both forms say the same."""
    of_item = {"filter": "InventoryID eq 'AALEGO500'"}
    answer = ask(sandbox, "odata/MyStore/BI-Inventory", token, **of_item, format="json")
    assert answer.headers["dataserviceversion"] == "3.0"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["odata.metadata"] == f"{sandbox.url}/odata/MyStore/$metadata#BI-Inventory"
    (row,) = answer.json()["value"]
    assert row["InventoryID"] == f"{'AALEGO500':30}"
    assert row["QtyOnHand"] == "1999.000000"
    assert row["LastModified"] == "2015-08-03T16:52:16.35"
    atom = ask(sandbox, "odata/BI-Inventory", token, **of_item)
    assert atom.headers["content-type"].startswith("application/atom+xml")
    (entry,) = parsed(atom).findall("a:entry", ATOM)
    (properties,) = entry.iter(f"{{{ATOM['m']}}}properties")
    assert {child.tag.removeprefix(FIELD): child.text for child in properties} == row


def test_the_older_inquiries_filter_order_and_count(sandbox: Sandbox, token: str) -> None:
    """In v3's words, of which `contains` is none; calculated columns too."""
    path = "odata/Sales Orders"
    found = ask(
        sandbox, path, token, format="json", inlinecount="allpages", top="2", orderby="OrderTotal desc",
        filter="Date ge datetime'2015-10-28T00:00:00' and substringof('so', CustomerOrder) and OrderTotal gt 30.0M",
        select="OrderNbr,OrderTotal",
    ).json()  # fmt: skip
    assert found["odata.count"] == "6"
    assert [row["OrderNbr"] for row in found["value"]] == ["000001", "000006"]
    assert set(found["value"][0]) == {"OrderNbr", "OrderTotal"}
    assert ask(sandbox, path, token, filter="contains(OrderNbr,'1')").status_code == 400
    value = rows(sandbox, "odata/BI-Inventory", token, format="json", filter="StockValue gt 200000M")
    assert [row["InventoryID"].strip() for row in value] == ["AAMACHINE1"]


def test_the_older_classes_have_long_names(sandbox: Sandbox, token: str) -> None:
    """v4 JSON: numbers are numbers, combo boxes codes, a day of business is its midnight."""
    answer = ask(sandbox, "odatav4/MyStore/PX_Objects_SO_SOOrder", token, filter="OrderNbr eq '000001'")
    assert answer.headers["odata-version"] == "4.0"
    assert answer.json()["@odata.context"] == f"{sandbox.url}/odatav4/MyStore/$metadata#PX_Objects_SO_SOOrder"
    (row,) = answer.json()["value"]
    assert (row["Status"], row["CuryOrderTotal"], row["OrderDate"]) == ("N", 2200, "2015-10-28T00:00:00Z")
    assert row["LastModifiedDateTime"] == "2015-10-28T13:52:28.35Z"
    assert ask(sandbox, "odatav4/SOOrder", token).status_code == 404


def test_what_is_printed_finds_its_row(sandbox: Sandbox, token: str) -> None:
    """Every value of a row, in a filter of its dialect."""
    (row,) = rows(sandbox, f"{DAC}/SOOrder", token, filter="OrderNbr eq '000005'")
    for name in ("OrderDate", "LastModifiedDateTime", "CuryOrderTotal", "NoteID"):
        assert row in rows(sandbox, f"{DAC}/SOOrder", token, filter=f"{name} eq {row[name]}"), name
    (row,) = rows(sandbox, "odata/Sales Orders", token, format="json", filter="OrderNbr eq '000005'")
    for name in ("Date", "LastModified"):
        text = f"{name} eq datetime'{row[name]}'"
        assert row in rows(sandbox, "odata/Sales Orders", token, format="json", filter=text), name


def test_classes_by_key(sandbox: Sandbox, token: str) -> None:
    """One row, by all parts of its key; none is a 404, another key a 400."""
    order = ask(sandbox, f"{DAC}/SOOrder(OrderType='SO',OrderNbr='000008')", token).json()
    assert order["@odata.context"].endswith("/$metadata#SOOrder/$entity")
    assert order["CuryOrderTotal"] == 535
    item = ask(sandbox, f"{DAC}/InventoryItem('CONGRILL')", token, select="Descr").json()
    assert {name for name in item if "@" not in name} == {"Descr"}
    line = ask(sandbox, f"{DAC}/SOLine(OrderType='SO',OrderNbr='000008',LineNbr=2)", token).json()
    assert line["InventoryID"] == "AALEGO500"
    assert ask(sandbox, f"{DAC}/SOOrder(OrderType='SO',OrderNbr='x')", token).status_code == 404
    assert ask(sandbox, f"{DAC}/SOOrder('000008')", token).status_code == 400


def test_newer_inquiries_show_labels_and_page_by_links(sandbox: Sandbox, token: str) -> None:
    """Links lead through all rows once, keep the query, and end."""
    query = {"orderby": "OrderNbr desc", "filter": "contains(tolower(Customer),'c0000')", "count": "true"}
    answer = ask(sandbox, f"{GI}/Sales Orders", token, **query, top="8").json()
    assert answer["@odata.count"] == 10
    assert {row["Status"] for row in answer["value"]} <= {"Open", "Completed"}
    second = sandbox.http.get(answer["@odata.nextLink"], headers={"Authorization": f"Bearer {token}"}).json()
    assert "@odata.nextLink" not in second
    numbers = [row["OrderNbr"] for row in answer["value"] + second["value"]]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 8
    assert answer["@odata.nextLink"].startswith(f"{sandbox.url}/")


def test_a_filter_on_a_calculated_column_is_answered_with_nothing(sandbox: Sandbox, token: str) -> None:
    """200 and an empty body, as live instances do; what v4 does not know is a 400."""
    answer = ask(sandbox, f"{GI}/BI-Inventory", token, filter="StockValue gt 1")
    assert (answer.status_code, answer.content) == (200, b"")
    for bad in (
        "substringof('a',InventoryID)",
        "QtyOnHand gt 1M",
        "Nothing eq 1",
        "QtyOnHand eq 'x'",
        "QtyOnHand",
    ):
        refused = ask(sandbox, f"{GI}/BI-Inventory", token, filter=bad)
        assert (refused.status_code, list(refused.json())) == (400, ["error"]), bad
    assert ask(sandbox, f"{GI}/BI-Inventory", token, apply="x").status_code == 400


def test_parameters_of_an_inquiry(sandbox: Sandbox, token: str) -> None:
    """By name, in parentheses; without them all rows; an unknown one is a 400, and not every inquiry has any."""
    of_main = rows(sandbox, f"{GI}/Items by Warehouse_WithParameters(Site='YOGI',Item=null)", token)
    assert [row["InventoryID"].strip() for row in of_main] == ["SIMCARD"]
    assert len(rows(sandbox, f"{GI}/Items by Warehouse", token)) == 5
    assert ask(sandbox, f"{GI}/Items by Warehouse_WithParameters(Nothing='x')", token).status_code == 400
    assert ask(sandbox, f"{GI}/BI-Inventory_WithParameters(Site='x')", token).status_code == 404


def test_names_with_an_apostrophe_and_those_that_are_not_exposed(sandbox: Sandbox, token: str) -> None:
    """The one is served; the others are not there, and not in the service documents."""
    (row,) = rows(sandbox, f"{GI}/Customer's Payments", token)
    assert (row["Type"], row["Amount"]) == ("Payment", 25)
    for path in (
        f"{GI}/Internal Prices",
        "odata/Internal Prices",
        f"{GI}/Nothing",
        f"{DAC}/Nothing",
        "odata/a/b",
    ):
        assert ask(sandbox, path, token).status_code == 404, path
    assert b"Customer&apos;s" in (old := ask(sandbox, "odata", token).content) or b"Customer's" in old
    assert b"Internal" not in old
    names = [one["name"] for one in rows(sandbox, GI, token)]
    assert "Items by Warehouse_WithParameters" in names
    assert "Internal Prices" not in names


def test_an_inquiry_that_is_not_exposed_may_be_refused_instead() -> None:
    """With --unexposed 403, as one client has it: the metadata lists it, and whoever asks for it is refused."""
    with start_sandbox("--unexposed", "403", "--max-sessions", "0") as other:
        bearer = other.token()
        assert ask(other, f"{GI}/Internal Prices", bearer).status_code == 403
        assert b"Internal Prices" in ask(other, f"{GI}/$metadata", bearer).content
        assert b"Internal Prices" not in ask(other, GI, bearer).content


@pytest.mark.parametrize("path", ["odata", "odata/MyStore", "odatav4", GI, DAC])
def test_metadata_describes_every_column(sandbox: Sandbox, token: str, path: str) -> None:
    """It is XML, with a type and a key for each set."""
    answer = ask(sandbox, f"{path}/$metadata", token)
    document = parsed(answer)
    types = [node for node in document.iter() if node.tag.endswith("}EntityType")]
    assert len(types) == 4
    for kind in types:
        properties = {node.get("Name") for node in kind if node.tag.endswith("}Property")}
        assert {ref.get("Name") for ref in kind.iter() if ref.tag.endswith("}PropertyRef")} <= properties


def test_a_class_without_rights_is_403(sandbox: Sandbox, token: str) -> None:
    """One class; or every class and inquiry of an entity that nobody has a right to."""
    assert ask(sandbox, f"{DAC}/ARPayment", token).status_code == 403
    assert ask(sandbox, f"{DAC}/SOLine", token).status_code == 200


def test_basic_without_its_cookies_takes_a_seat_a_call(sandbox: Sandbox) -> None:
    """With them it keeps its session, and can sign out of it."""
    with httpx.Client(verify=sandbox.context(), auth=(sandbox.username, sandbox.password)) as client:
        for _ in range(3):
            assert client.get(f"{sandbox.url}/{GI}/BI-Inventory").status_code == 200
        assert sandbox.tally()["open_sessions"] == 1
        assert client.post(f"{sandbox.url}/entity/auth/logout").status_code == 204
        assert sandbox.tally()["open_sessions"] == 0
        for _ in range(3):
            client.cookies.clear()
            assert client.get(f"{sandbox.url}/{GI}/BI-Inventory").status_code == 200
    assert sandbox.tally()["open_sessions"] == 3
    grants = [event["grant"] for event in sandbox.events() if event["kind"] == "sign_in"]
    assert grants == ["basic"] * 4


def test_who_may_ask(sandbox: Sandbox, token: str) -> None:
    """Nobody without a sign-in, with a wrong password, or in another tenant than the token's; none of it counts."""
    url = f"{sandbox.url}/{GI}/BI-Inventory"
    wrong = (sandbox.username, "wrong")
    assert sandbox.http.get(url).status_code == 401
    assert sandbox.http.get(url, auth=wrong).headers["www-authenticate"].startswith("Basic")
    sandbox.control("events", method="DELETE")
    assert ask(sandbox, "t/Second/api/odata/gi", token).status_code == 401
    assert ask(sandbox, "odata/Second/BI-Inventory", token).status_code == 401
    assert sandbox.tally()["requests"] == 0
    second = sandbox.http.get(f"{sandbox.url}/odata/Second", auth=(sandbox.username, sandbox.password))
    assert "UserBranch=83" in second.headers["set-cookie"]


def test_basic_is_refused_a_seat_and_counted_like_the_others() -> None:
    """The license's limits are the same for OData."""
    with start_sandbox("--control", "--max-sessions", "1", "--max-per-minute", "100") as tight:
        auth = (tight.username, tight.password)
        first = tight.http.get(f"{tight.url}/odata", auth=auth)
        tight.http.cookies.clear()
        second = tight.http.get(f"{tight.url}/odata", auth=auth)
        assert (first.status_code, second.status_code) == (200, 500)
        assert "API Login Limit" in second.text
        assert tight.tally()["requests"] == 2

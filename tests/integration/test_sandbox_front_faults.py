"""The sandbox's front door, over TLS: IIS's paths, faults, the control API, and the process itself."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.sandbox_process import Sandbox, start_sandbox

BASE = "/entity/Default/20.200.001"
ORDERS = f"{BASE}/SalesOrder?$top=3&$select=OrderNbr"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A site with a control API."""
    with start_sandbox("--control", "--max-sessions", "0") as running:
        yield running


@pytest.fixture(scope="module")
def token(sandbox: Sandbox) -> str:
    """A token of the site."""
    return sandbox.token()


def read(sandbox: Sandbox, token: str, path: str = ORDERS) -> httpx.Response:
    """Read with a token, over a connection of its own."""
    with httpx.Client(verify=sandbox.context(), timeout=20) as client:
        return client.get(sandbox.url + path, headers={"Authorization": f"Bearer {token}"})


def arm(sandbox: Sandbox, kind: str, **how: Any) -> None:
    """Arm a fault for the next request for data."""
    path = httpx.URL(sandbox.url).path + BASE
    sandbox.control("faults", {"kind": kind, "path": path, **how})


@pytest.mark.parametrize("item", ["50%25-OFF", "%2310-SCREW", "a%3Ab", "a%3Fb", "a%5Cb", "%3Cscript%3E"])
def test_asp_net_refuses_dangerous_paths(sandbox: Sandbox, token: str, item: str) -> None:
    """A key that a path cannot carry never reaches the API, though it is well encoded."""
    response = read(sandbox, token, f"{BASE}/StockItem/{item}")
    assert (response.status_code, response.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "A potentially dangerous Request.Path value was detected" in response.text


def test_an_encoded_slash_is_a_slash(sandbox: Sandbox, token: str) -> None:
    """A key with a slash falls apart into two and names no record; by filter it is there."""
    missing = read(sandbox, token, f"{BASE}/StockItem/1%2F2-ELBOW")
    assert missing.json()["exceptionMessage"] == "No entity satisfies the condition."
    found = read(sandbox, token, f"{BASE}/StockItem?$filter=InventoryID eq '1/2-ELBOW'").json()
    by_id = read(sandbox, token, f"{BASE}/StockItem/{found[0]['id']}")
    assert by_id.json()["InventoryID"] == {"value": "1/2-ELBOW"}


@pytest.mark.parametrize(
    "path",
    [
        "/SalesOrder/SO/000004",
        "/SalesOrder/SO|000004",
        "/SalesOrder//35268d8b-7381-e511-80c0-00155d012302",
        "/%2e%2e/20.200.001/SalesOrder/SO/000004",
    ],
)
def test_ways_to_name_a_record(sandbox: Sandbox, token: str, path: str) -> None:
    """Slashes, bars, a double slash before an id and dot segments lead to the same record."""
    response = read(sandbox, token, BASE + path)
    assert (response.status_code, response.json()["OrderNbr"]) == (200, {"value": "000004"})


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/entity/Default/22.200.001/SalesOrder", 404),
        ("/entity/Other/20.200.001/SalesOrder", 404),
        (f"{BASE}/Nothing", 404),
        (BASE, 404),
        (f"{BASE}/files", 404),
        ("/entity/auth/login", 405),
        ("/Main", 404),
        ("/Frames/Other.aspx", 404),
        ("/../elsewhere", 404),
    ],
)
def test_paths_that_lead_nowhere(sandbox: Sandbox, token: str, path: str, status: int) -> None:
    """Another version, another entity, another method or page is refused."""
    assert read(sandbox, token, path).status_code == status


def test_a_record_is_not_posted(sandbox: Sandbox, token: str) -> None:
    """A POST is for actions: one to an entity is a 405, and makes nothing."""
    response = sandbox.http.post(
        f"{sandbox.url}{BASE}/SalesOrder", json={}, headers={"Authorization": f"Bearer {token}"}
    )
    assert (response.status_code, "POST" in response.json()["message"]) == (405, True)


def test_data_has_the_recorded_headers(sandbox: Sandbox, token: str) -> None:
    """JSON says its length; there is no Server, no ETag, and no session cookie for a bearer."""
    response = read(sandbox, token)
    assert sorted(response.headers) == ["content-length", "content-type", "date", "set-cookie"]
    cookies = [cookie.partition("=")[0] for cookie in response.headers.get_list("set-cookie")]
    assert cookies == ["Locale", "UserBranch"]


def test_a_file_comes_chunked(sandbox: Sandbox, token: str) -> None:
    """Octets come without a length and without a name."""
    record = read(sandbox, token, f"{BASE}/StockItem/AAMACHINE1?$expand=files").json()
    [file] = record["files"]
    response = read(sandbox, token, file["href"].removeprefix("/MyStoreInstance"))
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["transfer-encoding"] == "chunked"
    assert not {"content-length", "content-disposition"} & set(response.headers)
    assert response.content.startswith(b"\xff\xd8")


@pytest.mark.parametrize("status", [401, 429, 500, 502, 503])
def test_a_status_for_the_next_requests(sandbox: Sandbox, token: str, status: int) -> None:
    """The requests after the first two are refused, twice, and the ERP does not work on them."""
    arm(sandbox, "status", status=status, after=1, times=2)
    since = sandbox.events()[-1]["n"]
    assert [read(sandbox, token).status_code for _ in range(4)] == [200, status, status, 200]
    kinds = [event["kind"] for event in sandbox.events(since)]
    assert (kinds.count("arrival"), kinds.count("start"), kinds.count("fault")) == (4, 2, 2)


def test_a_status_after_the_work(sandbox: Sandbox) -> None:
    """With when=after the ERP has done what was asked, though the answer says otherwise."""
    sandbox.control("faults", {"kind": "status", "status": 503, "when": "after", "method": "POST"})
    since = sandbox.events()[-1]["n"]
    with pytest.raises(httpx.HTTPStatusError):
        sandbox.token()
    assert [e["accepted"] for e in sandbox.events(since) if e["kind"] == "sign_in"] == [True]


def test_bodies_that_no_client_should_trust(sandbox: Sandbox, token: str) -> None:
    """HTML, half a body, an object, another type, another place."""
    arm(sandbox, "html")
    assert read(sandbox, token).text.startswith("<!DOCTYPE html>")
    arm(sandbox, "malformed")
    with pytest.raises(json.JSONDecodeError):
        read(sandbox, token).json()
    arm(sandbox, "object")
    assert len(read(sandbox, token).json()["value"]) == 3
    arm(sandbox, "content_type", content_type="text/html")
    assert read(sandbox, token).headers["content-type"] == "text/html"
    arm(sandbox, "redirect", location="https://127.0.0.2/")
    response = read(sandbox, token)
    assert (response.status_code, response.headers["location"]) == (302, "https://127.0.0.2/")


def test_a_body_cut_short(sandbox: Sandbox, token: str) -> None:
    """The length of the whole is said, a part is sent, the connection is closed."""
    arm(sandbox, "cut", bytes=20)
    with pytest.raises(httpx.RemoteProtocolError, match="received 20 bytes"):
        read(sandbox, token)


@pytest.mark.parametrize(
    ("how", "started"), [({}, 0), ({"when": "after"}, 1), ({"when": "after", "bytes": 20}, 1)]
)
def test_a_connection_reset(sandbox: Sandbox, token: str, how: dict[str, Any], started: int) -> None:
    """The connection is reset before the work, after it, or amid the body."""
    arm(sandbox, "reset", **how)
    since = sandbox.events()[-1]["n"]
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        read(sandbox, token)
    kinds = [event["kind"] for event in sandbox.events(since)]
    assert kinds.count("start") == started
    assert kinds[-1] == "end"


@pytest.mark.parametrize(("kind", "end"), [("reset", "reset"), ("cut", "closed")])
def test_how_a_connection_ends(sandbox: Sandbox, kind: str, end: str) -> None:
    """A reset is one of TCP, seen below TLS; a cut connection is closed in order."""
    sandbox.control("faults", {"kind": kind, "when": "after"})
    address = urlsplit(sandbox.url)
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=10))
        below = stack.enter_context(tcp.dup())
        tls = stack.enter_context(sandbox.context().wrap_socket(tcp, server_hostname=address.hostname))
        tls.sendall(f"GET {address.path}/entity HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        below.settimeout(10)
        assert _end_of(below) == end


def _end_of(connection: socket.socket) -> str:
    """How the other side ends a connection."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return "reset"
    return "closed"


def test_a_dripping_body(sandbox: Sandbox, token: str) -> None:
    """The body comes whole, in pieces that take their time."""
    whole = read(sandbox, token).json()
    arm(sandbox, "drip", bytes=50, seconds=0.02)
    began = time.monotonic()
    response = read(sandbox, token)
    assert [row["OrderNbr"] for row in response.json()] == [row["OrderNbr"] for row in whole]
    assert time.monotonic() - began >= 0.02 * (len(response.content) // 50)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_late_answer(sandbox: Sandbox, token: str, when: str) -> None:
    """A delay comes before the ERP's work, or after it while core and session are held."""
    arm(sandbox, "delay", seconds=0.2, when=when)
    since = sandbox.events()[-1]["n"]
    assert read(sandbox, token).status_code == 200
    at = {event["kind"]: event["at"] for event in sandbox.events(since)}
    waited = at["start"] - at["arrival"] if when == "before" else at["end"] - at["start"]
    assert waited >= 0.2e9


def test_bodies_of_absurd_size(sandbox: Sandbox, token: str) -> None:
    """A huge body says no length; a bomb is small on the wire."""
    arm(sandbox, "huge", mebibytes=3)
    huge = read(sandbox, token)
    assert (len(huge.content), "content-length" in huge.headers) == (3 * 2**20 + 2, False)
    arm(sandbox, "gzip_bomb", mebibytes=20)
    bomb = read(sandbox, token)
    assert int(bomb.headers["content-length"]) < 1000
    assert len(bomb.content) == 20 * 2**20 + 2


def test_faults_are_listed_and_disarmed(sandbox: Sandbox, token: str) -> None:
    """What is armed can be seen and taken back."""
    arm(sandbox, "status", status=503)
    [armed] = sandbox.control("faults", method="GET")
    assert (armed["kind"], armed["status"], armed["times"]) == ("status", 503, 1)
    assert sandbox.control("faults", method="DELETE") == []
    assert read(sandbox, token).status_code == 200


def test_data_changes_under_a_client(sandbox: Sandbox, token: str) -> None:
    """Records come, change, get a file and go through the control API."""
    record = {"OrderType": "SO", "OrderNbr": "900001", "CustomerID": "C000000003", "OrderTotal": 1}
    record_id = sandbox.control("records/SalesOrder", record)["id"]
    path = f"{BASE}/SalesOrder/SO/900001?$expand=files"
    assert read(sandbox, token, path).json()["id"] == record_id
    sandbox.control(f"records/SalesOrder/{record_id}", {"CustomerOrder": "X-1"}, method="PATCH")
    sandbox.control(f"records/SalesOrder/{record_id}/files/a%20b.txt", b"hello", method="PUT")
    changed = read(sandbox, token, path).json()
    assert changed["CustomerOrder"] == {"value": "X-1"}
    href = changed["files"][0]["href"].removeprefix("/MyStoreInstance")
    assert read(sandbox, token, href).content == b"hello"
    sandbox.control(f"records/SalesOrder/{record_id}", method="DELETE")
    assert read(sandbox, token, path).status_code == 500


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "faults", {"kind": "explode"}, 400, "kind is one of"),
        ("POST", "faults", [1], 400, "JSON object"),
        ("POST", "faults", b"{", 400, "Expecting"),
        ("GET", "events?since=x", None, 400, "invalid literal"),
        ("PATCH", "account", {"pasword": "x"}, 400, "no field 'pasword'"),
        ("PATCH", "account", {"locked": "yes"}, 400, "bool"),
        ("POST", "records/Nothing", {}, 404, "Nothing"),
        ("DELETE", "records/SalesOrder/x", None, 404, "x"),
        ("GET", "records/SalesOrder", None, 404, "records/SalesOrder"),
        ("POST", "tally", None, 405, "tally"),
        ("GET", "nothing", None, 404, "nothing"),
    ],
)
def test_control_requests_that_cannot_be_followed(
    sandbox: Sandbox, method: str, path: str, body: object, status: int, words: str
) -> None:
    """The control API says what is wrong with a request."""
    url = httpx.URL(sandbox.url).join(f"/_sandbox/{path}")
    content = body if isinstance(body, bytes) else json.dumps(body) if body is not None else b""
    response = sandbox.http.request(method, url, content=content)
    assert (response.status_code, words in response.json()["error"]) == (status, True)


def test_control_is_off_by_default(tmp_path: Path) -> None:
    """Without --control there is no control API; with kept certificates a restart is trusted as before."""
    kept = ("--certificates", str(tmp_path), "--client-secret", "same")
    with start_sandbox(*kept) as first:
        response = first.http.get(httpx.URL(first.url).join("/_sandbox/tally"))
        assert response.status_code == 404
        port = str(httpx.URL(first.url).port)
    with start_sandbox(*kept, "--port", port) as second:
        assert (second.url, second.client_secret) == (first.url, "same")
        context = ssl.create_default_context(cafile=first.ca_file)
        assert httpx.get(f"{second.url}/entity", verify=context).status_code == 200
    assert (tmp_path / "server.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(signum: signal.Signals) -> None:
    """A signal ends the process with 0 and takes its certificates away, an open connection notwithstanding."""
    with start_sandbox() as sandbox:
        sandbox.http.get(f"{sandbox.url}/entity")
        sandbox.process.send_signal(signum)
        assert sandbox.process.wait(timeout=10) == 0
        assert not Path(sandbox.ca_file).exists()


def test_a_signal_that_comes_early_is_heard() -> None:
    """Told to stop as soon as it has said where it is, before it serves, it ends with 0 too."""
    with start_sandbox() as sandbox:
        sandbox.process.terminate()
        assert sandbox.process.wait(timeout=10) == 0


def test_help_explains_itself() -> None:
    """Every option has a line, and a bad one is refused with usage."""
    command = [sys.executable, "-m", "deploy.sandbox"]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    options = [line for line in shown.splitlines() if line.startswith("  --")]
    assert len(options) > 25
    assert all(line.rstrip().endswith("]") for line in options)
    refused = subprocess.run([*command, "--latency", "1,2"], capture_output=True, text=True, check=False)
    assert (refused.returncode, "--latency" in refused.stderr) == (2, True)


def test_a_killed_sandbox_leaves_its_events(tmp_path: Path) -> None:
    """The file has every event up to a kill, as lines of JSON; a sandbox that appends to it says where it began."""
    file = tmp_path / "events.ndjson"
    with start_sandbox("--control", "--events", str(file)) as sandbox:
        sandbox.http.get(f"{sandbox.url}/entity")
        seen = sandbox.events()
        sandbox.process.kill()
        sandbox.process.wait(timeout=10)
    assert [json.loads(line) for line in file.read_text().splitlines()] == seen
    with start_sandbox("--events", str(file)) as again:
        again.http.get(f"{again.url}/entity")
    added = [json.loads(line) for line in file.read_text().splitlines()][len(seen) :]
    assert [event["kind"] for event in added] == ["reset", "arrival", "end"]
    assert added[0]["sessions"] == []


def test_a_file_of_events_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    """A directory that is not there ends the sandbox with 1 and the file's name."""
    command = [sys.executable, "-m", "deploy.sandbox", "--events", str(tmp_path / "no" / "events")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert f"{tmp_path}/no/events: No such file or directory" in line


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    """Without the port that it was given, the sandbox ends with 1 and names the address, without a stack trace."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "deploy.sandbox", "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert f"127.0.0.1:{port}: Address already in use" in line

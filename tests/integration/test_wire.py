"""The wire against the sandbox's faults: bodies bounded in bytes and time, certificates verified, secrets kept home."""

from __future__ import annotations

import socket
import ssl
import threading
import tracemalloc
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.erp_floor import connection_to
from tests.sandbox_process import Sandbox, start_sandbox
from worker.erp import network
from worker.erp.deadline import Deadline
from worker.erp.wire import MIB, Request, Wire
from worker.errors import (
    AnswerCut,
    AnswerMalformed,
    AnswerTooLarge,
    CertificateUntrusted,
    ErpUnreachable,
    ExchangeTimeout,
    Misconfigured,
    WorkerError,
)
from worker.settings import Connection

ENTITY = "/MyStoreInstance/entity"
VERSIONS = Request(method="GET", path="/entity")


def _send(wire: Wire, sandbox: Sandbox, fault: dict[str, object], seconds: float = 10) -> None:
    sandbox.control("faults", {"path": ENTITY, **fault})
    try:
        wire.send(VERSIONS, Deadline(seconds))
    finally:
        wire.close()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "cut", "bytes": 20}, AnswerCut),
        ({"kind": "reset"}, AnswerCut),
        ({"kind": "reset", "when": "after", "bytes": 20}, AnswerCut),
        ({"kind": "gzip_bomb", "mebibytes": 64}, AnswerMalformed),
        ({"kind": "huge", "mebibytes": 4}, AnswerTooLarge),
        ({"kind": "delay", "seconds": 30.0}, ExchangeTimeout),
        ({"kind": "drip", "bytes": 1, "seconds": 0.2}, ExchangeTimeout),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value.__name__,
)
def test_faults(sandbox: Sandbox, fault: dict[str, object], kind: type[WorkerError]) -> None:
    """Each way in which an answer can go wrong is one error of the tree, and none takes longer than its deadline."""
    deadline = Deadline(20)
    with pytest.raises(kind):
        _send(Wire(connection_to(sandbox)), sandbox, fault, seconds=4)
    assert deadline.remaining() > 10


def test_bomb_takes_no_memory(sandbox: Sandbox) -> None:
    """A body that inflates a thousandfold is refused before it is inflated."""
    tracemalloc.start()
    try:
        with pytest.raises(AnswerMalformed):
            _send(Wire(connection_to(sandbox)), sandbox, {"kind": "gzip_bomb", "mebibytes": 256})
        assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    finally:
        tracemalloc.stop()


def test_redirect_is_not_followed(sandbox: Sandbox) -> None:
    """A redirect to another host is an answer, not an errand: the token stays here."""
    with start_sandbox("--control") as elsewhere:
        fault = {"kind": "redirect", "path": ENTITY, "status": 302, "location": elsewhere.url}
        sandbox.control("faults", fault)
        wire = Wire(connection_to(sandbox))
        answer = wire.send(Request(method="GET", path="/entity", token=SecretStr("canary")), Deadline(5))
        wire.close()
        assert (answer.status, answer.location) == (302, elsewhere.url)
        assert elsewhere.tally()["requests"] == 0


def test_unknown_authority_is_refused(sandbox: Sandbox) -> None:
    """A certificate that nobody vouches for is refused, with the way to trust it."""
    wire = Wire(connection_to(sandbox, ca_file=None))
    with pytest.raises(CertificateUntrusted, match="acuworker connect"):
        wire.send(VERSIONS, Deadline(5))
    wire.close()


def test_other_host_name_is_refused(sandbox: Sandbox) -> None:
    """A certificate for another name is refused, though its authority is trusted."""
    other_name = sandbox.url.replace("127.0.0.1", "127.1")  # the same address
    wire = Wire(connection_to(sandbox, url=other_name))
    with pytest.raises(CertificateUntrusted, match="mismatch"):
        wire.send(VERSIONS, Deadline(5))
    wire.close()


def test_pinned_certificate_is_trusted(sandbox: Sandbox, tmp_path: Path) -> None:
    """The server's own certificate will do as the ca_file, without the authority above it."""
    host, port = sandbox.url.split("/")[2].split(":")
    pinned = tmp_path / "pinned.pem"
    pinned.write_text(ssl.get_server_certificate((host, int(port)), ca_certs=sandbox.ca_file))
    wire = Wire(connection_to(sandbox, ca_file=pinned))
    assert wire.send(VERSIONS, Deadline(5)).status == 200
    wire.close()


def test_nobody_there(sandbox: Sandbox) -> None:
    """An address where nobody listens is named as unreachable."""
    wire = Wire(connection_to(sandbox, url="https://127.0.0.1:9/Site"))
    with pytest.raises(ErpUnreachable, match=r"https://127\.0\.0\.1:9"):
        wire.send(VERSIONS, Deadline(5))
    wire.close()


def test_cookies_are_refused(sandbox: Sandbox) -> None:
    """Cookies that the ERP sets are not sent back: under OAuth the session lives in the token."""
    wire = Wire(connection_to(sandbox))
    wire.send(VERSIONS, Deadline(5))
    wire.send(VERSIONS, Deadline(5))
    assert not wire._client.cookies.jar
    wire.close()


def test_token_is_in_no_repr() -> None:
    """Neither a token nor a form shows in the repr of a request."""
    secret = {"password": "canary"}
    request = Request(
        method="POST",
        path="/",
        form=secret,
        json=secret,
        token=SecretStr("canary"),
        cookies=SecretStr("canary"),
    )
    assert "canary" not in repr(request)


class _Near(BaseHTTPRequestHandler):
    """An instance that speaks plain http."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is said."""


def _in_the_clear(port: int) -> Wire:
    given = {"version": "1", "tenant": "T", "username": "u", "password": "canary", "sign_in": "cookie"}
    return Wire(Connection.model_validate({**given, "url": f"http://localhost:{port}", "plaintext": True}))


def test_plain_http_within_this_network() -> None:
    """A connection that says so is spoken to in the clear where the other end is of this machine."""
    with HTTPServer(("127.0.0.1", 0), _Near) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with closing(_in_the_clear(server.server_port)) as wire:
            assert wire.send(VERSIONS, Deadline(5)).body == b"{}"


def test_a_kept_connection_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the ERP ends a kept connection just as a request is sent on it, that is said; it is not sent again."""
    asked: list[bytes] = []

    def serve(server: socket.socket) -> None:
        for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b""):
            accepted, _ = server.accept()
            with accepted:
                asked.append(accepted.recv(65_536))
                accepted.sendall(answer)
                asked.append(accepted.recv(65_536))

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=[server], daemon=True).start()
        with closing(_in_the_clear(server.getsockname()[1])) as wire:
            assert wire.send(VERSIONS, Deadline(5)).body == b"{}"
            with pytest.raises(AnswerCut):
                wire.send(Request(method="POST", path="/entity", json={}), Deadline(5))
    assert [each.partition(b" ")[0] for each in asked] == [b"GET", b"POST"]


def test_plain_http_goes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a name leads to a public address, it is refused once that is known, before a byte is sent."""
    monkeypatch.setattr(network, "is_near", lambda address: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        wire = _in_the_clear(server.getsockname()[1])
        told = r"localhost is at 127\.0\.0\.1, .* use https://"
        with closing(wire), pytest.raises(Misconfigured, match=told):
            wire.send(VERSIONS, Deadline(5))
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(1) == b""


def test_cookies_that_an_answer_sets(sandbox: Sandbox) -> None:
    """What an answer sets can be read from it, and shows in no repr."""
    with closing(Wire(connection_to(sandbox))) as wire:
        token = SecretStr(sandbox.token())
        path = "/entity/Default/20.200.001/Customer"
        answer = wire.send(Request(method="GET", path=path, query="$top=1", token=token), Deadline(5))
    assert answer.set_cookies["UserBranch"] == "82"
    assert "UserBranch" not in repr(answer)

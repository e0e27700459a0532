"""An S3 to test against: moto's server in a process of its own, behind a gate that can be told to fail."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

BUCKET = "blobs"
SECRET = "canary-of-an-object-store"
START_SECONDS = 60.0

Fault = Literal["500", "reset", "cut"] | None


@dataclass
class S3:
    """A running S3; ``direct`` leads past its gate, at which ``fault`` says how a request fails, by its method and
    target, and ``seen`` are all of them."""

    endpoint: str
    direct: str
    fault: Callable[[str, str], Fault] = lambda method, target: None
    seen: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What obstore reads of it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def uploads(self) -> bytes:
        """What the bucket says of uploads that are under way."""
        return _ask(self.endpoint, "GET", f"/{BUCKET}?uploads")


@contextmanager
def start_s3() -> Iterator[S3]:
    """An S3 with an empty bucket."""
    with _moto() as port:
        _ask(f"http://127.0.0.1:{port}", "PUT", f"/{BUCKET}")
        running = S3(endpoint="", direct=f"http://127.0.0.1:{port}")
        with ThreadingHTTPServer(("127.0.0.1", 0), _gate(running, port)) as gate:
            running.endpoint = f"http://127.0.0.1:{gate.server_address[1]}"
            threading.Thread(target=gate.serve_forever, args=(0.05,), daemon=True).start()
            yield running
            gate.shutdown()


@contextmanager
def _moto() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            end = time.monotonic() + START_SECONDS
            while time.monotonic() < end:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.kill()


def _ask(endpoint: str, method: str, target: str) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    connection.request(method, target)
    body = connection.getresponse().read()
    connection.close()
    return body


def _gate(running: S3, port: int) -> type[BaseHTTPRequestHandler]:
    class Gate(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            running.seen.append(f"{self.command} {self.path}")
            fault = running.fault(self.command, self.path)
            if fault == "reset":
                self.close_connection = True
                return
            status, headers, content = 500, {"Content-Length": "0"}, b""
            if fault != "500":
                status, headers, content = self._answer(body)
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
            self.close_connection = fault == "cut"

        def _answer(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            told = {name: value for name, value in response.getheaders() if name.lower() not in HOP}
            told.setdefault("Content-Length", str(len(content)))
            return response.status, told, content

        # The names that the server calls.
        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Nobody reads it."""

    return Gate


HOP = ("connection", "transfer-encoding", "keep-alive")

"""What a request looks like on its way: its headers, its body, and nothing that it was not given."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import SecretStr

from tests.erp_floor import connection_to_nowhere
from worker.erp.wire import Request, Wire

PLAIN = {"accept": "application/json", "accept-encoding": "gzip"}
ALWAYS = {"host": "erp.example.com", "connection": "keep-alive", "user-agent": "acumatica-worker"}


@pytest.mark.parametrize(
    ("request_", "headers", "body"),
    [
        (Request(method="GET", path="/entity"), {}, b""),
        (
            Request(method="GET", path="/x", token=SecretStr("t"), branch="MYSTORE", request_id="job-1"),
            {"authorization": "Bearer t", "px-cbapibranch": "MYSTORE", "x-request-id": "job-1"},
            b"",
        ),
        (
            Request(method="GET", path="/x", cookies=SecretStr("ASP.NET_SessionId=s; Locale=Culture=en-US")),
            {"cookie": "ASP.NET_SessionId=s; Locale=Culture=en-US"},
            b"",
        ),
        (
            Request(method="POST", path="/entity/auth/logout", cookies=SecretStr("a=b")),
            {"cookie": "a=b", "content-length": "0"},
            b"",
        ),
        (
            Request(method="POST", path="/entity/auth/login", json={"name": "ü", "password": '"'}),
            {"content-type": "application/json", "content-length": "29"},
            '{"name":"ü","password":"\\""}'.encode(),
        ),
        (
            Request(method="PUT", path="/x", json={"value": Decimal("12.50")}),
            {"content-type": "application/json", "content-length": "15"},
            b'{"value":12.50}',
        ),
        (
            Request(method="POST", path="/identity/connect/token", form={"password": "a&b=ü"}),
            {"content-type": "application/x-www-form-urlencoded", "content-length": "23"},
            b"password=a%26b%3D%C3%BC",
        ),
    ],
)
def test_a_request(request_: Request, headers: dict[str, str], body: bytes) -> None:
    """A request has the headers and the body that it was given, a POST its length even where it is 0."""
    wire = Wire(connection_to_nowhere())
    built = wire._build(request_, "gzip")
    wire.close()
    assert dict(built.headers) == ALWAYS | PLAIN | headers
    assert built.content == body

"""What changes something in the ERP, by real workers: long operations outlive them, and a stop waits for writes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.erp_floor import connection_to
from tests.installation import Installation, eventually, install
from tests.sandbox_process import Sandbox, start_sandbox
from worker.jobstate import State

RELEASE = {
    "kind": "action",
    "entity": "SalesInvoice",
    "keys": ["Invoice", "INV000045"],
    "action": "ReleaseSalesInvoice",
    "form": 2,
}
INVOICES = {
    "entity": "SalesInvoice",
    "keys": ["Invoice", "INV000045"],
    "select": ["Status"],
    "deadline_seconds": 600,
}
ORDERS = {"entity": "SalesOrder", "keys": ["SO", "000001"], "select": ["Status"]}
OPERATION_SECONDS = 8


@contextmanager
def newer(*options: str) -> Iterator[tuple[Sandbox, Installation]]:
    """A newer build, and an installation that has one session of it."""
    with (
        start_sandbox("--control", "--build", "2025R1", *options) as sandbox,
        install(default=connection_to(sandbox, version="24.200.001")) as installation,
    ):
        yield sandbox, installation


def of(sandbox: Sandbox, kind: str) -> list[dict[str, Any]]:
    """The events of a kind."""
    return [event for event in sandbox.events() if event["kind"] == kind]


def posts(sandbox: Sandbox) -> int:
    """How often an action was sent."""
    arrivals = of(sandbox, "arrival")
    return sum(event["method"] == "POST" and "/SalesInvoice/" in event["path"] for event in arrivals)


def leased(installation: Installation) -> bool:
    """Whether the one session is lent to somebody."""
    with redis.Redis.from_url(installation.settings.store) as store:
        return bool(store.hget("acuworker:{default}:slot:1", "lease"))


def play_a_long_operation(seconds: float) -> dict[str, float]:
    """An action whose operation takes so long, with one session, workers of one thread, and one of them killed."""
    with (
        newer("--operation-seconds", str(seconds)) as (sandbox, installation),
        installation.service() as service,
    ):
        sandbox.control(f"records/SalesInvoice/{_id(sandbox)}", {"Status": "Balanced"}, "PATCH")
        worker = installation.start_worker("-c", "1")
        action = service.send(RELEASE)
        eventually(lambda: _expect(of(sandbox, "operation_start")), AssertionError)
        began = time.monotonic()
        blocked = service.send(INVOICES)
        assert service.send(ORDERS).get(timeout=seconds)["count"] == 1
        eventually(lambda: _expect(of(sandbox, "poll")), AssertionError)
        free = sum(_is_free(installation) for _ in range(20))
        worker.kill()
        worker = installation.start_worker("-c", "1")
        assert installation.jobs().get(str(blocked.id)).state is not State.DONE  # type: ignore[union-attr]
        assert action.get(timeout=seconds + 120)["count"] == 1
        took = time.monotonic() - began
        assert '"Status":"Open"' in blocked.get(timeout=120)["records"]
        _judge(sandbox, seconds)
        assert worker.stop() == 0
        assert sandbox.tally()["open_sessions"] == 0
        return {"took": took, "free": free, "looks": len(of(sandbox, "poll"))}


def _judge(sandbox: Sandbox, seconds: float) -> None:
    """Sent once, executed once, in the one session; nothing else on its form until it was over."""
    [start], [end] = of(sandbox, "operation_start"), of(sandbox, "operation_end")
    assert (end["at"] - start["at"]) / 1e9 >= seconds * 0.9
    assert (posts(sandbox), len(of(sandbox, "action")), sandbox.tally()["sign_ins"]) == (1, 1, 1)
    reads = [
        event["at"]
        for event in of(sandbox, "arrival")
        if event["method"] == "GET" and event["path"].endswith("/SalesInvoice/Invoice/INV000045")
    ]
    assert [at > end["at"] for at in reads] == [True]
    assert of(sandbox, "operation_abort") == []


def _id(sandbox: Sandbox) -> str:
    token = sandbox.token()
    path = f"{sandbox.url}/entity/Default/24.200.001/SalesInvoice/Invoice/INV000045"
    answer = sandbox.http.get(path, headers={"Authorization": f"Bearer {token}"})
    sandbox.http.post(f"{sandbox.url}/entity/auth/logout", headers={"Authorization": f"Bearer {token}"})
    sandbox.control("events", method="DELETE")
    return str(answer.json()["id"])


def _is_free(installation: Installation) -> bool:
    time.sleep(0.05)
    return not leased(installation)


def _expect(fact: object) -> None:
    assert fact


def test_a_long_operation_outlives_its_worker() -> None:
    """It holds no worker and no lease, is sent once though its worker is killed, and its form waits for it."""
    seen = play_a_long_operation(OPERATION_SECONDS)
    assert seen["free"] >= 10
    assert seen["looks"] <= 12

"""Many records: every one of them, in little memory."""

from __future__ import annotations

from pathlib import Path

from tests.erp_floor import connection_to
from tests.installation import install
from tests.sandbox_process import Sandbox, start_sandbox
from worker.blobs.opened import open_blobs
from worker.reader import Reader
from worker.result import Result

ORDERS = 20_000
MEMORY_MIB = 200


def all_orders(sandbox: Sandbox) -> list[tuple[str, str]]:
    """The type and number of every order, from one request of the test's own."""
    headers = {"Authorization": f"Bearer {sandbox.token()}"}
    url = f"{sandbox.url}/entity/Default/20.200.001/SalesOrder?$select=OrderType,OrderNbr"
    answer = sandbox.http.get(url, headers=headers)
    answer.raise_for_status()
    sandbox.http.post(f"{sandbox.url}/entity/auth/logout", headers=headers)
    return [(order["OrderType"]["value"], order["OrderNbr"]["value"]) for order in answer.json()]


def peak_mib(pid: int) -> float:
    """The most memory that a process has had; ``getrusage`` would count that of the one that started it too."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def test_twenty_thousand_orders_come_whole_and_in_little_memory() -> None:
    """A job for all orders in pages of 500 returns the ERP's rows, each once, with less than 200 MB of memory."""
    with start_sandbox("--control", "--orders", str(ORDERS), timeout=60) as sandbox:
        expected = all_orders(sandbox)
        with install(default=connection_to(sandbox)) as installation, installation.service() as service:
            installation.start_worker()
            job = {"entity": "SalesOrder", "page_size": 500}
            result = Result.model_validate(service.send(job, lane="bulk").get(timeout=100))
            assert result.count == len(expected) > ORDERS
            records = Reader(open_blobs(installation.settings)).records(result)
            assert [(record["OrderType"], record["OrderNbr"]) for record in records] == expected
            (stats,) = service.app.control.inspect(timeout=5).stats().values()
            assert peak_mib(stats["pid"]) < MEMORY_MIB
        assert sandbox.tally()["peak_in_flight"] == 1

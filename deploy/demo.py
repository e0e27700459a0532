"""The three questions of the vendor's course I320, answered over a real queue, real TLS and a stand-in ERP.

It starts the sandbox and ``acuworker up`` as processes of their own and enqueues as another service would, with
nothing but Celery. It stops both, and ends with one line of figures from the sandbox's tally and the results; its
exit status is 1 when any of them is not what the course says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname, urlopen

from celery import Celery
from rich import box
from rich.console import Console
from rich.table import Table

VAR = Path("var/demo")
CUSTOMER = "C000000003"
SECONDS = 90
LOOK_SECONDS = 0.05
"""How long to wait for a result: longer than a job's deadline, whose error names the reason."""

EXPECTED = "demo: orders=9 batches=5+4 payments=1 files=1 peak_sessions=1 open_sessions=0 declined=0"

ORDERS: dict[str, Any] = {
    "entity": "SalesOrder",
    "filter": "CustomerID eq :customer",
    "params": {"customer": CUSTOMER},
    "expand": ["Details", "Shipments"],
    "select": [
        *("OrderNbr", "OrderType", "CustomerID", "CustomerOrder", "Date", "OrderedQty", "OrderTotal"),
        *("Details/InventoryID", "Details/OrderQty", "Details/UnitPrice"),
        *("Shipments/InvoiceNbr", "Shipments/ShipmentNbr"),
    ],
}
PAYMENTS: dict[str, Any] = {
    "entity": "Payment",
    "filter": "Type eq 'Payment' and CustomerID eq :customer",
    "params": {"customer": CUSTOMER},
    "expand": ["ApplicationHistory"],
    "select": [
        *("ReferenceNbr", "Type", "Status", "ApplicationDate"),
        *("ApplicationHistory/DisplayDocType", "ApplicationHistory/DisplayRefNbr"),
    ],
}
PICTURE: dict[str, Any] = {
    "entity": "StockItem",
    "keys": ["AAMACHINE1"],
    "select": ["InventoryID"],
    "attachments": True,
}

Json = dict[str, Any]


def main() -> int:
    """Run the demo; 0 when every figure is as expected."""
    console = Console()
    shutil.rmtree(VAR, ignore_errors=True)
    VAR.mkdir(parents=True, mode=0o700)
    console.print("starting the sandbox, a stand-in for Acumatica ERP …")
    with _sandbox() as erp:
        console.print(f"starting acuworker up against {erp['url']} …")
        with _worker(erp) as broker:
            results = _ask(broker, console)
        _show(console, results)
        figures = _figures(erp, results)
    console.print(figures, highlight=False, soft_wrap=True)
    if figures != EXPECTED:
        console.print(f"expected: {EXPECTED}", style="red", soft_wrap=True)
    return int(figures != EXPECTED)


@contextmanager
def _process(
    command: Sequence[str], output: int | IO[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    given = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=output, stderr=STDOUT, text=True, env=given) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


@contextmanager
def _sandbox() -> Iterator[Json]:
    """The stand-in ERP; yields what its first line says."""
    with _process([sys.executable, "-m", "deploy.sandbox", "--control"], PIPE) as process:
        assert process.stdout is not None  # noqa: S101 it was asked for
        line = process.stdout.readline()
        if not line.startswith("{"):
            raise SystemExit(f"the sandbox ended before it said where it is: {line}")
        yield json.loads(line)


def _settings(erp: Json) -> dict[str, str]:
    """A connections.toml for the sandbox, and the environment that points at it."""
    connection = {
        name: erp[name] for name in ("url", "tenant", "username", "password", "client_id", "client_secret")
    }
    connection |= {"version": "24.200.001", "ca_file": erp["ca_file"]}
    path = VAR / "connections.toml"
    path.touch(mode=0o600)
    path.write_text(
        "[connections.default]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in connection.items())
    )
    return {"ACUWORKER_VAR": str(VAR), "ACUWORKER_CONNECTIONS_FILE": str(path)}


@contextmanager
def _worker(erp: Json) -> Iterator[str]:
    """``acuworker up`` against the sandbox, what it says in a file; yields the address of its broker."""
    path = VAR / "up.log"
    with (
        path.open("w") as log,
        _process([sys.executable, "-m", "worker", "up"], log, _settings(erp)) as process,
    ):
        yield _broker(process, path)


def _broker(process: subprocess.Popen[str], log: Path) -> str:
    while not (told := re.search(r"^broker: (.+)$", log.read_text(), re.MULTILINE)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
            raise SystemExit(f"acuworker up ended before it had a broker:\n{log.read_text()}")
    return told[1]


def _ask(broker: str, console: Console) -> dict[str, Json]:
    """Enqueue the four jobs as another service would, and wait for their results."""
    service = Celery(broker=broker, backend=broker)
    jobs = {
        "orders": ORDERS,
        "batches": {**ORDERS, "page_size": 5},
        "payments": PAYMENTS,
        "picture": PICTURE,
    }
    sent = {
        name: service.send_task("acumatica.retrieve", args=[job], queue="acumatica.interactive")
        for name, job in jobs.items()
    }
    results = {}
    for name, task in sent.items():
        console.print(f"waiting for {name} (job {task.id}) …")
        results[name] = task.get(timeout=SECONDS)
    service.close()
    return results


def _records(result: Json) -> list[Json]:
    return [json.loads(line) for line in result["records"].split("\n") if line]


def _show(console: Console, results: dict[str, Json]) -> None:
    console.print(
        _orders_table("Lesson 2.1: nine orders with lines and shipments, one request", results["orders"])
    )
    console.print(_orders_table("Lesson 2.2: the same in batches of five", results["batches"]))
    console.print(_payments_table(results["payments"]))
    console.print(_files_table(results["picture"]))


def _orders_table(title: str, result: Json) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0, pad_edge=False, title_justify="left")
    for name in ("Order", "Date", "Theirs", "Total", "Lines", "Shipments"):
        table.add_column(name, justify="right" if name == "Total" else "left", no_wrap=True)
    for order in _records(result):
        lines = [
            f"{line['OrderQty']:g}×{line['InventoryID']} {line['UnitPrice']:.2f}" for line in order["Details"]
        ]
        shipments = [f"{row['ShipmentNbr']} {row['InvoiceNbr'] or ''}" for row in order["Shipments"]]
        table.add_row(
            order["OrderNbr"],
            order["Date"][:10],
            order["CustomerOrder"],
            f"{order['OrderTotal']:.2f}",
            "\n".join(lines),
            "\n".join(shipments),
        )
    return table


def _payments_table(result: Json) -> Table:
    title = f"Lesson 2.3: the payments, {result['strategy'].replace('_', ' ')}"
    table = Table(
        "Payment", "Status", "Applied on", "Applied to", title=title, caption="\n".join(result["notes"])
    )
    for payment in _records(result):
        applied = [f"{row['DisplayDocType']} {row['DisplayRefNbr']}" for row in payment["ApplicationHistory"]]
        number = f"{payment['Type']} {payment['ReferenceNbr']}"
        table.add_row(number, payment["Status"], payment["ApplicationDate"][:10], "\n".join(applied))
    return table


def _files_table(result: Json) -> Table:
    table = Table(
        title="Lesson 3.1: the picture of AAMACHINE1", box=None, show_header=False, title_justify="left"
    )
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for file in result["files"]:
        for name, value in (
            ("file", file["name"]),
            ("bytes", file["size"]),
            ("SHA-256", file["sha256"]),
            ("path", url2pathname(urlsplit(file["url"]).path)),
        ):
            table.add_row(name, str(value))
    return table


def _figures(erp: Json, results: dict[str, Json]) -> str:
    """The last line: of the results, and of the sandbox's own log now that the worker has gone."""
    tally, events = _control(erp, "tally"), _control(erp, "events")
    asked = {event["request"]: event["request_id"] for event in events if event["kind"] == "arrival"}
    rows: dict[str | None, list[int]] = {}
    for event in events:
        if event["kind"] == "end":
            rows.setdefault(asked[event["request"]], []).append(event["rows"])
    one_request = rows[results["orders"]["job_id"]] == [9]
    first, *others = rows[results["batches"]["job_id"]]
    # Each later page begins with the row that the one before ended with; the last holds that alone.
    batches = "+".join(map(str, (first, *(count - 1 for count in others if count > 1))))
    optimized = not results["payments"]["notes"]
    return (
        f"demo: orders={len(_records(results['orders'])) if one_request else 'not in one request'}"
        f" batches={batches} payments={'optimized' if optimized else len(_records(results['payments']))}"
        f" files={len(results['picture']['files'])} peak_sessions={tally['peak_sessions']}"
        f" open_sessions={tally['open_sessions']} declined={tally['declined']}"
    )


def _control(erp: Json, what: str) -> Any:
    """Read the sandbox's control API, which lies beside its site."""
    origin = "/".join(erp["url"].split("/")[:3])
    trusted = ssl.create_default_context(cafile=erp["ca_file"])
    with urlopen(f"{origin}/_sandbox/{what}", context=trusted, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())

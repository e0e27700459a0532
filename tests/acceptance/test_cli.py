"""acuworker with everything real: `up`, its workers and its store, the sandbox as the ERP, commands as processes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import ACUWORKER, CommandLine
from tests.erp_floor import connection_to
from tests.installation import Installation, eventually, install
from tests.sandbox_process import Sandbox, start_sandbox

ORDERS = (
    "SalesOrder",
    "--filter",
    "CustomerID eq :id",
    "--param",
    "id=C000000003",
    "--select",
    "OrderNbr,OrderTotal",
)


@pytest.fixture
def installation(sandbox: Sandbox) -> Iterator[Installation]:
    """An installation whose connection is the sandbox, and whose store runs."""
    with install(default=connection_to(sandbox)) as installation:
        yield installation


@pytest.fixture
def shell(installation: Installation) -> CommandLine:
    """A command line in the installation."""
    told = {name: text for name, text in installation.environment.items() if name.startswith("ACUWORKER_")}
    return CommandLine(installation.directory, told | {"ACUWORKER_LOG_LEVEL": "WARNING"})


def test_a_job_and_its_result(installation: Installation, shell: CommandLine) -> None:
    """submit prints an id, result the records for a pipe and the costs beside them, or the result as JSON."""
    installation.start_worker()
    submitted = shell.run("submit", *ORDERS)
    assert (submitted.status, submitted.err) == (0, "")
    job_id = submitted.out.strip()
    done = shell.run("result", job_id, "--wait")
    assert done.status == 0, done.err
    orders = [json.loads(line) for line in done.out.splitlines()]
    assert [order["OrderNbr"] for order in orders[:2]] == ["000001", "000004"]
    assert '"OrderTotal":2200.0000,' in done.out
    assert "9 SalesOrder in 1 page" in done.err
    result = json.loads(shell.run("result", job_id, "--json").out)
    assert (result["count"], result["job_id"]) == (9, job_id)
    target = installation.directory / "orders.ndjson"
    assert shell.run("result", job_id, "--output", target).out == ""
    assert target.read_text() == done.out


def test_submit_can_wait(installation: Installation, shell: CommandLine) -> None:
    """With --wait the records have standard output to themselves; on a terminal progress is shown meanwhile."""
    installation.start_worker()
    done = shell.run(
        "submit", "--json", "-", "--page-size", 5, "--wait", stdin='{"entity": "SalesOrder", "limit": 7}'
    )
    assert done.status == 0, done.err
    assert len(done.out.splitlines()) == 7
    assert "7 SalesOrder in 2 pages" in done.err
    status, said = shell.converse("submit", *ORDERS, "--wait", answers={})
    assert status == 0
    assert "9 SalesOrder in 1 page" in said


def test_a_large_result_comes_out_whole(tmp_path: Path) -> None:
    """A result in parts is written as one file, byte for byte what the parts are."""
    with (
        start_sandbox("--control", "--orders", "400") as sandbox,
        install(default=connection_to(sandbox)) as installed,
    ):
        installed.start_worker()
        told = {name: text for name, text in installed.environment.items() if name.startswith("ACUWORKER_")}
        shell = CommandLine(tmp_path, told)
        done = shell.run("submit", "SalesOrder", "--page-size", 100, "--wait", "--output", "all.ndjson")
        assert done.status == 0, done.err
        assert "manifest" in done.err
        lines = (tmp_path / "all.ndjson").read_text().splitlines()
        numbers = [json.loads(line)["OrderNbr"] for line in lines]
        assert len(set(numbers)) == len(numbers) == 410


def test_a_failed_job_ends_with_its_error(installation: Installation, shell: CommandLine) -> None:
    """A job's own error is the command's: one line, status 1, nothing on standard output."""
    installation.start_worker()
    done = shell.run("submit", "SalesOrder", "--key", "SO", "--key", "999999", "--wait")
    assert (done.status, done.out) == (1, "")
    assert (
        done.err.splitlines()[-1] == "error: keys: no SalesOrder in Default/20.200.001 is named SO / 999999"
    )
    unknown = shell.run("result", "no-such-job")
    assert unknown.status == 1
    assert unknown.err.startswith("error: ")
    assert len(unknown.err.splitlines()) == 1


def test_a_job_that_has_not_ended_has_no_result(shell: CommandLine) -> None:
    """Without --wait, the result of a job that waits for a worker is refused, saying so."""
    job_id = shell.run("submit", *ORDERS).out.strip()
    done = shell.run("result", job_id)
    assert (done.status, done.out) == (1, "")
    assert f"the job {job_id} has not ended" in done.err


def test_status_tells_who_works_and_what_waits(installation: Installation, shell: CommandLine) -> None:
    """Without workers status fails and shows the queue; with them it succeeds and shows nodes, jobs, sessions."""
    job_id = shell.run("submit", *ORDERS, "--lane", "bulk").out.strip()
    before = shell.run("status")
    assert before.status == 1
    bulk = next(line for line in before.out.splitlines() if "bulk" in line)
    assert [cell.strip() for cell in bulk.split("│")[1:4]] == ["bulk", "1", "none: run acuworker up"]
    installation.start_worker()
    assert shell.run("result", job_id, "--wait").status == 0
    after = shell.run("status")
    assert after.status == 0, after.out
    bulk = next(line for line in after.out.splitlines() if "bulk" in line)
    assert [cell.strip() for cell in bulk.split("│")[1:3]] == ["bulk", "0"]
    assert "open" in after.out


def test_without_a_store_every_command_says_so(installation: Installation, shell: CommandLine) -> None:
    """With the store gone submit, result and status end with one line, and queue nothing."""
    with installation.without_store(signal.SIGKILL):
        for arguments in (("submit", *ORDERS), ("result", "x"), ("status",)):
            done = shell.run(*arguments)
            assert (done.status, done.out) == (1, "")
            assert done.err.startswith("error: ")
            assert len(done.err.splitlines()) == 1
    assert installation.queued() == 0


def test_from_connect_to_records(tmp_path: Path, sandbox: Sandbox) -> None:
    """What a newcomer does: connect, up, submit, doctor, stop; one session at most, and none at the end."""
    secrets = {"ACUWORKER_PASSWORD": sandbox.password, "ACUWORKER_CLIENT_SECRET": sandbox.client_secret}
    shell = CommandLine(tmp_path, {})
    told = {
        "--url": f"{sandbox.url}/entity/Default/20.200.001",
        "--tenant": sandbox.tenant,
        "--username": sandbox.username,
        "--client-id": sandbox.client_id,
        "--ca-file": sandbox.ca_file,
        "--max-sessions": "1",
        "--max-per-minute": "0",
    }
    connected = shell.run("connect", *(part for pair in told.items() for part in pair), **secrets)
    assert connected.status == 0, connected.err
    with (tmp_path / "up.log").open("wb") as log:
        up = subprocess.Popen([ACUWORKER, "up"], cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:

        def healthy() -> None:
            assert shell.run("status").status == 0

        eventually(healthy, AssertionError)
        assert len(shell.run("submit", *ORDERS, "--wait").out.splitlines()) == 9
        assert shell.run("doctor").status == 0
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(timeout=60) == 0
    tally = sandbox.tally()
    assert (tally["peak_sessions"], tally["open_sessions"], tally["declined"]) == (1, 0, 0)
    assert sandbox.password not in (tmp_path / "up.log").read_text()

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
    assert shell.run("result", job_id, "--to", target).out == ""
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
    assert f"the job {job_id} has not ended: it is accepted" in done.err


def test_status_tells_who_works_and_what_waits(installation: Installation, shell: CommandLine) -> None:
    """Without workers status is critical and shows what waits; with them it is well, and shows who and what."""
    job_id = shell.run("submit", *ORDERS, "--lane", "bulk").out.strip()
    before = shell.run("status")
    assert (before.status, before.out.splitlines()[0]) == (2, "CRITICAL: no worker runs: run acuworker up")
    told = json.loads(shell.run("status", "--json").out)["fleet"]
    assert (told["queued"]["bulk"], [work["waiting"] for work in told["work"]]) == (1, [0, 1])
    worker = installation.start_worker()
    assert shell.run("result", job_id, "--wait").status == 0
    after = shell.run("status")
    assert after.status == 0, after.out
    assert after.out.startswith("OK: 1 worker, 0 jobs waiting, 0 running")
    assert "open" in after.out
    assert worker.stop() == 0
    assert shell.run("status").status == 2


def test_a_worker_for_one_lane_is_a_warning(installation: Installation, shell: CommandLine) -> None:
    """A lane that no worker serves is a warning, with its name."""
    installation.start_worker("-Q", "acumatica.bulk")
    done = shell.run("status")
    assert done.status == 1
    assert done.out.splitlines()[0] == "WARNING: no worker serves the lane interactive"


def test_a_fleet_is_halted_and_goes_on(installation: Installation, shell: CommandLine) -> None:
    """Jobs of a paused connection wait and say so, to status and to who asks for the result; then they are done."""
    installation.start_worker()
    assert shell.run("pause", "default", "--reason", "upgrade").status == 0
    job_id = shell.run("submit", *ORDERS, "--lane", "bulk").out.strip()

    def waiting() -> None:
        assert "it is waiting_for_resume: connection 'default' is paused" in shell.run("result", job_id).err

    eventually(waiting, AssertionError)
    paused = shell.run("status")
    assert paused.status == 1
    assert "upgrade): acuworker resume default" in paused.out.splitlines()[0]
    assert shell.run("resume", "default").status == 0
    assert shell.run("result", job_id, "--wait").status == 0


def test_limits_of_a_running_fleet_are_changed(
    sandbox: Sandbox, installation: Installation, shell: CommandLine
) -> None:
    """A limit that is set counts for the workers that run: with two sessions allowed, two jobs go at once."""
    sandbox.control(
        "faults", {"kind": "delay", "path": "/MyStoreInstance/entity", "times": 40, "seconds": 0.3}
    )
    installation.start_worker()
    assert shell.run("license", "set", "default", "max_sessions=2").status == 0
    for job_id in [shell.run("submit", *ORDERS, "--page-size", 1).out.strip() for _ in range(2)]:
        assert shell.run("result", job_id, "--wait").status == 0
    tally = sandbox.tally()
    assert (tally["peak_sessions"], tally["peak_in_flight"]) == (2, 2)


def test_without_a_store_every_command_says_so(installation: Installation, shell: CommandLine) -> None:
    """With the store gone submit and result end with one line, and queue nothing; status is critical."""
    with installation.without_store(signal.SIGKILL):
        for arguments in (("submit", *ORDERS), ("result", "x"), ("sessions", "list")):
            done = shell.run(*arguments)
            assert (done.status, done.out) == (1, "")
            assert done.err.startswith("error: ")
            assert len(done.err.splitlines()) == 1
        unknown = shell.run("status")
        assert (unknown.status, unknown.err) == (2, "")
        assert unknown.out.startswith("CRITICAL: the store does not answer")
        assert len(unknown.out.splitlines()) == 1
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

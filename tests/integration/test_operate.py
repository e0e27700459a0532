"""The commands of an operator beside workers, on a real store and against the sandbox."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from cryptography.fernet import Fernet

from tests.command_line import ACUWORKER, CommandLine, shell_for
from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox
from tests.store_process import contents
from worker.erp.caller import Caller
from worker.erp.control import Control
from worker.erp.deadline import Deadline
from worker.erp.gateway import Gateway
from worker.erp.license import LimitsInForce
from worker.erp.sessions import Outcome
from worker.errors import ConnectionPaused
from worker.job import Job, Lane
from worker.jobstore import JobStore
from worker.page import Query
from worker.settings import Connection, Settings

KEY = Fernet.generate_key()
CUSTOMER = Query(entity="Customer")
SLOT = "acuworker:{default}:slot:1"


@pytest.fixture
def connection(sandbox: Sandbox) -> Connection:
    """A connection that may have two sessions."""
    return connection_to(sandbox, max_sessions=2)


@pytest.fixture
def settings(connection: Connection, store_url: str) -> Settings:
    """The settings of a worker."""
    return settings_for(connection, store_url, KEY)


@pytest.fixture
def shell(tmp_path: Path, connection: Connection, store_url: str) -> CommandLine:
    """A command line with the same settings."""
    told = {"ACUWORKER_STORE_URL": store_url, "ACUWORKER_STORE_KEYS": KEY.decode(), "COLUMNS": "160"}
    return shell_for(tmp_path, connection, **told)


@pytest.fixture
def gateway(settings: Settings, floors: Floors) -> Gateway:
    """A worker's ERP floor."""
    return floors.start(settings, "host/1")


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """A client of the store."""
    with redis.Redis.from_url(store_url) as client:
        yield client


def caller() -> Caller:
    """A job of the bulk lane, with time."""
    return Caller(lane=Lane.BULK, deadline=Deadline(60), job_id="job-1")


@contextmanager
def two_sessions(gateway: Gateway) -> Iterator[None]:
    """The sessions of both slots are open; while this lasts they are lent."""
    pool = gateway.way("default").pool
    with pool.lease(caller()) as one, pool.lease(caller()) as other:
        one.outcome = other.outcome = Outcome.ANSWERED
        yield


def cells(table: str) -> list[list[str]]:
    """The rows of a table, without its headers."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "│" in line]


def test_limits_are_shown_and_changed(
    shell: CommandLine, gateway: Gateway, settings: Settings, store: redis.Redis
) -> None:
    """What is set counts for those who run, at once and also for those who come; what differs is said."""
    assert "in force: none yet, as no worker has used it" in shell.run("license", "show").out
    assert contents(store) == {}
    done = shell.run("license", "set", "default", "max_sessions=1", "max_per_minute=60")
    assert done.status == 0, done.err
    assert "in force: max_sessions=1 max_per_minute=60" in done.out
    assert (done.out + done.err).count("max_sessions is 2 in the file") == 1
    limits = LimitsInForce(store, settings.license_of(settings.connection("default")), 0.0)
    assert (limits.limits().max_sessions, limits.limits().max_per_minute) == (1, 60)
    shown = shell.run("license", "show", "default").out
    assert "file:     max_sessions=2 max_per_minute=0" in shown
    assert "max_sessions is 2 in the file and 1 in force" in shown


def test_a_limit_that_cannot_be_is_refused(shell: CommandLine) -> None:
    """A number that no license has is refused as in the file, and nothing is changed; so is an unknown license."""
    refused = shell.run("license", "set", "default", "max_per_minute=1")
    assert refused.status == 1
    assert "max_per_minute: must be 0 (no limit) or at least 2" in refused.err
    unknown = shell.run("license", "set", "none", "max_sessions=1")
    assert "no connection spends a license 'none'; there is default" in unknown.err


def test_a_lower_limit_closes_sessions(
    sandbox: Sandbox, shell: CommandLine, gateway: Gateway, store: redis.Redis
) -> None:
    """Sessions beyond a limit that was lowered are signed out by a worker when it looks next."""
    with two_sessions(gateway):
        pass
    assert erp_of(gateway).list(CUSTOMER, top=1)
    shell.run("license", "set", "default", "max_sessions=1")
    gateway.way("default").pool.tidy()
    assert not store.exists("acuworker:{default}:slot:2")


def test_a_paused_connection_waits_and_goes_on(
    sandbox: Sandbox, shell: CommandLine, gateway: Gateway
) -> None:
    """While it is paused nothing is asked, its session is signed out, and status says why; then it goes on."""
    erp_of(gateway).list(CUSTOMER, top=1)
    done = shell.run("pause", "default", "--reason", "upgrade\nuntil noon")
    assert done.status == 0, done.err
    with pytest.raises(ConnectionPaused, match=r"upgradeuntil noon\): acuworker resume default"):
        erp_of(gateway).list(CUSTOMER, top=1)
    gateway.way("default").pool.tidy()
    assert sandbox.tally()["open_sessions"] == 0
    assert shell.run("resume", "default").status == 0
    assert erp_of(gateway).list(CUSTOMER, top=1)
    assert "there is no connection 'nope'" in shell.run("pause", "nope").err


def test_a_pause_keeps_its_reason(shell: CommandLine, settings: Settings, store: redis.Redis) -> None:
    """Paused again without a reason, a connection keeps the first; a new reason replaces it; resume says what was."""
    assert "connection 'default' was not paused" in shell.run("resume", "default").out
    shell.run("pause", "default", "--reason", "upgrade")
    again = shell.run("pause", "default")
    assert again.status == 0
    assert "connection 'default' was paused before, and stays so (since " in again.out
    assert "upgrade): acuworker resume default" in shell.run("status").out.replace("\n", " ")
    assert "connection 'default' is paused" in shell.run("pause", "default", "--reason", "audit").out
    assert b": audit" in (store.hget("acuworker:{default}:paused", "default") or b"")
    resumed = [shell.run("resume", "default") for _ in range(2)]
    assert [done.status for done in resumed] == [0, 0]
    assert "goes on" in resumed[0].out
    assert "was not paused" in resumed[1].out


def test_sessions_are_listed(shell: CommandLine, gateway: Gateway) -> None:
    """Each slot is a row: whose session it holds, how it is, and who is at it."""
    pool = gateway.way("default").pool
    with pool.lease(caller()):
        rows = cells(shell.run("sessions", "list").out)
    assert [row[:4] for row in rows] == [["default", "1", "default", "lent"], ["default", "2", "", "free"]]
    assert rows[0][-1] == "host/1"


def test_an_idle_session_is_signed_out(
    sandbox: Sandbox, shell: CommandLine, gateway: Gateway, store: redis.Redis
) -> None:
    """A session that nobody uses is signed out, its token revoked, its slot free; the other stays."""
    with two_sessions(gateway):
        pass
    for _ in range(2):
        erp_of(gateway).list(CUSTOMER, top=1)
    done = shell.run("sessions", "sign-out", "--slot", 1)
    assert (done.status, done.err) == (0, "")
    assert "slot 1 of license 'default': signed out, and its token revoked" in done.out
    assert not store.exists(SLOT)
    assert store.exists("acuworker:{default}:slot:2")
    kinds = [event["kind"] for event in sandbox.events()]
    assert kinds.index("sign_out") < kinds.index("token_revoked")
    assert (
        "connection 'default' has no session in slot 1" in shell.run("sessions", "sign-out", "--slot", 1).out
    )


def test_a_lent_session_is_left_alone(shell: CommandLine, gateway: Gateway, store: redis.Redis) -> None:
    """Of all sessions those that are lent are refused, with the way out, and the others are closed."""
    pool = gateway.way("default").pool
    with pool.lease(caller()):
        with pool.lease(caller()):
            pass
        done = shell.run("sessions", "sign-out", "--all")
        assert done.status == 1
        assert "slot 2 of license 'default': signed out" in done.out
        assert "slot 1 of license 'default' is lent to host/1: acuworker pause default" in done.err
        assert store.exists(SLOT)
    unknown = shell.run("sessions", "sign-out", "--slot", 3)
    assert (unknown.status, "license 'default' has slots 1 to 2" in unknown.err) == (2, True)


def test_what_changed_since_the_look_is_left_alone(
    sandbox: Sandbox, settings: Settings, gateway: Gateway, store: redis.Redis
) -> None:
    """A slot that is lent by now, or is another session's or another user's, is neither closed nor released."""
    pool = gateway.way("default").pool
    other = settings.connection("default").model_copy(update={"username": "other"})
    control = Control(store, settings, settings.connection("default"), "host/operator")
    foreign = Control(store, settings, other, "host/operator")
    with pool.lease(caller()) as lease:
        lease.outcome = Outcome.ANSWERED
        control.sign_out(lease.slot, lease.generation)
        assert not control.release(lease.slot, lease.generation)
    control.sign_out(lease.slot, lease.generation + 1)
    assert not control.release(lease.slot, lease.generation + 1)
    foreign.sign_out(lease.slot, lease.generation)
    assert store.hget(SLOT, "state") == b"open"
    assert sandbox.tally()["sign_outs"] == 0
    control.sign_out(lease.slot, lease.generation)
    assert not store.exists(SLOT)
    for each in (control, foreign):
        each.end()


def test_a_session_that_the_erp_does_not_close_is_said(
    sandbox: Sandbox, shell: CommandLine, gateway: Gateway, store: redis.Redis
) -> None:
    """A sign-out that the ERP refuses is an error, and the slot is not taken for free."""
    erp_of(gateway).list(CUSTOMER, top=1)
    sandbox.control(
        "faults",
        {"kind": "status", "path": "/MyStoreInstance/entity/auth/logout", "status": 401, "method": "POST"},
    )
    done = shell.run("sessions", "sign-out", "--slot", 1)
    assert done.status == 1
    assert "slot 1 of license 'default' is quarantine now: nobody knows" in done.err
    assert store.hget(SLOT, "state") == b"quarantine"


def test_a_session_of_other_software_is_closed(
    sandbox: Sandbox, shell: CommandLine, gateway: Gateway, tmp_path: Path, store: redis.Redis
) -> None:
    """A session left open is closed by its token, which is revoked and never shown; who waited for it goes on."""
    tokens = [sandbox.token() for _ in range(2)]
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        sandbox.http.get(f"{sandbox.url}/entity/Default/20.200.001/Customer?$top=1", headers=headers)
    assert sandbox.tally()["open_sessions"] == 2
    store.set("acuworker:{default}:full", "the license is full", px=30_000)
    file = tmp_path / "token"
    file.write_text(f"{tokens[0]}\n")
    done = shell.run("sessions", "sign-out", "--token-file", file, ACUWORKER_LOG_LEVEL="DEBUG")
    assert done.status == 0, done.err
    assert tokens[0] not in done.out + done.err
    assert sandbox.tally()["open_sessions"] == 1
    assert any(event["kind"] == "token_revoked" for event in sandbox.events())
    assert erp_of(gateway).list(CUSTOMER, top=1)
    by_pipe = shell.run("sessions", "sign-out", "--token-file", "-", stdin=tokens[1])
    assert by_pipe.status == 0, by_pipe.err
    for garbage in (b"", b"\xff\x00\xfe", b"Bearer canary"):
        file.write_bytes(garbage)
        refused = shell.run("sessions", "sign-out", "--token-file", file)
        assert (refused.status, len(refused.err.splitlines())) == (1, 1), refused.err
        assert "error: --token-file: the file " in refused.err
        assert "canary" not in refused.err


def test_a_token_needs_no_store(sandbox: Sandbox, tmp_path: Path, connection: Connection) -> None:
    """Before the first up, too, a session that blocks the only seat can be closed."""
    token = sandbox.token()
    headers = {"Authorization": f"Bearer {token}"}
    sandbox.http.get(f"{sandbox.url}/entity/Default/20.200.001/Customer?$top=1", headers=headers)
    done = shell_for(tmp_path, connection).run("sessions", "sign-out", "--token-file", "-", stdin=token)
    assert done.status == 0, done.err
    assert sandbox.tally()["open_sessions"] == 0


def test_a_slot_is_released_on_the_operators_word(
    shell: CommandLine, gateway: Gateway, store: redis.Redis
) -> None:
    """A slot in quarantine is free once somebody has said so; asked first, and refused while it is in use."""
    pool = gateway.way("default").pool
    with pool.lease(caller()):
        refused = shell.run("sessions", "release", "default", 1, "--yes")
        assert (refused.status, "is in use by host/1" in refused.err) == (1, True)
    refused = shell.run("sessions", "release", "default", 1, "--yes")
    assert (refused.status, "acuworker sessions sign-out --slot 1 default" in refused.err) == (1, True)
    store.hset(SLOT, mapping={"state": "quarantine", "until": 10**13, "busy": 10**13})
    refused = shell.run("sessions", "release", "default", 1, "--yes")
    assert (refused.status, "may still be at work: release it in" in refused.err) == (1, True)
    store.hset(SLOT, mapping={"state": "quarantine", "until": 10**13, "busy": 0})
    assert shell.run("sessions", "release", "default", 1, stdin="n\n").status == 1
    assert store.exists(SLOT)
    done = shell.run("sessions", "release", "default", 1, stdin="y\n")
    assert done.status == 0, done.err
    assert "is quarantine. Has the ERP closed its session" in done.out
    assert not store.exists(SLOT)
    assert (
        "slot 1 of license 'default' is free" in shell.run("sessions", "release", "default", 1, "--yes").out
    )


def test_status_is_for_monitors(shell: CommandLine, gateway: Gateway, store: redis.Redis) -> None:
    """0 is well, 1 is somebody should look, 2 is no worker; the first line says why; looking changes nothing."""
    jobs = JobStore(store)
    assert shell.run("status").status == 2
    jobs.present("host/1", list(Lane))
    erp_of(gateway).list(CUSTOMER, top=1)
    jobs.accept("j", Job(entity="Customer", lane=Lane.BULK))
    shell.run("license", "set", "default", "max_per_minute=60")
    for _ in range(3):
        erp_of(gateway).list(CUSTOMER, top=1)
    before = contents(store)
    well = shell.run("status")
    assert (well.status, well.err) == (0, "")
    assert well.out.splitlines()[0] == "OK: 1 worker, 1 jobs waiting, 0 running"
    told = json.loads(shell.run("status", "--json").out)
    assert (told["status"], told["exit_status"]) == ("ok", 0)
    assert [work["waiting"] for work in told["fleet"]["work"]] == [0, 1]
    minute = told["fleet"]["minutes"]["default"]
    assert (minute["limit"], minute["configured"]) == (60, 60)
    # Sign-in and request came before there was a limit to count for.
    assert minute["arrivals"] in (3, 5)
    assert contents(store) == before
    shell.run("pause", "default", "--reason", "upgrade")
    jobs.present("host/1", list(Lane))
    paused = shell.run("status")
    assert paused.status == 1
    assert paused.out.splitlines()[0].startswith("WARNING: default: connection 'default' is paused (since ")


def test_status_can_be_watched(shell: CommandLine, store: redis.Redis) -> None:
    """On a terminal the fleet is shown again and again until somebody interrupts."""
    JobStore(store).present("host/1", list(Lane))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [ACUWORKER, "status", "--watch"],
        cwd=shell.directory,
        env=shell.environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        try:
            said = b""
            while said.count(b": 1 worker") < 2:
                said += os.read(ours, 4096)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 130
            with suppress(OSError):  # a terminal whose other side is gone
                while more := os.read(ours, 4096):
                    said += more
            assert b"interrupted" in said
            assert b"Traceback" not in said
        finally:
            process.kill()
            os.close(ours)


def test_a_wait_may_be_interrupted(shell: CommandLine, store_url: str) -> None:
    """Ctrl-C ends a wait with 130 and one line, which says that the job goes on and how to see it."""
    with subprocess.Popen(
        [ACUWORKER, "submit", "Customer", "--wait"],
        cwd=shell.directory,
        env=shell.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr
            job_id = process.stderr.readline().strip()
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(timeout=20) == 130
        finally:
            process.kill()
    assert said == f"interrupted; the job goes on: acuworker result {job_id} --wait\n"
    assert f"the job {job_id} has not ended: it is accepted" in shell.run("result", job_id).err

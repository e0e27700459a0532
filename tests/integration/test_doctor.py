"""acuworker doctor against the sandbox, with a store and without: a line for each check, and no session left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tests.command_line import CommandLine
from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox
from worker import connections
from worker.erp.gateway import Gateway
from worker.errors import SignInRefused
from worker.job import Query
from worker.settings import Connection

KEY = Fernet.generate_key()
CUSTOMER = Query(entity="Customer")


def shell_for(directory: Path, connection: Connection, **environment: str) -> CommandLine:
    """A directory with a connection to the sandbox, its secrets beside it."""
    told = connection.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    told["password"] = connection.password.get_secret_value()
    told["client_secret"] = connection.client_secret.get_secret_value()
    connections.save(directory / "connections.toml", connection.name, told)
    return CommandLine(directory, environment)


@pytest.fixture
def connection(sandbox: Sandbox) -> Connection:
    """A connection that may have one session."""
    return connection_to(sandbox, max_sessions=1)


@pytest.fixture
def shell(tmp_path: Path, connection: Connection) -> CommandLine:
    """A directory whose connection is right, and no store."""
    return shell_for(tmp_path, connection)


@pytest.fixture
def fleet_shell(tmp_path: Path, connection: Connection, store_url: str) -> CommandLine:
    """The same, with a store that workers share."""
    told = {"ACUWORKER_STORE_URL": store_url, "ACUWORKER_STORE_KEYS": KEY.decode()}
    return shell_for(tmp_path, connection, **told)


@pytest.fixture
def gateway(connection: Connection, store_url: str, floors: Floors) -> Iterator[Gateway]:
    """A worker's ERP floor on that store."""
    yield floors.start(settings_for(connection, store_url, KEY))


def verdicts(said: str) -> dict[str, str]:
    """What doctor found of each thing that it checked."""
    return {line[:26].strip(): line[26:].split()[0] for line in said.splitlines()}


def test_all_is_well_without_a_store(sandbox: Sandbox, shell: CommandLine) -> None:
    """Before the first up every check passes, the session is signed out and its token revoked."""
    done = shell.run("doctor")
    assert (done.status, done.err) == (0, "")
    assert list(verdicts(done.out).items()) == [
        ("settings", "ok"),
        ("files and keys", "ok"),
        ("store", "ok"),
        ("default: instance", "ok"),
        ("default: discovery", "ok"),
        ("default: sign-in", "ok"),
        ("default: read", "ok"),
        ("default: sign-out", "ok"),
    ]
    tally = sandbox.tally()
    assert (tally["sign_ins"], tally["open_sessions"], tally["peak_sessions"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("changes", "failed", "reason"),
    [
        ({"password": SecretStr("wrong")}, "default: sign-in", "the user name or password is wrong"),
        (
            {"client_secret": SecretStr("wrong")},
            "default: sign-in",
            "does not know the client id or its secret",
        ),
        ({"version": "19.0"}, "default: instance", "the instance has no Default/19.0; it has 20.200.001"),
        ({"ca_file": None}, "default: instance", "acuworker connect shows it and writes a ca_file"),
        ({"url": "https://127.0.0.1:1"}, "default: instance", "Connection refused; check the address"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, sandbox: Sandbox, changes: dict[str, object], failed: str, reason: str
) -> None:
    """The check that fails is named with the way out; those that stand on it are not tried; the status is 1."""
    done = shell_for(tmp_path, connection_to(sandbox, **changes)).run("doctor")
    found = verdicts(done.out)
    assert done.status == 1
    assert [name for name, verdict in found.items() if verdict != "ok"] == [failed]
    assert list(found)[-1] == failed
    assert reason in done.out
    assert sandbox.tally()["open_sessions"] == 0


def test_a_read_that_fails_leaves_no_session(sandbox: Sandbox, shell: CommandLine) -> None:
    """An entity that is not there is named, and the session is signed out all the same."""
    done = shell.run("doctor", "--entity", "Nothing")
    assert done.status == 1
    assert verdicts(done.out)["default: read"] == "FAILED"
    assert sandbox.tally()["open_sessions"] == 0


def test_files_that_others_may_read_are_named(shell: CommandLine) -> None:
    """A key that others may read is a failure that hides no other check."""
    (shell.directory / "var").mkdir(mode=0o700)
    key = shell.directory / "var" / "store.key"
    key.write_bytes(KEY)
    key.chmod(0o644)
    done = shell.run("doctor")
    assert done.status == 1
    assert f"others may read it: chmod 600 {Path('var/store.key')}" in done.out
    assert verdicts(done.out)["default: sign-out"] == "ok"


def test_settings_that_do_not_load_are_named(shell: CommandLine) -> None:
    """No connection, an unknown one, or secrets that others may read end it at the settings."""
    assert "there is no connection 'nope'; there is default" in shell.run("doctor", "nope").out
    (shell.directory / "connections.toml").chmod(0o644)
    assert "chmod 600 connections.toml" in shell.run("doctor").out
    (shell.directory / "connections.toml").unlink()
    done = shell.run("doctor")
    assert (done.status, verdicts(done.out)) == (1, {"settings": "FAILED"})
    assert "run acuworker connect" in done.out


def test_a_store_that_was_named_must_answer(shell: CommandLine) -> None:
    """A store that does not answer is a failure where it is somebody else's to start."""
    done = shell.run("doctor", ACUWORKER_STORE_URL=f"unix://{shell.directory}/none.sock")
    assert done.status == 1
    assert verdicts(done.out)["store"] == "FAILED"
    assert verdicts(done.out)["default: sign-out"] == "ok"


def test_a_forgetful_store_is_hinted_at(fleet_shell: CommandLine) -> None:
    """A store that answers is well; that it would forget jobs when it is killed is said beside it."""
    done = fleet_shell.run("doctor")
    assert done.status == 0
    assert "the store forgets jobs when it is killed" in done.out


def test_a_session_that_the_workers_hold_is_used(
    sandbox: Sandbox, fleet_shell: CommandLine, gateway: Gateway
) -> None:
    """Where the workers hold every session of the license, no other is opened, and theirs is left to them."""
    erp_of(gateway).list(CUSTOMER, top=1)
    gateway.beat()
    before = sandbox.tally()
    done = fleet_shell.run("doctor")
    assert done.status == 0, done.out
    assert verdicts(done.out)["default: session"] == "ok"
    after = sandbox.tally()
    assert (after["peak_sessions"], after["sign_ins"]) == (1, before["sign_ins"])


def test_a_success_lets_waiting_jobs_sign_in(
    sandbox: Sandbox, fleet_shell: CommandLine, gateway: Gateway
) -> None:
    """After a refused sign-in nobody tries again; once doctor has seen one succeed, everybody may."""
    sandbox.control(
        "faults",
        {
            "kind": "status",
            "method": "POST",
            "path": "/MyStoreInstance/identity/connect/token",
            "status": 400,
            "body": '{"error":"invalid_grant"}',
        },
    )
    for _ in range(2):
        with pytest.raises(SignInRefused):
            erp_of(gateway).list(CUSTOMER, top=1)
    assert sandbox.tally()["sign_ins"] == 0
    assert fleet_shell.run("doctor").status == 0
    assert erp_of(gateway).list(CUSTOMER, top=1)


def test_a_failure_keeps_waiting_jobs_waiting(
    tmp_path: Path, sandbox: Sandbox, store_url: str, floors: Floors
) -> None:
    """A doctor that is refused too leaves the circuit open."""
    wrong = connection_to(sandbox, password=SecretStr("wrong"))
    told = {"ACUWORKER_STORE_URL": store_url, "ACUWORKER_STORE_KEYS": KEY.decode()}
    gateway = floors.start(settings_for(wrong, store_url, KEY))
    with pytest.raises(SignInRefused):
        erp_of(gateway).list(CUSTOMER, top=1)
    assert shell_for(tmp_path, wrong, **told).run("doctor").status == 1
    refused = sandbox.tally()["refused_sign_ins"]
    with pytest.raises(SignInRefused):
        erp_of(gateway).list(CUSTOMER, top=1)
    assert sandbox.tally()["refused_sign_ins"] == refused == 2


def test_no_secret_is_said(sandbox: Sandbox, shell: CommandLine) -> None:
    """At the most talkative level, too, neither password nor client secret nor token is shown."""
    done = shell.run("doctor", ACUWORKER_LOG_LEVEL="DEBUG")
    assert "exchange" in done.err
    for secret in (sandbox.password, sandbox.client_secret, "Bearer"):
        assert secret not in done.out + done.err


def test_a_key_that_is_none_is_named(shell: CommandLine) -> None:
    """A key for tokens that cannot be one is a failure, and is not repeated."""
    done = shell.run("doctor", ACUWORKER_STORE_KEYS="canary")
    assert verdicts(done.out)["files and keys"] == "FAILED"
    assert "must be Fernet keys" in done.out
    assert "canary" not in done.out + done.err

"""acuworker doctor against the sandbox, with a store and without: a line for each check, and no session left."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tests.command_line import CommandLine, shell_for
from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.installation import eventually
from tests.sandbox_process import Sandbox
from tests.store_process import start_store
from worker.bootsteps import Heartbeat
from worker.erp.gateway import Gateway
from worker.erp.logins import Logins
from worker.erp.signin import Grant
from worker.errors import SignInRefused
from worker.job import Lane
from worker.page import Query
from worker.settings import Connection

KEY = Fernet.generate_key()
CUSTOMER = Query(entity="Customer")


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


@contextmanager
def beating(gateway: Gateway) -> Iterator[None]:
    """A worker that says that it lives."""
    heartbeat = Heartbeat("test", 0.2, gateway.beat)
    heartbeat.start()
    try:
        yield
    finally:
        heartbeat.stop()


def verdicts(said: str) -> dict[str, str]:
    """What doctor found of each thing that it checked."""
    found = re.findall(r"^(.{30,}?) +(ok|FAILED|skipped) ", said, re.MULTILINE)
    return {what.strip(): verdict for what, verdict in found}


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
        ("default: read Customer", "ok"),
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
    assert verdicts(done.out)["default: read Nothing"] == "FAILED"
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


def test_a_store_that_was_named_must_answer(sandbox: Sandbox, shell: CommandLine) -> None:
    """A store that is somebody else's to start is a failure; without it nobody signs in, as workers may have."""
    done = shell.run("doctor", ACUWORKER_STORE_URL=f"unix://{shell.directory}/none.sock")
    assert done.status == 1
    assert list(verdicts(done.out).items())[2:] == [
        ("store", "FAILED"),
        ("default: instance", "ok"),
        ("default: discovery", "ok"),
        ("default: session", "skipped"),
    ]
    assert sandbox.tally()["sign_ins"] == 0


def test_a_store_that_cannot_write_is_named(
    sandbox: Sandbox, fleet_shell: CommandLine, store_url: str
) -> None:
    """A store whose last attempt to write a file failed is a failure, whatever it still answers."""
    with redis.Redis.from_url(store_url) as store:
        # A directory stands where the snapshot is to be.
        Path(store.config_get("dir")["dir"], "dump.rdb").mkdir()

        def failed() -> None:
            with suppress(redis.ResponseError):
                store.bgsave()
            assert store.info("persistence")["rdb_last_bgsave_status"] == "err"

        eventually(failed, AssertionError)
    done = fleet_shell.run("doctor")
    assert done.status == 1
    assert "it cannot write its snapshot: look for room and rights on its disk" in done.out
    assert verdicts(done.out)["default: session"] == "skipped"
    assert sandbox.tally()["sign_ins"] == 0


def test_a_forgetful_store_is_refused(sandbox: Sandbox, fleet_shell: CommandLine, store_url: str) -> None:
    """A store that would forget jobs when it is killed is wrong, and nobody signs in."""
    with redis.Redis.from_url(store_url) as store:
        store.config_set("appendonly", "no")
    done = fleet_shell.run("doctor")
    assert done.status == 1
    assert (verdicts(done.out)["store"], verdicts(done.out)["default: session"]) == ("FAILED", "skipped")
    assert "it forgets jobs when it is killed: set appendonly yes" in done.out
    assert sandbox.tally()["sign_ins"] == 0


def test_a_broker_is_looked_at(tmp_path: Path, connection: Connection, store_url: str) -> None:
    """A broker of its own has a line: a Valkey that evicts, or one that does not answer, is wrong."""
    told = {"ACUWORKER_STORE_URL": store_url, "ACUWORKER_STORE_KEYS": KEY.decode()}
    with start_store() as broker_url, redis.Redis.from_url(broker_url) as broker:
        told["ACUWORKER_BROKER_URL"] = broker_url.replace("unix://", "redis+socket://")
        shell = shell_for(tmp_path, connection, **told)
        assert verdicts(shell.run("doctor").out)["broker"] == "ok"
        broker.config_set("maxmemory-policy", "volatile-ttl")
        done = shell.run("doctor")
        assert (done.status, verdicts(done.out)["broker"]) == (1, "FAILED")
        assert "(volatile-ttl): set maxmemory-policy noeviction" in done.out
    done = shell.run("doctor")
    assert (done.status, verdicts(done.out)["broker"]) == (1, "FAILED")
    assert "see ACUWORKER_BROKER_URL" in done.out


def test_a_session_that_the_workers_hold_is_used(
    sandbox: Sandbox, fleet_shell: CommandLine, gateway: Gateway
) -> None:
    """Where the workers have a session open it is used, no other is opened, and theirs is left to them."""
    erp_of(gateway).list(CUSTOMER, top=1)
    before = sandbox.tally()
    with beating(gateway):
        done = fleet_shell.run("doctor")
    assert done.status == 0, done.out
    assert "one that the workers have open" in done.out
    after = sandbox.tally()
    assert (after["peak_sessions"], after["sign_ins"], after["open_sessions"]) == (1, before["sign_ins"], 1)


def test_a_doctor_and_a_worker_share_the_license(
    sandbox: Sandbox, fleet_shell: CommandLine, gateway: Gateway
) -> None:
    """While a worker is at work on the only session, doctor waits for its turn, and no second one is opened."""
    with beating(gateway), ThreadPoolExecutor(1) as threads:
        stop = threading.Event()

        def work() -> int:
            done = 0
            while not stop.is_set():
                done += len(erp_of(gateway, Lane.BULK).list(CUSTOMER, top=1))
            return done

        working = threads.submit(work)
        try:
            done = fleet_shell.run("doctor", "--entity", "Customer", "--entity", "SalesOrder")
        finally:
            stop.set()
        assert working.result() > 0
    assert done.status == 0, done.out
    assert sandbox.tally()["peak_sessions"] == 1


def test_the_last_to_leave_signs_out(sandbox: Sandbox, fleet_shell: CommandLine) -> None:
    """Where no worker runs, what doctor opened in the store's name is signed out, and its slot is free."""
    done = fleet_shell.run("doctor")
    assert done.status == 0, done.out
    assert list(verdicts(done.out))[-3:] == [
        "default: session",
        "default: read Customer",
        "default: sign-out",
    ]
    assert "no session is left open" in done.out
    tally = sandbox.tally()
    assert (tally["sign_ins"], tally["open_sessions"]) == (1, 0)


def test_a_license_without_a_free_session_says_why(
    sandbox: Sandbox, fleet_shell: CommandLine, gateway: Gateway, store_url: str
) -> None:
    """Where no session can come in time, doctor does not wait for one, and says what would free one."""
    erp_of(gateway).list(CUSTOMER, top=1)
    with redis.Redis.from_url(store_url) as store:
        store.hset("acuworker:{default}:slot:1", mapping={"state": "quarantine", "until": 10**13})
    done = fleet_shell.run("doctor")
    assert done.status == 1
    assert "slot 1 is quarantine, for" in done.out
    assert "acuworker sessions release default 1, where the ERP has closed it" in done.out


def test_missing_rights_are_named_with_the_form(sandbox: Sandbox, fleet_shell: CommandLine) -> None:
    """What the API user may not open is named with its form, and the others are read all the same."""
    sandbox.control("rights", {"SalesOrder": False}, "PATCH")
    done = fleet_shell.run("doctor", "--entity", "SalesOrder", "--entity", "Payment")
    assert done.status == 1
    found = verdicts(done.out)
    assert (found["default: read SalesOrder"], found["default: read Payment"]) == ("FAILED", "ok")
    assert "SO301000" in done.out


def test_an_unknown_branch_is_named_at_once(tmp_path: Path, sandbox: Sandbox, store_url: str) -> None:
    """A branch that the ERP does not have is refused at its first answer, by its name and with the way out."""
    wrong = connection_to(sandbox, branch="NOWHERE")
    told = {"ACUWORKER_STORE_URL": store_url, "ACUWORKER_STORE_KEYS": KEY.decode()}
    done = shell_for(tmp_path, wrong, **told).run("doctor")
    assert done.status == 1
    assert "branch: the ERP has no such branch (Branch 'NOWHERE' cannot be found in the system.)" in done.out
    assert "name one that the API user may work in" in done.out
    tries = [
        event for event in sandbox.events() if event["kind"] == "arrival" and event.get("branch") == "NOWHERE"
    ]
    assert len(tries) == 1


@pytest.mark.parametrize("way", ["shell", "fleet_shell"])
def test_login_limits_are_told_apart(
    tmp_path: Path, sandbox: Sandbox, way: str, request: pytest.FixtureRequest
) -> None:
    """The license's limit and that of one user are told apart, with or without a store: each has its own way out."""
    shell: CommandLine = request.getfixturevalue(way)
    headers = {"Authorization": f"Bearer {sandbox.token()}"}
    for limits, words in (
        (
            {"max_sessions": 0, "max_logins_per_user": 1},
            "the own limit of the ERP user 'admin' is reached (concurrent API logins): raise Max. Number of ",
        ),
        ({"max_sessions": 1, "max_logins_per_user": 0}, "every API session of the ERP's license is taken"),
    ):
        sandbox.control("license", limits, "PATCH")
        sandbox.http.get(f"{sandbox.url}/entity/Default/20.200.001/Customer?$top=1", headers=headers)
        done = shell.run("doctor")
        assert done.status == 1
        assert words in done.out, done.out


def test_limits_that_differ_are_shown(sandbox: Sandbox, fleet_shell: CommandLine) -> None:
    """Limits that were changed for the running fleet are shown beside those of the file; that is no failure."""
    fleet_shell.run("license", "set", "default", "max_sessions=2")
    done = fleet_shell.run("doctor")
    assert done.status == 0
    assert (
        "sessions: 2, requests a minute: no limit; license 'default': max_sessions is 1 in the file"
        in done.out
    )
    assert (done.out + done.err).count("is 1 in the file") == 1


def test_a_paused_connection_is_said(sandbox: Sandbox, fleet_shell: CommandLine) -> None:
    """A connection that an operator has paused is not signed in, and the way on is said."""
    fleet_shell.run("pause", "default", "--reason", "upgrade")
    done = fleet_shell.run("doctor")
    assert (done.status, verdicts(done.out)["default: session"]) == (1, "FAILED")
    assert "upgrade): acuworker resume default" in done.out
    assert sandbox.tally()["sign_ins"] == 0


def test_a_login_is_looked_for(tmp_path: Path, sandbox: Sandbox, store_url: str) -> None:
    """A connection that a person signs in needs a login: without one the way out is said, with one its days."""
    connection = connection_to(sandbox, sign_in="login")
    told = {"ACUWORKER_STORE_URL": store_url, "ACUWORKER_STORE_KEYS": KEY.decode()}
    shell = shell_for(tmp_path, connection, **told)
    assert "nobody is signed in: acuworker login default" in shell.run("doctor").out
    settings = settings_for(connection, store_url, KEY)
    with redis.Redis.from_url(store_url) as store:
        grant = Grant(token=SecretStr("t"), refresh=SecretStr("dead"), expires_in=60)
        Logins(store, settings, connection).add(grant)
        done = shell.run("doctor")
    assert "1, and the first to end has 30 days left" in done.out
    assert verdicts(done.out)["default: session"] == "FAILED"


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

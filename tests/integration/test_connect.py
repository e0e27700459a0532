"""acuworker connect against the sandbox over real TLS: the whole conversation, and every way that it can fail."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from tests.command_line import CommandLine, Done
from tests.sandbox_process import Sandbox, start_sandbox
from worker.erp import certificate


@pytest.fixture
def shell(tmp_path: Path) -> CommandLine:
    """An empty directory to run commands in."""
    return CommandLine(tmp_path, {})


def saved(shell: CommandLine) -> dict[str, dict[str, object]]:
    """The connections that were saved."""
    path = shell.directory / "connections.toml"
    if not path.exists():
        return {}
    found: dict[str, dict[str, object]] = tomllib.loads(path.read_text())["connections"]
    return found


def options(sandbox: Sandbox, changes: dict[str, str]) -> list[str]:
    """Options that answer every question, but the secrets'."""
    told = {
        "--url": sandbox.url,
        "--tenant": sandbox.tenant,
        "--username": sandbox.username,
        "--client-id": sandbox.client_id,
        "--ca-file": sandbox.ca_file,
        "--max-sessions": "2",
        "--max-per-minute": "0",
    }
    return [part for option, value in (told | changes).items() if value for part in (option, value)]


def connect(shell: CommandLine, sandbox: Sandbox, changes: dict[str, str], stdin: str = "") -> Done:
    """Connect without a terminal, secrets in the environment."""
    password = changes.get("ACUWORKER_PASSWORD", sandbox.password)
    given = {name: value for name, value in changes.items() if name.startswith("--")}
    return shell.run(
        "connect",
        *options(sandbox, given),
        stdin=stdin,
        ACUWORKER_PASSWORD=password,
        ACUWORKER_CLIENT_SECRET=sandbox.client_secret,
    )


def fingerprint(sandbox: Sandbox) -> str:
    """The SHA-256 of the certificate that the sandbox shows."""
    port = sandbox.http.build_request("GET", sandbox.url).url.port
    return certificate.shown_by("127.0.0.1", port or 443).sha256


def test_connect_asks_for_what_it_needs(shell: CommandLine, sandbox: Sandbox) -> None:
    """A pasted URL and some answers, secrets unseen, make a connection that has read; no session is left."""
    answers = {
        "Address of the instance": f"{sandbox.url}/entity/Default/20.200.001/SalesOrder",
        "Trust it": "y",
        "Tenant": sandbox.tenant,
        "User": sandbox.username,
        "Password": sandbox.password,
        "Client ID": sandbox.client_id.split("@")[0],
        "Client secret": sandbox.client_secret,
        "sessions": "",
        "a minute": "0",
    }
    status, said = shell.converse("connect", answers=answers)
    assert status == 0, said
    assert f"SHA-256          {fingerprint(sandbox)}" in said
    assert "certificate for" in said
    assert "read 1 Customer record" in said
    assert sandbox.password not in said
    assert sandbox.client_secret not in said
    assert saved(shell) == {
        "default": {
            "url": sandbox.url,
            "ca_file": str(shell.directory / "connections.default.pem"),
            "endpoint": "Default",
            "version": "20.200.001",
            "tenant": sandbox.tenant,
            "username": sandbox.username,
            "password": sandbox.password,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "max_sessions": 1,
            "max_per_minute": 0,
            "user_branch": "82",
        }
    }
    assert stat.S_IMODE((shell.directory / "connections.toml").stat().st_mode) == 0o600
    tally = sandbox.tally()
    assert (tally["sign_ins"], tally["open_sessions"], tally["peak_sessions"]) == (1, 0, 1)


def test_connect_offers_what_it_knows(shell: CommandLine, sandbox: Sandbox) -> None:
    """Run again, it offers the answers of the last time, and only the secrets are asked anew."""
    assert connect(shell, sandbox, {}).status == 0
    before = saved(shell)
    kept = ("Address", "Tenant", "User", "Client ID", "sessions", "a minute")
    secrets = {"Password": sandbox.password, "Client secret": sandbox.client_secret}
    order = ("Address", "Tenant", "User", "Password", "Client ID", "Client secret", "sessions", "a minute")
    answers = dict.fromkeys(kept, "") | secrets
    status, said = shell.converse("connect", answers={question: answers[question] for question in order})
    assert status == 0, said
    assert saved(shell) == before


def test_connect_needs_no_terminal(shell: CommandLine, sandbox: Sandbox) -> None:
    """With options, a fingerprint to trust and secrets in files nothing is asked; the version is the newest."""
    password, secret = shell.directory / "password", shell.directory / "secret"
    password.write_text(f"{sandbox.password}\n")
    secret.write_text(sandbox.client_secret)
    trust = {
        "--ca-file": "",
        "--trust": fingerprint(sandbox).lower().replace(":", ""),
        "--password-file": "password",
        "--client-secret-file": str(secret),
    }
    done = shell.run("connect", "erp-2", *options(sandbox, trust))
    assert (done.status, done.err) == (0, "")
    connection = saved(shell)["erp-2"]
    assert connection["version"] == "20.200.001"
    assert connection["password_file"] == str(password)
    assert connection["client_secret_file"] == str(secret)
    assert not {"password", "client_secret"} & connection.keys()
    assert sandbox.tally()["open_sessions"] == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ACUWORKER_PASSWORD": "wrong"}, "the user name or password is wrong"),
        (
            {"--client-id": "00000000-0000-0000-0000-000000000000"},
            "does not know the client id or its secret",
        ),
        ({"--tenant": "Other"}, "the application is registered in tenant 'MyStore', not in 'Other'"),
        ({"--tenant": "Other", "--client-id": "ABC@Other"}, "does not know the client id or its secret"),
        ({"--version": "99.200.001"}, "the instance has no Default/99.200.001; it has 20.200.001"),
        ({"--url": "https://127.0.0.1:1/x"}, "Connection refused; check the address"),
        ({"--url": "http://127.0.0.1/x"}, "must begin with https://"),
        ({"--url": "https://127.0.0.1:port/x"}, "url: Port could not be cast"),
        ({"--ca-file": "/nowhere.pem"}, "ca_file /nowhere.pem cannot be read"),
        ({"--ca-file": "", "--trust": "AB:CD"}, "the certificate's SHA-256 is not the one given"),
        ({"--password-file": "/nowhere"}, "password_file /nowhere cannot be read"),
        ({"--scope": "offline_access"}, "scope: must be api, alone or with any of"),
        ({"--sign-in": "cookie", "ACUWORKER_PASSWORD": "wrong"}, "the user name or password is wrong"),
        ({"--sign-in": "cookie", "--tenant": "Other"}, "the site has no tenant 'Other'"),
    ],
)
def test_a_failure_is_one_line_and_saves_nothing(
    shell: CommandLine, sandbox: Sandbox, changes: dict[str, str], reason: str
) -> None:
    """What is wrong is said in one line with the way out; nothing is saved, and at most one sign-in was tried."""
    done = connect(shell, sandbox, changes)
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("error: ")
    assert reason in done.err
    assert saved(shell) == {}
    assert sandbox.password not in done.out + done.err
    tally = sandbox.tally()
    assert tally["open_sessions"] == 0
    assert tally["sign_ins"] + tally["refused_sign_ins"] <= 1


COOKIE = {"--sign-in": "cookie", "--client-id": "", "--branch": "MYSTORE"}


def test_connect_by_cookies(shell: CommandLine, sandbox: Sandbox) -> None:
    """A cookie connection needs no application; when it becomes another kind, its own settings go."""
    done = connect(shell, sandbox, COOKIE)
    assert (done.status, done.err) == (0, "")
    kept = saved(shell)["default"]
    assert (kept["sign_in"], kept["branch"], kept["user_branch"]) == ("cookie", "MYSTORE", "82")
    assert not {"client_id", "client_secret", "scope"} & kept.keys()
    assert sandbox.tally()["open_sessions"] == 0
    done = connect(shell, sandbox, {"--sign-in": "password"})
    assert (done.status, done.err) == (0, "")
    kept = saved(shell)["default"]
    assert kept["sign_in"] == "password"
    assert "branch" not in kept
    assert kept["client_id"] == sandbox.client_id


def test_connect_in_the_clear(shell: CommandLine) -> None:
    """Plain http is taken for cookies that ask for it, and is kept in mind when connect is run again."""
    with start_sandbox("--control", "--plain-http") as sandbox:
        done = connect(shell, sandbox, COOKIE | {"--ca-file": ""})
        assert done.status == 1
        assert "url: must begin with https://" in done.err
        given = options(sandbox, COOKIE | {"--ca-file": ""})
        password = {"ACUWORKER_PASSWORD": sandbox.password}
        for options_ in ([*given, "--plaintext"], given):
            done = shell.run("connect", *options_, **password)
            assert (done.status, done.err) == (0, "")
            kept = saved(shell)["default"]
            assert (kept["plaintext"], kept["url"]) == (True, sandbox.url)
        assert sandbox.tally()["open_sessions"] == 0


def test_connect_to_a_shared_license(shell: CommandLine, sandbox: Sandbox) -> None:
    """A license that connections share is named in place of limits, which are not asked for; it must be there."""
    shared = {"--license": "erp", "--max-sessions": "", "--max-per-minute": ""}
    done = connect(shell, sandbox, shared)
    assert done.status == 1
    assert "license: " in done.err
    assert "write [licenses.erp], with max_sessions and max_per_minute" in done.err
    (shell.directory / "connections.toml").write_text("[licenses.erp]\nmax_sessions = 2\n")
    done = connect(shell, sandbox, shared)
    assert (done.status, done.err) == (0, "")
    kept = saved(shell)["default"]
    assert kept["license"] == "erp"
    assert not {"max_sessions", "max_per_minute"} & kept.keys()


def test_an_address_that_is_no_instance_is_said(shell: CommandLine, sandbox: Sandbox) -> None:
    """A site that is not there is not taken for an endpoint that is not."""
    done = connect(shell, sandbox, {"--url": sandbox.url.replace("MyStoreInstance", "Elsewhere")})
    assert (done.status, saved(shell)) == (1, {})
    assert "there is no Acumatica instance at this address" in done.err


def test_rights_that_are_missing_are_named(shell: CommandLine, sandbox: Sandbox) -> None:
    """Where the ERP takes the credentials but not the read, the connection is kept and the form is named."""
    body = '{"message":"You have insufficient rights to access the Customer (AR303000) form."}'
    fault = {"kind": "status", "path": "/MyStoreInstance/entity/Default/", "status": 403, "body": body}
    sandbox.control("faults", fault)
    done = connect(shell, sandbox, {})
    assert done.status == 1
    assert done.err.startswith(
        "error: You have insufficient rights to access the Customer (AR303000) form: give a role"
    )
    assert "default" in saved(shell)
    assert sandbox.tally()["open_sessions"] == 0


def test_a_full_license_is_said(shell: CommandLine) -> None:
    """Where every API session is taken, it says so, and leaves the others' alone."""
    with start_sandbox("--control", "--max-sessions", "1") as sandbox:
        bearer = {"Authorization": f"Bearer {sandbox.token()}"}
        sandbox.http.get(f"{sandbox.url}/entity/Default/20.200.001/Customer?$top=1", headers=bearer)
        done = connect(shell, sandbox, {})
        assert done.status == 1
        assert "every API session of the ERP's license is taken" in done.err
        assert sandbox.tally()["open_sessions"] == 1


def test_a_certificate_that_nobody_trusts_ends_it(shell: CommandLine, sandbox: Sandbox) -> None:
    """A no, or nobody there to say yes, ends it before anything is sent."""
    no = connect(shell, sandbox, {"--ca-file": ""}, stdin="n\n")
    assert (no.status, saved(shell)) == (1, {})
    assert "was not trusted; nothing was sent to it" in no.err
    nobody = connect(shell, sandbox, {"--ca-file": ""})
    assert nobody.status == 2
    assert "nobody is there to answer; give --trust" in nobody.err
    assert sandbox.tally()["requests"] == 0


def test_a_certificate_for_another_name_cannot_be_trusted(shell: CommandLine) -> None:
    """Where trusting the certificate would not help, it says why, and does not ask."""
    with start_sandbox("--host", "127.0.0.2", "--hostname", "localhost") as sandbox:
        url = sandbox.url.replace("localhost", "127.0.0.2")
        done = connect(shell, sandbox, {"--ca-file": "", "--url": url})
    assert done.status == 1
    assert "trusting this certificate would not help: " in done.err


def test_secrets_are_never_typed_in_sight(shell: CommandLine, sandbox: Sandbox) -> None:
    """Without a terminal that can hide it, a secret is not asked for."""
    done = shell.run("connect", *options(sandbox, {}), stdin="secret\n")
    assert done.status == 2
    assert "there is no terminal to type it unseen; give --password-file" in " ".join(done.err.split())
    assert sandbox.tally()["sign_ins"] == 0

"""acuworker login against the sandbox: a person with a browser, a listener or a pasted address, and the store."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import httpx
import pytest
import redis
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tests.command_line import ACUWORKER, CommandLine
from tests.erp_floor import connection_to
from tests.sandbox_process import Sandbox
from worker import login
from worker.erp import signin
from worker.erp.deadline import Deadline
from worker.erp.logins import Logins
from worker.erp.signin import Grant
from worker.erp.wire import Wire
from worker.errors import LoginNeeded, SignInRefused, StoreUnavailable
from worker.settings import Settings

CONNECTION = """
[connections.default]
sign_in = "login"
url = "{url}"
version = "20.200.001"
tenant = "{tenant}"
client_id = "{client_id}"
client_secret = "{client_secret}"
ca_file = "{ca_file}"
"""


class Person:
    """Somebody at a terminal and a browser, in a directory of their own."""

    def __init__(self, directory: Path, sandbox: Sandbox, store_url: str) -> None:
        self.directory = directory
        self.sandbox = sandbox
        self.environment = {
            "ACUWORKER_STORE_URL": store_url,
            "ACUWORKER_STORE_KEYS": Fernet.generate_key().decode(),
            "ACUWORKER_CLIENT_SECRET": sandbox.client_secret,
            "ACUWORKER_CONNECTIONS_FILE": str(directory / "connections.toml"),
        }
        self.shell = CommandLine(directory, self.environment)

    def write(self) -> None:
        """Set the connection up by hand."""
        path = self.directory / "connections.toml"
        path.touch(0o600)
        path.write_text(CONNECTION.format(**{name: str(value) for name, value in vars(self.sandbox).items()}))

    @contextmanager
    def runs(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A command under way, whose standard error comes with its output."""
        command = [str(ACUWORKER), *arguments]
        with subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.shell.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def asked(self, process: subprocess.Popen[str]) -> str:
        """The address that a command prints."""
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "/identity/connect/authorize?" in line:
                return line.strip()
        raise AssertionError(f"no address was printed: {lines}")

    def signs_in(self, address: str, answer: str = "allow") -> str:
        """Where the browser is sent after that."""
        return self.sandbox.browse(address, answer).headers["location"]

    def settings(self, monkeypatch: pytest.MonkeyPatch) -> Settings:
        """The settings that the commands see."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        return Settings.load()

    def logins(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """How many logins the fleet has."""
        settings = self.settings(monkeypatch)
        with redis.Redis.from_url(settings.store) as store:
            return len(Logins(store, settings, settings.connection("default")).list())


@pytest.fixture
def person(tmp_path: Path, sandbox: Sandbox, store_url: str) -> Person:
    """A person with a store that runs."""
    return Person(tmp_path, sandbox, store_url)


def test_a_login_by_a_browser(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is opened, the browser comes back to the listener, and the fleet has a login; no secret is told."""
    person.write()
    with person.runs("login") as process:
        back = person.signs_in(person.asked(process))
        assert back.startswith("http://127.0.0.1:")
        assert httpx.get(back.split("?")[0] + "favicon.ico").status_code == 404
        page = httpx.get(back)
        said, _ = process.communicate(timeout=30)
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert process.returncode == 0, said
    assert "connection 'default' is signed in; workers renew that for 30 days" in said
    assert person.logins(monkeypatch) == 1
    code = re.search(r"[?&]code=([^&]+)", back)
    assert code
    assert code[1] not in said
    assert person.sandbox.client_secret not in said


def test_a_login_by_a_pasted_address(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the browser is on another machine, the address where it ends is pasted; nothing listens here."""
    person.write()
    with person.runs("login", "default", "--paste", "--port", "5999") as process:
        back = person.signs_in(person.asked(process))
        assert back.startswith("http://127.0.0.1:5999/?")
        said, _ = process.communicate(f"{back}\n", timeout=30)
    assert process.returncode == 0, said
    assert person.logins(monkeypatch) == 1


@pytest.mark.parametrize(
    ("change", "answer", "words"),
    [
        (r"state=[^&]*>state=other", "allow", "its state differs"),
        (
            r"code=[^&]*>code=canary-none",
            "allow",
            "the code was used before or is too old: acuworker login default",
        ),
        (r"\?.*>", "allow", "that is not the address that the browser was sent to"),
        (">", "deny", "did not let that person sign in (access_denied): run acuworker login default again"),
    ],
)
def test_a_login_that_fails(
    person: Person, monkeypatch: pytest.MonkeyPatch, change: str, answer: str, words: str
) -> None:
    """Another login's answer, a dead code or a no end it in one line with the way out, and leave nothing behind."""
    person.write()
    with person.runs("login", "--paste") as process:
        back = person.signs_in(person.asked(process), answer)
        pattern, _, other = change.partition(">")
        pasted = re.sub(pattern, other, back) if pattern else back
        said, _ = process.communicate(f"{pasted}\n", timeout=30)
    assert process.returncode == 1
    last = said.strip().splitlines()[-1]
    assert "error: " in last
    assert words in last
    assert "canary" not in said
    assert person.logins(monkeypatch) == 0


def test_nobody_comes(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody signs in, it ends by itself and says so."""
    person.write()
    person.settings(monkeypatch)
    monkeypatch.setattr(login, "WAIT_SECONDS", 0.05)
    with pytest.raises(LoginNeeded, match=r"nobody signed in within .* run acuworker login default again"):
        login.login("default")


@pytest.mark.parametrize("options", [(), ("--paste",)])
def test_a_login_that_is_interrupted(
    person: Person, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """Ctrl-C ends it with 130 and one line that says how to begin again, and the fleet has no login."""
    person.write()
    with person.runs("login", *options) as process:
        person.asked(process)
        process.send_signal(signal.SIGINT)
        # Its input stays open until it has ended, as a terminal's does.
        assert process.wait(timeout=30) == 130
        assert process.stdout
        said = process.stdout.read()
    last = said.strip().splitlines()[-1]
    assert last.endswith(
        "interrupted; nothing was handed to the workers: acuworker login default begins again"
    )
    assert "Traceback" not in said
    assert person.logins(monkeypatch) == 0


def test_connect_ends_with_the_login(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """connect saves the connection, has a person sign it in, and notes the branch that they landed in."""
    sandbox = person.sandbox
    options = ("--url", sandbox.url, "--tenant", sandbox.tenant, "--ca-file", sandbox.ca_file)
    kind = (
        "--sign-in",
        "login",
        "--client-id",
        sandbox.client_id,
        "--max-sessions",
        "1",
        "--max-per-minute",
        "0",
    )
    with person.runs("connect", *options, *kind) as process:
        httpx.get(person.signs_in(person.asked(process)))
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    kept = tomllib.loads((person.directory / "connections.toml").read_text())["connections"]["default"]
    assert (kept["sign_in"], kept["user_branch"], kept["client_id"]) == ("login", "82", sandbox.client_id)
    assert not {"username", "password"} & kept.keys()
    assert person.logins(monkeypatch) == 1


def test_no_store_no_login(tmp_path: Path, sandbox: Sandbox) -> None:
    """Where the store does not answer, nobody is asked to sign in for nothing."""
    person = Person(tmp_path, sandbox, f"unix://{tmp_path}/none")
    person.write()
    done = person.shell.run("login")
    assert done.status == 1
    assert "start acuworker up, then run acuworker login" in done.err
    assert done.out == ""
    assert sandbox.tally()["requests"] == 0


def test_a_port_that_is_taken(person: Person) -> None:
    """A port where somebody else listens is refused with the option to change."""
    person.write()
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = person.shell.run("login", "--port", other.getsockname()[1])
    assert done.status == 1
    assert "give another --port, or use --paste" in done.err


@pytest.mark.parametrize(
    ("scope", "proof", "words"),
    [
        ("api", "V" * 43, "let the connected application have offline_access"),
        ("api offline_access", "W" * 43, "the code was used before or is too old"),
    ],
)
def test_a_code_that_yields_no_login(sandbox: Sandbox, scope: str, proof: str, words: str) -> None:
    """A code is good with its own verifier alone; a login that could not be renewed is none, and its token dies."""
    connection = connection_to(sandbox, sign_in="login").model_copy(update={"scope": scope})
    here, verifier, known = "http://127.0.0.1:5/", SecretStr("V" * 43), signin.Endpoints()
    address = signin.authorize_url(connection, known, here, "S", login.challenge(verifier))
    code = login.code_in(sandbox.browse(address).headers["location"], "S", "default")
    with closing(Wire(connection)) as wire, pytest.raises(SignInRefused, match=words):
        signin.exchange_code(wire, known, code, SecretStr(proof), here, Deadline(10))
    revoked = [event for event in sandbox.events() if event["kind"] == "token_revoked"]
    assert len(revoked) == (1 if scope == "api" else 0)


def test_a_login_that_cannot_be_kept_is_revoked(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that the store did not take are killed: nobody has them."""
    person.write()
    person.settings(monkeypatch)
    kept: list[SecretStr | None] = []

    class Away:
        """Logins in a store that has just gone."""

        def __init__(self, *given: object) -> None:
            """Takes what the real ones take."""

        def add(self, grant: Grant) -> None:
            kept.extend((grant.refresh, grant.token))
            raise StoreUnavailable("the store does not answer")

    monkeypatch.setattr(login, "Logins", Away)
    monkeypatch.setattr(login, "_pasted", lambda: person.signs_in(addresses[0]))
    addresses: list[str] = []
    monkeypatch.setattr(click, "echo", lambda text: addresses.extend(re.findall("https:.*", text)))
    with pytest.raises(StoreUnavailable):
        login.login("default", paste=True)
    refresh, token = kept
    assert refresh
    assert token
    form = {"grant_type": "refresh_token", "refresh_token": refresh.get_secret_value()}
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        person.sandbox.token(**form)
    bearer = {"Authorization": f"Bearer {token.get_secret_value()}"}
    path = f"{person.sandbox.url}/entity/Default/20.200.001/Customer?$top=1"
    assert person.sandbox.http.get(path, headers=bearer).status_code == 401

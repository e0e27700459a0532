"""Each field of an integration platform's connection form for Acumatica has its place in ours, and does what it says.

The form is integrator.io's: name, mode, authentication type, instance URI, endpoint name and version, user, password,
company; and its advanced settings, to borrow concurrency from another connection, and how much concurrency there is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import CommandLine
from tests.sandbox_process import Sandbox, start_sandbox
from worker.connect import split
from worker.settings import Settings

LICENSE = """
[licenses.erp]
max_sessions = 25
max_per_minute = 0
"""


@pytest.fixture
def erp() -> Iterator[Sandbox]:
    """A trial of two sessions."""
    with start_sandbox("--control", "--build", "2025R1", "--max-sessions", "2") as running:
        yield running


@pytest.fixture
def shell(erp: Sandbox, tmp_path: Path) -> CommandLine:
    """A directory with the password in a file, and a license to share."""
    for name, content in (("password", erp.password), ("connections.toml", LICENSE)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content)
    return CommandLine(tmp_path, {})


def filled_in(sandbox: Sandbox, name: str, shell: CommandLine) -> list[str]:
    """The form's fields, as options; the password comes from a file."""
    fields = {
        "--sign-in": "cookie",
        "--url": f"{sandbox.url}/entity/Default/24.200.001",
        "--endpoint": "Default",
        "--version": "24.200.001",
        "--username": sandbox.username,
        "--password-file": str(shell.directory / "password"),
        "--tenant": sandbox.tenant,
        "--ca-file": sandbox.ca_file,
        "--license": "erp",
    }
    return [name, *(part for option, value in fields.items() for part in (option, value))]


def of(shell: CommandLine) -> dict[str, Any]:
    """What was saved."""
    return tomllib.loads((shell.directory / "connections.toml").read_text())


def test_the_form_is_filled_in(erp: Sandbox, shell: CommandLine) -> None:
    """Every field arrives; saving tries the connection with one session, which is signed out, and keeps no password."""
    done = shell.run("connect", *filled_in(erp, "shop", shell))
    assert (done.status, done.err) == (0, ""), done.out
    assert of(shell)["connections"]["shop"] == {
        "url": erp.url,
        "endpoint": "Default",
        "version": "24.200.001",
        "sign_in": "cookie",
        "tenant": erp.tenant,
        "username": erp.username,
        "password_file": str(shell.directory / "password"),
        "ca_file": erp.ca_file,
        "license": "erp",
        "user_branch": of(shell)["connections"]["shop"]["user_branch"],
    }
    tally = erp.tally()
    assert (tally["sign_ins"], tally["peak_sessions"], tally["open_sessions"]) == (1, 1, 0)


def test_concurrency_is_borrowed(erp: Sandbox, shell: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that name one license share its level of concurrency, up to 25 and beyond."""
    for name in ("orders", "invoices"):
        assert shell.run("connect", *filled_in(erp, name, shell)).status == 0
    monkeypatch.setenv("ACUWORKER_CONNECTIONS_FILE", str(shell.directory / "connections.toml"))
    settings = Settings.load()
    shared = {settings.license_of(connection) for connection in settings.connections.values()}
    assert [(license_.name, license_.max_sessions) for license_ in shared] == [("erp", 25)]


URIS = [
    (
        "http://try.acumatica.com/isv/entity/Default/6.00.001",
        "http://try.acumatica.com/isv",
        "Default",
        "6.00.001",
    ),
    (
        "https://x/MANUFACTURING/entity/MANUFACTURING/23.100.001/",
        "https://x/MANUFACTURING",
        "MANUFACTURING",
        "23.100.001",
    ),
    ("https://x/entity/eCommerce/24.200.001", "https://x", "eCommerce", "24.200.001"),
]


@pytest.mark.parametrize(("pasted", "url", "endpoint", "version"), URIS)
def test_an_instance_uri_tells_the_endpoint(pasted: str, url: str, endpoint: str, version: str) -> None:
    """The form's own example, and the other endpoints that it names, are taken apart."""
    place = split(pasted)
    assert (place.url, place.endpoint, place.version) == (url, endpoint, version)


def test_what_is_required_is_asked_for(erp: Sandbox, shell: CommandLine) -> None:
    """Without a terminal each required field that is missing is named, and nothing is sent."""
    for option in ("--url", "--username", "--tenant"):
        words = filled_in(erp, "shop", shell)
        at = words.index(option)
        done = shell.run("connect", *words[:at], *words[at + 2 :])
        assert (done.status, option in done.err or option.strip("-") in done.err) == (2, True), done.err
    assert erp.tally()["sign_ins"] == 0


def test_a_full_license_is_told(erp: Sandbox, shell: CommandLine) -> None:
    """A trial whose sessions are taken is told as that, with what to do, and not as a wrong password."""
    for _ in range(2):
        token = erp.token()
        erp.http.get(
            f"{erp.url}/entity/Default/24.200.001/Customer?$top=1",
            headers={"Authorization": f"Bearer {token}"},
        )
    words = filled_in(erp, "shop", shell)
    at = words.index("--license")
    done = shell.run("connect", *words[:at], "--max-sessions", "1", "--max-per-minute", "0")
    assert done.status == 1
    assert "API Login Limit" in done.err

"""The command line: what options become, what is refused before anything is asked of the store, and the schemas."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import structlog
from click.testing import CliRunner, Result
from pydantic import BaseModel

from worker import telemetry
from worker.cli import main
from worker.job import Job
from worker.jobstate import JobState, State
from worker.options import job_fields
from worker.result import Manifest
from worker.result import Result as JobResult
from worker.waiting import how_far

UNSAID: dict[str, Any] = {
    "entity": None,
    "keys": (),
    "texts": (),
    "values_as_json": (),
    "select": (),
    "expand": (),
    "custom": (),
    "attachments": False,
}


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Logging is as it was afterwards."""
    root, kept = logging.getLogger(), {name: logging.getLogger(name).level for name in telemetry.QUIET}
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    for name, was in kept.items():
        logging.getLogger(name).setLevel(was)
    structlog.reset_defaults()


def run(*arguments: str, stdin: str = "") -> Result:
    """Run a command of which no store or ERP will be asked."""
    return CliRunner().invoke(main, arguments, input=stdin, catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "job"),
    [
        ({}, {}),
        ({"entity": "SalesOrder"}, {"entity": "SalesOrder"}),
        ({"keys": ("SO", "000001")}, {"keys": ["SO", "000001"]}),
        ({"texts": ("id=a=b", "empty=")}, {"params": {"id": "a=b", "empty": ""}}),
        ({"texts": ("n=5",), "values_as_json": ("m=5",)}, {"params": {"n": "5", "m": 5}}),
        (
            {"values_as_json": ('day={"date": "2026-01-31"}', "none=null", "yes=true")},
            {"params": {"day": {"date": "2026-01-31"}, "none": None, "yes": True}},
        ),
        ({"select": ("A,B", " C , ")}, {"select": ["A", "B", "C"]}),
        ({"expand": ("Details",), "custom": ("A.B",)}, {"expand": ["Details"], "custom": ["A.B"]}),
        ({"select": ("",), "limit": 0}, {"select": [], "limit": 0}),
        ({"attachments": True, "limit": 3, "lane": None}, {"attachments": True, "limit": 3}),
    ],
)
def test_options_become_a_job(options: dict[str, Any], job: dict[str, Any]) -> None:
    """A job says what the options say, and nothing of what they leave out."""
    assert job_fields(**(UNSAID | options)) == job


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["submit"],
            "error: entity: is missing: it must be an entity's name, as in SalesOrder: letters, digits and underscores",
        ),
        (["submit", "SalesOrder", "--key", ""], "error: keys.0: a key must not be empty"),
        (["submit", "SalesOrder", "--key", ".."], "error: keys.0: a key must not be '.' or '..'"),
        (
            ["submit", "A", "--key", "x", "--filter", "B eq 1"],
            "error: keys: give keys or a filter, not both",
        ),
        (
            ["submit", "A", "--param", "x=1"],
            "error: params: parameters belong to a filter, and there is none",
        ),
        (
            ["submit", "A", "--page-size", "5001"],
            "error: page_size: must be a whole number from 1 to 5000",
        ),
        (
            ["submit", "no name"],
            "error: entity: must be an entity's name, as in SalesOrder: letters, digits and underscores",
        ),
    ],
)
def test_a_bad_job_is_refused_in_one_line(arguments: list[str], line: str) -> None:
    """A job that cannot be done ends the command with status 1 and one line that names the field."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [line]


@pytest.mark.parametrize(
    ("arguments", "stdin", "reason"),
    [
        (["submit", "A", "--param", "x"], "", "'x' is not NAME=VALUE"),
        (["submit", "A", "--param", "=x"], "", "'=x' is not NAME=VALUE"),
        (["submit", "A", "--param-json", "x={"], "", "not JSON"),
        (["submit", "--json", "-"], "[1]", "a job is a JSON object"),
        (["submit", "--json", "-"], "[" * 100_000, "not JSON"),
        (["submit", "A", "--lane", "fast"], "", "'fast' is not one of"),
        (["submit", "A", "--output", "x"], "", "--to needs --wait"),
        (["result"], "", "Missing argument 'ID'"),
        (["status", "--watch"], "", "--watch is for a terminal"),
        (["status", "--watch", "--json"], "", "--watch is for a terminal"),
        (["sessions", "sign-out"], "", "say which: --slot N, --all or --token-file FILE"),
        (["sessions", "sign-out", "--all", "--slot", "1"], "", "say which"),
        (["sessions", "sign-out", "--slot", "0"], "", "0 is not in the range"),
        (["sessions", "release", "default"], "", "Missing argument 'SLOT'"),
        (["license", "set", "default"], "", "Missing argument 'LIMIT=NUMBER...'"),
        (["jobs", "list", "--state", "lost"], "", "'lost' is not one of 'accepted', 'running', 'waiting'"),
        (["jobs", "list", "--limit", "0"], "", "0 is not in the range"),
        (["jobs", "show"], "", "Missing argument 'ID'"),
        (["jobs", "retry"], "", "Missing argument 'ID...'"),
        (["jobs", "cancel"], "", "Missing argument 'ID...'"),
        (["metrics"], "", "Missing option '--port'"),
        (["up", "--metrics", "0"], "", "0 is not in the range"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments: list[str], stdin: str, reason: str) -> None:
    """An option that cannot be read ends the command with status 2, and says which it is."""
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


@pytest.mark.parametrize("change", ["sessions=3", "max_sessions", "max_sessions=-1", "max_per_minute=many"])
def test_a_limit_that_is_none_is_refused(change: str) -> None:
    """A change that names no limit or gives no number ends the command with the limits there are."""
    result = run("license", "set", "default", change)
    assert result.exit_code == 1
    assert result.stderr == f"error: {change!r} is none of max_sessions=NUMBER, max_per_minute=NUMBER\n"


def test_options_add_to_a_job_in_json() -> None:
    """What an option says takes the place of what the file says, and only that."""
    result = run("submit", "--json", "-", "--page-size", "0", stdin='{"entity": "A", "page_size": 5}')
    assert "page_size: must be a whole number from 1 to 5000" in result.stderr


@pytest.mark.parametrize(
    ("option", "model"), [([], Job), (["--result"], JobResult), (["--manifest"], Manifest)]
)
def test_the_schemas_are_published(option: list[str], model: type[BaseModel]) -> None:
    """job-schema prints the JSON Schema of jobs, results and manifests."""
    schema = json.loads(run("job-schema", *option).stdout)
    assert schema == model.model_json_schema()
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("state", "waiting_for", "said"),
    [
        (State.ACCEPTED, None, "waiting for a worker"),
        (State.RUNNING, None, "3 pages, 1,500 records"),
        (State.WAITING, "it is full", "3 pages, 1,500 records; waiting_for_session: it is full"),
    ],
)
def test_a_watcher_is_told_how_far_a_job_is(state: State, waiting_for: str | None, said: str) -> None:
    """The progress line says pages and records, and what a job waits for."""
    view = JobState(
        job_id="a",
        state=state,
        entity="SalesOrder",
        connection="default",
        lane=None,
        accepted_at=0.0,
        started_at=None,
        finished_at=None,
        attempts=1,
        crashes=0,
        slices=0,
        pages=3,
        records=1500,
        waiting_state="waiting_for_session",
        waiting_for=waiting_for,
        error=None,
    )
    assert how_far(view) == said


def test_the_command_line_loads_what_a_command_needs() -> None:
    """To load the commands loads neither Celery, nor a client of the store or the ERP, nor what connect needs."""
    unwanted = {"celery", "redis", "httpx", "worker.erp.wire", "tomlkit"}
    told = f"import sys, worker.cli; print(sorted({unwanted} & set(sys.modules)))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", told], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_error_cannot_steer_the_terminal() -> None:
    """What a stranger's words in an error hold is shown in one line, without control characters."""
    result = run("submit", "--json", "-", stdin='{"entity": "A", "a\\u001b[2J\\nerror: b": 1}')
    assert result.exit_code == 1
    assert result.stderr.startswith("error: a [2J error: b: no such field")
    assert len(result.stderr.splitlines()) == 1


def commands_of(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands_of(command, *before, name)
        else:
            yield (*before, name), command


def test_every_command_has_help() -> None:
    """Every command says what it is for, and those of operators how they are called."""
    for words, command in commands_of(main):
        result = run(*words, "--help")
        assert result.exit_code == 0
        assert command.help
        if words[0] not in ("connect", "login"):
            assert f"  acuworker {' '.join(words)}" in result.output

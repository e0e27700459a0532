"""Log lines: what they look like, what they carry, and what they never carry."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from worker import telemetry
from worker.errors import Misconfigured


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; logging is as it was afterwards."""
    root, kept = logging.getLogger(), {name: logging.getLogger(name).level for name in telemetry.QUIET}
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    telemetry.configure("DEBUG", stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    for name, was in kept.items():
        logging.getLogger(name).setLevel(was)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was written, line by line."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_a_json_object_with_its_jobs_id(stream: io.StringIO) -> None:
    """A line carries its values, a level, a time and the id of the job that it is about."""
    with structlog.contextvars.bound_contextvars(job_id="j1"):
        structlog.get_logger("worker.x").info("job", records=9)
    (line,) = lines(stream)
    assert line.items() >= {"event": "job", "records": 9, "job_id": "j1", "level": "info"}.items()
    assert line["timestamp"].endswith("Z")


def test_other_libraries_write_the_same_lines(stream: io.StringIO) -> None:
    """What Celery logs comes out in the same form."""
    logging.getLogger("celery.worker").warning("lost %s", "it")
    (line,) = lines(stream)
    assert line.items() >= {"event": "lost it", "logger": "celery.worker", "level": "warning"}.items()


@pytest.mark.parametrize("library", ["httpx", "httpcore.http11", "kombu.x", "celery.pool"])
def test_libraries_that_show_messages_are_quiet(stream: io.StringIO, library: str) -> None:
    """At DEBUG, too, no library writes headers or messages whole."""
    logging.getLogger(library).debug("Authorization: Bearer canary")
    assert lines(stream) == []


@pytest.mark.parametrize(
    "values",
    [
        {"token": "canary"},
        {"access_token": "canary"},
        {"password": "canary"},
        {"Client_Secret": "canary"},
        {"headers": {"Authorization": "canary", "Set-Cookie": ["canary"]}},
        {"rows": [{"api_key": "canary"}]},
        {"said": "Authorization: Bearer canary.x-y_z="},
    ],
)
def test_what_is_named_like_a_secret_is_taken_out(stream: io.StringIO, values: dict[str, Any]) -> None:
    """A value under a secret's name, at any depth, and a bearer token in a text, are not written."""
    structlog.get_logger("worker.x").info("said", **values)
    assert "canary" not in stream.getvalue()
    assert "[redacted]" in stream.getvalue()


def test_a_text_cannot_forge_a_line(stream: io.StringIO) -> None:
    """Line ends in a value do not end the line."""
    structlog.get_logger("worker.x").info("said", text='x\n{"event": "forged"}\r\n\x1b[2J')
    assert len(lines(stream)) == 1
    assert "\x1b" not in stream.getvalue()


def test_a_long_value_is_cut(stream: io.StringIO) -> None:
    """No value fills a disk."""
    structlog.get_logger("worker.x").info("said", text="x" * 100_000)
    assert len(lines(stream)[0]["text"]) == telemetry.LONGEST_VALUE


def test_a_trace_shows_no_locals(stream: io.StringIO) -> None:
    """A stack trace names lines of code, and not what variables held."""
    held = "canary" + "-value"
    try:
        raise KeyError(len(held))
    except KeyError:
        structlog.get_logger("worker.x").exception("failed")
    assert "KeyError" in lines(stream)[0]["exception"]
    assert "canary-value" not in stream.getvalue()


def test_an_unknown_level_is_refused() -> None:
    """A level that does not exist is named, with those that do."""
    with pytest.raises(Misconfigured, match=r"'loud'.*DEBUG"):
        telemetry.configure("loud", io.StringIO())


def test_what_celery_warns_of_is_a_line_too() -> None:
    """A warning of Celery's own checks, which come before it sets logging up, is a JSON object like any other line."""
    warns = (
        "import warnings; from celery.signals import celeryd_init; import worker.celery; "
        "celeryd_init.send(sender=None); warnings.warn('two\\nlines', UserWarning)"
    )
    done = subprocess.run([sys.executable, "-c", warns], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert "two\nlines" in json.loads(line)["event"]


NESTED: Any = "canary"
for _ in range(900):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"entity": "Käse", "keys": ["SO", "1"]}, '{"entity": "Käse", "keys": ["SO", "1"]}'),
        ({"entity": "A", "Password": "canary"}, '{"entity": "A", "Password": "[redacted]"}'),
        ([{"params": {"a": {"token": "canary"}}}], '[{"params": {"a": {"token": "[redacted]"}}}]'),
        ("half of a pair: \ud800", '"half of a pair: ?"'),
        (None, "null"),
    ],
)
def test_what_a_task_was_given_is_shown_in_one_line(given: Any, shown: str) -> None:
    """JSON that people can read, without what has a secret's name, and that every broker can carry."""
    assert telemetry.shown(given) == shown


def test_nothing_that_a_task_was_given_is_too_much_to_show() -> None:
    """However long or deep what a stranger sends is, it is shown in a thousand characters."""
    assert len(telemetry.shown("x" * 100_000)) == telemetry.LONGEST_SHOWN + 1
    assert "canary" not in telemetry.shown(NESTED)
    assert "[too deep]" in telemetry.shown(NESTED)

"""acuworker as a person runs it: as a process, with a terminal or without."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from worker import connections
from worker.settings import Connection

ACUWORKER = Path(sys.executable).with_name("acuworker")


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str


class CommandLine:
    """A directory and an environment to run commands in."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ACUWORKER_")}
        self.environment = inherited | environment

    def run(self, *arguments: object, stdin: str = "", **environment: str) -> Done:
        """Run a command to its end, away from any terminal."""
        done = subprocess.run(
            [str(part) for part in (ACUWORKER, *arguments)],
            cwd=self.directory,
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
            start_new_session=True,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def converse(self, *arguments: str, answers: Mapping[str, str]) -> tuple[int, str]:
        """Run a command on a terminal, and give each answer when its question is there.

        Returns the exit status and all that could be read on the terminal.
        """
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [str(ACUWORKER), *arguments],
            cwd=self.directory,
            env=self.environment | {"COLUMNS": "200", "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            try:
                said = _talk(ours, answers)
                return process.wait(timeout=30), said.replace("\r\n", "\n")
            finally:
                process.kill()
                os.close(ours)


def shell_for(directory: Path, connection: Connection, **environment: str) -> CommandLine:
    """A directory with a connection, its secrets beside it."""
    told = connection.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    told["password"] = connection.password.get_secret_value()
    told["client_secret"] = connection.client_secret.get_secret_value()
    connections.save(directory / "connections.toml", connection.name, told)
    return CommandLine(directory, environment)


def _talk(terminal: int, answers: Mapping[str, str]) -> str:
    said = ""
    for question, answer in answers.items():
        said += _until(terminal, question)
        os.write(terminal, f"{answer}\n".encode())
    return said + _until(terminal, None)


def _until(terminal: int, question: str | None) -> str:
    """What is said up to a question, or to the end."""
    said = b""
    # A terminal whose other side is gone says so by an error.
    with suppress(OSError):
        while chunk := os.read(terminal, 4096):
            said += chunk
            if question and re.search(question, said.decode(errors="replace")):
                return said.decode(errors="replace")
    assert question is None, f"{question!r} was not asked: {said.decode(errors='replace')}"
    return said.decode(errors="replace")

"""acuworker as a person runs it: as a process, with a terminal or without."""

from __future__ import annotations

import os
import pty
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.forked import Forked, Program
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
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            process = self._start(arguments, given.fileno(), out.fileno(), err.fileno(), environment)
            try:
                status = process.wait(60)
            finally:
                process.kill()
            return Done(status, _whole(out), _whole(err))

    def converse(self, *arguments: str, answers: Mapping[str, str]) -> tuple[int, str]:
        """Run a command on a terminal, and give each answer when its question is there.

        Returns the exit status and all that could be read on the terminal.
        """
        ours, theirs = pty.openpty()
        process = self._start(arguments, theirs, theirs, theirs, {"COLUMNS": "200", "TERM": "dumb"})
        os.close(theirs)
        try:
            said = _talk(ours, answers)
            return process.wait(30), said.replace("\r\n", "\n")
        finally:
            process.kill()
            os.close(ours)

    def _start(
        self, arguments: Sequence[object], stdin: int, output: int, errors: int, more: Mapping[str, str]
    ) -> Forked:
        return Forked(
            Program.COMMAND,
            arguments,
            stdin=stdin,
            output=output,
            errors=errors,
            directory=self.directory,
            environment={**self.environment, **more},
        )


def shell_for(directory: Path, connection: Connection, **environment: str) -> CommandLine:
    """A directory with a connection, its secrets beside it."""
    told = connection.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    told["password"] = connection.password.get_secret_value()
    told["client_secret"] = connection.client_secret.get_secret_value()
    connections.save(directory / "connections.toml", connection.name, told)
    return CommandLine(directory, environment)


def _whole(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


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

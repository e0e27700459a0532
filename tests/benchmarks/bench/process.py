"""A contender as a process of its own: started, timed from its start to its end, and then let go.

One that ends early, or says something else than it should, raises ContenderFailed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = "tests.benchmarks.bench.programs"


class ContenderFailed(Exception):
    """A contender did not do what it was asked."""


class Contender:
    """A running contender, which is ready."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name = name
        self._process = process

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def work(self) -> tuple[float, dict[str, Any]]:
        """Let it work: the seconds that it took, and what it tells of it."""
        began = time.perf_counter()
        self.send("go")
        line = self.read()
        seconds = time.perf_counter() - began
        return seconds, json.loads(line)

    def save(self) -> None:
        """Let it write its records down, and end."""
        self.send("save")
        self.expect("saved")
        self._process.wait(60)

    def send(self, line: str) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def expect(self, line: str) -> None:
        """Wait until it says this."""
        if (said := self.read()) != line:
            raise ContenderFailed(f"{self._name} said {said!r} where {line!r} was due")

    def read(self) -> str:
        """What it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContenderFailed(f"{self._name} ended with {self._process.wait()}")
        return line.strip()


@contextmanager
def contender(name: str, told: Mapping[str, object], environment: Mapping[str, str]) -> Iterator[Contender]:
    """Start the program of that name, and wait until it is ready."""
    command = [sys.executable, "-m", f"{PROGRAMS}.{name}"]
    given = os.environ | dict(environment)
    with subprocess.Popen(command, cwd=ROOT, env=given, stdin=PIPE, stdout=PIPE, text=True) as process:
        one = Contender(name, process)
        try:
            one.send(json.dumps(told))
            one.expect("ready")
            yield one
        finally:
            process.kill()

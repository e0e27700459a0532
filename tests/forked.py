"""Programs of ours as processes that are forked from one in which they are loaded.

To load a worker, a command or the sandbox takes half a second to a second of a core, and a fork of what is loaded a
tenth of that; a test run starts hundreds. That each starts by its own command too is shown by ``acuworker up``, by the
demo, and by the tests that start one in an environment of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from enum import StrEnum
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

_ROOT = Path(__file__).resolve().parent.parent


class Program(StrEnum):
    """What can be forked, by the module whose ``main`` it is."""

    SANDBOX = "deploy.sandbox.__main__"
    COMMAND = "worker.cli"
    CELERY = "celery.bin.celery"


# What these programs load as they run. A fork loads the main module of its parent again, which is pytest.
_LATER = [
    *("celery.apps.worker", "celery.concurrency.thread", "kombu.transport.redis"),
    *("worker.bootsteps", "worker.consumer", "worker.watchdog", "worker.tasks"),
    *("worker.client", "worker.connect", "worker.doctor", "worker.jobs", "worker.login", "worker.operate"),
    "pytest",
]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([*map(str, Program), *_LATER])


class Forked:
    """A process of a program, begun; it has what ``subprocess.Popen`` has."""

    def __init__(
        self,
        program: Program,
        words: Sequence[object],
        *,
        output: int,
        errors: int,
        stdin: int | None = None,
        directory: Path = _ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``words`` are those behind its name; the streams are file descriptors, which the caller keeps."""
        given = os.environ if environment is None else environment
        with ExitStack() as stack:
            empty = stack.enter_context(Path(os.devnull).open()).fileno()
            streams = [
                stack.enter_context(closing(Connection(os.dup(number))))
                for number in (empty if stdin is None else stdin, output, errors)
            ]
            told = (program, [str(word) for word in words], directory, dict(given), *streams)
            self._process = _FORKS.Process(target=_be, args=told, daemon=True)
            self._process.start()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid
        return self._process.pid

    def poll(self) -> int | None:
        """Its status, if it has ended: that of a signal is negative."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its status once it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, and nobody has said so yet
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def _be(
    program: Program, words: list[str], directory: Path, environment: dict[str, str], *streams: Connection
) -> None:
    """Be the program, in a process of its own, for as long as the tests run."""
    Thread(target=_end_with_the_tests, daemon=True).start()
    if program is Program.COMMAND:
        os.setsid()  # it would ask for a password on the terminal that the tests were started from
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    sys.argv = [program, *words]
    import_module(program).main()


def _end_with_the_tests() -> None:
    """End this process when the one that started it has ended, however it did."""
    tests = multiprocessing.parent_process()
    assert tests is not None
    tests.join()
    os._exit(1)

"""``acuworker up``: the private store and the workers of each lane, kept running until it is told to stop.

What ends by itself is started again after a pause that grows. Workers notice by a pipe when their supervisor has been
killed, and shut down; the store stays, and the next ``up`` finds it.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from worker import lockfile
from worker.embedded import PrivateStore, make_key, private_directory
from worker.errors import StoreUnavailable
from worker.job import Lane
from worker.settings import PARENT_FD, Settings
from worker.unfinished import Word

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
LONG_LIFE = 60.0
"""Seconds after which a program that ends is taken to have been sound."""

STOP_SECONDS = 25.0
"""How long workers may take to put their jobs back and sign out."""

LOOK_SECONDS = 0.2
FEWEST_THREADS = 4

Say = Callable[[str], None]


class Service(Protocol):
    """What can be kept running."""

    @property
    def name(self) -> str:
        """What it is called."""

    def start(self) -> str:
        """Start it; says in a line or two what was started. May raise StoreUnavailable."""

    def alive(self) -> bool:
        """Whether it still runs."""

    def ending(self) -> str:
        """How it ended, once it has."""


class Program:
    """A program of ours as a process; each start may have another command."""

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        environment: Mapping[str, str],
        passed: Sequence[int],
        var: Path,
    ) -> None:
        """``var`` is where a worker says that a write of its is in flight."""
        self.name = name
        self._command = command
        self._environment = environment
        self._passed = passed
        self._var = var
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it, in a session of its own: Ctrl-C on our terminal is for us alone."""
        command = self._command()
        self._process = subprocess.Popen(
            command,
            env=self._environment,
            pass_fds=self._passed,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        return f"pid {self._process.pid}\n  {shlex.join(command)}"

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def ending(self) -> str:
        """Its exit status, or the signal that ended it."""
        status = self._process.returncode if self._process else None
        return (
            f"by {signal.Signals(-status).name}"
            if status is not None and status < 0
            else f"with status {status}"
        )

    def ask_to_end(self) -> None:
        """Send SIGTERM, if it runs."""
        if self._process:
            self._process.terminate()

    def await_end(self, seconds: float) -> None:
        """Wait until it has ended; kill it when the seconds are over, unless it says that a write is in flight."""
        if self._process:
            word = Word(self._var, self._process.pid)
            try:
                self._process.wait(max(0.0, seconds))
            except subprocess.TimeoutExpired:
                while word.stands and self.alive():
                    time.sleep(LOOK_SECONDS)
                self._process.kill()
                self._process.wait()
            word.take_back()


@dataclass(frozen=True)
class Beside:
    """A command of ours that goes on beside the workers, and what its environment has besides ours."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Supervised:
    """A service that is started again whenever it has ended, after a pause that grows while it does not stay."""

    def __init__(self, service: Service, say: Say) -> None:
        self._service = service
        self._say = say
        self._running = False
        self._started = 0.0
        self._due = 0.0
        self._pause = 0.0

    def start(self, now: float) -> None:
        """Start the service at once; what goes wrong is raised."""
        self._say(f"{self._service.name}: {self._service.start()}")
        self._running = True
        self._started = now

    def tend(self, now: float) -> None:
        """See to the service, at a moment of a monotonic clock: note its end, or start it when its pause is over."""
        if self._running:
            if not self._service.alive():
                self._running = False
                self._again(now, now - self._started, f"ended {self._service.ending()}")
        elif now >= self._due:
            try:
                self.start(now)
            except StoreUnavailable as error:
                self._again(now, 0.0, str(error))

    def _again(self, now: float, lived: float, why: str) -> None:
        self._pause = pause(self._pause, lived)
        self._due = now + self._pause
        self._say(f"{self._service.name}: {why}; starts again in {self._pause:g} s")


def up(settings: Settings, each: int = 1, beside: Sequence[Beside] = ()) -> int:
    """Run the private store, unless another is set, so many workers of each lane, and what goes beside them.

    That until SIGTERM, SIGINT or SIGHUP.

    Returns the exit status: 0 after a stop that was asked for, 1 where another ``up`` has this ``var``. Raises
    Misconfigured or StoreUnavailable where nothing can be started.
    """
    private_directory(settings.var)
    path = settings.var / "up.lock"
    lock = lockfile.take(path)
    if lock is None:
        print(f"error: acuworker up runs already: {_holder(path)}", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        stack.callback(os.close, lock)
        _sign(lock)
        make_key(settings)
        stopping = stack.enter_context(stop_signals())
        pipe = stack.enter_context(_parent_pipe())
        workers = [*_workers(settings, pipe, each), *(_beside(settings, watcher, pipe) for watcher in beside)]
        store = None if settings.store_url else PrivateStore(settings)
        if store:
            store.prepare()
        run(store, workers, stopping, _print)
        os.ftruncate(lock, 0)
    return 0


def run(
    store: PrivateStore | None, workers: Sequence[Program], stopping: Callable[[], bool], say: Say
) -> None:
    """Start the store and then the workers, keep them running until ``stopping``, and end them in turn."""
    services: list[Service] = [store, *workers] if store else [*workers]
    supervised = [Supervised(service, say) for service in services]
    try:
        for one in supervised:
            one.start(time.monotonic())
        while not stopping():
            for one in supervised:
                one.tend(time.monotonic())
            time.sleep(LOOK_SECONDS)
        say("stopping: workers put their jobs back and sign out")
    finally:
        end(workers, STOP_SECONDS)
        if store:
            store.stop()
    say("stopped")


def end(programs: Sequence[Program], seconds: float) -> None:
    """Ask all programs to end, and kill those that have not after so many seconds."""
    latest = time.monotonic() + seconds
    for program in programs:
        program.ask_to_end()
    for program in programs:
        program.await_end(latest - time.monotonic())


def pause(previous: float, lived: float) -> float:
    """Seconds until a program is started again that lived so long and had waited so long before it."""
    if lived >= LONG_LIFE or not previous:
        return FIRST_PAUSE
    return min(2 * previous, LONGEST_PAUSE)


def worker_command(lane: Lane, threads: int, mark: str) -> tuple[str, ...]:
    """The Celery command of a lane's worker; the mark makes its node name its own.

    A node name that is used again would give the new worker the old one's replies.
    """
    return (
        *(sys.executable, "-m", "celery", "--quiet", "-A", "worker", "worker"),
        *("-Q", lane.queue, "-n", f"{lane}-{mark}@%h", "-P", "threads", "-c", str(threads)),
        *("--without-gossip", "--without-mingle"),
    )


def threads(settings: Settings) -> int:
    """Jobs that a worker takes at once: enough for every session that the licenses allow."""
    licenses = {
        connection.license or name: settings.license_of(connection)
        for name, connection in settings.connections.items()
    }
    return max(FEWEST_THREADS, sum(license.max_sessions for license in licenses.values()))


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yields what tells whether somebody has asked us to stop; the handlers before are put back."""
    came: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _parent_pipe() -> Iterator[int]:
    # Nobody writes to it: only its end is news, and comes when the last holder of the other end, us, is gone.
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def _workers(settings: Settings, pipe: int, each: int) -> list[Program]:
    environment = {**os.environ, PARENT_FD: str(pipe)}
    count = threads(settings)

    def program(lane: Lane, number: int) -> Program:
        name = f"{lane} worker" if each == 1 else f"{lane} worker {number}"
        return Program(
            name, lambda: worker_command(lane, count, secrets.token_hex(4)), environment, [pipe], settings.var
        )

    return [program(lane, number) for lane in Lane for number in range(1, each + 1)]


def _beside(settings: Settings, watcher: Beside, pipe: int) -> Program:
    command = (sys.executable, "-m", "worker", *watcher.words)
    environment = {**os.environ, **watcher.environment, PARENT_FD: str(pipe)}
    return Program(watcher.words[0], lambda: command, environment, [pipe], settings.var)


def _sign(lock: int) -> None:
    holder = {
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
    }
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(holder).encode(), 0)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"pid {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return f"it has just taken {path}"


def _print(line: str) -> None:
    # A terminal that has been closed must not keep the store from being stopped.
    with suppress(OSError):
        print(line, flush=True)

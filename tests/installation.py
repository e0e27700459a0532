"""An installation of a test's own: settings, a private store, and workers as real processes.

The store's file is kept over a restart, so that what a kill leaves behind can be seen; jobs come in as another
service would send them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import redis
import tenacity
from celery import Celery
from celery.result import AsyncResult
from cryptography.fernet import Fernet

from tests.forked import Forked, Program
from worker import embedded
from worker.job import Lane
from worker.jobstore import JobStore
from worker.settings import PARENT_FD, Connection, Settings

_ROOT = Path(__file__).resolve().parent.parent
_BINARIES = Path(sys.executable).parent


class Worker:
    """A Celery worker of ours, as a process; what it says goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked, log: Path) -> None:
        self.process = process
        self._log = log

    def kill(self) -> None:
        """End it as the kernel ends a process that has no memory left."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 25) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def said(self) -> str:
        """Everything it has written so far."""
        return self._log.read_text(errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]


class Installation:
    """A ``var`` directory with a store on its socket, and the environment that points there."""

    def __init__(self, directory: Path, connections: Mapping[str, Connection]) -> None:
        self.directory = directory
        self.settings = Settings(connections=dict(connections), var=directory / "var")
        self.environment = os.environ | {
            "ACUWORKER_VAR": str(self.settings.var),
            "ACUWORKER_CONNECTIONS_FILE": str(directory / "connections.toml"),
            "ACUWORKER_LOG_LEVEL": "DEBUG",
        }
        self._processes: list[subprocess.Popen[bytes] | Forked] = []
        self._files = 0

    def prepare(self) -> None:
        """Make its files, and start its store."""
        self.settings.var.mkdir(mode=0o700)
        (self.settings.var / "store.key").write_bytes(Fernet.generate_key())
        self.configure(self.settings.connections)
        self._store = self._start_store()

    def configure(self, connections: Mapping[str, Connection]) -> None:
        """Write the connections down for workers that start from now on."""
        path = self.directory / "connections.toml"
        path.touch(mode=0o600)
        path.write_text("\n".join(_table(connection) for connection in connections.values()))

    def _start_store(self) -> subprocess.Popen[bytes]:
        command = [
            embedded.server(),
            "--port",
            "0",
            "--unixsocket",
            self.settings.socket,
            "--appendonly",
            "yes",
        ]
        process = self._start([*command, "--dir", self.settings.var], self._file("store"))
        with redis.Redis.from_url(self.settings.store) as store:
            eventually(store.ping, redis.RedisError)
        return process

    @contextmanager
    def without_store(self, how: signal.Signals) -> Iterator[None]:
        """Stop the store with a signal; it is brought back on leaving."""
        self._store.send_signal(how)
        try:
            yield
        finally:
            if how is signal.SIGKILL:
                self._store.wait()
                self._store = self._start_store()
            else:
                self._store.send_signal(signal.SIGCONT)

    def start_worker(self, *options: str, pipe: int | None = None, **environment: str) -> Worker:
        """Start a worker for both lanes, and wait until it takes jobs."""
        worker = self.start_worker_unready(*options, pipe=pipe, **environment)
        eventually(lambda: _expect("ready." in worker.said()), AssertionError)
        return worker

    def keep_running(self, worker: Worker, done: Callable[[], bool]) -> None:
        """Until that is so, start the worker again whenever it has ended, as ``acuworker up`` would.

        kombu 5.7 sometimes cannot reconnect when its broker dies with messages unacknowledged: then Celery ends.
        """

        def check() -> None:
            nonlocal worker
            if worker.process.poll() is not None:
                worker = self.start_worker_unready()
            assert done()

        eventually(check, AssertionError, seconds=90)

    def start_worker_unready(self, *options: str, pipe: int | None = None, **environment: str) -> Worker:
        """Start a worker for both lanes; ``pipe`` is the end that tells it when its starter has gone.

        One that is given neither a pipe nor an environment of its own is forked.
        """
        node = ("-n", f"{uuid.uuid4().hex[:8]}@%h", "--without-gossip", "--without-mingle")
        words = ["-A", "worker", "worker", *node, *options]
        log = self._file("worker")
        if pipe is None and not environment:
            return Worker(self._fork(words, log), log)
        told = environment if pipe is None else environment | {PARENT_FD: str(pipe)}
        return Worker(self._start([_BINARIES / "celery", *words], log, pipe, **told), log)

    def _fork(self, words: list[str], log: Path) -> Forked:
        with log.open("wb") as output:
            to = output.fileno()
            process = Forked(Program.CELERY, words, output=to, errors=to, environment=self.environment)
        self._processes.append(process)
        return process

    def start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command of ours; what it says goes to a file."""
        return self._start([_BINARIES / "acuworker", *words], self._file(words[0]), None, **environment)

    def _file(self, name: str) -> Path:
        self._files += 1
        return self.directory / f"{name}-{self._files}.log"

    def _start(
        self, command: list[Any], log: Path, pipe: int | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=_ROOT,
                env=self.environment | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=() if pipe is None else (pipe,),
            )
        self._processes.append(process)
        return process

    @contextmanager
    def service(self) -> Iterator[Service]:
        """Another service, with nothing of ours."""
        address = f"redis+socket://{self.settings.socket}"
        app = Celery("service", broker=address, backend=address, set_as_current=False)
        try:
            yield Service(app)
        finally:
            app.close()

    def jobs(self) -> JobStore:
        """The job store, to look into."""
        return JobStore(redis.Redis.from_url(self.settings.store))

    def queued(self) -> int:
        """How many messages are on a queue, or given to a worker and not acknowledged."""
        with redis.Redis.from_url(self.settings.store) as store:
            waiting = sum(int(cast(int, store.llen(lane.queue))) for lane in Lane)
            return waiting + int(cast(int, store.hlen("unacked")))

    def close(self) -> None:
        """End every process."""
        for process in self._processes:
            process.kill()
            process.wait()

    def traces(self) -> list[str]:
        """The files, other than the one of connections, that hold a secret of theirs."""
        secrets = [
            secret.get_secret_value().encode()
            for connection in self.settings.connections.values()
            for secret in (connection.password, connection.client_secret)
        ]
        files = [
            path for path in self.directory.rglob("*") if path.is_file() and path.name != "connections.toml"
        ]
        return [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]


class Service:
    """Another service: it knows the task's name and the queues, and Celery."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def send(self, job: object, lane: str = "interactive", **options: Any) -> AsyncResult:
        """Put a job on a queue."""
        return self.app.send_task("acumatica.retrieve", args=[job], queue=f"acumatica.{lane}", **options)


def eventually(check: Callable[[], object], *until_not: type[Exception], seconds: float = 30) -> None:
    """Call this until it raises none of these; what it raises after so many seconds, it raises."""
    for attempt in tenacity.Retrying(
        wait=tenacity.wait_fixed(0.05),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_exception_type(until_not),
        reraise=True,
    ):
        with attempt:
            check()


def _expect(fact: bool) -> None:
    assert fact


@contextmanager
def install(**connections: Connection) -> Iterator[Installation]:
    """An installation with these connections; on leaving, it is searched for their secrets and then ended."""
    with TemporaryDirectory(prefix="acu", dir="/tmp") as directory:
        installation = Installation(Path(directory), connections)
        try:
            installation.prepare()
            yield installation
            assert installation.traces() == []
        finally:
            installation.close()


def _table(connection: Connection) -> str:
    told = connection.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    told["password"] = connection.password.get_secret_value()
    told["client_secret"] = connection.client_secret.get_secret_value()
    return "\n".join(
        [
            f"[connections.{connection.name}]",
            *(f"{name} = {json.dumps(value)}" for name, value in told.items()),
        ]
    )

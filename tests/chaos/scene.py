"""The setting of one check: a sandbox, a store, workers, and the directory in which all that happened is left.

What is left is for the judge: ``events.ndjson`` (the sandbox's log), ``store.json`` (every key of the store at the
end), ``facts.json`` (what was set up, and when what was begun), ``results.ndjson``, and what each worker said.
Secrets stay in a directory of their own, which goes; where one shows in what is left, SecretLeft is raised.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis
from cryptography.fernet import Fernet

from tests.installation import eventually
from tests.sandbox_process import Sandbox, start_sandbox
from worker import embedded

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 25.0


class SecretLeft(Exception):
    """A file that a check leaves holds a secret."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a check is set up with. ``connections`` and ``licenses`` are tables of ``connections.toml``; a connection
    need not repeat what the sandbox says of itself."""

    check: str
    directory: Path
    sandbox: Sequence[str] = ()
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"default": {}})
    licenses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    guard: str | None = None
    size: str = "full"
    facts: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    keeps_blobs: bool = False
    """Whether blobs are left for the judge."""


class Scene:
    """A check that is being played."""

    def __init__(
        self, setting: Setting, sandbox: Sandbox, valkey: Valkey, environment: Mapping[str, str]
    ) -> None:
        self.setting = setting
        self.directory = setting.directory
        self.sandbox = sandbox
        self.valkey = valkey
        self.store = valkey.client
        self.environment = environment
        self._facts: dict[str, Any] = {
            "check": setting.check,
            "guard": setting.guard,
            "size": setting.size,
            "sandbox": list(setting.sandbox),
            "marks": [],
            **setting.facts,
        }
        self._workers: list[tuple[subprocess.Popen[bytes], Path]] = []

    def mark(self, name: str, **facts: Any) -> None:
        """Write down that something is begun or ended now."""
        self._facts["marks"].append({"name": name, "at": time.monotonic_ns(), **facts})

    def tell(self, *lines: Mapping[str, Any]) -> None:
        """Write down results."""
        with (self.directory / "results.ndjson").open("a", encoding="utf-8") as file:
            # In one piece: workers that are killed write into it too.
            file.write("".join(json.dumps(line) + "\n" for line in lines))

    def start_workers(self, count: int, *options: str) -> None:
        """Start so many more Celery workers, and wait until all take jobs."""
        for _ in range(count):
            number = len(self._workers) + 1
            log = self.directory / f"worker-{number}.log"
            node = ("-n", f"{self.setting.check}-{number}@%h", "--without-gossip", "--without-mingle")
            command = ("-m", "celery", "-A", "worker", "worker", *node, *options)
            if self.setting.guard:
                command = ("-m", "tests.chaos.sabotage", self.setting.guard, *command[1:])
            self._workers.append((self.spawn((sys.executable, *command), log), log))
        for _, log in self._workers:
            eventually(partial(_expect_ready, log), AssertionError)

    def spawn(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a process in this setting; what it says goes to a file."""
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def worker_pids(self) -> list[int]:
        """The workers' processes."""
        return [process.pid for process, _ in self._workers]

    def stop_workers(self) -> None:
        """Ask all workers to end, and wait until they have."""
        for process, _ in self._workers:
            process.send_signal(signal.SIGTERM)
        self.mark("terminated")
        for process, _ in self._workers:
            process.wait(STOP_SECONDS)

    def leave(self) -> None:
        """End what runs still, and write down what the judge is to see."""
        for process, _ in self._workers:
            process.kill()
            process.wait()
        (self.directory / "store.json").write_text(json.dumps(dump(self.store), indent=1, ensure_ascii=False))
        (self.directory / "facts.json").write_text(json.dumps(self._facts, indent=1))


@contextmanager
def play(setting: Setting) -> Iterator[Scene]:
    """A scene in its setting, which is left and cleared away at the end. Raises SecretLeft."""
    shutil.rmtree(setting.directory, ignore_errors=True)
    setting.directory.mkdir(parents=True)
    (setting.directory / "results.ndjson").touch()
    with ExitStack() as stack:
        private = Path(stack.enter_context(TemporaryDirectory(prefix="acu", dir="/tmp")))
        events = ("--control", "--events", str(setting.directory / "events.ndjson"))
        sandbox = stack.enter_context(start_sandbox(*events, *setting.sandbox))
        valkey = stack.enter_context(_running(private / "valkey.sock", setting.directory / "valkey.log"))
        scene = Scene(setting, sandbox, valkey, prepare(private, setting, sandbox))
        try:
            yield scene
        finally:
            scene.leave()
    _check_no_secret(setting.directory, (sandbox.password, sandbox.client_secret))


def prepare(private: Path, setting: Setting, sandbox: Sandbox) -> Mapping[str, str]:
    """Write the settings of an installation whose store listens in ``private``; the environment that points there."""
    (private / "store.key").write_bytes(Fernet.generate_key())
    path = private / "connections.toml"
    path.touch(mode=0o600)
    known = {name: getattr(sandbox, name) for name in _OF_THE_SANDBOX} | {"version": "20.200.001"}
    tables = [_table("connections", name, {**known, **own}) for name, own in setting.connections.items()]
    tables += [_table("licenses", name, dict(own)) for name, own in setting.licenses.items()]
    path.write_text("\n".join(tables), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ACUWORKER_")}
    blobs = {"ACUWORKER_BLOBS": str(setting.directory.absolute() / "blobs")} if setting.keeps_blobs else {}
    named = {"ACUWORKER_VAR": str(private), "ACUWORKER_CONNECTIONS_FILE": str(path)}
    return {**clean, **named, **blobs, **setting.environment}


_OF_THE_SANDBOX = ("url", "tenant", "username", "password", "client_id", "client_secret", "ca_file")


def _table(kind: str, name: str, values: Mapping[str, Any]) -> str:
    lines = (f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None)
    return "\n".join([f"[{kind}.{name}]", *lines, ""])


class Valkey:
    """A Valkey on a socket, as durable as the embedded one, that can be killed and started again."""

    def __init__(self, socket: Path, log: Path) -> None:
        self.client = redis.Redis.from_url(f"unix://{socket}")
        self._log = log
        options = ("--port", "0", "--unixsocket", str(socket), "--dir", str(socket.parent))
        self._command = (embedded.server(), *options, "--appendonly", "yes", "--save", "")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output)
        eventually(self.client.ping, redis.RedisError)

    def signal(self, how: signal.Signals) -> None:
        """Send it a signal; it is gone when that was SIGKILL."""
        self._process.send_signal(how)
        if how is signal.SIGKILL:
            self._process.wait()


@contextmanager
def _running(socket: Path, log: Path) -> Iterator[Valkey]:
    valkey = Valkey(socket, log)
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.client.close()
        valkey.signal(signal.SIGKILL)


def dump(store: redis.Redis) -> Mapping[str, Any]:
    """Every key of a store with its value and the milliseconds that it has left (-1: for ever)."""
    found = sorted(store.scan_iter(count=1000))
    return {_text(key): {"ttl_ms": store.pttl(key), "value": _value(store, key)} for key in found}


def _value(store: Any, key: bytes) -> Any:
    read: Mapping[bytes, Callable[[], Any]] = {
        b"string": lambda: _text(store.get(key) or b""),
        b"hash": lambda: {_text(name): _text(value) for name, value in store.hgetall(key).items()},
        b"list": lambda: [_text(value) for value in store.lrange(key, 0, -1)],
        b"set": lambda: sorted(_text(value) for value in store.smembers(key)),
        b"zset": lambda: [
            [_text(value), score] for value, score in store.zrange(key, 0, -1, withscores=True)
        ],
    }
    kind = store.type(key)
    return read[kind]() if kind in read else _text(kind)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _check_no_secret(directory: Path, secrets: Sequence[str]) -> None:
    for path in directory.rglob("*"):
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets):
            raise SecretLeft(f"{path} holds a password or a client's secret")


def _expect_ready(log: Path) -> None:
    assert "ready." in log.read_text(errors="replace"), f"a worker is not ready: see {log}"

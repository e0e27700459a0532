"""A RabbitMQ of a test's own, as processes on free loopback ports; nothing of it outlives the test.

It is installed with apt-get where it is missing. Its directory is kept over a restart, so that what a kill leaves
behind can be seen.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import tenacity
from kombu.connection import Connection

PACKAGE = "rabbitmq-server"
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself: the one on the path would change to another user, and log elsewhere."""

START_SECONDS = 90.0
END_SECONDS = 30.0

_INSTALL = ("apt-get", "install", "-qqy", "--no-install-recommends", PACKAGE)
_ERLANG = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
"""One scheduler that sleeps when it has nothing to do: the cores are for the test."""

_CONFIG = "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 512MB\n"


class RabbitMq:
    """One node in a directory; it may be ended and started again there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port, self._dist, self._epmd_port = _free_ports(3)
        self._epmd: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, for Celery."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if self._epmd is None:
            # The node would start one that outlives it.
            self._epmd = subprocess.Popen(
                ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)], env=self._environment()
            )
        self._pid_file.unlink(missing_ok=True)
        with (self._directory / "out.log").open("ab") as output:
            self._process = subprocess.Popen(
                [SERVER],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._until_it_answers()

    def until_kept(self, queue: str) -> None:
        """Wait until a quorum queue that was just declared is on disk for good.

        RabbitMQ 3.10 writes down half a second later that it has the queue; killed before, it comes back with a queue
        that never has a leader again.
        """
        names = self._directory / self._node / "quorum" / self._node / "names.dets"
        for attempt in tenacity.Retrying(
            wait=tenacity.wait_fixed(0.1), stop=tenacity.stop_after_delay(START_SECONDS), reraise=True
        ):
            with attempt:
                assert queue.encode() in names.read_bytes(), f"{queue} is not on disk yet"

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the node itself, as SIGSTOP and SIGCONT."""
        os.kill(self.pid, number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, at once or, by SIGTERM, in order; what it has confirmed is on its disk."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, OSError, ValueError):
            self.send(number)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """End all that was started."""
        with suppress(ProcessLookupError, OSError, ValueError):
            self.send(signal.SIGCONT)
        self.end()
        if self._epmd:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    @property
    def _node(self) -> str:
        return f"acu{self._port}@localhost"

    @property
    def pid(self) -> int:
        """The node's process, which the program that starts it writes down."""
        return int(self._pid_file.read_text(encoding="ascii"))

    @property
    def _pid_file(self) -> Path:
        return self._directory / "pid"

    def _environment(self) -> dict[str, str]:
        base = str(self._directory)
        config = self._directory / "rabbitmq"
        config.with_suffix(".conf").write_text(_CONFIG)
        return os.environ | {
            "HOME": base,
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_MNESIA_BASE": base,
            "RABBITMQ_LOG_BASE": base,
            "RABBITMQ_PID_FILE": str(self._pid_file),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": f"{base}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_ERLANG} -kernel inet_dist_use_interface {{127,0,0,1}}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
        }

    def _until_it_answers(self) -> None:
        for attempt in tenacity.Retrying(
            wait=tenacity.wait_fixed(0.2), stop=tenacity.stop_after_delay(START_SECONDS), reraise=True
        ):
            with attempt, Connection(self.url, connect_timeout=5) as connection:
                assert self._process and self._process.poll() is None, self.said()
                connection.connect()

    def said(self) -> str:
        """What it has written so far."""
        return (self._directory / "out.log").read_text(encoding="utf-8", errors="replace")


def install() -> None:
    """Have RabbitMQ on this machine; raises what apt-get says where it cannot be installed."""
    if SERVER.exists():
        return
    prefix = () if os.getuid() == 0 else ("sudo", "-n")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A package that starts its service would have two of them here.
    for command in (("apt-get", "update", "-qq"), ("env", "RUNLEVEL=1", *_INSTALL)):
        done = subprocess.run([*prefix, *command], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"{PACKAGE} cannot be installed: {done.stderr[-500:]}\nrun sudo {' '.join(_INSTALL)}"
            )


@contextmanager
def start_rabbitmq() -> Iterator[RabbitMq]:
    """Run a RabbitMQ with an empty directory; yields it once it answers."""
    install()
    with TemporaryDirectory(prefix="acurmq", dir="/tmp", ignore_cleanup_errors=True) as directory:
        broker = RabbitMq(Path(directory))
        try:
            broker.start()
            yield broker
        finally:
            broker.close()


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for each in with_sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_sockets]
    finally:
        for each in with_sockets:
            each.close()

"""``acuworker up`` in a directory of its own: the private store and a worker for each lane, as an operator has them.

FleetFailed is raised where it does not start.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.erp_floor import connection_to
from tests.installation import Installation, eventually
from tests.sandbox_process import Sandbox

STOP_SECONDS = 40.0


class FleetFailed(Exception):
    """The workers did not start."""


@dataclass(frozen=True)
class Fleet:
    """Running workers, and how to reach them."""

    environment: Mapping[str, str]
    broker: str
    directory: Path
    pids: Mapping[str, int]

    @property
    def workers(self) -> Sequence[int]:
        """The workers of both lanes."""
        return [self.bulk, self.interactive]

    @property
    def bulk(self) -> int:
        """The worker of bulk jobs."""
        return self.pids["bulk worker"]

    @property
    def interactive(self) -> int:
        """The worker of interactive jobs."""
        return self.pids["interactive worker"]


@contextmanager
def fleet(sandbox: Sandbox, **connection: Any) -> Iterator[Fleet]:
    """Workers for this sandbox, by a connection that is changed so; they sign out on leaving."""
    with TemporaryDirectory(prefix="acu", dir="/tmp") as directory:
        installation = Installation(Path(directory), {"default": connection_to(sandbox, **connection)})
        installation.configure(installation.settings.connections)
        environment = installation.environment | {"ACUWORKER_LOG_LEVEL": "INFO"}
        up = installation.start("up", ACUWORKER_LOG_LEVEL="INFO")
        try:
            pids: dict[str, int] = {}
            log = installation.directory / "up-1.log"
            eventually(partial(_read_pids, log, pids), FleetFailed)
            broker = installation.settings.store_for_celery
            yield Fleet(environment, broker, installation.directory, pids)
        finally:
            _stop(up)


def _read_pids(log: Path, pids: dict[str, int]) -> None:
    said = log.read_text(errors="replace")
    pids |= {name: int(pid) for name, pid in re.findall(r"^(\w+ worker): pid (\d+)$", said, re.MULTILINE)}
    if len(pids) < 2 or said.count("ready.") < 2:
        raise FleetFailed(f"the workers are not ready: {said[-2000:]}")


def _stop(up: subprocess.Popen[bytes]) -> None:
    up.send_signal(signal.SIGTERM)
    try:
        up.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait()

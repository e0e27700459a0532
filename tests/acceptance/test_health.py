"""``acuworker health`` beside real workers: what a probe is told while they live, hang, die, or lose their store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.erp_floor import connection_to
from tests.installation import Installation, eventually, install
from tests.sandbox_process import Sandbox
from worker.beats import STALE_SECONDS

HEALTH = [str(Path(sys.executable).with_name("acuworker")), "health"]


@pytest.fixture
def installation(sandbox: Sandbox) -> Iterator[Installation]:
    """An installation with a store and no worker yet."""
    with install(default=connection_to(sandbox)) as installation:
        yield installation


def probe(installation: Installation, *options: str) -> tuple[int, str]:
    """What a probe is told, within the time that one has: the exit status, and the one line."""
    done = subprocess.run(
        [*HEALTH, *options],
        env=installation.environment,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    return done.returncode, line


def age(installation: Installation) -> None:
    """Let the workers that live not have beaten for a while."""
    before = time.time() - STALE_SECONDS - 1
    for path in (installation.settings.var / "workers").iterdir():
        os.utime(path, (before, before))


def test_workers_that_live_and_can_work(installation: Installation) -> None:
    """No worker: 1; a worker that beats and is known: 0; a killed one: none at once; a store away: live, not ready."""
    assert probe(installation, "--live")[0] == 1
    killed, stopped = installation.start_worker(), installation.start_worker()
    assert probe(installation, "--live") == (0, "live: 2 workers")
    assert probe(installation) == (0, "ready: 2 workers")
    killed.kill()
    assert probe(installation) == (0, "ready: 1 worker")
    with installation.without_store(signal.SIGSTOP):
        assert probe(installation, "--live") == (0, "live: 1 worker")
        assert probe(installation) == (1, "not ready: the store does not answer")
    eventually(lambda: expect(probe(installation)[0] == 0), AssertionError)
    assert stopped.stop() == 0
    status, line = probe(installation)
    assert (status, line.startswith("not live: no worker of")) == (1, True)


def test_a_worker_that_hangs_is_not_live(installation: Installation) -> None:
    """A process that is there and does not beat is named, and is well again when it goes on."""
    worker = installation.start_worker()
    worker.process.send_signal(signal.SIGSTOP)
    age(installation)
    status, line = probe(installation, "--live")
    assert (status, "has not beaten for" in line) == (1, True)
    worker.process.send_signal(signal.SIGCONT)
    eventually(lambda: expect(probe(installation, "--live")[0] == 0), AssertionError)


def expect(fact: bool) -> None:
    """It is so."""
    assert fact

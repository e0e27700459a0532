"""The workers of a scene that are killed and replaced: forked from a zygote, and killed with it at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.scene import ROOT, Scene
from tests.installation import eventually

LOOK_SECONDS = 0.05


class Fleet:
    """So many workers, as long as it is kept up."""

    def __init__(self, scene: Scene, zygote: subprocess.Popen[str], options: tuple[str, ...]) -> None:
        self._scene = scene
        self._zygote = zygote
        self._options = options
        self._pids: list[int] = []
        self._forked = 0

    def keep_up(self, count: int) -> None:
        """Start workers for those that have ended."""
        self._pids = [pid for pid in self._pids if is_alive(pid)]
        while len(self._pids) < count:
            self.start()

    def start(self) -> tuple[int, Path]:
        """Start one more worker: its pid, and where it says what it does."""
        pid, log = self.fork("worker", *self._options)
        self._pids.append(pid)
        return pid, log

    def started(self) -> int:
        """Start one more worker, and wait until it takes jobs; its pid."""
        pid, log = self.start()

        def is_ready() -> None:
            assert "ready." in log.read_text(errors="replace"), f"a worker is not ready: see {log}"

        eventually(is_ready, AssertionError, FileNotFoundError)
        return pid

    def fork(self, name: str, *options: str) -> tuple[int, Path]:
        """Fork a process of another kind, which is not kept up."""
        self._forked += 1
        log = self._scene.directory / f"{name}-{self._forked}.log"
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(" ".join((str(log.absolute()), *options)) + "\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline()), log

    @property
    def pids(self) -> list[int]:
        """The workers that live, the oldest first."""
        return [pid for pid in self._pids if is_alive(pid)]

    @property
    def alive(self) -> int:
        """How many workers live."""
        return sum(map(is_alive, self._pids))

    def stop(self, seconds: float) -> None:
        """Ask all to end, and wait until they have, or so long."""
        for pid in filter(is_alive, self._pids):
            os.kill(pid, signal.SIGTERM)
        self._scene.mark("terminated")
        until = time.monotonic() + seconds
        while self.alive and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        self._scene.mark("ended", alive=self.alive)


@contextmanager
def forked(scene: Scene, *options: str) -> Iterator[Fleet]:
    """A fleet of workers with these options, none at first; at the end whoever lives is killed."""
    guard = (scene.setting.guard,) if scene.setting.guard else ()
    results = (scene.directory / "results.ndjson").absolute()
    command = [sys.executable, "-m", "tests.chaos.zygote", str(results), *guard]
    pipe = subprocess.PIPE
    with (
        (scene.directory / "zygote.log").open("wb") as errors,
        subprocess.Popen(
            command, cwd=ROOT, env=scene.environment, stdin=pipe, stdout=pipe, stderr=errors, text=True
        ) as zygote,
    ):
        yield Fleet(scene, zygote, options)
        # The end of its input ends the zygote, and with it its workers.


def is_alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

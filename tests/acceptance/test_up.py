"""``acuworker up`` with real workers and a real Valkey: what it starts, what it survives, what it leaves behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from celery.result import AsyncResult

from tests.erp_floor import connection_to
from tests.installation import Installation, Service, eventually
from tests.sandbox_process import Sandbox
from worker.embedded import PrivateStore
from worker.errors import ConnectionUnknown
from worker.job import Lane
from worker.supervisor import Program, end

ORDERS = {"entity": "SalesOrder", "filter": "CustomerID eq :customer", "params": {"customer": "C000000003"}}
NOWHERE = {"entity": "SalesOrder", "connection": "nowhere"}
UP = [str(Path(sys.executable).with_name("acuworker")), "up"]
DEAF = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(sys.argv[1]), b".")
time.sleep(300)
"""
SERVICES = ("private store", "interactive worker", "bulk worker")


class Up:
    """One run of ``acuworker up``; what it and its workers say goes to two files."""

    def __init__(
        self, installation: Installation, name: str, options: tuple[str, ...], environment: dict[str, str]
    ) -> None:
        self._said = installation.directory / f"{name}.out"
        self._log = installation.directory / f"{name}.err"
        with self._said.open("wb") as output, self._log.open("wb") as errors:
            self.process = subprocess.Popen(
                [*UP, *options], env=installation.environment | environment, stdout=output, stderr=errors
            )

    def said(self) -> str:
        """What it has told people so far."""
        return self._said.read_text(encoding="utf-8")

    def logged(self) -> str:
        """What was logged so far, by it and its workers."""
        return self._log.read_text(encoding="utf-8")

    def pids(self, service: str) -> list[int]:
        """The process ids of a service, of each of its starts."""
        return [int(pid) for pid in re.findall(rf"^{service}: .*pid (\d+)$", self.said(), re.MULTILINE)]

    def commands(self) -> dict[int, str]:
        """The Celery commands that it says it runs, by the process that runs it."""
        found = re.findall(r"worker(?: \d+)?: pid (\d+)\n  (.+)\n", self.said())
        return {int(pid): command for pid, command in found}

    def until_ready(self, workers: int = 2) -> None:
        """Wait until so many workers have come to take jobs."""

        def ready() -> None:
            assert self.process.poll() is None, self.logged()
            assert self.logged().count(" ready.") == workers

        eventually(ready, AssertionError)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


class Ground(Installation):
    """An installation that starts nothing by itself: ``up`` is to do that."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, {})
        self._runs: list[Up] = []

    def up(self, *options: str, **environment: str) -> Up:
        """Start ``acuworker up``."""
        run = Up(self, f"up-{len(self._runs)}", options, environment)
        self._runs.append(run)
        return run

    def close(self) -> None:
        """End all that the runs have started and left."""
        for run in self._runs:
            run.process.kill()
            run.process.wait()
            for pid, command in run.commands().items():
                if command_of(pid) == shlex.split(command):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        if (self.settings.var / "valkey").exists():
            PrivateStore(self.settings).stop()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """A place for ``acuworker up``, without connections; nothing that was started there outlives the test."""
    ground = Ground(tmp_path)
    yield ground
    ground.close()


@pytest.fixture
def service(ground: Ground) -> Iterator[Service]:
    """Another service, beside the installation."""
    with ground.service() as service:
        yield service


def command_of(pid: int) -> list[str]:
    """The command of a process; none for one that has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
    except OSError:
        return []


def until_gone(*pids: int, seconds: float = 15) -> None:
    """Wait until none of these processes is left."""

    def gone() -> None:
        assert [pid for pid in pids if command_of(pid)] == []

    eventually(gone, AssertionError, seconds=seconds)


def until_asked(sandbox: Sandbox) -> None:
    """Wait until the ERP has had a request after the sign-in."""

    def asked() -> None:
        assert sandbox.tally()["requests"] >= 2

    eventually(asked, AssertionError)


def refused(result: AsyncResult) -> str:
    """What a job that no worker can do was answered with."""
    return type(result.get(timeout=60, propagate=False)).__name__


def test_up_runs_as_many_workers_as_it_is_told(ground: Ground) -> None:
    """With --workers 2 each lane has two processes, all of different names; one that is killed is started again."""
    up = ground.up("--workers", "2")
    up.until_ready(4)
    commands = list(up.commands().values())
    assert {lane: sum(f"-Q acumatica.{lane} " in each for each in commands) for lane in Lane} == {
        Lane.INTERACTIVE: 2,
        Lane.BULK: 2,
    }
    os.kill(up.pids("bulk worker 2")[0], signal.SIGKILL)
    up.until_ready(5)
    nodes = {shlex.split(each)[shlex.split(each).index("-n") + 1] for each in up.commands().values()}
    assert len(nodes) == 5
    assert up.stop() == 0


def test_up_runs_what_it_says_and_ends_all_of_it(ground: Ground, service: Service) -> None:
    """The commands are those of the processes, ready to be pasted; SIGTERM ends everything, with status 0."""
    up = ground.up()
    up.until_ready()
    pids = [pid for name in SERVICES for pid in up.pids(name)]
    assert len(pids) == 3
    commands = up.commands()
    assert {pid: shlex.split(command) for pid, command in commands.items()} == {
        pid: command_of(pid) for pid in commands
    }
    assert {os.getsid(pid) for pid in pids} == set(pids), "Ctrl-C on our terminal would reach them"
    assert all(" -A worker worker -Q acumatica." in command for command in commands.values())
    lanes = ("interactive", "bulk")
    assert [refused(service.send(NOWHERE, lane)) for lane in lanes] == [ConnectionUnknown.__name__] * 2
    assert up.stop() == 0
    assert [pid for pid in pids if command_of(pid)] == []
    assert not ground.settings.socket.exists()


def test_a_second_up_says_who_runs(ground: Ground) -> None:
    """It exits with 1 and names the process, its host and its start; the first one goes on."""
    up = ground.up()
    up.until_ready()
    second = ground.up()
    assert second.process.wait(30) == 1
    told = rf"error: acuworker up runs already: pid {up.process.pid} on \S+ since 20\d\d-\S+\n"
    assert re.fullmatch(told, second.logged())
    assert second.said() == ""
    assert up.stop(signal.SIGINT) == 0


def test_a_killed_up_loses_no_job(ground: Ground, sandbox: Sandbox, service: Service) -> None:
    """Its workers end by themselves, a new one adopts the store, and jobs of before and in between are all done."""
    ground.configure({"default": connection_to(sandbox)})
    sandbox.control("faults", {"kind": "delay", "path": "/entity/", "seconds": 300, "times": 1})
    killed = ground.up()
    killed.until_ready()
    results = [service.send(ORDERS) for _ in range(10)]
    until_asked(sandbox)
    killed.process.kill()
    killed.process.wait()
    results += [service.send(ORDERS, "bulk") for _ in range(10)]
    sandbox.control("faults", method="DELETE")
    heir = ground.up()
    heir.until_ready()
    assert [result.get(timeout=90)["count"] for result in results] == [9] * 20
    assert heir.pids("private store") == killed.pids("private store")
    until_gone(*killed.commands())
    assert heir.stop() == 0
    tally = sandbox.tally()
    assert (tally["peak_sessions"], tally["open_sessions"], tally["declined"]) == (1, 0, 0)


def test_what_dies_is_started_again(ground: Ground, service: Service) -> None:
    """A killed worker comes back under a new node name, a killed store with all it held; jobs are done again."""
    up = ground.up()
    up.until_ready()
    os.kill(up.pids("interactive worker")[0], signal.SIGKILL)
    up.until_ready(workers=3)
    assert "interactive worker: ended by SIGKILL; starts again in 1 s\n" in up.said()
    nodes = re.findall(r"-n (\S+)", up.said())
    assert len(set(nodes)) == len(nodes) == 3
    os.kill(up.pids("private store")[0], signal.SIGKILL)
    eventually(lambda: up.pids("private store")[1], IndexError)
    assert refused(service.send(NOWHERE)) == ConnectionUnknown.__name__
    assert up.stop() == 0


def test_another_store_is_used_where_one_is_set(ground: Ground, store_url: str) -> None:
    """With a store of the operator's only the workers are started, and the store is left as it was."""
    up = ground.up(ACUWORKER_STORE_URL=store_url, ACUWORKER_BROKER_URL=f"redis+socket{store_url[4:]}")
    up.until_ready()
    assert up.pids("private store") == []
    assert up.stop() == 0
    assert sorted(path.name for path in ground.settings.var.iterdir()) == ["store.key", "up.lock", "workers"]


def test_a_store_that_cannot_start_is_one_line(ground: Ground) -> None:
    """Where the store's data cannot be read nothing is started: one line says why, and the status is 1."""
    files = ground.settings.var / "valkey" / "appendonlydir"
    for path in (ground.settings.var, files.parent, files):
        path.mkdir(mode=0o700)
    (files / "appendonly.aof.manifest").write_text("nonsense\n", encoding="utf-8")
    up = ground.up()
    assert up.process.wait(30) == 1
    assert re.fullmatch(r"error: the private store ended at once: .+\n", up.logged())
    assert "worker: pid" not in up.said()


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """SIGTERM goes to all at once; who has not ended in time is killed, who has is not."""
    reading, writing = os.pipe()
    deaf = Program(
        "deaf", lambda: [sys.executable, "-c", DEAF, str(writing)], os.environ, [writing], tmp_path
    )
    good = Program("good", lambda: ["sleep", "300"], os.environ, [], tmp_path)
    for program in (deaf, good):
        program.start()
    os.read(reading, 1)
    end([deaf, good], 0.5)
    assert (deaf.ending(), good.ending()) == ("by SIGKILL", "by SIGTERM")
    for descriptor in (reading, writing):
        os.close(descriptor)

"""A job of one record for a customer who waits: how long it takes, and its CPU beside a Celery task without work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.benchmarks.bench.bars import INTERACTIVE_MS, TASK_TIMES, at_most
from tests.benchmarks.bench.fleet import Fleet, FleetFailed, fleet
from tests.benchmarks.bench.measure import Spread, cpu_seconds
from tests.benchmarks.bench.process import ROOT, contender
from tests.benchmarks.bench.progress import under_way
from tests.benchmarks.bench.report import Report
from tests.benchmarks.bench.site import NONE, site
from tests.installation import eventually

JOB = {"entity": "SalesOrder", "keys": ["SO", "000001"]}
TIMES, BEFORE, ROUNDS = 300, 30, 3


def interactive() -> Report:
    """One session, the embedded store, no latency of the ERP."""
    p50: list[float] = []
    job: list[float] = []
    task: list[float] = []
    with site(NONE) as sandbox, fleet(sandbox.sandbox) as workers, _plain_worker(workers) as plain:
        for number in range(1, ROUNDS + 1):
            with under_way(f"interactive: {TIMES} jobs, and as many tasks, round {number} of {ROUNDS}"):
                seconds, cpu = _jobs(workers)
                p50.append(1000 * seconds)
                job.append(cpu)
                task.append(_tasks(workers, plain))
    took, mine, theirs = (Spread.of(figures) for figures in (p50, job, task))
    note = (
        f"p50 {took.median:.2f} ms ({took.least:.2f}–{took.greatest:.2f}); worker's CPU a job {mine.median:.2f} ms "
        f"({mine.least:.2f}–{mine.greatest:.2f}), a task {theirs.median:.2f} ms ({theirs.least:.2f}–"
        f"{theirs.greatest:.2f})"
    )
    found = [
        at_most("interactive", took.median, INTERACTIVE_MS, " ms"),
        at_most("interactive-cpu", mine.median / theirs.median, TASK_TIMES, "x a task"),
    ]
    return Report("interactive", {}, {}, found, (note,))


def _jobs(workers: Fleet) -> tuple[float, float]:
    """The median seconds of a job, and the CPU of its worker in milliseconds."""
    told = {"job": JOB, "times": TIMES, "before": BEFORE}
    with contender("many", told, workers.environment) as one:
        spent = cpu_seconds(workers.interactive)
        _, facts = one.work()
        cpu = cpu_seconds(workers.interactive) - spent
        one.save()
    return Spread.of(facts["took"]).median, 1000 * cpu / TIMES


def _tasks(workers: Fleet, plain: int) -> float:
    """The CPU that a task costs a plain worker, in milliseconds."""
    with contender("tasks", {"times": TIMES, "before": BEFORE}, {"BENCH_BROKER": workers.broker}) as one:
        spent = cpu_seconds(plain)
        one.work()
        cpu = cpu_seconds(plain) - spent
        one.save()
    return 1000 * cpu / TIMES


@contextmanager
def _plain_worker(workers: Fleet) -> Iterator[int]:
    """A Celery worker without anything of ours, on the same store; its process."""
    app = (
        "-A",
        "tests.benchmarks.bench.programs.noop",
        "worker",
        "-n",
        "noop@%h",
        "-P",
        "threads",
        "-c",
        "4",
    )
    command = (sys.executable, "-m", "celery", *app, "--without-gossip", "--without-mingle", "-l", "info")
    log = workers.directory / "noop.log"
    given = os.environ | {"BENCH_BROKER": workers.broker}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=ROOT, env=given, stdout=output, stderr=output) as process,
    ):
        try:
            eventually(partial(_expect_ready, log), FleetFailed)
            yield process.pid
        finally:
            process.kill()


def _expect_ready(log: Path) -> None:
    said = log.read_text(errors="replace")
    if "ready." not in said:
        raise FleetFailed(f"the plain worker is not ready: {said[-2000:]}")

"""``python -m tests.chaos.zygote KILLS [GUARD]``: a process with all of a worker loaded, which forks workers.

A Celery worker takes seconds to load and a fork of one that is loaded takes none, so that hundreds can be killed. Each
line of standard input names a log file; a worker is forked that writes there, and its pid is answered. Where ``submit``
and its arguments follow, it is one that hands in jobs (submitter.py). At the end of input all that live are killed.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

import celery.apps.worker
import celery.concurrency.thread
import celery.worker.consumer
import kombu.transport.redis
from celery.bin.celery import main as celery_main

import worker.bootsteps
import worker.celery
from tests.chaos import jobpoints, killpoints, sabotage, submitter
from worker.registry import Registry

LOADED = (
    worker.bootsteps,
    worker.celery,
    celery.apps.worker,
    celery.concurrency.thread,
    celery.worker.consumer,
    kombu.transport.redis,
)


def main(kills: Path, guard: str | None) -> None:
    """Fork workers until the end of input."""
    orders = killpoints.Orders(Path(os.environ["ACUWORKER_VAR"]), kills)
    killpoints.arm(orders)
    jobpoints.arm(orders)
    if guard:
        sabotage.GUARDS[guard]()
    Registry.load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they died
    children: list[int] = []
    for number, line in enumerate(sys.stdin, 1):
        log, *options = line.split()
        pid = os.fork()
        if pid == 0:
            _speak_into(Path(log))
            if options[:1] == ["submit"]:
                _submit(kills, *options[1:])
            _be_worker(number, options)
        children.append(pid)
        print(pid, flush=True)
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _speak_into(log: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for taken in (1, 2):
        os.dup2(output, taken)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _submit(results: Path, jobs: str, every: str, fewest: str) -> None:
    try:
        submitter.main(Path(jobs), results, float(every), int(fewest))
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _be_worker(number: int, options: list[str]) -> None:
    node = ("-n", f"forked-{number}@%h", "--without-gossip", "--without-mingle")
    sys.argv = ["celery", "-A", "worker", "worker", *node, *options]
    try:
        celery_main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    else:
        code = 0
    os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)

"""A Celery app with a task that does nothing, and whose result is kept: what a task costs at the least.

Broker and backend are those of ``BENCH_BROKER``; the pool is of threads, as ours, and all else as Celery has it.
"""

from __future__ import annotations

import os

from celery import Celery

app = Celery("noop", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BROKER"])
app.conf.task_default_queue = "noop"


@app.task(name="noop")  # type: ignore[untyped-decorator]  # Celery has no types
def nothing() -> None:
    """Nothing."""

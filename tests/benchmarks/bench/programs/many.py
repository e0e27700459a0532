"""Many small jobs of ours, one after the other, each from its submission to its result."""

from __future__ import annotations

import time

from tests.benchmarks.bench.programs import protocol
from tests.benchmarks.bench.programs.job import result_of
from worker.client import Client
from worker.job import Job
from worker.settings import Settings


def main() -> None:
    """Tell how many seconds each job took."""
    told = protocol.told()
    client = Client(Settings.load())
    job = Job.parse(told["job"])
    for _ in range(told["before"]):
        result_of(client, job)
    protocol.begin()
    took = []
    for _ in range(told["times"]):
        began = time.perf_counter()
        result_of(client, job)
        took.append(time.perf_counter() - began)
    protocol.done(took=took)
    protocol.saved()


if __name__ == "__main__":
    main()

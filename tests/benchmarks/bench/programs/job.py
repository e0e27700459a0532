"""One job of ours, submitted by ``worker.client`` as a producer does; its workers run beside, as their own processes.

A small job goes before it, so that the workers have loaded what they need and their sessions are open.
"""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.bench.programs import protocol
from worker.celery import app
from worker.client import Client
from worker.job import Job
from worker.result import Result
from worker.settings import Settings

SECONDS = 1800


def main() -> None:
    """Have the job done that the bench tells, and write its records to a file."""
    told = protocol.told()
    client = Client(Settings.load())
    for small in told["before"]:
        result_of(client, Job.parse(small))
    protocol.begin()
    result = result_of(client, Job.parse(told["job"]))
    protocol.done(result=result.model_dump(mode="json", exclude={"records"}))
    if told["to"]:
        client.reader.write(result, Path(told["to"]))
    protocol.saved()


def result_of(client: Client, job: Job) -> Result:
    """The result of a job, as soon as Celery says that it is there."""
    job_id = client.submit(job)
    app.AsyncResult(job_id).get(timeout=SECONDS)
    return client.result(job_id)


if __name__ == "__main__":
    main()

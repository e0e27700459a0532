"""The client, on a real store: what it puts on a queue, and what it tells of a job."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import kombu.pools
import pytest
import redis
from pydantic import SecretStr

from tests.installation import Installation, install
from worker.client import Client
from worker.errors import (
    FilterInvalid,
    FilterRefused,
    JobUnfinished,
    JobUnknown,
    ParameterInvalid,
    SignInRefused,
    StoreUnavailable,
    WorkerError,
)
from worker.job import Cost, Job, Lane, Result, Spent
from worker.jobstore import Attempt, JobStore, State
from worker.settings import Settings

JOB = Job(entity="SalesOrder", filter="OrderTotal gt :t", params={"t": Decimal("10.50")}, lane=Lane.BULK)


@pytest.fixture
def installation() -> Iterator[Installation]:
    """A store, and no worker."""
    with install() as installation:
        yield installation
        kombu.pools.reset()


@pytest.fixture
def client(installation: Installation) -> Client:
    """A client of it."""
    return Client(installation.settings)


def begun(jobs: JobStore, job_id: str) -> Attempt:
    """A worker's attempt at the job."""
    attempt = jobs.begin(job_id, JOB, "worker-1", 0)
    assert isinstance(attempt, Attempt)
    return attempt


def test_a_job_is_on_record_and_on_its_queue(installation: Installation, client: Client) -> None:
    """A job that was submitted has a row and a message, on the queue of its lane."""
    job_id = client.submit(JOB)
    assert client.state(job_id).state is State.ACCEPTED
    with redis.Redis.from_url(installation.settings.store) as store:
        assert store.llen("acumatica.bulk") == 1
        assert store.llen("acumatica.interactive") == 0


def test_a_result_is_the_workers(installation: Installation, client: Client) -> None:
    """What a worker wrote down as the result is what the client reads."""
    job_id = client.submit(JOB)
    result = Result(
        job_id=job_id,
        connection="default",
        entity="SalesOrder",
        count=0,
        strategy="one",
        cost=Cost(),
        records="",
    )
    jobs = installation.jobs()
    jobs.finish(begun(jobs, job_id), result)
    assert client.result(job_id) == result
    assert client.state(job_id).ended


def test_a_failed_jobs_error_is_raised(installation: Installation, client: Client) -> None:
    """The error that a job failed with is raised, with its field."""
    job_id = client.submit(JOB)
    jobs = installation.jobs()
    jobs.finish(begun(jobs, job_id), FilterRefused("cannot be evaluated", "filter"))
    with pytest.raises(FilterRefused, match="filter: cannot be evaluated"):
        client.result(job_id)


def test_a_job_that_has_not_ended_says_so(client: Client) -> None:
    """Asked too early for a result, the client says where the job is."""
    with pytest.raises(JobUnfinished, match="has not ended: it is accepted"):
        client.result(client.submit(JOB), timeout=0.1)


def test_a_job_that_waits_says_for_what(installation: Installation, client: Client) -> None:
    """Asked for the result of a job that waits, the client says for what."""
    job_id = client.submit(JOB)
    jobs = installation.jobs()
    jobs.put_off(begun(jobs, job_id), 1, SignInRefused("wrong password"), Spent())
    with pytest.raises(JobUnfinished, match="it is waiting_for_credentials: wrong password"):
        client.result(job_id)


def test_an_unknown_job_is_named(client: Client) -> None:
    """A job that nobody submitted is unknown."""
    with pytest.raises(JobUnknown, match="no-such-job"):
        client.result("no-such-job")


@pytest.mark.parametrize(
    ("filter_", "refusal"), [("CustomerID eq", FilterInvalid), ("CustomerID eq :customer", ParameterInvalid)]
)
def test_a_bad_filter_is_refused_before_it_is_queued(
    installation: Installation, client: Client, filter_: str, refusal: type[WorkerError]
) -> None:
    """A filter that cannot be bound is refused at once, and the job store holds nothing of the job."""
    with pytest.raises(refusal):
        client.submit(JOB.model_copy(update={"filter": filter_}))
    assert set(installation.jobs().counts().values()) == {0}


def test_a_job_without_a_broker_is_not_accepted(installation: Installation) -> None:
    """When the message cannot be sent, submit fails, and the job store holds nothing of the job."""
    settings = installation.settings.model_copy(update={"broker_url": SecretStr("redis+socket:///nowhere/s")})
    with pytest.raises(StoreUnavailable, match="broker"):
        Client(settings).submit(JOB)
    assert set(installation.jobs().counts().values()) == {0}


def test_without_a_store_a_caller_is_told_what_to_look_at(tmp_path: Path) -> None:
    """A store that does not answer is told with what starts it and what may point elsewhere."""
    client = Client(Settings(var=tmp_path))
    for ask in (lambda: client.submit(JOB), lambda: client.state("a"), lambda: client.result("a")):
        with pytest.raises(StoreUnavailable, match="is acuworker up running, and are ACUWORKER_VAR"):
            ask()


def test_a_producer_loads_no_http_client() -> None:
    """Importing the client loads neither httpx nor a plugin nor what talks to the ERP."""
    code = "import sys, worker.client; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "worker.celery" in loaded
    assert not {name for name in loaded if name.split(".")[0] in ("httpx", "plugins", "deploy")}
    assert not loaded & {"worker.erp.wire", "worker.erp.client", "worker.tasks", "worker.runner"}

"""The client, on a real store: what it puts on a queue, and what it tells of a job."""

from __future__ import annotations

import hashlib
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
    JobCancelled,
    JobInvalid,
    JobUnfinished,
    JobUnknown,
    ParameterInvalid,
    SignInRefused,
    StoreUnavailable,
    WorkerError,
)
from worker.job import Job, Lane
from worker.jobstate import Attempt, State
from worker.jobstore import JobStore
from worker.page import Spent
from worker.result import Cost, Result
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


def begun(jobs: JobStore, job_id: str, turn: int = 0) -> Attempt:
    """A worker's attempt at the job."""
    attempt = jobs.begin(job_id, JOB, "worker-1", turn)
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
        size=0,
        sha256=hashlib.sha256(b"").hexdigest(),
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
    jobs.put_off(begun(jobs, job_id), SignInRefused("wrong password"), 1, Spent())
    with pytest.raises(JobUnfinished, match="it is waiting_for_credentials: wrong password"):
        client.result(job_id)


def test_an_unknown_job_is_named(client: Client) -> None:
    """A job that nobody submitted is unknown, whatever is asked about it."""
    for ask in (client.state, client.result, client.cancel, client.retry):
        with pytest.raises(JobUnknown, match="no-such-job"):
            ask("no-such-job")
    assert client.known(["no-such-job"]) == set()
    assert client.body("no-such-job") is None


def test_a_job_with_a_key_is_submitted_once(installation: Installation, client: Client) -> None:
    """The same submitted again under its key is the first job, without another message; something else is refused."""
    keyed = JOB.model_copy(update={"idempotency_key": "order-17"})
    job_id = client.submit(keyed)
    assert client.submit(keyed) == job_id
    with pytest.raises(JobInvalid, match="idempotency_key"):
        client.submit(keyed.model_copy(update={"limit": 5}))
    assert installation.queued() == 1


def test_a_key_is_free_when_its_job_could_not_be_queued(installation: Installation, client: Client) -> None:
    """Who was refused for want of a broker may submit the job again under its key."""
    keyed = JOB.model_copy(update={"idempotency_key": "order-17"})
    gone = installation.settings.model_copy(update={"broker_url": SecretStr("redis+socket:///nowhere/s")})
    with pytest.raises(StoreUnavailable):
        Client(gone).submit(keyed)
    assert client.state(client.submit(keyed)).state is State.ACCEPTED


def test_a_job_is_cancelled_and_begun_anew(installation: Installation, client: Client) -> None:
    """A job that nobody runs is cancelled at once, and its sender rung for; a retry puts it on its queue again."""
    job_id = client.submit(JOB)
    assert client.cancel(job_id) is State.CANCELLED
    with pytest.raises(JobCancelled):
        client.result(job_id)
    assert client.retry(job_id) is State.ACCEPTED
    assert client.retry(job_id) is State.ACCEPTED
    assert installation.queued() == 3
    begun(installation.jobs(), job_id, turn=2)
    assert client.cancel(job_id) is State.RUNNING


def test_jobs_are_listed_with_what_they_ask(client: Client) -> None:
    """Jobs come by state, the latest first, and each says what it asks."""
    first, second = client.submit(JOB), client.submit(JOB)
    client.cancel(first)
    assert [job.job_id for job in client.jobs(State)] == [first, second]
    assert [job.job_id for job in client.jobs([State.ACCEPTED])] == [second]
    assert client.body(first) == JOB.wire()
    assert client.known([first, "nobody"]) == {first}


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

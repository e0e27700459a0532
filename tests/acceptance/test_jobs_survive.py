"""Jobs on real workers and a real broker that die, stop and forget: each is done, once, with every record once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kombu.pools
import pytest
import redis

from tests.erp_floor import connection_to
from tests.installation import Installation, Service, Worker, eventually, install
from tests.sandbox_process import Sandbox
from worker import errors
from worker.client import Client
from worker.job import Job, Lane
from worker.jobstate import JobState, State

PAGED: dict[str, Any] = {"entity": "SalesOrder", "filter": "CustomerID eq 'C000000003'", "page_size": 1}
PAGES = 9
RECORDS = "/MyStoreInstance/entity/"


@pytest.fixture
def installation(sandbox: Sandbox) -> Iterator[Installation]:
    """An installation whose connection is the sandbox."""
    with install(default=connection_to(sandbox)) as installation:
        yield installation
        kombu.pools.reset()


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    """Another service, beside the installation."""
    with installation.service() as service:
        yield service


def state_of(installation: Installation, job_id: str) -> JobState:
    """What is known of the job."""
    state = installation.jobs().get(job_id)
    assert state is not None
    return state


def until_paged(installation: Installation, job_id: str, pages: int) -> None:
    """Wait until a job has so many pages."""

    def paged() -> None:
        assert state_of(installation, job_id).pages >= pages

    eventually(paged, AssertionError)


def numbers(result: dict[str, Any]) -> list[str]:
    """The numbers of the orders in a result."""
    return [json.loads(line)["OrderNbr"] for line in result["records"].splitlines()]


def is_whole(sandbox: Sandbox, result: dict[str, Any], repeated: int = 0) -> bool:
    """Whether a result has every order once, and the ERP was asked for no page again but so many at most."""
    found = numbers(result)
    arrivals = [event for event in sandbox.events() if event["kind"] == "arrival"]
    asked = sum(event["path"].endswith("/SalesOrder") for event in arrivals)
    # One more sees the end.
    return len(set(found)) == len(found) == PAGES and 0 <= asked - PAGES - 1 <= repeated


@contextmanager
def watched(service: Service) -> Iterator[list[dict[str, Any]]]:
    """The events of tasks that Flower would see meanwhile."""
    seen: list[dict[str, Any]] = []
    with service.app.connection_for_read() as connection:
        receiver = service.app.events.Receiver(connection, handlers={"*": seen.append})
        thread = threading.Thread(target=lambda: list(receiver.itercapture(wakeup=False)))
        thread.start()
        try:
            eventually(lambda: seen[0], IndexError)
            yield seen
        finally:
            receiver.should_stop = True
            thread.join()


def test_a_sliced_job_is_one_task(sandbox: Sandbox, installation: Installation, service: Service) -> None:
    """To whoever waits or watches, a job of many slices starts, and ends once, with all of its records."""
    installation.start_worker(ACUWORKER_SLICE_SECONDS="0.001")
    with watched(service) as seen:
        result = service.send(PAGED)
        told = result.get(timeout=60)

        def succeeded() -> None:
            assert "task-succeeded" in [event["type"] for event in seen]

        eventually(succeeded, AssertionError)
    assert is_whole(sandbox, told)
    state = state_of(installation, result.id)
    assert (state.slices in (PAGES - 1, PAGES), state.crashes) == (True, 0)
    ends = [event for event in seen if event["type"] in ("task-succeeded", "task-failed", "task-retried")]
    assert [(event["type"], event["uuid"]) for event in ends] == [("task-succeeded", result.id)]
    assert {event["uuid"] for event in seen if event["type"].startswith("task-")} == {result.id}


def test_a_killed_workers_job_goes_on(sandbox: Sandbox, installation: Installation, service: Service) -> None:
    """After SIGKILL in the middle of a job another worker goes on after its last page: every record once."""
    sandbox.control("faults", {"kind": "delay", "path": RECORDS, "seconds": 300, "after": 4})
    killed = installation.start_worker()
    result = service.send(PAGED, lane="bulk")
    until_paged(installation, result.id, 4)
    killed.kill()
    sandbox.control("faults", method="DELETE")
    installation.start_worker()
    assert is_whole(sandbox, result.get(timeout=90), repeated=1)
    state = state_of(installation, result.id)
    assert (state.attempts, state.state) == (2, State.DONE)


def test_a_stopped_workers_job_goes_on_elsewhere(
    sandbox: Sandbox, installation: Installation, service: Service
) -> None:
    """On SIGTERM the page at hand is kept, and another worker goes on without waiting for a lease to end."""
    sandbox.control("faults", {"kind": "delay", "path": RECORDS, "seconds": 0.7, "times": 100})
    stopped = installation.start_worker()
    result = service.send(PAGED, lane="bulk")
    until_paged(installation, result.id, 2)
    installation.start_worker()
    assert stopped.stop() == 0
    assert is_whole(sandbox, result.get(timeout=60))
    state = state_of(installation, result.id)
    assert (state.attempts, state.crashes) == (2, 0)


def test_jobs_outlive_their_messages(installation: Installation) -> None:
    """Jobs whose messages the broker has forgotten are put back by the sweeper, and done."""
    client = Client(installation.settings)
    job = Job.parse(PAGED | {"page_size": 5, "lane": "bulk"})
    job_ids = [client.submit(job) for _ in range(20)]
    with redis.Redis.from_url(installation.settings.store) as store:
        assert store.delete(Lane.BULK.queue) == 1
    installation.start_worker()
    assert [client.result(job_id, timeout=60).count for job_id in job_ids] == [PAGES] * 20


def test_a_cancelled_job_ends_at_its_next_page(
    sandbox: Sandbox, installation: Installation, service: Service
) -> None:
    """Whoever waits for a job that is cancelled is told so, and the ERP is asked for no further page."""
    sandbox.control("faults", {"kind": "delay", "path": RECORDS, "seconds": 0.5, "times": 100})
    installation.start_worker()
    result = service.send(PAGED, lane="bulk")
    until_paged(installation, result.id, 1)
    assert Client(installation.settings).cancel(result.id) is State.RUNNING
    with pytest.raises(errors.JobCancelled):
        result.get(timeout=30)
    assert state_of(installation, result.id).pages < PAGES


def poisonous(directory: Path) -> dict[str, Any]:
    """An environment with a handler that kills its process, whatever it is asked."""
    facts = directory / "acme_poison-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-poison\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[acumatica_worker.handlers]\nPoison = poison:Poison\n")
    (directory / "poison.py").write_text(
        "import os, signal\n"
        "from worker.handler import Handler\n"
        "class Poison(Handler):\n"
        "    entity = 'Poison'\n"
        "    def pages(self, erp, query):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "        yield\n"
    )
    return {"PYTHONPATH": str(directory)}


@pytest.mark.timeout(300)
def test_a_poison_job_is_dead_and_the_others_are_done(
    installation: Installation, service: Service, tmp_path: Path
) -> None:
    """A job that kills its process every time is given up after three; the jobs beside it are all done."""
    environment = poisonous(tmp_path)
    workers: list[Worker] = [installation.start_worker_unready(**environment)]
    results = [service.send(PAGED | {"page_size": 5}, lane="bulk") for _ in range(30)]
    poison = service.send({"entity": "Poison"}, lane="bulk")
    results += [service.send(PAGED | {"page_size": 5}, lane="bulk") for _ in range(30)]

    def all_ended() -> None:
        if workers[-1].process.poll() is not None:
            workers.append(installation.start_worker_unready(**environment))
        assert all(result.ready() for result in (*results, poison))

    eventually(all_ended, AssertionError, seconds=240)
    with pytest.raises(errors.JobDead):
        poison.get(timeout=1)
    assert [result.get(timeout=1)["count"] for result in results] == [PAGES] * 60
    assert len(workers) == 4

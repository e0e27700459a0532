"""fetch: one line from a filter to records, through a real worker and the sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import kombu.pools
import pytest

from tests.erp_floor import connection_to
from tests.installation import Installation, install
from tests.sandbox_process import Sandbox, start_sandbox
from worker.client import Client
from worker.errors import (
    BlobsUnavailable,
    DeadlineExceeded,
    FilterInvalid,
    JobInvalid,
    JobUnfinished,
    ParameterInvalid,
    RecordNotFound,
)
from worker.fetch import JobFields, body, fetch
from worker.filters import F
from worker.job import Job, Lane
from worker.jobstate import State
from worker.params import Param

MINE = (F.CustomerID == "c000000003") & (F.Date >= date(2015, 10, 1))


@pytest.fixture(scope="module")
def served() -> Iterator[Installation]:
    """A worker, a store, and the sandbox."""
    with (
        start_sandbox("--control", "--customers", "100") as sandbox,
        install(default=connection_to(sandbox)) as installation,
    ):
        installation.start_worker()
        yield installation
        kombu.pools.reset()


@pytest.fixture
def client(served: Installation) -> Client:
    """A client of it."""
    return Client(served.settings)


def test_one_line_fetches_records(client: Client) -> None:
    """Records come as they are in a result: unwrapped, their numbers exact."""
    orders = fetch(
        "SalesOrder", filter=MINE & (F.OrderTotal > 2000), select=["OrderNbr", "OrderTotal"], client=client
    )
    found = {order["OrderNbr"]: order["OrderTotal"] for order in orders}
    assert found == {"000001": Decimal(2200), "000006": Decimal(2200), "000010": Decimal(2480)}
    assert str(found["000001"]) == "2200.0000"


def test_the_settings_are_those_of_the_environment(
    served: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a client it asks the workers that the environment names, as acuworker does."""
    monkeypatch.setenv("ACUWORKER_VAR", str(served.settings.var))
    monkeypatch.setenv("ACUWORKER_CONNECTIONS_FILE", str(served.directory / "connections.toml"))
    assert [order["OrderNbr"] for order in fetch("SalesOrder", keys=["SO", "000001"])] == ["000001"]


def test_a_large_result_is_read_as_it_is_taken(client: Client, served: Installation) -> None:
    """Records that are in blobs come one by one, and what was changed there is found by the last of them."""
    everything = fetch(
        "Customer", client=client, expand=["MainContact", "MainContact/Address"], lane=Lane.BULK
    )
    assert next(everything)["CustomerID"]
    assert len(list(everything)) == 104
    parts = sorted((served.settings.var / "blobs").rglob("*.ndjson*"))
    assert parts
    broken = fetch("Customer", client=client, expand=["MainContact", "MainContact/Address"], lane=Lane.BULK)
    (new,) = set((served.settings.var / "blobs").rglob("*.ndjson*")) - set(parts)
    new.write_bytes(new.read_bytes().replace(b"C000000003", b"C000000004"))
    with pytest.raises(BlobsUnavailable):
        list(broken)


def test_a_text_and_its_parameters_do_too(client: Client) -> None:
    """A filter may be a text with parameters of any type that one can have."""
    text = "CustomerID eq :c and Date ge :d and OrderTotal gt :t and CreditHold eq :h"
    since = datetime(2015, 10, 1, tzinfo=UTC)
    params: dict[str, Param] = {"c": "C000000003", "d": since, "t": Decimal("2000.5"), "h": False}
    assert len(list(fetch("SalesOrder", filter=text, params=params, client=client))) == 3


def test_what_is_wrong_is_said_before_anything_is_queued(client: Client) -> None:
    """A job that makes no sense is refused here."""
    with pytest.raises(JobInvalid, match="page_size"):
        fetch("SalesOrder", page_size=0, client=client)
    with pytest.raises(JobInvalid, match="no such field"):
        fetch("SalesOrder", limits=5, client=client)  # type: ignore[call-arg]
    with pytest.raises(FilterInvalid, match="character 3"):
        fetch("SalesOrder", filter="A is 1", client=client)
    with pytest.raises(ParameterInvalid, match=r"params\.x: must be a string"):
        fetch("SalesOrder", filter="A eq :x", params={"x": [1]}, client=client)  # type: ignore[dict-item]
    with pytest.raises(JobInvalid, match="JSON"):
        fetch("SalesOrder", filter=F.A == "\ud800", client=client)


def test_the_errors_are_the_jobs(client: Client) -> None:
    """What a job fails with is raised."""
    with pytest.raises(RecordNotFound):
        fetch("SalesOrder", keys=["SO", "nothing"], client=client)


def test_a_job_that_nobody_waits_for_is_given_up(sandbox: Sandbox) -> None:
    """The wait is the job's own deadline too: what nobody takes any more spends no request."""
    with install(default=connection_to(sandbox)) as installation:
        client = Client(installation.settings)
        began = time.monotonic()
        with pytest.raises(JobUnfinished, match="accepted"):
            fetch("SalesOrder", timeout=0.2, client=client)
        assert time.monotonic() - began < 30
        (job,) = client.jobs([State.ACCEPTED])
        installation.start_worker()
        with pytest.raises(DeadlineExceeded):
            client.result(job.job_id, timeout=30)
        kombu.pools.reset()
    assert sandbox.tally()["requests"] == 0


def test_a_jobs_fields_are_all_there() -> None:
    """Whatever may be said by a keyword is a field of a job, and values go as the job's JSON has them."""
    otherwise = {"kind", "form", "entity", "filter", "params", "attachments"}
    assert JobFields.__annotations__.keys() == Job.model_fields.keys() - otherwise
    said = body("A", F.NoteID == UUID(int=1), None, 2.5, limit=3)
    assert said == {
        "entity": "A",
        "filter": "NoteID eq :v1",
        "params": {"v1": {"guid": str(UUID(int=1))}},
        "deadline_seconds": 3,
        "limit": 3,
    }
    assert body("A", None, None, 2.5, deadline_seconds=9)["deadline_seconds"] == 9

"""A real worker on a real broker, with the sandbox as the ERP: kills, stops, silences and strangers' messages."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.erp_floor import connection_to
from tests.installation import Installation, Service, eventually, install
from tests.sandbox_process import Sandbox, start_sandbox
from worker import errors
from worker.job import Lane
from worker.jobstate import State
from worker.jobstore import LEASE_SECONDS

ORDERS = {"entity": "SalesOrder", "filter": "CustomerID eq :customer", "params": {"customer": "C000000003"}}
RECORDS = "/MyStoreInstance/entity/"


@pytest.fixture
def installation(sandbox: Sandbox) -> Iterator[Installation]:
    """An installation whose connection is the sandbox."""
    with install(default=connection_to(sandbox)) as installation:
        yield installation


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    """Another service, beside the installation."""
    with installation.service() as service:
        yield service


def delay(sandbox: Sandbox, seconds: float, times: int = 1) -> None:
    """Let the ERP think about its next answers for so long."""
    sandbox.control("faults", {"kind": "delay", "path": RECORDS, "seconds": seconds, "times": times})


def until_asked(sandbox: Sandbox, requests: int = 2) -> None:
    """Wait until the ERP has had so many requests, the sign-in among them."""

    def asked() -> None:
        assert sandbox.tally()["requests"] >= requests

    eventually(asked, AssertionError)


def test_a_killed_worker_loses_neither_job_nor_session(
    sandbox: Sandbox, installation: Installation, service: Service
) -> None:
    """After SIGKILL in the middle of a job the next worker does it, with the session that was open."""
    delay(sandbox, 300)
    killed = installation.start_worker()
    result = service.send(ORDERS, lane="bulk")
    until_asked(sandbox)
    killed.kill()
    sandbox.control("faults", method="DELETE")
    worker = installation.start_worker()
    assert result.get(timeout=60)["count"] == 9
    tally = sandbox.tally()
    assert (tally["sign_ins"], tally["peak_sessions"], tally["declined"]) == (1, 1, 0)
    assert worker.stop() == 0
    assert sandbox.tally()["open_sessions"] == 0


@pytest.mark.parametrize(("seconds", "within"), [(2, 10), (300, 25)], ids=["page ends", "page hangs"])
def test_a_stopped_worker_leaves_no_session_and_no_job(
    sandbox: Sandbox, installation: Installation, service: Service, seconds: float, within: float
) -> None:
    """On SIGTERM in the middle of a job sessions fall to 0 in time, and the next worker goes on with it at once."""
    delay(sandbox, seconds)
    worker = installation.start_worker()
    result = service.send(ORDERS, lane="bulk")
    until_asked(sandbox)
    assert worker.stop(timeout=within) == 0
    assert sandbox.tally()["open_sessions"] == 0
    sandbox.control("faults", method="DELETE")
    installation.start_worker()
    assert result.get(timeout=15)["count"] == 9


@pytest.mark.parametrize("lost", [signal.SIGSTOP, signal.SIGKILL], ids=lambda lost: lost.name)
def test_a_store_that_comes_back_has_every_job(
    sandbox: Sandbox, installation: Installation, service: Service, lost: signal.Signals
) -> None:
    """Jobs that are under way when the store falls silent or dies are done when it answers again."""
    worker = installation.start_worker()
    delay(sandbox, 1.0, times=3)
    before = [service.send(ORDERS, lane="bulk") for _ in range(10)]
    until_asked(sandbox)
    with installation.without_store(lost):
        time.sleep(2.5)
    after = [service.send(ORDERS, lane="bulk") for _ in range(10)]
    installation.keep_running(worker, lambda: all(result.ready() for result in before + after))
    assert [each.get(timeout=1)["count"] for each in before + after] == [9] * 20
    tally = sandbox.tally()
    assert (tally["peak_sessions"], tally["peak_in_flight"], tally["declined"]) == (1, 1, 0)


def test_workers_share_one_session(sandbox: Sandbox, installation: Installation, service: Service) -> None:
    """Two workers, one for each lane, use one session, one request at a time, and one of them signs out."""
    workers = [installation.start_worker("-Q", f"acumatica.{lane}") for lane in Lane]
    results = [service.send(ORDERS, lane=lane) for lane in Lane for _ in range(20)]
    assert [result.get(timeout=60)["count"] for result in results] == [9] * 40
    assert [worker.stop(timeout=10) for worker in workers] == [0, 0]
    tally = sandbox.tally()
    assert (tally["sign_ins"], tally["peak_in_flight"], tally["open_sessions"]) == (1, 1, 0)


def test_a_wrong_password_is_tried_once(
    sandbox: Sandbox, installation: Installation, service: Service
) -> None:
    """A hundred jobs on a wrong password make one sign-in, say what they wait for, and go on when it is mended."""
    wrong = connection_to(sandbox, password=SecretStr("wrong-canary"))
    installation.configure({"default": wrong})
    worker = installation.start_worker()
    results = [service.send(ORDERS, lane="bulk") for _ in range(100)]

    def all_wait() -> None:
        assert installation.jobs().counts()[State.WAITING] == 100
        assert {result.state for result in results} == {"WAITING"}

    eventually(all_wait, AssertionError)
    assert results[0].info["for"] == "waiting_for_credentials"
    assert installation.queued() == 0
    assert sandbox.tally()["refused_sign_ins"] == 1
    assert worker.stop() == 0
    assert "wrong-canary" not in worker.said()
    installation.configure({"default": connection_to(sandbox)})
    installation.start_worker()
    assert [result.get(timeout=60)["count"] for result in results] == [9] * 100
    tally = sandbox.tally()
    assert (tally["refused_sign_ins"], tally["sign_ins"]) == (1, 1)


def test_a_job_that_waited_in_vain_says_for_what(
    sandbox: Sandbox, installation: Installation, service: Service
) -> None:
    """A job's deadline ends its waiting, with an error that says what it waited for."""
    installation.configure({"default": connection_to(sandbox, password=SecretStr("wrong"))})
    installation.start_worker()
    results = [
        service.send(job | {"deadline_seconds": 3}) for job in (ORDERS, {"entity": "SalesOrder", "form": 99})
    ]
    for result, reason in zip(results, ("password", "form 99"), strict=True):
        with pytest.raises(errors.DeadlineExceeded, match=rf"3 s.*{reason}"):
            result.get(timeout=30)


@pytest.mark.parametrize(
    ("args", "refusal", "words"),
    [
        ([{"entity": "SalesOrder", "filtr": "x"}], "JobInvalid", "filtr"),
        ([{"entity": "SalesOrder", "connection": "other"}], "ConnectionUnknown", "default"),
        ([{"entity": "SalesOrder", "filter": "contains(CustomerID,'x')"}], "FilterInvalid", "substringof"),
        ([{"entity": "SalesOrder", "filter": "CustomerID eq :c"}], "ParameterInvalid", "params.c"),
        ([{"entity": "SalesOrder", "keys": ["SO", ".."]}], "KeysInvalid", "keys"),
        ([{"entity": "SalesOrder", "keys": ["SO"]}], "KeysInvalid", "OrderNbr"),
        ([{"entity": "SalesOrder", "page_size": 5001}], "JobInvalid", "page_size"),
        ([["SalesOrder"]], "JobInvalid", "JSON object"),
        ([], "JobInvalid", "one argument"),
    ],
)
def test_a_bad_job_never_reaches_the_erp(
    sandbox_of_all: Sandbox, service_of_all: Service, args: list[Any], refusal: str, words: str
) -> None:
    """A job that cannot be done is a failed task whose error names the field and what is allowed."""
    result = service_of_all.app.send_task("acumatica.retrieve", args=args, queue="acumatica.interactive")
    with pytest.raises(getattr(errors, refusal)) as raised:
        result.get(timeout=30)
    assert words in str(raised.value)
    assert sandbox_of_all.tally()["requests"] == 0


def test_a_job_sent_twice_is_done_once(
    sandbox: Sandbox, installation: Installation, service: Service
) -> None:
    """A job's message that comes again is answered with the result that the job has."""
    installation.start_worker()
    first = service.send(ORDERS, task_id="order-17").get(timeout=30)
    requests = sandbox.tally()["requests"]
    second = service.send(ORDERS, task_id="order-17")

    def acknowledged() -> None:
        assert installation.queued() == 0

    eventually(acknowledged, AssertionError)
    assert second.get(timeout=30) == first
    assert sandbox.tally()["requests"] == requests


def test_a_running_job_is_not_begun_twice(
    sandbox: Sandbox, installation: Installation, service: Service
) -> None:
    """A message that comes again while its job runs, for longer than a lease, is done with at once."""
    delay(sandbox, LEASE_SECONDS + 3)
    installation.start_worker()
    results = [service.send(ORDERS, task_id="order-17") for _ in range(3)]

    def dropped() -> None:
        assert installation.queued() == 1

    eventually(dropped, AssertionError)
    assert results[0].get(timeout=30)["count"] == 9
    state = installation.jobs().get("order-17")
    assert state is not None
    assert state.attempts == 1

    def acknowledged() -> None:
        assert installation.queued() == 0

    eventually(acknowledged, AssertionError)
    assert results[0].state == "SUCCESS"
    assert sandbox.tally()["requests"] == 2


def test_a_long_job_shows_how_far_it_is(
    sandbox: Sandbox, installation: Installation, service: Service
) -> None:
    """Pages and records of a job under way are Celery's state of it, and the job store's."""
    installation.start_worker()
    sandbox.control("faults", {"kind": "delay", "path": RECORDS, "seconds": 300, "after": 1})
    result = service.send(ORDERS | {"page_size": 5})

    def under_way() -> None:
        assert (result.state, result.info) == ("PROGRESS", {"pages": 1, "records": 5})

    eventually(under_way, AssertionError)
    state = installation.jobs().get(result.id)
    assert state is not None
    assert (state.pages, state.records) == (1, 5)
    sandbox.control("faults", method="DELETE")


def test_a_job_has_one_line(sandbox: Sandbox, installation: Installation, service: Service) -> None:
    """The log says of each job, in one line, what it was, what it cost and how it ended, under the caller's id."""
    worker = installation.start_worker()
    result = service.send(ORDERS | {"page_size": 5})
    result.get(timeout=30)
    (line,) = [line for line in worker.lines() if line["event"] == "job"]
    told = {"job_id": result.id, "entity": "SalesOrder", "connection": "default", "lane": "interactive"}
    ended = {"outcome": "done", "strategy": "batches", "records": 9, "files": 0, "attempt": 1, "requests": 4}
    assert {name: line[name] for name in told | ended} == told | ended
    assert line["seconds"] > 0
    exchanges = [line for line in worker.lines() if line["event"] == "exchange"]
    assert {line["job_id"] for line in exchanges} == {result.id}


def test_a_worker_ends_with_the_program_that_started_it(sandbox: Sandbox, installation: Installation) -> None:
    """When the other end of the pipe closes, the worker shuts down, and its session is given up."""
    reading, writing = os.pipe()
    worker = installation.start_worker(pipe=reading)
    os.close(reading)
    os.close(writing)
    assert worker.process.wait(timeout=10) == 0


def test_a_broken_handler_stops_the_worker(installation: Installation, tmp_path: Path) -> None:
    """A worker with a handler that cannot be loaded does not start, and says in one line which."""
    facts = tmp_path / "acme_handlers-1.2.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-handlers\nVersion: 1.2\n")
    (facts / "entry_points.txt").write_text(
        "[acumatica_worker.handlers]\nWarehouse = acme.nowhere:Warehouse\n"
    )
    worker = installation.start_worker_unready(PYTHONPATH=str(tmp_path))
    assert worker.process.wait(timeout=30) == 1
    (line,) = [line for line in worker.lines() if line["level"] == "critical"]
    for word in ("Warehouse", "acme.nowhere", "acme-handlers 1.2"):
        assert word in line["reason"]
    assert "Traceback" not in worker.said()


def test_a_third_partys_handler_is_found(
    sandbox: Sandbox, installation: Installation, service: Service, tmp_path: Path
) -> None:
    """A handler that is installed beside the worker serves its entity, from a few lines."""
    facts = tmp_path / "acme_handlers-1.2.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-handlers\nVersion: 1.2\n")
    (facts / "entry_points.txt").write_text("[acumatica_worker.handlers]\nCustomer = acme:Customer\n")
    (tmp_path / "acme.py").write_text(
        "from worker.handler import Handler\n"
        "from worker.strategies import one\n"
        "class Customer(Handler):\n"
        "    entity = 'Customer'\n"
        "    keys = ('CustomerID',)\n"
        "    select = ('CustomerID', 'CustomerName')\n"
        "    def pages(self, erp, query):\n"
        "        return one(erp, query)\n"
    )
    installation.start_worker(PYTHONPATH=str(tmp_path))
    result = service.send({"entity": "Customer", "filter": "CustomerID eq 'C000000003'"}).get(timeout=30)
    assert result["count"] == 1
    assert '"CustomerName"' in result["records"]
    assert '"MainContact"' not in result["records"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda how: how.name)
def test_every_way_to_stop_gives_the_session_up(
    sandbox: Sandbox, installation: Installation, service: Service, how: signal.Signals
) -> None:
    """Whichever signal ends a worker, its session is closed within 10 s."""
    worker = installation.start_worker()
    service.send(ORDERS).get(timeout=30)
    assert sandbox.tally()["open_sessions"] == 1
    worker.process.send_signal(how)
    worker.process.wait(timeout=10)
    assert sandbox.tally()["open_sessions"] == 0


@pytest.fixture(scope="module")
def sandbox_of_all() -> Iterator[Sandbox]:
    """A sandbox that the tests share which must not reach it."""
    with start_sandbox("--control") as running:
        yield running


@pytest.fixture(scope="module")
def service_of_all(sandbox_of_all: Sandbox) -> Iterator[Service]:
    """A service beside one worker for all those tests."""
    with install(default=connection_to(sandbox_of_all)) as installation, installation.service() as service:
        installation.start_worker()
        yield service

"""acuworker plan against the sandbox: what it says is what the job then does, and it costs what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kombu.pools
import pytest
from cryptography.fernet import Fernet

from tests.command_line import CommandLine, shell_for
from tests.erp_floor import connection_to
from tests.installation import Installation, install
from tests.sandbox_process import Sandbox, start_sandbox
from worker.client import Client
from worker.errors import FilterInvalid, NotOptimizable, RecordNotFound
from worker.job import Job, OnOptimizationError
from worker.planning import Report, look
from worker.result import Result
from worker.sampling import BudgetSpent

VOLUME = ("--control", "--orders", "3000", "--customers", "700", "--items", "60", "--files-each", "1")


@pytest.fixture(scope="module")
def erp() -> Iterator[Sandbox]:
    """An ERP with some thousand records, and a trial's license of two sessions."""
    with start_sandbox(*VOLUME) as running:
        yield running


@pytest.fixture(scope="module")
def served(erp: Sandbox) -> Iterator[Installation]:
    """A worker on it."""
    with install(default=connection_to(erp, max_sessions=2)) as installation:
        installation.start_worker()
        yield installation
        kombu.pools.reset()


JOBS: Mapping[str, Mapping[str, Any]] = {
    "one GET for all": {"entity": "SalesOrder", "filter": "CustomerID eq 'C000000003'"},
    "batches": {"entity": "SalesOrder", "page_size": 100, "select": ["OrderNbr"]},
    "a limit": {"entity": "SalesOrder", "page_size": 100, "limit": 250, "select": ["OrderNbr"]},
    "a few": {"entity": "Customer", "filter": "CustomerID le 'C000000005'"},
    "none": {"entity": "Customer", "filter": "CustomerID eq 'nobody'"},
    "more than a page": {"entity": "Customer", "select": ["CustomerID"]},
    "types": {"entity": "Payment", "select": ["ReferenceNbr"], "page_size": 50},
    "one by its keys": {"entity": "SalesOrder", "keys": ["SO", "000001"]},
    "one by a key that no URL carries": {"entity": "StockItem", "keys": ["1/2-ELBOW"]},
    "fresh": {"entity": "Customer", "select": ["CustomerID"], "consistency": "fresh"},
    "files": {"entity": "StockItem", "attachments": True, "select": ["InventoryID"]},
    "without what fails": {"entity": "Payment", "on_optimization_error": "drop"},
    "record by record": {"entity": "Payment", "filter": "ReferenceNbr le '000150'"},
}


def planned(served: Installation, job: Job, budget: int = 10) -> Report:
    """The plan of a job."""
    return look(served.settings, job, budget, lambda asked: None)


def done(served: Installation, job: Job) -> Result:
    """What the job comes to."""
    client = Client(served.settings)
    return client.result(client.submit(job), timeout=60)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_does_what_its_plan_says(served: Installation, name: str) -> None:
    """The strategy is the plan's, and the records and the requests are within its ranges."""
    job = Job.parse(dict(JOBS[name]))
    report = planned(served, job)
    result = done(served, job)
    plan = report.plan
    assert plan.strategy == result.strategy
    low, high = plan.records
    assert high is not None and low <= result.count <= high
    least, most = plan.requests
    assert most is not None and least <= result.cost.requests <= most
    assert report.asked <= report.budget == 10


@pytest.mark.parametrize("budget", [3, 4, 5, 6, 8])
def test_a_smaller_budget_makes_wider_ranges(served: Installation, erp: Sandbox, budget: int) -> None:
    """It never asks more than it may, the ERP heard just what it says it asked, and the truth is in the range."""
    heard = erp.tally()["requests"]
    report = planned(served, Job(entity="SalesOrder", page_size=100), budget)
    assert report.asked <= budget
    assert erp.tally()["requests"] - heard == report.asked
    low, high = report.plan.records
    assert low <= 3010 and (high is None or high >= 3010)


def test_what_fails_is_asked_once(served: Installation, erp: Sandbox) -> None:
    """A list that the ERP cannot optimize is found out by one request, and remembered for the jobs that come."""
    job = Job(entity="Customer", filter="CustomerID le 'C000000010'", expand=("Salespersons",))
    optimizable = planned(served, job)
    assert optimizable.plan.strategy == "batches"
    failing = Job(entity="Payment", filter="ReferenceNbr le '000120'")
    planned(served, failing)
    heard = [event for event in erp.events() if event.get("status") == 500]
    report = planned(served, failing)
    assert [event for event in erp.events() if event.get("status") == 500] == heard
    assert report.plan.strategy == "by_key"
    assert "ApplicationHistory" in report.notes[0]
    assert "can be listed" in report.notes[1]


def test_a_job_that_fails_says_so_now(served: Installation) -> None:
    """What the job would end with, its plan ends with."""
    with pytest.raises(NotOptimizable):
        planned(served, Job(entity="Payment", on_optimization_error=OnOptimizationError.FAIL))
    with pytest.raises(FilterInvalid, match="no field Colour"):
        planned(served, Job(entity="Customer", filter="Colour eq 'red'"))
    with pytest.raises(RecordNotFound):
        planned(served, Job(entity="SalesOrder", keys=("SO", "nothing")))
    with pytest.raises(BudgetSpent):
        planned(served, Job(entity="SalesOrder"), budget=0)


def test_a_row_that_is_none_ends_a_plan_with_an_error(served: Installation, erp: Sandbox) -> None:
    """Whatever the ERP gives for a row without a key or an id, a plan ends as the job would: with an error of ours."""
    path = "/MyStoreInstance/entity/Default/20.200.001/Payment"
    rows = '[{"Type": 5, "ReferenceNbr": {"value": []}}]'
    erp.control("faults", {"kind": "status", "status": 200, "path": path, "body": rows})
    with pytest.raises(RecordNotFound, match="no Payment"):
        planned(served, Job(entity="Payment", filter="ReferenceNbr le '000120'"))


def test_a_plan_is_one_of_the_fleet(sandbox: Sandbox) -> None:
    """It shares the one session that the fleet may have; where there is no worker, it signs in, and out at its end."""
    with install(default=connection_to(sandbox, max_sessions=1)) as installation:
        planned(installation, Job(entity="Customer"))
        outs = [event for event in sandbox.events() if event["kind"] == "sign_out"]
        assert (sandbox.tally()["peak_sessions"], len(outs)) == (1, 1)
        installation.start_worker()
        done(installation, Job(entity="Customer"))
        report = planned(installation, Job(entity="Customer"))
        assert report.asked == 1
        assert sandbox.tally()["peak_sessions"] == 1
        assert len([event for event in sandbox.events() if event["kind"] == "sign_out"]) == 1
        kombu.pools.reset()


def test_the_command(served: Installation) -> None:
    """It takes a job as submit does, and prints a table, or JSON for machines."""
    shell = CommandLine(served.directory, {**served.environment, "ACUWORKER_LOG_LEVEL": "WARNING"})
    table = shell.run("plan", "SalesOrder", "--filter", "CustomerID eq :c", "--param", "c=C000000003")
    assert (table.status, table.err) == (0, "")
    assert "SalesOrder on default" in table.out
    asked = shell.directory / "job.json"
    asked.write_text('{"entity": "Customer", "select": ["CustomerID"]}')
    told = json.loads(shell.run("plan", "--json", asked, "--limit", "10", "--as-json", "--budget", "4").out)
    assert told["records"] == [10, 10]
    assert told["asked"] <= told["budget"] == 4
    refused = shell.run("plan", "SalesOrder", "--filter", "A is 1")
    assert (refused.status, refused.err[:7]) == (1, "error: ")
    assert shell.run("plan", "SalesOrder", "--budget", "2").status == 2
    asked.write_text('{"kind": "inquiry", "entity": "InventorySummaryInquiry"}')
    assert "only retrieve is planned" in shell.run("plan", "--json", asked).err


def test_without_a_store_nobody_is_asked(erp: Sandbox, tmp_path: Path) -> None:
    """Where it cannot share the sessions it opens none."""
    heard = erp.tally()["requests"]
    shell = shell_for(tmp_path, connection_to(erp), ACUWORKER_STORE_KEYS=Fernet.generate_key().decode())
    alone = shell.run("plan", "SalesOrder")
    assert alone.status == 1
    assert "is acuworker up running" in alone.err
    assert erp.tally()["requests"] == heard

"""The optimization error, learned: over sockets, with the real client, store and sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox, start_sandbox
from tests.store_process import start_store
from worker.erp import query as filters
from worker.errors import NotOptimizable
from worker.handler import Endpoint
from worker.job import Job
from worker.page import Page
from worker.registry import Registry
from worker.settings import Settings

SEATS, COUNT, SIZE = 3, 200, 50
FIELDS = ["ReferenceNbr", "Type", "ApplicationHistory/DisplayRefNbr"]
FROM_THE_FIRST = {"filter": "ReferenceNbr ge :first", "params": {"first": "000101"}}


@dataclass(frozen=True)
class Floor:
    """A sandbox with payments, and a store beside it; each job is done by an ERP floor of its own."""

    sandbox: Sandbox
    settings: Settings
    floors: Floors

    def pages(self, name: str, **job: Any) -> list[Page]:
        """The pages of a job for payments with details."""
        asked = Job.parse({"entity": "Payment", "select": FIELDS, "page_size": SIZE, **job})
        handler = Registry.load().handler_for("Payment")
        bound = filters.bind(asked.filter, asked.params) if asked.filter else None
        erp = erp_of(self.floors.start(self.settings, name), job_id=name)
        return list(handler.retrieve(erp, handler.query(asked, bound, Endpoint("Default", "20.200.001"))))

    def answers(self, name: str) -> list[int]:
        """The statuses that a job's GETs were answered with."""
        events = self.sandbox.events()
        asked = {
            event["request"]
            for event in events
            if event["kind"] == "arrival" and event["method"] == "GET" and event["request_id"] == name
        }
        return [event["status"] for event in events if event["kind"] == "end" and event["request"] in asked]


@pytest.fixture
def floor() -> Iterator[Floor]:
    """Payments, three sessions, and nothing known."""
    options = ("--control", "--max-sessions", str(SEATS), "--customers", str(COUNT))
    with start_sandbox(*options) as sandbox, start_store() as url:
        floors = Floors()
        connection = connection_to(sandbox, max_sessions=SEATS)
        yield Floor(sandbox, settings_for(connection, url), floors)
        floors.kill()


def references(pages: list[Page]) -> list[str]:
    """The numbers of all payments, in their order."""
    return [record["ReferenceNbr"]["value"] for page in pages for record in page.records]


def test_no_second_request_fails_of_the_same_reason(floor: Floor) -> None:
    """A job finds out once for all; each asks for each payment, each page of keys, and twice whether there are more.

    Of the type that it is at, and of any other.
    """
    first, second = floor.pages("first"), floor.pages("second", **FROM_THE_FIRST)
    count = len(references(first))
    assert count >= COUNT
    assert references(first) == sorted(references(first))
    assert set(references(second)) <= set(references(first))
    assert [floor.answers(name).count(500) for name in ("first", "second")] == [1, 0]
    for name, pages in (("first", first), ("second", second)):
        found = len(references(pages))
        failed = int(name == "first")
        assert len(floor.answers(name)) <= -(-found // SIZE) + found + 2 + failed
    assert all("BQL delegate" in page.notes[0] for page in (*first, *second))


def test_a_job_may_drop_or_fail_without_asking_again(floor: Floor) -> None:
    """What one job has found out holds for those that want something else of it, too."""
    with pytest.raises(NotOptimizable, match=r"without ApplicationHistory.DisplayRefNbr it can be listed"):
        floor.pages("fails", on_optimization_error="fail")
    dropped = floor.pages("drops", on_optimization_error="drop")
    assert [floor.answers(name).count(500) for name in ("fails", "drops")] == [1, 0]
    assert not any("ApplicationHistory" in record for page in dropped for record in page.records)
    assert len(floor.answers("drops")) < len(references(dropped))


def test_three_sessions_keep_the_order(floor: Floor) -> None:
    """Lists and single records are read side by side by all sessions, and come as one session would read them."""
    pages = floor.pages("three", select=["ReferenceNbr", "Type"])
    numbers = references(pages)
    assert (len(numbers), numbers) == (len(set(numbers)), sorted(numbers))
    assert floor.sandbox.tally()["peak_sessions"] <= SEATS

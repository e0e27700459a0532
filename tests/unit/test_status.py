"""status's decisions: who serves which lane, and whether that is enough."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from worker.erp.sessions import SlotView
from worker.job import Lane
from worker.jobstore import State
from worker.status import Fleet, nodes_by_lane, report


@pytest.mark.parametrize(
    ("queues", "interactive", "bulk"),
    [
        ({}, [], []),
        ({"b@h": ["acumatica.bulk"], "a@h": ["acumatica.bulk"]}, [], ["a@h", "b@h"]),
        ({"a@h": ["acumatica.interactive", "acumatica.bulk"]}, ["a@h"], ["a@h"]),
        ({"a@h": ["celery"]}, [], []),
    ],
)
def test_nodes_are_told_by_lane(
    queues: dict[str, list[str]], interactive: list[str], bulk: list[str]
) -> None:
    """A node belongs to each lane whose queue it says that it serves."""
    said = {node: [{"name": name} for name in names] for node, names in queues.items()}
    assert nodes_by_lane(said) == {Lane.INTERACTIVE: interactive, Lane.BULK: bulk}


def fleet(bulk: list[str]) -> Fleet:
    """A fleet with one interactive node, and these for bulk."""
    return Fleet(
        nodes={Lane.INTERACTIVE: ["a@h"], Lane.BULK: bulk},
        queued={Lane.INTERACTIVE: 0, Lane.BULK: 1200},
        jobs={State.WAITING: 7},
        slots=[SlotView(connection="default", slot=1, state="open", generation=3, seconds=0, lent=True)],
    )


def test_a_lane_without_a_worker_is_not_healthy() -> None:
    """All is well only while every lane has somebody to do its jobs."""
    assert fleet(["b@h"]).healthy
    assert not fleet([]).healthy


def test_the_report_shows_what_there_is() -> None:
    """The tables name nodes, queue lengths, jobs, sessions, and the way out where a lane has nobody."""
    page = StringIO()
    Console(file=page, width=100).print(report(fleet([])))
    told = page.getvalue()
    for part in ("a@h", "1,200", "none: run acuworker up", "open", "yes", "7"):
        assert part in told

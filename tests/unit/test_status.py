"""status's output: the first line, the tables, and the same for machines."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from tests.unit.test_fleet import LICENSE, MINUTE, WELL, barred, slot, work
from worker.erp.logins import Login
from worker.erp.slots import State as SlotState
from worker.errors import ConnectionPaused, SignInRefused
from worker.fleet import Fleet, judge
from worker.job import Lane
from worker.jobstate import State
from worker.settings import License
from worker.status import document, report, span, why_cut


def told(fleet: Fleet, width: int = 200) -> str:
    """The tables and the lines below them, as text."""
    page = StringIO()
    console = Console(file=page, width=width)
    for part in report(fleet):
        console.print(part, soft_wrap=isinstance(part, Text))
    return page.getvalue()


def cells(page: str) -> set[str]:
    """The columns of tables of one row each, without spaces: what is too wide stands in parts, one below the other."""
    tables = [part.splitlines() for part in page.split("┏")]
    rows = [[line.split("│")[1:-1] for line in table if line.startswith("│")] for table in tables]
    return {"".join("".join(parts).split()) for table in rows for parts in zip(*table, strict=True)}


def test_the_report_shows_what_there_is() -> None:
    """The tables name workers, messages, jobs and what they wait for, sessions, limits, logins."""
    lent = replace(slot(SlotState.OPEN), lent=True, holder="a@h/7", open_seconds=65.0, seconds=3000)
    fleet = replace(
        WELL,
        queued={Lane.INTERACTIVE: 0, Lane.BULK: 1200},
        jobs={State.DONE: 4321},
        work=[work("the [red]disk[/red] is full")],
        licenses=[replace(LICENSE, filed=License(name="default", max_sessions=9), slots=[lent])],
        logins={"crm": [Login(id="17", days_left=3.25, used=True)]},
    )
    page = told(fleet)
    for part in (
        *("a@h/1", "1,200", "4,321 done", "2 bulk jobs wait (waiting): the [red]disk[/red] is full"),
        *("lent", "a@h/7", "1 min 5 s", "50 min 0 s", "max_sessions is 9 in the file and 1 in force"),
        *("17", "3.2"),
    ):
        assert part in page


def test_a_lane_without_a_worker_shows_the_way_out() -> None:
    """Where a lane has nobody, the table says what to run."""
    assert "none: run acuworker up" in told(replace(WELL, workers=[]))


def test_machines_get_all_of_it() -> None:
    """The JSON holds the status, the reasons, and every fact, errors by their code."""
    fleet = barred(SignInRefused("wrong password"))
    found = json.loads(document(fleet, judge(fleet)))
    assert (found["status"], found["exit_status"]) == ("warning", 1)
    assert found["reasons"] == ["default: wrong password"]
    license_ = found["fleet"]["licenses"][0]
    assert license_["bars"] == {"default": {"code": "SignInRefused", "message": "wrong password"}}
    assert license_["in_force"] == {"name": "default", "max_sessions": 1, "max_per_minute": 50}
    assert found["fleet"]["queued"] == {"interactive": 0, "bulk": 0}


def test_jobs_are_told_by_what_becomes_of_them() -> None:
    """How many jobs wait, run, are parked or dead, and how long the oldest has waited: for people and machines."""
    counts = {State.ACCEPTED: 1200, State.RUNNING: 3, State.WAITING: 2, State.DEAD: 4}
    fleet = replace(WELL, jobs=counts, work=[work()])
    assert {"1,200", "3", "2", "4", "9s"} <= cells(told(fleet, 80))
    found = json.loads(document(fleet, judge(fleet)))
    assert found["jobs"] == {"waiting": 1200, "running": 3, "parked": 2, "dead": 4, "oldest_seconds": 9.0}
    assert json.loads(document(None, judge(fleet)))["jobs"] is None


def test_a_cut_limit_says_why() -> None:
    """While others spend the license, the limit in force is shown, of how much, since when and why."""
    assert why_cut(MINUTE) == ""
    cut = replace(MINUTE, limit=30, late_seconds=0.4, cut_seconds=75.0)
    page = told(replace(WELL, minutes={"default": cut}))
    assert "│ 17 " in page
    assert "│ 30 " in page
    assert "from 50, for 1 min 15 s: others spend it, as answers were 0.40 s later than usual" in page


def test_nothing_is_cut_off() -> None:
    """On 80 columns every name, time and reason is whole: a table goes on below, a reason has a line of its own."""
    name, holder, reason = "a" * 64, f"bulk-{'7' * 30}@{'h' * 40}/12", f"the disk of {'x' * 150} is full"
    lent = replace(
        slot(SlotState.OPEN), mark=f"{name}#1", lent=True, holder=holder, open_seconds=65.0, seconds=3000
    )
    cut = replace(MINUTE, limit=30, late_seconds=0.4, cut_seconds=75.0)
    fleet = replace(
        WELL,
        work=[replace(work(reason), connection=name, exchanges=3, exchange_longest=3725.0)],
        licenses=[
            replace(
                LICENSE,
                filed=License(name="default", max_sessions=9),
                slots=[lent],
                bars={
                    "shop": ConnectionPaused("connection 'shop' is paused (upgrade): acuworker resume shop")
                },
            )
        ],
        minutes={"default": cut},
        logins={name: [Login(id="17", days_left=3.25, used=True)]},
    )
    page = told(fleet, 80)
    assert "…" not in page
    assert all(len(line) <= 80 for line in page.splitlines() if "│" in line)
    whole = cells(page)
    assert {name, holder, "3,1h2min", "1min5s", "50min0s", "17", "3.2"} <= whole
    lines = page.splitlines()
    assert f"{name}: 2 bulk jobs wait (waiting): {reason}" in lines
    assert "shop: connection 'shop' is paused (upgrade): acuworker resume shop" in lines
    assert any(line.startswith("license 'default': the limit in force is cut from 50") for line in lines)
    assert any(line.startswith("license 'default': max_sessions is 9 in the file") for line in lines)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7260, "2 h 1 min"),
        (190_000, "2 d 4 h"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    """Two units are enough."""
    assert span(seconds) == said

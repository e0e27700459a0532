"""The fleet's decisions: what there is to do by connection and lane, and whether all is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worker.erp.budget import BudgetView
from worker.erp.logins import Login
from worker.erp.overview import LicenseView, SlotView, Waiter
from worker.erp.slots import State as SlotState
from worker.errors import ConnectionPaused, ErpAway, LoginLimit, SignInRefused, WorkerError
from worker.fleet import Fleet, Level, Work, judge, work_of
from worker.job import Lane
from worker.jobstate import Present, Standing, State
from worker.settings import License

BOTH = Present(owner="a@h/1", lanes=frozenset(Lane))
LICENSE = LicenseView(
    filed=License(name="default"),
    in_force=License(name="default"),
    slots=(),
    waiters=(),
    bars={},
    present=(),
    blackout_seconds=0.0,
)
MINUTE = BudgetView(arrivals=17, in_flight=1, limit=50, configured=50, late_seconds=0.0, cut_seconds=None)
WELL = Fleet(
    workers=[BOTH],
    queued=dict.fromkeys(Lane, 0),
    jobs={},
    work=[],
    licenses=[LICENSE],
    minutes={"default": MINUTE},
    logins={},
)


def standing(state: State, count: int, longest: float, **more: str) -> Standing:
    """Bulk jobs of the connection ``default``."""
    return Standing(lane=Lane.BULK, connection="default", state=state, count=count, longest=longest, **more)


def work(reason: str = "no disk", waiting_state: str = "waiting") -> Work:
    """Two bulk jobs of the connection ``default`` that wait for something."""
    reasons = [standing(State.WAITING, 2, 9.0, waiting_state=waiting_state, reason=reason)]
    return work_of(reasons, [], ["default"])[1]


def slot(state: SlotState) -> SlotView:
    """The slot 2 of the license ``default``."""
    return SlotView(
        license="default",
        slot=2,
        generation=1,
        state=state,
        mark="default#1",
        holder="",
        lent=False,
        open_seconds=None,
        seconds=60,
        busy_seconds=0.0,
    )


def barred(error: WorkerError) -> Fleet:
    """A fleet in which something bars the connection ``default``."""
    return replace(WELL, licenses=[replace(LICENSE, bars={"default": error})])


def test_work_is_told_by_connection_and_lane() -> None:
    """Jobs and exchanges are counted where they belong; every known connection is there, and what jobs name."""
    told = work_of(
        [
            standing(State.ACCEPTED, 3, 40.0),
            standing(State.RUNNING, 2, 900.0),
            standing(State.WAITING, 1, 70.0, waiting_state="waiting_for_session", reason="full"),
            replace(standing(State.ACCEPTED, 1, 1.0), connection="unknown"),
        ],
        [Waiter(connection="default", lane=Lane.BULK, seconds=seconds) for seconds in (0.5, 2.0)],
        ["other", "default"],
    )
    assert [(each.connection, each.lane) for each in told] == [
        (name, lane) for name in ("other", "default", "unknown") for lane in Lane
    ]
    bulk = told[3]
    assert (bulk.waiting, bulk.running, bulk.longest) == (4, 2, 70.0)
    assert (bulk.exchanges, bulk.exchange_longest) == (2, 2.0)
    assert [stand.reason for stand in bulk.reasons] == ["full"]
    assert (told[0].waiting, told[0].longest, told[0].exchange_longest) == (0, None, None)


@pytest.mark.parametrize(
    ("fleet", "level", "said"),
    [
        (WELL, Level.OK, "OK: 1 worker, 0 jobs waiting, 0 running"),
        (replace(WELL, workers=[]), Level.CRITICAL, "CRITICAL: no worker runs: run acuworker up"),
        (
            replace(WELL, workers=[replace(BOTH, lanes=frozenset([Lane.BULK]))]),
            Level.WARNING,
            "WARNING: no worker serves the lane interactive",
        ),
        (
            replace(WELL, jobs={State.DEAD: 2}),
            Level.WARNING,
            "WARNING: 2 jobs are dead, as workers ended at it again and again: acuworker jobs list --state dead",
        ),
        (replace(WELL, jobs={State.DEAD: 1}), Level.WARNING, "WARNING: 1 job is dead"),
        (barred(SignInRefused("wrong password")), Level.WARNING, "WARNING: default: wrong password"),
        (barred(ConnectionPaused("paused\n by me")), Level.WARNING, "WARNING: default: paused by me"),
        (
            barred(ErpAway("down (503): connection 'default' pauses by itself until 12:00:00 UTC")),
            Level.WARNING,
            "WARNING: default: down (503): connection 'default' pauses by itself until 12:00:00 UTC",
        ),
        (
            replace(WELL, work=[work()]),
            Level.WARNING,
            "WARNING: default: 2 bulk jobs wait (waiting): no disk",
        ),
        (
            replace(WELL, licenses=[replace(LICENSE, slots=[slot(SlotState.QUARANTINE)])]),
            Level.WARNING,
            "WARNING: license 'default': nobody knows whether the session of slot 2 is open",
        ),
        (replace(WELL, licenses=[replace(LICENSE, slots=[slot(SlotState.OPEN)])]), Level.OK, "OK: "),
        (
            replace(WELL, licenses=[replace(LICENSE, blackout_seconds=30.0)]),
            Level.WARNING,
            "WARNING: license 'default': the store was emptied, so nothing is asked of the ERP for 30 s",
        ),
        (
            replace(WELL, logins={"crm": [Login(id="1", days_left=13.6, used=True)]}),
            Level.WARNING,
            "WARNING: crm: a login ends in 14 days: acuworker login crm",
        ),
        (replace(WELL, logins={"crm": [Login(id="1", days_left=20, used=True)]}), Level.OK, "OK: "),
    ],
)
def test_a_fleet_is_judged(fleet: Fleet, level: Level, said: str) -> None:
    """Critical is a fleet without a worker, a warning whatever somebody should look at; the line says what."""
    verdict = judge(fleet)
    assert verdict.level is level
    assert verdict.line.startswith(said)


def test_limits_that_differ_are_no_alarm() -> None:
    """An operator may have changed a limit on purpose: it is shown, and no monitor rings."""
    changed = replace(LICENSE, filed=License(name="default", max_sessions=5))
    assert [difference.limit for difference in changed.differences] == ["max_sessions"]
    assert judge(replace(WELL, licenses=[changed])).level is Level.OK


def test_what_bars_a_connection_is_said_once() -> None:
    """Jobs that wait for what bars their connection add nothing, and one license's limit is one reason."""
    full = LoginLimit("every session is taken", seconds=20)
    waiting = work("every session is taken", "waiting_for_session")
    both = replace(
        barred(full), work=[waiting], licenses=[replace(LICENSE, bars={"a": full, "default": full})]
    )
    assert judge(both).reasons == [
        "a, default: every session is taken (tried again in 20 s, or at once by acuworker doctor)"
    ]

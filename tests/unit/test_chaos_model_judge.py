"""The judge of ``model``: what it reads off results and logs that are made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.chaos.handmade import Log, failed, record_of
from tests.chaos.judge.model import FOREIGN, is_forbidden, is_missed, judge, overlaps
from tests.chaos.judge.record import SECOND, Record

FREE = "a slot is free while its session is open"
END = {"who": "time", "does": "over", "steps": ["over"], "state": "free", "open": 1}
ROW = {"state": "open"}
TRIED = {"step": "over", "model": ROW, "store": ROW, "allowed": False}
DELETED: dict[str, Any] = {
    "what": "deletion", "kind": "guard", "step": "over", "name": "out of time",
    "promise": FREE, "way": [END], "replayed": [TRIED],
}  # fmt: skip
SEARCHED: dict[str, Any] = {"what": "search", "variant": "tokens", "worlds": 9, "promise": None}
TAKEN: dict[str, Any] = {"what": "step", "step": "over", "replayed": [TRIED | {"allowed": True}]}
SETTLED: dict[str, Any] = {"what": "settled", "rows": [{"model": ROW, "store": ROW}]}
RUN: dict[str, Any] = {
    "what": "run", "limit": 1, "steps": 30, "began": 0, "ended": 100 * SECOND, "acts": {"job, killed": 2},
    "open": 0, "hidden": 0, "served": 1,
}  # fmt: skip
HABIT = DELETED | {"kind": "habit", "step": "", "name": "drains"}
STEP = DELETED | {"kind": "step", "name": "", "promise": "a slot is never free again, whoever waits for it"}
ALL = (SEARCHED, TAKEN, SETTLED, DELETED, HABIT, STEP, RUN)


def record(*results: Mapping[str, Any], log: Log | None = None) -> Record:
    """A record of a small check with these results."""
    return record_of(
        (log or Log()).in_order(),
        results or ALL,
        plan={"variants": ["tokens"], "deletes": True, "slow": True, "runs": 1},
        table=[{"name": "over", "guards": {"out of time": "until <= now"}}],
        habits=["drains"],
        time=["over"],
        guard=None,
        size="small",
    )


def changed(line: dict[str, Any], **facts: Any) -> list[dict[str, Any]]:
    """All results, one of them changed."""
    return [each | facts if each is line else each for each in ALL]


def test_all_is_well() -> None:
    """What came to what it must is passed."""
    assert failed(judge(record())) == set()


@pytest.mark.parametrize(
    ("line", "facts", "figure"),
    [
        (SEARCHED, {"promise": FREE}, "promises broken"),
        (DELETED, {"promise": None, "way": []}, "guards missed when deleted"),
        (DELETED, {"way": [END | {"open": 0}]}, "guards missed when deleted"),
        (DELETED, {"replayed": [TRIED | {"allowed": True}]}, "violating steps that it refuses"),
        (DELETED, {"replayed": [TRIED | {"store": {"state": "free"}}]}, "rows that differ in the Lua"),
        (HABIT, {"promise": None}, "habits missed when deleted"),
        (STEP, {"promise": None}, "steps missed when deleted"),
        (TAKEN, {"replayed": [TRIED]}, "steps that the Lua refuses"),
        (SETTLED, {"rows": [{"model": ROW, "store": {}}]}, "rows that differ in the Lua"),
        (SETTLED, {"rows": []}, "rows that time has settled"),
        (RUN, {"steps": 29}, "runs of 30 steps"),
        (RUN, {"open": 1}, "sessions left that none hides"),
        (RUN, {"served": 0}, "runs that end without a session"),
    ],
)
def test_what_is_wrong_fails(line: dict[str, Any], facts: Mapping[str, Any], figure: str) -> None:
    """Each figure fails for what it is there for, and no other does."""
    assert failed(judge(record(*changed(line, **facts)))) == {figure}


def test_what_broke_at_play_fails() -> None:
    """A promise that the machine saw break is not forgotten."""
    assert failed(judge(record(*ALL, {"what": "broken", "promise": "…"}))) == {"promises broken at play"}


def test_sessions_are_counted_in_the_log() -> None:
    """Two sessions of ours at once are one too many where one is allowed; others' do not count."""
    log = Log()
    log.session(1.0, 5.0, 1)
    log.session(2.0, 5.0, 2, asker=FOREIGN)
    assert failed(judge(record(log=log))) == set()
    log.session(3.0, 5.0, 3)
    assert failed(judge(record(log=log))) == {"sessions beyond the limit"}


@pytest.mark.parametrize(
    ("session", "began", "ended", "found"),
    [
        (1, 0.5, 9.0, [("one", "other")]),
        (2, 0.5, 9.0, []),
        (1, 2.0, 9.0, []),
        (1, 0.5, 0.4, []),
    ],
    ids=["at once", "in another session", "after it", "the lease was over"],
)
def test_leases_overlap(session: int, began: float, ended: float, found: list[tuple[str, str]]) -> None:
    """Two leases are at one session when their requests are there at once, while both are alive."""
    log = Log()
    log.request(0.0, 1.0, "one", session=1)
    log.request(began, 1.0, "other", session=session)
    leases = [{"name": "one", "ended": 9 * SECOND}, {"name": "other", "ended": int(ended * SECOND)}]
    assert overlaps(log.in_order(), leases) == found


def test_a_way_must_show_what_it_says() -> None:
    """That a slot is free while its session is open shows in the last world of the way."""
    assert is_missed(DELETED)
    assert not is_missed(DELETED | {"way": [END | {"state": "open"}]})


def test_a_violating_step_is_one_that_only_the_whole_table_refuses() -> None:
    """It is the step whose guard is gone that must be refused, and no other."""
    assert is_forbidden(DELETED)
    assert not is_forbidden(DELETED | {"replayed": [TRIED | {"step": "lapsed"}]})

"""The judge of ``seats``: what it reads off logs that are made by hand."""

from __future__ import annotations

from typing import Any

from tests.chaos.handmade import Log, failed, record_of
from tests.chaos.judge import seats
from tests.chaos.judge.record import SECOND, Record

ORDERS = "/Site/entity/Default/20.200.001/SalesOrder"


def killed(again: float = 14.0, cut_off: int = 0, left_until: float = 65.0, crowd: int = 0) -> Record:
    """A scene of one seat whose holder is killed at second 10, and whose session is used ``again`` seconds later.

    All are asked to end at second 60, after a last kill; the session that is then open closes at ``left_until``.
    """
    made = Log()
    made.session(1.0, 10.0 + again - 1.0, 1)
    for number in range(crowd):
        made.session(11.0, 12.0, 100 + number)
    made.add("session_open", 10.0 + again, session=2, request=made.request(10.0 + again, 0.3, path=ORDERS))
    made.add("session_close", left_until, session=2)
    kills = [{"kind": "kill", "at": at * SECOND, "point": "p", "cut_off": cut_off} for at in (10, 59)]
    jobs = [{"kind": "job", "state": "SUCCESS"}]
    facts: dict[str, Any] = {
        "limits": {"sessions": 1},
        "token_seconds": 20,
        "planned": ["p"],
        "size": "small",
    }
    return record_of(made.in_order(), [*kills, *jobs], marks={"terminated": 60}, **facts)


def test_seats_wants_each_seat_back_within_its_lease() -> None:
    """A seat is in use again 20 s after a kill, or as long as a token lasts later where a sign-in was cut off."""
    assert failed(seats.judge([killed()])) == set()
    assert failed(seats.judge([killed(again=20.5)])) == {"seat in use again, most s"}
    assert failed(seats.judge([killed(again=36.0, cut_off=1)])) == set()
    late = failed(seats.judge([killed(again=41.0, cut_off=1)]))
    assert late == {"the same, sign-in cut off, most s"}


def test_seats_wants_nothing_left_open() -> None:
    """Ten seconds after the last was asked to end nothing is open; what a cut-off sign-in opened, a token later."""
    assert failed(seats.judge([killed(left_until=71.0)])) == {"open 10 s after SIGTERM"}
    assert "open when all tokens are dead" in failed(seats.judge([killed(left_until=91.0)]))
    cut_off = killed(again=48.7, cut_off=1, left_until=89.0)
    assert seats.orphans_of(cut_off) == {2}
    assert "open 10 s after SIGTERM" not in failed(seats.judge([cut_off]))


def test_seats_counts_what_was_asked_after_a_kill() -> None:
    """A request that was under way, a session that has closed, and one that nobody asks anything do not count."""
    made = Log()
    made.request(10.1, session=1, path=ORDERS)
    made.request(11.0, session=1, path="/Site/entity/auth/logout")
    made.request(12.0, session=2, path=ORDERS)
    made.add("session_close", 13.0, session=2)
    made.request(14.0, session=3, path=ORDERS)
    made.request(15.0, session=4, path=ORDERS)
    events, since = made.in_order(), 10 * SECOND
    assert seats.seconds_until_in_use(events, 1, since, 20 * SECOND) == 2.0
    assert seats.seconds_until_in_use(events, 2, since, 20 * SECOND) == 5.0
    assert seats.seconds_until_in_use(events, 3, since, 20 * SECOND) == float("inf")


def test_seats_wants_every_point_hit() -> None:
    """A point at which nobody was killed fails the check, and so does a session too many."""
    scene = killed()
    unhit = Record(
        events=scene.events, results=scene.results, facts={**scene.facts, "planned": ["q"]}, oracle={}
    )
    assert failed(seats.judge([unhit])) == {"kills at q"}
    fewer = Record(
        events=scene.events, results=scene.results, facts={**scene.facts, "size": "full"}, oracle={}
    )
    assert {f"kills at {point}" for point in seats.POINTS} | {"kills"} == failed(seats.judge([fewer]))
    assert "most sessions of 1" in failed(seats.judge([killed(crowd=1)]))

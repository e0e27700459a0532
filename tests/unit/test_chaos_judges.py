"""The judges of ``make chaos``: what they read off logs that are made by hand."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.handmade import Log, failed, record_of
from tests.chaos.judge import lanes, lease, limits, log, thrift
from tests.chaos.judge.oracle import is_right
from tests.chaos.judge.record import MINUTE, SECOND, Line, Unreadable, read

ROOT = Path(__file__).resolve().parents[2]


def order(number: int, **more: Any) -> dict[str, Any]:
    """An order as the ERP sends it."""
    return {"id": f"id-{number}", "rowNumber": 1, "OrderNbr": {"value": f"{number:06}"}, "custom": {}, **more}


ORACLE = {"SalesOrder": [order(number) for number in range(1, 10)]}


def job(low: int, high: int, found: Iterable[Line], strategy: str = "batches", **more: Any) -> dict[str, Any]:
    """The line of a job that is done."""
    body = {
        "entity": "SalesOrder",
        "select": ["OrderNbr"],
        "params": {"low": f"{low:06}", "high": f"{high:06}"},
    }
    records = "".join(json.dumps(each) + "\n" for each in found)
    result = {"strategy": strategy, "records": records}
    return {"kind": "job", "id": "1", "job": body | more, "sent": 1, "state": "SUCCESS", "result": result}


def test_requests_in_flight_are_counted_from_arrival_to_end() -> None:
    """Two requests overlap when the second comes before the first has ended, and not when it comes after."""
    made = Log()
    made.request(0.0, 1.0)
    made.request(0.5, 1.0)
    made.request(2.0, 1.0)
    events = made.in_order()
    assert log.peak_in_flight(events, log.arrivals(events)) == 2
    assert log.peak_in_flight(events, log.arrivals(events)[2:]) == 1


def test_a_minute_is_any_minute() -> None:
    """What lies within less than a minute counts together, wherever that minute begins."""
    assert log.most_within([0, 59 * SECOND, 60 * SECOND, 61 * SECOND], MINUTE) == 3
    assert log.most_within([], MINUTE) == 0


def test_windows_hold_what_came_in_them() -> None:
    """Only whole windows count, from their begin on and before their end."""
    assert log.in_windows([0, 4, 5, 9, 10, 12], 0, 12, 5) == [2, 2]
    assert log.in_windows([1, 2], 5, 4, 5) == []


@pytest.mark.parametrize(("share", "value"), [(0.5, 10), (0.95, 19), (0.96, 20), (1.0, 20)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    """It is the smallest that so many do not exceed."""
    assert log.percentile(range(20, 0, -1), share) == value
    assert log.percentile([], share) == 0.0


def test_sessions_are_counted_from_opening_to_closing() -> None:
    """A session that is never closed stays open, and one of somebody else's does not count."""
    made = Log()
    made.session(0, 5, 1)
    made.session(1, None, 2)
    made.session(2, None, 3, asker="foreign")
    made.session(6, 7, 4)
    events = made.in_order()
    assert log.peak_sessions(events) == 3
    assert log.peak_sessions(events, log.others_than("foreign")) == 2
    assert log.open_at(events, 6 * SECOND + 1) == {2, 3, 4}


def test_a_mean_delay_is_over_all_that_were_served() -> None:
    """Requests that were not delayed count as nothing, and those that were declined not at all."""
    made = Log()
    made.delayed(0, 0.6)
    made.request(1)
    made.request(2)
    made.add("decline", 2.0, request=3)
    events = made.in_order()
    assert log.mean_delay(events, log.arrivals(events)) == pytest.approx(0.3)


LIMITS: dict[str, Any] = {
    "limits": {"sessions": 1, "concurrent": 1, "per_minute": 60},
    "window_seconds": 60,
    "foreign_per_minute": 30,
    "marks": {"begun": 0, "alone_until": 300, "foreign_came": 300, "foreign_left": 430, "ended": 620},
}


def played(beside: float = 2.1, back: float = 480.0) -> Log:
    """A client that keeps to 60 a minute alone, one each ``beside`` seconds with another, and is back at ``back``."""
    made = Log()
    made.session(0, None, 1)
    second = 1.0
    while second < 620:
        made.request(second)
        second += beside if 305 < second < back else 1.0
    made.session(300.5, 430.4, 2, asker="foreign")
    for number in range(65):
        made.request(300.6 + 2 * number, asker="foreign")
    return made


def judged(made: Log, *results: Line) -> set[str]:
    """The figures of ``limits`` that fail for a log, with enough jobs done."""
    done = [job(2, 3, [order(2), order(3)]) for _ in range(99)] + [job(2, 2, [order(2)], "by_key")]
    return failed(limits.judge(record_of(made.in_order(), [*done, *results], oracle=ORACLE, **LIMITS)))


def test_limits_is_passed_by_who_keeps_to_them() -> None:
    """A log of a client that holds every limit, and uses what it may, passes."""
    assert judged(played()) == set()


@pytest.mark.parametrize(
    ("broken", "figure"),
    [
        (lambda made: made.request(10.05), "peak in flight"),
        (lambda made: made.session(10, 11, 9), "peak sessions"),
        (lambda made: [made.request(10 + 0.2 * n, 0.01) for n in range(3)], "most in any 60 s"),
        (lambda made: made.add("decline", 9.0, request=9), "declined"),
        (lambda made: [made.delayed(200 + n / 2, 150.0) for n in range(3)], "mean imposed delay, alone"),
        (lambda made: [made.delayed(350 + n / 2, 60.0) for n in range(3)], "mean imposed delay, beside it"),
    ],
)
def test_limits_is_failed_by_whatever_breaks_one(broken: Any, figure: str) -> None:
    """Each limit has a figure that fails when the log breaks it."""
    made = played()
    broken(made)
    assert figure in judged(made)


def test_limits_is_failed_by_a_minute_that_is_not_full() -> None:
    """One minute alone with too few requests is enough."""
    made = played()
    made.events = [event for event in made.events if not 129.5 < event["at"] / SECOND < 132.5]
    assert judged(made) == {"fewest in one of them"}


def test_limits_is_failed_by_who_does_not_give_way() -> None:
    """Taking more than the other leaves fails, and so does taking much less."""
    assert "most of ours beside it" in judged(played(beside=1.5))
    assert "fewest of ours beside it" in judged(played(beside=4.0))


def test_limits_is_failed_by_who_does_not_come_back() -> None:
    """A minute must be full again that begins within two minutes of the other's leaving."""
    assert judged(played(back=545.0)) == set()
    assert "back after so many s" in judged(played(back=560.0))


def test_a_job_is_right_with_exactly_its_records() -> None:
    """One missing, one too many, another order, another value or another scale is wrong; a row's number is not."""
    oracle = {"SalesOrder": [order(number, Total={"value": 1}) for number in range(1, 10)]}
    right = [order(2), order(3) | {"rowNumber": 7}]
    assert is_right(job(2, 3, right), oracle)
    for wrong in (right[:1], [*right, order(4)], right[::-1], [order(2), order(5) | {"id": "id-3"}]):
        assert not is_right(job(2, 3, wrong), oracle)


def test_a_wrong_job_fails_limits() -> None:
    """A job with other records than the oracle's fails the check, and so does one that failed."""
    assert judged(played(), job(2, 3, [order(2)])) == {"jobs with wrong records"}
    assert judged(played(), job(2, 3, []) | {"state": "FAILURE"}) == {"jobs failed"}


def asked(phase: str, seconds: float, number: int) -> dict[str, Any]:
    """The line of an interactive job."""
    line = {"kind": "interactive", "phase": phase, "id": f"i-{number}", "state": "SUCCESS"}
    return line | {"sent": 0, "ended": int(seconds * SECOND)}


def judged_lanes(loaded: float, bulk: int) -> set[str]:
    """The figures of ``lanes`` that fail for this latency beside so many bulk exchanges in ten seconds."""
    made = Log()
    for number in range(bulk):
        made.request(10 * number / bulk, 0.01)
    results = [
        asked(phase, seconds, n)
        for phase, seconds in (("unloaded", 0.2), ("loaded", loaded))
        for n in range(30)
    ]
    made.request(5.0, asker="i-1")
    facts = {"limits": {"sessions": 2}, "exchange_seconds": 0.2, "marks": {"loaded": 0, "ended": 11}}
    return failed(lanes.judge(record_of(made.in_order(), results, **facts)))


def test_lanes_holds_both_lanes_to_their_bar() -> None:
    """An interactive job may take twice its time and an exchange; bulk must have nine tenths of the rest."""
    assert judged_lanes(loaded=0.59, bulk=99) == set()
    assert judged_lanes(loaded=0.61, bulk=99) == {"loaded p95, s"}
    assert judged_lanes(loaded=0.59, bulk=95) == {"bulk's share of it"}


def test_thrift_counts_sign_ins() -> None:
    """One sign-in for each ten requests passes, more do not; a renewed token is none."""
    made = Log()
    for number in range(20):
        made.request(number)
    jobs = [job(2, 2, [order(2)], connection=f"c{n % 2}") | {"sent": n} for n in range(100)]
    for second in (1.0, 2.0):
        made.add("sign_in", second, accepted=True, grant="password")
    made.add("sign_in", 3.0, accepted=True, grant="refresh_token")
    made.add("sign_in", 4.0, accepted=False, grant="password")
    facts: dict[str, Any] = {"limits": {"sessions": 1}}
    assert failed(thrift.judge(record_of(made.in_order(), jobs, oracle=ORACLE, **facts))) == set()
    made.add("sign_in", 5.0, accepted=True, grant="password")
    judged_again = thrift.judge(record_of(made.in_order(), jobs, oracle=ORACLE, **facts))
    assert failed(judged_again) == {"their share of the requests"}


def leased(number: int, milliseconds: float) -> dict[str, Any]:
    """The line of a lease of an open loop at 100 a second."""
    due = number * SECOND // 100
    return {
        "kind": "offered",
        "due": due,
        "began": due,
        "leased": due,
        "released": due + int(milliseconds * 10**6),
    }


def judged_lease(
    milliseconds: float = 0.9, pairs: int = 1000, places: Iterable[int] = range(200)
) -> set[str]:
    """The figures of ``lease`` that fail for these costs, this many pairs in a second, and this order of service."""
    results = [
        *(leased(number, milliseconds) for number in range(1000)),
        {"kind": "hammered", "pairs": pairs, "began": 0, "ended": SECOND},
        *({"kind": "waiter", "asked": place, "served": served} for served, place in enumerate(places)),
    ]
    return failed(lease.judge(record_of([], results)))


def test_lease_holds_cost_count_and_order_to_their_bars() -> None:
    """A millisecond at the median, a thousand a second, and nobody before who came earlier."""
    assert judged_lease() == set()
    assert judged_lease(milliseconds=1.1) == {"lease + release p50, ms"}
    assert judged_lease(pairs=999) == {"pairs a second"}
    assert judged_lease(places=[1, 0, *range(2, 200)]) == {"waiters out of order"}
    assert judged_lease(places=range(199)) == {"waiters served"}


def test_nothing_is_judged_that_cannot_be_seen(tmp_path: Path) -> None:
    """A directory without its files fails, saying which is missing."""
    command = [sys.executable, "-m", "tests.chaos.judge", "limits", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert done.returncode == 1
    assert "store.json is missing" in done.stdout
    assert done.stdout.endswith("chaos limits: figures FAILED\n")
    (tmp_path / "store.json").write_text("{}")
    (tmp_path / "events.ndjson").write_text("{")
    with pytest.raises(Unreadable, match=r"line 1 of .*events\.ndjson"):
        read(tmp_path)


def test_the_judge_is_no_party() -> None:
    """It imports the standard library and itself; nothing of the worker, the sandbox or the runner.

    Python 3.11's library cannot read zstd, so a codec comes with it.
    """
    for path in (ROOT / "tests/chaos/judge").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in named:
                known = {*sys.stdlib_module_names, "zstandard"}
                assert name.startswith("tests.chaos.judge") or name.split(".")[0] in known, path

"""The sandbox's event log and the tally computed from it."""

import io
import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.events import MINUTE, Event, EventLog, Kind, Tally, most_within, tally

SECOND = 10**9


def event(
    at: int, kind: Kind, request: int | None = None, session: int | None = None, **facts: object
) -> Event:
    """An event at a second."""
    return Event(0, at * SECOND, kind, request, session, facts)  # type: ignore[arg-type]


def arrival(at: int, request: int, counted: bool = True) -> Event:
    """The arrival of a request."""
    return event(at, "arrival", request, counted=counted)


def figures(**known: float) -> Tally:
    """A tally of zeros but for what is known."""
    return Tally(**{**dict.fromkeys(Tally.__dataclass_fields__, 0), **known})  # type: ignore[arg-type]


TALLIES = [
    pytest.param([], figures(), id="nothing happened"),
    pytest.param(
        [arrival(0, 1), event(1, "start", 1), arrival(1, 2), event(2, "end", 1), event(2, "end", 2)],
        figures(requests=2, peak_in_flight=2, peak_running=1, most_in_a_minute=2),
        id="in flight from arrival, running from start",
    ),
    pytest.param(
        [arrival(0, 1, counted=False), arrival(0, 2, counted=False)],
        figures(),
        id="what the license does not count is in no figure",
    ),
    pytest.param(
        [arrival(0, 1), arrival(30, 2), arrival(59, 3), arrival(60, 4), arrival(119, 5)],
        figures(requests=5, most_in_a_minute=3, peak_in_flight=5),
        id="60 s apart is not within a minute",
    ),
    pytest.param(
        [
            event(0, "session_open", 1, 1), event(1, "session_open", 2, 2), event(2, "session_close", 3, 1),
            event(3, "session_open", 4, 3), event(4, "session_close", None, 2),
        ],
        figures(peak_sessions=2, open_sessions=1),
        id="sessions",
    ),
    pytest.param(
        [arrival(0, 1), arrival(0, 2), arrival(0, 3), event(0, "delay", 1, seconds=3.0), event(1, "decline", 3)],
        figures(requests=3, declined=1, mean_delay_seconds=1.5, most_in_a_minute=3, peak_in_flight=3),
        id="the mean delay is over what was not declined",
    ),
    pytest.param(
        [
            event(0, "sign_in", 1, accepted=True), event(0, "sign_in", 2, accepted=False),
            event(1, "sign_out", 3), event(1, "sign_in", 4, accepted=True),
        ],
        figures(sign_ins=2, refused_sign_ins=1, sign_outs=1),
        id="sign-ins",
    ),
    pytest.param(
        [event(0, "reset", sessions=[7, 8], requests=[5]), event(1, "session_close", 9, 8), event(2, "end", 5)],
        figures(peak_sessions=2, open_sessions=1, peak_in_flight=1),
        id="what a reset left open",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("events", "expected"), TALLIES)
def test_tally(events: list[Event], expected: Tally) -> None:
    """Each figure follows from the log."""
    assert tally(events) == expected


@given(st.lists(st.integers(0, 5 * MINUTE), max_size=40).map(sorted))
def test_most_in_a_minute_is_what_counting_by_hand_gives(times: list[int]) -> None:
    """The rolling count equals the largest over all windows that begin at an arrival."""
    by_hand = max((sum(start <= at < start + MINUTE for at in times) for start in times), default=0)
    assert most_within(times, MINUTE) == by_hand


def test_since_numbers_never_change() -> None:
    """Reading on from the last number seen gives each event once, over a reset too."""
    clock = count()
    log = EventLog(lambda: next(clock))
    log.add("arrival", 1, counted=True)
    log.add("session_open", 1, 1)
    log.add("session_open", 2, 2)
    log.add("session_close", 2, 2)
    assert [e.n for e in log.since(0)] == [1, 2, 3, 4]
    assert [e.n for e in log.since(2)] == [3, 4]
    log.reset()
    assert [e.as_json() for e in log.since(4)] == [
        {"n": 5, "at": 4, "kind": "reset", "request": None, "session": None, "sessions": [1], "requests": [1]}
    ]
    assert log.since(5) == []
    assert tally(log.since(0)) == figures(open_sessions=1, peak_sessions=1, peak_in_flight=1)


def test_the_file_has_every_event_as_it_happens() -> None:
    """Each event is a line of the file at once, and a reset of the log leaves the lines before it."""
    file, clock = io.StringIO(), count()
    log = EventLog(lambda: next(clock), file)
    log.add("arrival", 1, counted=True)
    assert json.loads(file.getvalue()) == log.since(0)[0].as_json()
    log.reset()
    log.add("end", 1, status=200, rows=0)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["n"] for line in lines] == [1, 2, 3]
    assert lines[1:] == [event.as_json() for event in log.since(0)]

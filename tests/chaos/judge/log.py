"""Reading the sandbox's event log: pure functions from events to counts. Nothing here can fail on a whole log."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.chaos.judge.record import Line

Test = Callable[[Line], bool]


def everybody(_arrival: Line) -> bool:
    """Takes every request."""
    return True


def asked_by(name: str) -> Test:
    """Takes the requests that bear this name in X-Request-Id."""
    return lambda arrival: arrival.get("request_id") == name


def others_than(name: str) -> Test:
    """Takes the requests that do not."""
    return lambda arrival: arrival.get("request_id") != name


def arrivals(events: Iterable[Line], wanted: Test = everybody) -> list[Line]:
    """The requests that the license counts, in the order in which they came."""
    return [event for event in events if event["kind"] == "arrival" and event["counted"] and wanted(event)]


def times(events: Iterable[Line]) -> list[int]:
    """When they happened."""
    return [int(event["at"]) for event in events]


def most_within(ascending: Iterable[int], window: int) -> int:
    """The most of these times that lie within less than ``window`` of each other."""
    recent: deque[int] = deque()
    most = 0
    for at in ascending:
        recent.append(at)
        while at - recent[0] >= window:
            recent.popleft()
        most = max(most, len(recent))
    return most


def in_windows(ascending: Iterable[int], begin: int, end: int, width: int) -> list[int]:
    """How many of these times lie in each whole window between begin and end."""
    counts = [0] * max(0, (end - begin) // width)
    for at in ascending:
        window = (at - begin) // width
        if at >= begin and window < len(counts):
            counts[window] += 1
    return counts


def peak_in_flight(events: Sequence[Line], requests: Iterable[Line]) -> int:
    """How many of these requests had come and were not yet answered, at most."""
    return _most_at_once(events, requests, ("arrival", "end"), "request")


def peak_sessions(events: Sequence[Line], opened_by: Test = everybody) -> int:
    """How many sessions were open at once, at most, of those that such requests opened."""
    requests = [event for event in events if event["kind"] == "arrival" and opened_by(event)]
    return _most_at_once(events, requests, ("session_open", "session_close"), "session")


def _most_at_once(
    events: Iterable[Line], requests: Iterable[Line], bounds: tuple[str, str], name: str
) -> int:
    """How many things were there at once, at most, that these requests began, by kinds of events."""
    meant = {arrival["request"] for arrival in requests}
    begin, end = bounds
    there: set[int] = set()
    peak = 0
    for event in events:
        if event["kind"] == begin and event["request"] in meant:
            there.add(event[name])
        elif event["kind"] == end:
            there.discard(event[name])
        peak = max(peak, len(there))
    return peak


def open_at(events: Iterable[Line], at: int) -> frozenset[int]:
    """The sessions that were open at that moment."""
    open_: set[int] = set()
    for event in events:
        if event["at"] > at:
            break
        if event["kind"] == "session_open":
            open_.add(event["session"])
        elif event["kind"] == "session_close":
            open_.discard(event["session"])
    return frozenset(open_)


def of_requests(events: Iterable[Line], kind: str, requests: Iterable[Line]) -> list[Line]:
    """The events of this kind that befell these requests."""
    meant = {arrival["request"] for arrival in requests}
    return [event for event in events if event["kind"] == kind and event.get("request") in meant]


def mean_delay(events: Sequence[Line], requests: Sequence[Line]) -> float:
    """The mean of the seconds that the license imposed on these requests, those that it declined left out."""
    declined = len(of_requests(events, "decline", requests))
    imposed = sum(float(event["seconds"]) for event in of_requests(events, "delay", requests))
    served = len(requests) - declined
    return imposed / served if served > 0 else 0.0


def sign_ins(events: Iterable[Line]) -> list[Line]:
    """The sign-ins that were accepted, renewals of a token left out."""
    return [
        event
        for event in events
        if event["kind"] == "sign_in" and event["accepted"] and event.get("grant") != "refresh_token"
    ]


def between(lines: Iterable[Line], begin: int, end: int) -> list[Line]:
    """What happened from begin on and before end."""
    return [line for line in lines if begin <= line["at"] < end]


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def by_request(events: Iterable[Line], kind: str) -> Mapping[int, Line]:
    """The event of this kind of each request; the last, where there are several."""
    return {event["request"]: event for event in events if event["kind"] == kind}

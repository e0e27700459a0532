"""What happened at the sandbox, in order, and the tally that is computed from that alone.

The log is the judge of every claim about limits, so nothing else in the sandbox keeps counts for the
tally. It never holds a token, a password, a secret or a cookie. It grows until reset. It fails only with
OSError, when the file that it is told to write cannot be written: a judge must not read half a log unawares.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TextIO

Kind = Literal[
    "arrival",  # a request came in: method, path, query, counted, request_id, branch
    "delay",  # the license imposed `seconds` on it
    "start",  # it took a core and runs
    "end",  # its answer is sent: status, rows
    "decline",  # the license declined it: why
    "fault",  # a fault armed through the control API met it: fault
    "sign_in",  # grant, accepted, user; tenant if accepted, error if not
    "sign_out",
    "seat_refused",  # a login limit is reached: why, user
    "session_open",  # user, tenant
    "session_close",  # why
    "token_revoked",  # token: access or refresh; or all of them: all, all_refresh
    "limits",  # the license was changed through the control API: the limits from now on
    "change",  # the data was changed through the control API: op, entity, id, keys
    "action",  # an action was executed on a record: entity, action, record, parameters
    "operation_start",  # a long operation runs behind an action: operation, entity, action, record
    "operation_end",  # it ended: operation, outcome (done, failed; aborted, with its session)
    "poll",  # a request asked for its state: operation, state (unknown, if it is of no operation of the session)
    "reset",  # the log begins anew: sessions and requests that are still open
]
Fact = str | int | float | bool | None | Sequence[int]

MINUTE = 60 * 10**9


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at` is monotonic nanoseconds; `request` and `session` are numbers from 1."""

    n: int
    at: int
    kind: Kind
    request: int | None = None
    session: int | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def as_json(self) -> dict[str, Fact]:
        """The event as one flat JSON object."""
        head: dict[str, Fact] = {"n": self.n, "at": self.at, "kind": self.kind}
        return {**head, "request": self.request, "session": self.session, **self.facts}


class EventLog:
    """The events since the start or the last reset, numbered from 1 and never renumbered."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns, file: TextIO | None = None) -> None:
        """Every event also goes to `file` as a line of JSON, as it happens; a reset leaves what is written."""
        self._clock = clock
        self._file = file
        self._events: list[Event] = []
        self._last = 0

    def add(self, kind: Kind, request: int | None = None, session: int | None = None, **facts: Fact) -> None:
        """Append an event, stamped now."""
        self._last += 1
        event = Event(self._last, self._clock(), kind, request, session, facts)
        self._events.append(event)
        if self._file is not None:
            self._file.write(json.dumps(event.as_json()) + "\n")

    def since(self, n: int) -> list[Event]:
        """The events with a number above `n`."""
        if not self._events:
            return []
        return self._events[max(0, n + 1 - self._events[0].n) :]

    def reset(self) -> None:
        """Forget the past, keeping which sessions and requests are still open."""
        sessions = Gauge.read(self._events, SESSIONS).alive
        requests = Gauge.read(self._events, IN_FLIGHT).alive
        self._events = []
        self.add("reset", sessions=sorted(sessions), requests=sorted(requests))


@dataclass(frozen=True)
class Span:
    """What a gauge counts: things identified by `subject`, from one kind of event to one of others."""

    subject: Literal["request", "session"]
    opens: Kind
    closes: frozenset[Kind]


SESSIONS = Span("session", "session_open", frozenset({"session_close"}))
IN_FLIGHT = Span("request", "arrival", frozenset({"end"}))
RUNNING = Span("request", "start", frozenset({"end"}))


@dataclass(frozen=True)
class Gauge:
    """How many were open at once at most, and which still are."""

    peak: int
    alive: frozenset[int]

    @staticmethod
    def read(events: Iterable[Event], span: Span) -> "Gauge":
        """Follow `span` through `events`. What a reset left open was open from there on."""
        alive: set[int] = set()
        peak = 0
        for event in events:
            subject = event.request if span.subject == "request" else event.session
            if event.kind == "reset" and span is not RUNNING:
                alive = set(_numbers(event.facts[f"{span.subject}s"]))
            elif subject is not None and event.kind == span.opens and event.facts.get("counted", True):
                alive.add(subject)
            elif subject is not None and event.kind in span.closes:
                alive.discard(subject)
            peak = max(peak, len(alive))
        return Gauge(peak, frozenset(alive))


@dataclass(frozen=True)
class Tally:
    """The figures by which a client is judged.

    A request *counts* when the license would count it: authenticated calls under /entity, token grants,
    cookie sign-ins and sign-outs. Not counted: the discovery document, revocation, the anonymous list of
    endpoints, whatever IIS or the authentication refuses, and the control API. The times of arrival are
    those at the door, before any waiting; declined requests are among them.
    """

    requests: int
    peak_sessions: int
    open_sessions: int
    peak_in_flight: int  # arrived and not yet answered
    peak_running: int  # of these, on a core
    most_in_a_minute: int  # arrivals in any 60 s
    mean_delay_seconds: float  # imposed by the license, over the requests not declined
    declined: int
    sign_ins: int  # accepted, refreshes included
    refused_sign_ins: int
    sign_outs: int

    def as_json(self) -> dict[str, int | float]:
        """The tally as a JSON object."""
        return asdict(self)


def tally(events: Sequence[Event]) -> Tally:
    """Compute the tally from the log and nothing else."""
    sessions = Gauge.read(events, SESSIONS)
    arrivals = [e.at for e in events if e.kind == "arrival" and e.facts["counted"]]
    declined = sum(e.kind == "decline" for e in events)
    delays = [_seconds(e.facts["seconds"]) for e in events if e.kind == "delay"]
    sign_ins = [bool(e.facts["accepted"]) for e in events if e.kind == "sign_in"]
    served = len(arrivals) - declined
    return Tally(
        requests=len(arrivals),
        peak_sessions=sessions.peak,
        open_sessions=len(sessions.alive),
        peak_in_flight=Gauge.read(events, IN_FLIGHT).peak,
        peak_running=Gauge.read(events, RUNNING).peak,
        most_in_a_minute=most_within(arrivals, MINUTE),
        mean_delay_seconds=sum(delays) / served if served > 0 else 0.0,
        declined=declined,
        sign_ins=sign_ins.count(True),
        refused_sign_ins=sign_ins.count(False),
        sign_outs=sum(e.kind == "sign_out" for e in events),
    )


def most_within(times: Iterable[int], window: int) -> int:
    """The most of these ascending times that lie within less than `window` of each other."""
    recent: deque[int] = deque()
    most = 0
    for at in times:
        recent.append(at)
        while at - recent[0] >= window:
            recent.popleft()
        most = max(most, len(recent))
    return most


def _numbers(fact: Fact) -> Sequence[int]:
    """A fact that is a list of numbers."""
    if not isinstance(fact, Sequence) or isinstance(fact, str):
        raise TypeError(f"the fact {fact!r} should be a list of numbers")
    return fact


def _seconds(fact: Fact) -> float:
    """A fact that is a number of seconds."""
    if not isinstance(fact, int | float):
        raise TypeError(f"the fact {fact!r} should be a number of seconds")
    return fact

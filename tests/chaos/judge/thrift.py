"""The verdict on ``thrift``: connections that share one session do not spend the license on changing it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tests.chaos.judge import log, oracle
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import Line, Record

SHARE = 0.1
FEWEST_JOBS = {"full": 100, "small": 20}


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    requests = log.arrivals(record.events)
    opened = len(log.sign_ins(record.events))
    jobs = sorted(
        (line for line in record.results if line["kind"] == "job"), key=lambda line: int(line["sent"])
    )
    return [
        told("requests", len(requests)),
        at_least("sign-ins", opened, 2),
        at_most("their share of the requests", opened / max(1, len(requests)), SHARE),
        at_least("jobs that alternate", _alternating(jobs), 0.9),
        *oracle.judge(record, FEWEST_JOBS[record.facts["size"]]),
        at_most("peak sessions", log.peak_sessions(record.events), record.limits["sessions"]),
        at_most("declined", len(log.of_requests(record.events, "decline", requests)), 0),
    ]


def _alternating(jobs: Sequence[Line]) -> float:
    """The share of the jobs that asked for another connection than the job before them."""
    connections = [line["job"]["connection"] for line in jobs]
    changes = sum(one != other for one, other in pairwise(connections))
    return float(changes) / max(1, len(connections) - 1)

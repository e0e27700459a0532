"""The verdict on ``once``: what was sent, and what the ERP did, by its own log; and what each job said of itself."""

from __future__ import annotations

from collections import Counter

from tests.chaos.judge import log
from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import Record

EXPECTED = frozenset({"OutcomeUnknown", "OperationLost", "JobDead"})
"""How a job may end whose workers are killed; one is dead whose workers died three times in a row."""

FEWEST = {"full": (300, 40), "small": (20, 3)}
"""Jobs, and kills."""


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    jobs = [line for line in record.results if line["kind"] == "job"]
    fewest, kills = FEWEST[record.facts["size"]]
    writes = [
        event
        for event in record.events
        if event["kind"] == "arrival" and event["method"] in ("PUT", "POST") and "/Case" in event["path"]
    ]
    sent = Counter(event["request_id"] for event in writes)
    executed = Counter(event["record"] for event in record.events if event["kind"] == "action")
    done = {line["id"] for line in jobs if line["state"] == "SUCCESS"}
    dead = {line["id"] for line in jobs if line["state"] == "FAILURE" and _end(line) == "JobDead"}
    ends = Counter(_end(line) for line in jobs if line["state"] == "FAILURE")
    refused = {
        event["request"] for event in record.events if event["kind"] == "end" and event["status"] >= 400
    }
    well = Counter(event["request_id"] for event in writes if event["request"] not in refused)
    return [
        at_least("kills", len(record.marks("killed")), kills),
        at_least("jobs", len(jobs), fewest),
        at_most("jobs not ended", sum(line["state"] == "UNDER_WAY" for line in jobs), 0),
        told("jobs done", len(done)),
        told("jobs of unknown outcome", ends["OutcomeUnknown"] + ends["OperationLost"]),
        at_least("jobs that a kill has hit while it was sent", ends["OutcomeUnknown"], 1),
        told("jobs dead, as their workers died in a row", len(dead)),
        at_most("dead jobs that were sent", len(dead & set(sent)), 0),
        at_most("jobs ended otherwise", sum(count for end, count in ends.items() if end not in EXPECTED), 0),
        at_most("jobs sent twice", sum(count > 1 for count in well.values()), 0),
        at_most("requests refused", sum(sent.values()) - sum(well.values()), 0),
        at_most("actions executed twice", sum(count > 1 for count in executed.values()), 0),
        at_most("jobs done and not sent", len(done - set(sent)), 0),
        at_most("declined", len(log.of_requests(record.events, "decline", writes)), 0),
    ]


def _end(line: object) -> str:
    result = line["result"] if isinstance(line, dict) else None
    return str(result.get("exc_type")) if isinstance(result, dict) else "no error"

"""The verdict on ``model``: no promise breaks as the table is, one without any guard, and the real pool keeps all."""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import Line, Record

LEAST = {"full": (100_000, 30, 500), "small": (1_000, 2, 5), "control": (1, 0, 0)}
"""Worlds searched, guards taken out, runs of the real pool."""


def judge(record: Record) -> list[Figure]:
    """Every figure of the check."""
    worlds, guards, runs = LEAST[record.facts["size"]]
    searched, deleted, driven = (_lines(record, what) for what in ("searched", "deleted", "run"))
    seen = {step for line in searched for step in line["steps"]}
    silent = [f"{line['step']} {line['name']}".strip() for line in deleted if not line["promise"]]
    broken = [line["promise"] for line in searched if line["promise"]]
    figures = [
        at_least("worlds searched", sum(line["worlds"] for line in searched), worlds),
        at_most("promises broken", len(broken), 0),
        told("which", ", ".join(broken) or "none"),
        told("steps never taken", len(set(record.facts["steps"]) - seen)),
        at_least("guards taken out", len(deleted), guards),
        at_most("of these nothing broke", len(silent), 0),
        told("without", ", ".join(silent) or "none"),
        at_least("runs of the real pool", len(driven), runs),
        told("steps of these", sum(line["steps"] for line in driven)),
        # One whose sign-in was lost may be open, and its slot says so.
        at_most("sessions left open", sum(max(0, line["open"] - line["hidden"]) for line in driven), 0),
        at_most("runs after which nobody was served", sum(not line["served"] for line in driven), 0),
    ]
    return [*figures, at_most("most sessions over the limit", _over(record, driven), 0)]


def _lines(record: Record, what: str) -> Sequence[Line]:
    return [line for line in record.results if line["what"] == what]


def _over(record: Record, driven: Sequence[Line]) -> int:
    """By how many sessions of ours the sandbox's log exceeds a run's limit at most."""
    foreign = {event["request"] for event in record.events if event.get("request_id") == "foreign"}
    worst = 0
    for run in driven:
        alive: set[int] = set()
        for event in record.events:
            if run["began"] <= event["at"] <= run["ended"]:
                alive = _alive(alive, event, foreign)
                worst = max(worst, len(alive) - run["limit"])
    return worst


def _alive(alive: set[int], event: Line, foreign: set[int]) -> set[int]:
    """The sessions of ours that are open after an event; others' were opened by requests that say so."""
    if event["kind"] == "session_open" and event["request"] not in foreign:
        return {*alive, event["session"]}
    return alive - {event["session"]} if event["kind"] == "session_close" else alive

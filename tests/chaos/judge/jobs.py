"""What became of jobs: from the lines of those who sent them, what the store has of each, and the blobs that are left.

A job is done when its row says so; whoever waits for it has been told when Celery's result of it says SUCCESS.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.log import percentile
from tests.chaos.judge.oracle import is_right
from tests.chaos.judge.record import SECOND, Line, Record

ROW, META = "acuworker:job:", "celery-task-meta-"


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of one job; ``seconds`` from its sending to its end, without end where it has none."""

    id: str
    row: Mapping[str, str]
    told: str
    told_otherwise: bool
    finishes: int
    manifests: int
    is_right: bool
    in_blobs: bool
    seconds: float

    @property
    def is_done(self) -> bool:
        """Whether its row says so."""
        return self.row.get("state") == "done"


def fates(record: Record) -> list[Fate]:
    """Of every job that was sent."""
    finishes = Counter(
        line["id"] for line in writes(record) if line["operation"] == "finish" and line["accepted"]
    )
    manifests = Counter(line["id"] for line in record.results if line["kind"] == "manifest" and line["put"])
    return [
        _fate(line, record, finishes[line["id"]], manifests[line["id"]])
        for line in record.results
        if line["kind"] == "job"
    ]


def writes(record: Record) -> list[Line]:
    """What attempts wrote into the job store, or would have."""
    return [line for line in record.results if line["kind"] == "write"]


def _fate(line: Line, record: Record, finishes: int, manifests: int) -> Fate:
    meta = _parsed(record.store.get(META + line["id"]) or "{}")
    result = meta.get("result")
    ended = line["state"] != "UNDER_WAY"
    is_done = meta.get("status") == "SUCCESS" and isinstance(result, Mapping)
    text = text_of(result) if is_done else None
    whole = {**line, "result": {"records": text}}
    return Fate(
        id=line["id"],
        row=record.store.get(ROW + line["id"]) or {},
        told=str(meta.get("status")),
        told_otherwise=ended and (line["state"], line["result"]) != (meta.get("status"), result),
        finishes=finishes,
        manifests=manifests,
        is_right=text is not None and is_right(whole, record.oracle),
        in_blobs=is_done and result.get("manifest") is not None,
        seconds=(line["ended"] - line["sent"]) / SECOND if ended else float("inf"),
    )


def text_of(result: Line) -> str | None:
    """The records of a result, wherever they are; None where a blob is not there, or is not what it should be."""
    if result.get("manifest") is None:
        return str(result.get("records", ""))
    manifest = _blob(result["manifest"])
    if manifest is None:
        return None
    parts = [(part, _blob(part)) for part in _parsed(manifest)["records"]]
    if any(text is None or text.count("\n") != part["records"] for part, text in parts):
        return None
    return "".join(text or "" for _, text in parts)


def _blob(told: Line) -> str | None:
    path = Path(unquote(urlsplit(told["url"]).path))
    try:
        content = path.read_bytes()
    except OSError:
        return None
    is_it = len(content) == told["size"] and hashlib.sha256(content).hexdigest() == told["sha256"]
    return content.decode() if is_it else None


def figures(found: Sequence[Fate], fewest: int, bound: float) -> list[Figure]:
    """Whether each was done once, rightly, within the bound, and its sender told once."""
    states = Counter(fate.row.get("state", "gone") for fate in found if not fate.is_done)
    return [
        at_least("jobs sent", len(found), fewest),
        at_least("of these in blobs", sum(fate.in_blobs for fate in found), 1),
        at_most("jobs not done", sum(states.values()), 0),
        *(told(f"of these {state}", number) for state, number in sorted(states.items())),
        at_most("jobs whose sender was not told", sum(fate.told != "SUCCESS" for fate in found), 0),
        at_most("jobs told of twice, and otherwise", sum(fate.told_otherwise for fate in found), 0),
        at_most("jobs ended twice", sum(fate.finishes > 1 for fate in found), 0),
        at_most("results published twice", sum(fate.manifests > 1 for fate in found), 0),
        at_most("jobs with wrong records", sum(not fate.is_right for fate in found), 0),
        told("attempts, most", max((int(fate.row.get("attempt", 0)) for fate in found), default=0)),
        told("slices, most", max((int(fate.row.get("slices", 0)) for fate in found), default=0)),
        told("seconds a job took, p50", percentile((fate.seconds for fate in found), 0.5)),
        at_most("seconds a job took, most", max((fate.seconds for fate in found), default=0.0), bound),
    ]


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)

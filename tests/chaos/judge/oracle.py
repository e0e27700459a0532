"""Whether jobs came to what they should: their records against those of a second stand-in with the same data.

A job of a check names a range of one key, ``low`` to ``high``, so what it should come to can be read off the oracle
without knowing how the worker, or the ERP, reads a filter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import Line, Record

KEYS = {"SalesOrder": "OrderNbr", "Payment": "ReferenceNbr"}
OF_THE_PLACE = frozenset({"rowNumber", "note", "custom", "files", "_links"})
"""Members that tell where a record stood in its page, or that a list and a single record show differently."""


def judge(record: Record, fewest: int, *strategies: str) -> list[Figure]:
    """How many jobs ended, how, and how many of them with other records than they should have."""
    jobs = [line for line in record.results if line["kind"] == "job"]
    done = [job for job in jobs if job["state"] == "SUCCESS"]
    used = [str(job["result"]["strategy"]) for job in done]
    wrong = [str(job["id"]) for job in done if not is_right(job, record.oracle)]
    return [
        at_least("jobs done", len(done), fewest),
        *(at_least(f"of these {strategy}", used.count(strategy), 1) for strategy in strategies),
        at_most("jobs failed", sum(job["state"] == "FAILURE" for job in jobs), 0),
        told("jobs under way at the end", sum(job["state"] not in ("SUCCESS", "FAILURE") for job in jobs)),
        at_most("jobs with wrong records", len(wrong), 0),
    ]


def is_right(job: Line, oracle: Mapping[str, Sequence[Line]]) -> bool:
    """Whether a job has exactly the records that it should have, in their order, each field as it should be."""
    body = job["job"]
    found = list(_records(job["result"]))
    expected = list(_expected(body, oracle[body["entity"]]))
    fields = [*body["select"], "id"]
    return [_chosen(each, fields) for each in found] == [_chosen(each, fields) for each in expected]


def _records(result: Line) -> Iterator[Any]:
    for line in (result["records"] or "").split("\n"):
        if line:
            yield json.loads(line, parse_float=Decimal)


def _expected(body: Line, records: Sequence[Line]) -> Iterator[Line]:
    key, params = KEYS[body["entity"]], body["params"]
    for record in records:
        if params["low"] <= record[key]["value"] <= params["high"]:
            yield record


def _chosen(record: Line, fields: Sequence[str]) -> Mapping[str, Any]:
    """The fields that were asked for, with everything below them."""
    tops = {field.split("/")[0] for field in fields}
    return {name: _settled(value) for name, value in record.items() if name in tops}


def _settled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _settled(member) for name, member in value.items() if name not in OF_THE_PLACE}
    if isinstance(value, list):
        return [_settled(member) for member in value]
    # 100.0000 and 100.0 are equal, and not the same.
    return str(value) if isinstance(value, Decimal) else value

"""A service that hands in jobs of a list by ``worker.client``, and does it again when it was killed in between.

Each job has an idempotency key, so that what was handed in before is not done twice. It goes on until a file says
that it is enough. A broker or store that is away raises StoreUnavailable.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from tests.chaos.killpoints import Orders
from worker.client import Client
from worker.job import Job
from worker.settings import Settings


def main(jobs: Path, results: Path, every: float, fewest: int) -> None:
    """Hand in those that were not, one every so many seconds; at least ``fewest`` in all."""
    orders = Orders(Path(os.environ["ACUWORKER_VAR"]), results)
    begun, done = _keys(results, "handing"), _keys(results, "handed")
    client = Client(Settings.load())
    for number, line in enumerate(jobs.read_text(encoding="utf-8").splitlines()):
        body: dict[str, Any] = json.loads(line)
        key = body["idempotency_key"]
        if key in done:
            continue
        if key not in begun:
            if number >= fewest and jobs.with_suffix(".enough").exists():
                return
            time.sleep(every)
            orders.tell("handing", key=key)
        orders.tell("handed", key=key, id=client.submit(Job.parse(body)), job=body)


def _keys(results: Path, kind: str) -> frozenset[str]:
    lines = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return frozenset(line["key"] for line in lines if line["kind"] == kind)

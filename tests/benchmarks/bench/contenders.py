"""Who is measured: acuworker, easy-acumatica and a plain loop, each asked for the same records of a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from tests.benchmarks.bench.bars import lost_and_doubled
from tests.benchmarks.bench.fleet import fleet
from tests.benchmarks.bench.measure import Run, cpu_seconds, peak_bytes
from tests.benchmarks.bench.process import Contender, contender
from tests.benchmarks.bench.site import ENDPOINT, Site

UNTHROTTLED = 1e9
"""Calls a second that easy-acumatica may make when nothing is to hold it back."""

PAGES_A_SESSION = 10


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked of everybody; ``plan`` is how the data moves meanwhile."""

    entity: str
    keys: tuple[str, ...]
    expand: str
    page_size: int = 100
    limit: int | None = None
    plan: tuple[dict[str, object], ...] = ()

    def told(self, site: Site, to: Path) -> dict[str, Any]:
        """What a program other than ours needs to know."""
        sandbox = site.sandbox
        return {
            "url": sandbox.url,
            "ca_file": sandbox.ca_file,
            "endpoint": ENDPOINT,
            "entity": self.entity,
            "keys": self.keys,
            "expand": self.expand,
            "page_size": self.page_size,
            "limit": self.limit,
            "to": str(to),
        }

    def job(self) -> dict[str, object]:
        """The job that asks the same of us."""
        job = {"entity": self.entity, "expand": self.expand.split(","), "page_size": self.page_size}
        return job | {"lane": "bulk"} | ({"limit": self.limit} if self.limit else {})


ORDERS = Ask(entity="SalesOrder", keys=("OrderType", "OrderNbr"), expand="Details,Shipments")
PAYMENTS = Ask(entity="Payment", keys=("Type", "ReferenceNbr"), expand="ApplicationHistory")

Way = Callable[[Site, Ask], Run]


def loop(site: Site, ask: Ask) -> Run:
    """The plain loop."""
    sandbox = site.sandbox
    form = {
        "grant_type": "password",
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "username": sandbox.username,
        "password": sandbox.password,
        "scope": "api",
    }
    with _records_file() as to, contender("loop", ask.told(site, to) | {"form": form}, {}) as one:
        return _measured(site, ask, one, [one.pid], to)


def easy(per_second: float | None, sessions: int = 0) -> Way:
    """easy-acumatica, at so many calls a second (None: its default); by key in a batch with so many sessions, or as
    a list."""

    def way(site: Site, ask: Ask) -> Run:
        sandbox = site.sandbox
        with TemporaryDirectory() as cache, _records_file() as to:
            told = {
                "username": sandbox.username,
                "password": sandbox.password,
                "tenant": sandbox.tenant,
                "version": ENDPOINT.rpartition("/")[2],
                "cache": cache,
                "per_second": per_second,
                "sessions": sessions,
            }
            trusting = {"REQUESTS_CA_BUNDLE": sandbox.ca_file, "NO_PROXY": "127.0.0.1"}
            with contender("easy", ask.told(site, to) | told, trusting) as one:
                return _measured(site, ask, one, [one.pid], to)

    return way


def ours(sessions: int) -> Way:
    """acuworker, on the bulk lane, with so many sessions."""

    def way(site: Site, ask: Ask) -> Run:
        with fleet(site.sandbox, max_sessions=sessions) as workers, _records_file() as to:
            told = {"before": [warm_up(ask, sessions)], "job": ask.job(), "to": str(to)}
            with contender("job", told, workers.environment) as one:
                return _measured(site, ask, one, [workers.bulk], to)

    return way


def warm_up(ask: Ask, sessions: int) -> Mapping[str, object]:
    """A job for the keys of a few records, on the bulk lane, which is long enough to open so many sessions."""
    limit = PAGES_A_SESSION * sessions
    return {"entity": ask.entity, "select": list(ask.keys), "page_size": 1, "limit": limit, "lane": "bulk"}


def _measured(site: Site, ask: Ask, one: Contender, pids: Sequence[int], to: Path) -> Run:
    """Let a contender work, and look at what these processes and the sandbox had to do for it."""
    look = site.ids if ask.plan else site.standing_ids
    before = look(ask.entity, ask.keys[-1])[: ask.limit]
    site.begin()
    if ask.plan:
        site.plan(*ask.plan)
    spent, sandbox = sum(map(cpu_seconds, pids)), site.cpu_seconds
    seconds, _ = one.work()
    spent, sandbox = sum(map(cpu_seconds, pids)) - spent, site.cpu_seconds - sandbox
    log, peak = site.log(), max(map(peak_bytes, pids))
    if ask.plan:
        site.calm()
    one.save()
    got = list(ids_in(to))
    after = look(ask.entity, ask.keys[-1])[: ask.limit]
    lost, doubled = lost_and_doubled(before, after, got)
    return Run(
        rows=len(got),
        seconds=seconds,
        requests=log.requests,
        sessions=log.sessions,
        cpu_seconds=spent,
        peak_bytes=peak,
        sandbox_cores=sandbox / seconds,
        lost=lost,
        doubled=doubled,
    )


class _Identified(msgspec.Struct):
    id: str


def ids_in(path: Path) -> Iterator[str]:
    """The ids of the records in a file."""
    decoder = msgspec.json.Decoder(_Identified)
    with path.open("rb") as file:
        for line in file:
            yield decoder.decode(line).id


@contextmanager
def _records_file() -> Iterator[Path]:
    """Where a contender may write its records; they go when they were looked at."""
    with TemporaryDirectory() as directory:
        yield Path(directory) / "records.ndjson"

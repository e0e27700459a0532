"""What a job would do, looked at before it is submitted.

It takes part in the sessions and the minute that the workers share, for as many requests as it may make, so the store
must run. Raises what the job itself would end with, as far as a look at it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import msgspec
from rich.table import Column, Table
from rich.text import Text

from worker.job import Job, Lane
from worker.plan import Plan, on_deadline, plan
from worker.registry import Registry
from worker.retrieval import first_query
from worker.sampling import Capped, Sampler
from worker.settings import License, Settings
from worker.status import span
from worker.visit import visiting


@dataclass(frozen=True, kw_only=True)
class Report:
    """A plan, for what it is, what it goes by, and what it cost."""

    entity: str
    connection: str
    license: License
    plan: Plan
    notes: Sequence[str]
    asked: int
    budget: int

    def document(self) -> str:
        """All of it as JSON."""
        told = {
            "entity": self.entity,
            "connection": self.connection,
            "license": self.license.model_dump(mode="json"),
            **asdict(self.plan),
            "notes": self.notes,
            "asked": self.asked,
            "budget": self.budget,
        }
        return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()

    def table(self) -> Table:
        """All of it as people read it."""
        table = Table(Column("plan"), Column(f"{self.entity} on {self.connection}", overflow="fold"))
        limit = self.license.max_per_minute
        pace = f", at {limit:,} requests a minute" if limit else ""
        for name, what in (
            ("strategy", self.plan.strategy),
            ("records", _range(self.plan.records)),
            ("requests", _range(self.plan.requests)),
            ("sessions", f"up to {self.plan.sessions} of {self.license.max_sessions}"),
            ("time", f"{_times(self.plan.seconds)}{pace}"),
            ("asked for this", f"{self.asked} of {self.budget} requests"),
            *(("note", note) for note in self.notes),
            *(("cheaper", advice) for advice in self.plan.advice),
        ):
            table.add_row(name, Text(what))
        return table


def _range(counts: tuple[int, int | None]) -> str:
    low, high = counts
    if high is None:
        return f"at least {low:,}"
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _times(seconds: tuple[float, float | None]) -> str:
    low, high = (None if each is None else span(each) for each in seconds)
    if high is None:
        return f"at least {low}"
    return f"{low}" if low == high else f"{low} to {high}"


def look(settings: Settings, job: Job, budget: int, told: Callable[[str], object]) -> Report:
    """The plan of a job, for so many requests at most; ``told`` hears how far it is."""
    handler = Registry.load().handler_for(job.entity)
    with visiting(settings, job.connection, "plan") as visit:
        gateway, caller = visit.gateway, replace(visit.erp.exchanges.caller, branch=job.branch)
        limits = gateway.limits()[visit.erp.connection.license_name].limits()
        capped = Capped(gateway.way(job.connection).budget, budget, told)
        erp = gateway.erp(job.connection, caller, capped)
        query = first_query(erp, gateway.schemas, handler, job)
        found = Sampler(erp, handler, capped).sample(query)
    foreseen = plan(found.query, found.sample, limits, bulk=job.lane is Lane.BULK)
    return Report(
        entity=job.entity,
        connection=job.connection,
        license=limits,
        plan=foreseen,
        notes=(*query.notes, *found.notes, *on_deadline(foreseen.seconds, job.allowed_seconds)),
        asked=caller.spent.requests,
        budget=budget,
    )

"""acuworker jobs and acuworker gc: look at jobs, begin them anew, end them, and remove what is left of old ones.

Each job is told in lines that nothing cuts, however narrow the terminal. Raises JobUnknown for an id that nobody
knows, StoreUnavailable or BlobsUnavailable where there is nothing to look at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.filesize import decimal
from rich.status import Status

from worker import telemetry
from worker.blobs.opened import open_blobs
from worker.blobs.sweep import Leftover, sweep
from worker.client import Client
from worker.errors import (
    BlobsUnavailable,
    DataRefused,
    DeadlineExceeded,
    ErpRefused,
    HandlerFailed,
    JobCancelled,
    JobDead,
    JobRefused,
    JobUnfinished,
    JobUnknown,
    OutcomeUnknown,
    WorkerError,
)
from worker.job import Lane
from worker.jobstate import ENDED, JobState, State
from worker.settings import Settings
from worker.status import span
from worker.summary import summary

LOOK_SECONDS = 2.0
"""A command that takes longer says how far it is."""

WAYS_OUT: Sequence[tuple[type[WorkerError], str]] = (
    (JobRefused, "mend the job, and submit it again"),
    (ErpRefused, "mend the job or the ERP, then: acuworker jobs retry {id}"),
    (OutcomeUnknown, "look at what it names; if the ERP did not do it: acuworker jobs retry {id}"),
    (DeadlineExceeded, "mend what it waited for, or submit it with a longer --deadline"),
    (JobDead, "look at what the workers logged last, then: acuworker jobs retry {id}"),
    (JobCancelled, "acuworker jobs retry {id} begins it anew"),
    (
        HandlerFailed,
        "mend the handler, whose fault a worker's log has in full, then: acuworker jobs retry {id}",
    ),
    (WorkerError, "mend what it names, then: acuworker jobs retry {id}"),
)
"""What to do about a job that has ended with an error of this kind; the first that fits."""


def way_out(state: JobState) -> str | None:
    """What to do about a job that has ended badly."""
    ways = (way for kind, way in WAYS_OUT if isinstance(state.error, kind))
    return next(ways, "").format(id=state.job_id) or None


def show_list(
    states: Collection[State], connection: str | None, lane: Lane | None, limit: int, *, as_json: bool
) -> None:
    """Print jobs, the latest to come into its state first."""
    wanted = islice(
        (
            state
            for state in Client(Settings.load()).jobs(states or State)
            if connection in (None, state.connection) and lane in (None, state.lane)
        ),
        limit,
    )
    if as_json:
        click.echo(_json([document(state) for state in wanted]))
        return
    for state in wanted:
        for line in lines(state, time.time()):
            click.echo(line)


def show_one(job_id: str, *, as_json: bool) -> None:
    """Print all that is known of a job, and what it asks, without what has a secret's name."""
    client = Client(Settings.load())
    state = client.state(job_id)
    body = telemetry.safe(client.body(job_id))
    if as_json:
        click.echo(_json({**document(state), "asked": body}))
        return
    told = [*facts(state, time.time()), ("asked", telemetry.shown(body) if body else "not known any more")]
    for name, fact in told:
        click.echo(f"{name:<10}{fact}")
    if state.state is State.DONE:
        click.echo(_result(client, job_id))


def _result(client: Client, job_id: str) -> str:
    try:
        # Its first line names the job, as ours does.
        return summary(client.reader, client.result(job_id)).split("\n", 1)[1]
    except (BlobsUnavailable, JobUnknown) as error:
        return f"{'result':<10}{error.line}"


def retry(job_ids: Iterable[str]) -> bool:
    """Begin jobs anew that have ended without a result; whether all were."""
    client = Client(Settings.load())
    return _each(job_ids, lambda job_id: _retried(client, job_id))


def _retried(client: Client, job_id: str) -> str:
    before = client.state(job_id)
    if before.state is State.DONE:
        raise JobUnfinished(f"the job {job_id} is done: acuworker result {job_id}, or submit it again")
    if not before.ended:
        raise JobUnfinished(f"the job {job_id} has not ended: it is {before.state}")
    if client.body(job_id) is None:
        raise JobUnknown(f"the job {job_id} was refused before it was kept: submit it again")
    return f"{client.retry(job_id)}, was {before.state}"


def cancel(job_ids: Iterable[str]) -> bool:
    """End jobs; whether all of them have ended or will."""
    client = Client(Settings.load())
    return _each(job_ids, lambda job_id: _cancelled(client, job_id))


def _cancelled(client: Client, job_id: str) -> str:
    before = client.state(job_id)
    if before.ended:
        raise JobUnfinished(f"the job {job_id} has ended before: it is {before.state}")
    after = client.cancel(job_id)
    return str(after) if after in ENDED else f"{after}, ends after the page that is under way"


def _each(job_ids: Iterable[str], change: Callable[[str], str]) -> bool:
    """Change each of these jobs, and say a line of each; whether all could be."""
    well = True
    for job_id in job_ids:
        try:
            click.echo(f"{job_id}  {change(job_id)}")
        except (JobUnknown, JobUnfinished) as error:
            well = False
            click.echo(f"error: {error.line}", err=True)
    return well


def gc(console: Console, *, dry_run: bool, agreed: bool) -> None:
    """Remove the blobs of jobs that are known no more, and say what went. Raises JobUnknown where none is known."""
    settings = Settings.load()
    client = Client(settings)
    if not agreed and not dry_run and next(client.jobs(State), None) is None:
        raise JobUnknown(
            "the store knows no job at all, so every blob would go: is it the workers' store? If it is: "
            "acuworker gc --yes"
        )
    sizes: list[int] = []
    shown, began = Status("", console=console), time.monotonic()

    def tell(leftover: Leftover) -> None:
        sizes.append(leftover.size)
        click.echo(f"{leftover.place}  {decimal(leftover.size)}")
        if console.is_terminal and time.monotonic() - began > LOOK_SECONDS:
            shown.update(f"{len(sizes):,} so far, {decimal(sum(sizes))}")
            shown.start()

    try:
        sweep(open_blobs(settings), client.known, tell, dry_run=dry_run)
    finally:
        shown.stop()
    click.echo(f"{len(sizes):,} {'would go' if dry_run else 'went'}, {decimal(sum(sizes))}")


def document(state: JobState) -> dict[str, Any]:
    """A job's state for machines."""
    error = state.error
    told: dict[str, Any] | None = None
    if error:
        told = {"code": error.code, "field": error.field, "message": error.message}
    if isinstance(error, DataRefused):
        told = {**(told or {}), "errors": list(error.errors)}
    return {**asdict(state), "error": told, "way_out": way_out(state)}


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def lines(state: JobState, now: float) -> Iterator[str]:
    """A job in a list: what it is and where, how far, how long, and why it does not go on."""
    place = f"{state.connection or '?'}/{state.lane or '?'}"
    yield f"{state.job_id}  {state.state}  {state.entity or '?'}  {place}"
    yield f"    {', '.join(_in_short(state, now))}"
    if reason := reason_of(state):
        yield f"    {reason}"


def _in_short(state: JobState, now: float) -> Iterator[str]:
    if state.pages:
        yield f"{some(state.pages, 'page')}, {some(state.records, 'record')}"
    yield how_long(state, now)
    if state.slices:
        yield f"{some(state.slices, 'slice')} ended"
    if state.attempts > 1:
        yield f"attempt {state.attempts:,}"
    if state.crashes:
        yield f"{some(state.crashes, 'crash', 'crashes')} in a row"
    if state.owner:
        yield f"at {state.owner}"


def how_long(state: JobState, now: float) -> str:
    """For how long a job has been on its way, or was, and since when it is over."""
    if state.finished_at is None:
        return f"accepted {span(max(0.0, now - state.accepted_at))} ago"
    took = span(max(0.0, state.finished_at - state.accepted_at))
    return f"took {took}, ended {span(max(0.0, now - state.finished_at))} ago"


def reason_of(state: JobState) -> str | None:
    """Why a job does not go on, in one line."""
    if state.error:
        return f"{state.error.code}: {state.error.line}"
    if state.state is State.WAITING and state.waiting_for:
        return WorkerError(f"{state.waiting_state}: {state.waiting_for}").line
    return None


def facts(state: JobState, now: float) -> Iterator[tuple[str, str]]:
    """All that is known of a job, by name."""
    yield "job", state.job_id
    yield "state", str(state.state)
    yield "entity", state.entity or "not known"
    yield "place", f"connection {state.connection or 'not known'}, lane {state.lane or 'not known'}"
    times: Mapping[str, float | None] = {
        "accepted": state.accepted_at,
        "started": state.started_at,
        "ended": state.finished_at,
        "deadline": None if state.ended else state.deadline_at,
    }
    for name, at in times.items():
        if at is not None:
            when = f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"
            yield name, f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC, {when}"
    yield "retrieved", f"{some(state.pages, 'page')}, {some(state.records, 'record')}"
    crashes, slices = some(state.crashes, "crash", "crashes"), some(state.slices, "slice")
    yield "attempts", f"{state.attempts:,}, {crashes} in a row, {slices} ended"
    if state.owner:
        yield "worker", state.owner
    if reason := reason_of(state):
        yield "error" if state.error else "waits for", reason
    if isinstance(state.error, DataRefused):
        for row in state.error.errors:
            yield (
                "field",
                WorkerError(f"{row['field'] or 'the record'} {row['value']!r}: {row['error']}").line,
            )
    if way := way_out(state):
        yield "way out", way


def some(count: int, thing: str, things: str | None = None) -> str:
    """So many things."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"

"""acuworker status: the fleet as tables, for machines, or again and again on a terminal.

The first line says how the fleet is and why, the exit status too: a monitor needs nothing else. A store or a broker
that does not answer is a fleet of which nothing is known: critical.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
from pydantic import BaseModel
from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from worker.erp.budget import BudgetView
from worker.erp.overview import SlotView
from worker.erp.slots import State as SlotState
from worker.errors import WorkerError
from worker.fleet import Fleet, Level, Verdict, Work, in_the_way, judge, look
from worker.job import Lane
from worker.jobstate import State
from worker.settings import Settings

LOOK_SECONDS = 2.0

STYLES = {Level.OK: "bold green", Level.WARNING: "bold yellow", Level.CRITICAL: "bold red"}


def show(console: Console, *, as_json: bool) -> Level:
    """Print the fleet as it is now; how it is."""
    fleet, verdict = seen()
    if as_json:
        console.out(document(fleet, verdict), highlight=False)
    else:
        for part in (_headline(verdict), *(report(fleet) if fleet else ())):
            # A line of text is cut by nobody but the terminal: what reads it may look for its words.
            console.print(part, soft_wrap=isinstance(part, Text))
    return verdict.level


def watch(console: Console) -> NoReturn:
    """Show the fleet every few seconds until somebody interrupts, by KeyboardInterrupt."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            fleet, verdict = seen()
            live.update(Group(_headline(verdict), *(report(fleet) if fleet else ())), refresh=True)
            time.sleep(LOOK_SECONDS)


def seen() -> tuple[Fleet | None, Verdict]:
    """The fleet, if it can be seen, and how it is."""
    try:
        fleet = look(Settings.load())
    except WorkerError as error:
        return None, Verdict(level=Level.CRITICAL, reasons=[str(error)])
    return fleet, judge(fleet)


def _headline(verdict: Verdict) -> Text:
    level, _, rest = verdict.line.partition(":")
    return Text.assemble((level, STYLES[verdict.level]), ":", rest)


def document(fleet: Fleet | None, verdict: Verdict) -> str:
    """All of it as JSON."""
    told = {
        "status": verdict.level.name.lower(),
        "exit_status": int(verdict.level),
        "reasons": verdict.reasons,
    }
    jobs = fleet and {**job_counts(fleet), "oldest_seconds": fleet.oldest}
    text = msgspec.json.encode({**told, "jobs": jobs, "fleet": fleet}, enc_hook=_plain)
    return msgspec.json.format(text, indent=2).decode()


def _plain(value: Any) -> Any:
    """What JSON has no form for: an error that bars a connection, the limits of a license."""
    match value:
        case WorkerError():
            return {"code": value.code, "message": value.message}
        case BaseModel():
            return value.model_dump(mode="json")
    raise NotImplementedError(type(value))


def report(fleet: Fleet) -> Sequence[Table | Text]:
    """The fleet as tables, each with its reasons below it, a line each."""
    slots = [slot for license_ in fleet.licenses for slot in license_.slots]
    ended = ", ".join(
        f"{fleet.jobs.get(state, 0):,} {state}" for state in (State.DONE, State.FAILED, State.CANCELLED)
    )
    tables = [
        (_lanes(fleet), []),
        (_jobs(fleet), []),
        (_work(fleet.work), in_the_way(fleet)),
        (_licenses(fleet), _limit_notes(fleet)),
        (slot_table(slots), []),
        (_logins(fleet), []),
    ]
    parts: list[Table | Text] = []
    for table, notes in tables:
        parts += [table] if table.row_count else []
        parts += [Text(WorkerError(note).line) for note in notes]
    return [*parts, Text(f"jobs of the last week: {ended}")]


def _table(*headers: str) -> Table:
    """A table in which what is too wide goes on below, and nothing is cut off."""
    return Table(*(Column(header, overflow="fold") for header in headers))


def _lanes(fleet: Fleet) -> Table:
    table = _table("lane", "messages", "workers")
    for lane in Lane:
        workers = ", ".join(worker.owner for worker in fleet.serving(lane)) or "none: run acuworker up"
        table.add_row(
            lane, f"{fleet.queued[lane]:,}", Text(workers, style="" if fleet.serving(lane) else "red")
        )
    return table


def job_counts(fleet: Fleet) -> dict[str, int]:
    """How many jobs wait for a worker, run, are parked until what they wait for is there, or are dead."""
    named = {
        "waiting": State.ACCEPTED,
        "running": State.RUNNING,
        "parked": State.WAITING,
        "dead": State.DEAD,
    }
    return {name: fleet.jobs.get(state, 0) for name, state in named.items()}


def _jobs(fleet: Fleet) -> Table:
    counts = job_counts(fleet)
    table = _table(*(f"jobs {name}" for name in counts), "oldest wait")
    table.add_row(*(f"{count:,}" for count in counts.values()), span(fleet.oldest))
    return table


def _work(work: Sequence[Work]) -> Table:
    table = _table("connection", "lane", "jobs waiting", "oldest wait", "jobs running", "requests in line")
    for each in work:
        exchanges = f"{each.exchanges:,}, {span(each.exchange_longest)}" if each.exchanges else "0"
        waiting, running = f"{each.waiting:,}", f"{each.running:,}"
        table.add_row(each.connection, each.lane, waiting, span(each.longest), running, exchanges)
    return table


def _licenses(fleet: Fleet) -> Table:
    table = _table("license", "sessions open", "requests in 60 s", "limit in force")
    for license_ in fleet.licenses:
        minute, limits = fleet.minutes[license_.name], license_.in_force or license_.filed
        used = sum(slot.state is not SlotState.FREE for slot in license_.slots)
        sessions = f"{used} of {limits.max_sessions}"
        held_to = minute.limit if license_.in_force else limits.max_per_minute
        most = f"{held_to:,}" if limits.max_per_minute else "no limit"
        table.add_row(license_.name, sessions, f"{minute.arrivals:,}", most)
    return table


def _limit_notes(fleet: Fleet) -> list[str]:
    """Why fewer requests are made than a license allows, and where its file differs from what is in force."""
    cuts = [
        f"license {license_.name!r}: the limit in force is cut {why}"
        for license_ in fleet.licenses
        if (why := why_cut(fleet.minutes[license_.name]))
    ]
    return cuts + [str(difference) for license_ in fleet.licenses for difference in license_.differences]


def why_cut(minute: BudgetView) -> str:
    """Why fewer requests are made than the license allows, if so."""
    if minute.cut_seconds is None:
        return ""
    late = f"answers were {minute.late_seconds:.2f} s later than usual"
    return f"from {minute.configured:,}, for {span(minute.cut_seconds)}: others spend it, as {late}"


def slot_table(slots: Sequence[SlotView]) -> Table:
    """The sessions of licenses, a slot each."""
    table = _table("license", "slot", "connection", "state", "open for", "ends in", "used by")
    for slot in slots:
        state = "lent" if slot.lent else str(slot.state)
        times = span(slot.open_seconds), span(slot.seconds)
        table.add_row(slot.license, str(slot.slot), slot.connection, state, *times, Text(slot.holder))
    return table


def _logins(fleet: Fleet) -> Table:
    table = _table("connection", "login", "days left", "in use")
    for name, logins in fleet.logins.items():
        for login in logins:
            days = Text(f"{login.days_left:.1f}", style="yellow" if login.is_ending else "")
            table.add_row(name, login.id, days, "yes" if login.used else "no")
    return table


def span(seconds: float | None) -> str:
    """Seconds, as people say them."""
    if seconds is None:
        return ""
    for size, name, part, parts in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size:.0f} {name} {seconds % size // part:.0f} {parts}"
    return f"{seconds:.0f} s"

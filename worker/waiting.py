"""A command that hands in a job, and waits for it where it is told to: how far it is, and what it came to."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from worker.job import Asked
from worker.jobstate import JobState, State
from worker.result import Result
from worker.settings import Settings
from worker.summary import summary

if TYPE_CHECKING:
    from worker.client import Client

LOOK_SECONDS = 0.25
"""How often a waiting command looks at its job."""

STANDARD_OUTPUT = Path("-")


class Interrupted(click.ClickException):
    """Somebody ended a command with Ctrl-C, as it may be ended; the message says what goes on without it."""

    exit_code = 130

    def show(self, file: IO[Any] | None = None) -> None:
        # A terminal has shown ^C on the line.
        after_it = "\n" if sys.stderr.isatty() else ""
        click.echo(f"{after_it}interrupted{self.message}", err=True)


def hand_in(job: Asked, *, wait: bool, output: Path | None = None) -> None:
    """Put a job on its queue, and print its id; with ``wait`` its records too, once it has ended."""
    client = new_client()
    job_id = client.submit(job)
    with outlived_by(job_id):
        # With --wait, standard output is the records'.
        click.echo(job_id, err=wait)
        found = awaited(client, job_id) if wait else None
    if found:
        hand_over(client, found, output)


def new_client() -> Client:
    """A client of these settings."""
    from worker.client import Client  # with Celery, which the commands that hand in no job do without

    return Client(Settings.load())


def awaited(client: Client, job_id: str) -> Result:
    """The job's result, once it has one; until then, on a terminal, how far it is."""
    console = Console(stderr=True)
    told = TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold"))
    columns = (BarColumn(bar_width=20), told, TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with progress:
        line = progress.add_task("submitted", total=None)
        while not (state := client.state(job_id)).ended:
            progress.update(line, description=how_far(state))
            time.sleep(LOOK_SECONDS)
    return client.result(job_id)


@contextmanager
def outlived_by(job_id: str) -> Iterator[None]:
    """Around a wait for a job: Ctrl-C ends the wait, and the job goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"; the job goes on: acuworker result {job_id} --wait") from None


def how_far(state: JobState) -> str:
    """Where a job stands, in a few words."""
    done = f"{state.pages:,} pages, {state.records:,} records"
    match state.state:
        case State.ACCEPTED:
            return "waiting for a worker"
        case State.WAITING:
            return f"{done}; {state.where}"
    return done


def hand_over(client: Client, found: Result, output: Path | None) -> None:
    """Print the records, or write them to a file; what they cost goes to standard error."""
    if output and output != STANDARD_OUTPUT:
        client.reader.write(found, output)
    else:
        for chunk in client.reader.text(found):
            sys.stdout.buffer.write(chunk)
        sys.stdout.flush()
    click.echo(summary(client.reader, found), err=True)

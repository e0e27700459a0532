"""The commands of an operator of a running fleet: look at it, change its limits, halt a connection, close a session.

What each does is in a module of its own, loaded when it is needed.
"""

from __future__ import annotations

import sys
from typing import IO

import click
from rich.console import Console

from worker.job import Lane
from worker.jobstate import State


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(watch: bool, as_json: bool) -> None:
    """Show workers, jobs, sessions, limits, and what stands in the way.

    The first line says how the fleet is, and why. Exit with 0 if all is well, 1 if somebody should look, 2 if no
    worker runs or nothing can be seen: as monitors expect; with 130 from --watch. Looking changes nothing.

    \b
    acuworker status --watch
    acuworker status --json | jq .reasons
    """
    from worker import status as fleet

    console = Console()
    if watch and (as_json or not console.is_terminal):
        raise click.UsageError("--watch is for a terminal: leave it out here")
    if watch:
        fleet.watch(console)
    sys.exit(fleet.show(console, as_json=as_json))


@click.command()
@click.option(
    "--live", "only_live", is_flag=True, help="Only whether they live; ask neither store nor broker."
)
def health(only_live: bool) -> None:
    """Say in a line whether this machine's workers are well. For probes: exit with 0, or with 1 if not.

    Without --live also whether the store and the broker answer, and the fleet knows these workers.

    \b
    acuworker health
    acuworker health --live
    """
    from worker import health as probe

    verdict = probe.probe(only_live)
    click.echo(verdict.line)
    sys.exit(0 if verdict.is_well else 1)


@click.command()
@click.argument("names", metavar="[CONNECTION]...", nargs=-1)
@click.option(
    "--entity",
    "entities",
    multiple=True,
    default=("Customer",),
    show_default=True,
    help="What to read a record of; may be given again.",
)
def doctor(names: tuple[str, ...], entities: tuple[str, ...]) -> None:
    """Check the settings, the store, the connections. Exit with 1 if anything is wrong.

    While a store runs it takes part as a worker does, so it opens no session too many. It lets jobs go on that
    waited for credentials that are mended, or for a login limit. What the API user has no right to is named.

    \b
    acuworker doctor
    acuworker doctor default --entity SalesOrder --entity Payment
    """
    from worker import doctor as examining

    sys.exit(0 if examining.examine(names, entities, Console()) else 1)


@click.command()
@click.argument("connection")
@click.option("--reason", metavar="TEXT", help="What those who look at the fleet are told.")
def pause(connection: str, reason: str | None) -> None:
    """Halt CONNECTION: its jobs wait, and its sessions are signed out.

    What is in flight ends. Nothing is lost but time: a job's deadline goes on. Of one that is paused already a reason
    that is given replaces the one before.

    \b
    acuworker pause default --reason "the ERP is upgraded until 18:00"
    """
    from worker import operate

    operate.pause(connection, reason)


@click.command()
@click.argument("connection")
def resume(connection: str) -> None:
    """Let CONNECTION go on that was paused.

    \b
    acuworker resume default
    """
    from worker import operate

    operate.resume(connection)


@click.group()
def license() -> None:
    """Show or change the limits that the fleet holds to.

    They are kept in the store. A worker whose file says something else says so, and holds to the store's.
    """


@license.command("show")
@click.argument("name", required=False)
def license_show(name: str | None) -> None:
    """Show the limits of the license NAME, or of all: in the file, in force, and where they differ.

    A connection that names no license has one of its own, of its own name.

    \b
    acuworker license show
    """
    from worker import operate

    operate.show_licenses(name)


@license.command("set")
@click.argument("name")
@click.argument("changes", metavar="LIMIT=NUMBER...", nargs=-1, required=True)
def license_set(name: str, changes: tuple[str, ...]) -> None:
    """Change limits of the license NAME while the fleet runs; max_per_minute=0 is no limit.

    Sessions beyond a lower limit are signed out as soon as they are not lent. Write it into connections.toml too: a
    store that is new takes what the file says.

    \b
    acuworker license set default max_sessions=3 max_per_minute=100
    """
    from worker import operate
    from worker.erp.license import read_changes

    operate.set_limits(name, read_changes(changes))


@click.group()
def sessions() -> None:
    """Look at the ERP's sessions, close one, or say that one is closed."""


@sessions.command("list")
def sessions_list() -> None:
    """Show every slot for a session: its connection and state, until when, and who is at it.

    \b
    acuworker sessions list
    """
    from worker import operate

    operate.list_sessions()


@sessions.command("sign-out")
@click.argument("connection", default="default")
@click.option("--slot", type=click.IntRange(1), help="The session in this slot.")
@click.option("--all", "every", is_flag=True, help="Every session of the connection.")
@click.option(
    "--token-file", type=click.File("rb"), help="The session of the access token in this file; -: input."
)
def sessions_sign_out(connection: str, slot: int | None, every: bool, token_file: IO[bytes] | None) -> None:
    """Close sessions of CONNECTION (default) that no worker is using, or one that other software left open.

    While jobs wait a worker soon signs in again: acuworker pause keeps it from that.

    \b
    acuworker sessions sign-out --slot 2
    acuworker sessions sign-out --all default
    acuworker sessions sign-out --token-file left-open.txt
    """
    from worker import operate

    if (slot is not None) + every + (token_file is not None) != 1:
        raise click.UsageError("say which: --slot N, --all or --token-file FILE")
    if token_file:
        operate.sign_out_token(connection, operate.token_in(token_file.read(operate.TOKEN_FILE_LENGTH + 1)))
    else:
        operate.sign_out(connection, slot)


@sessions.command("release")
@click.argument("license_name", metavar="LICENSE")
@click.argument("slot", type=click.IntRange(1))
@click.option("--yes", is_flag=True, help="Do not ask.")
def sessions_release(license_name: str, slot: int, yes: bool) -> None:
    """Say that the ERP has closed the session in SLOT of LICENSE, so that another may be opened.

    For a slot in quarantine, whose session nobody can close. If it is open all the same, there will be one too many.

    \b
    acuworker sessions release default 1
    """
    from worker import operate

    operate.release(license_name, slot, agreed=yes)


@click.group()
def jobs() -> None:
    """Look at jobs, those under way among them; begin them anew, or end them."""


@jobs.command("list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([str(state) for state in State]), help="Only these."
)
@click.option("--connection", metavar="NAME", help="Only those of this connection.")
@click.option("--lane", type=click.Choice([str(lane) for lane in Lane]), help="Only those of this lane.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def jobs_list(
    states: tuple[str, ...], connection: str | None, lane: str | None, limit: int, as_json: bool
) -> None:
    """Show jobs, the latest to come into its state first: where, how far, how long, and what they wait for.

    \b
    acuworker jobs list --state waiting --state dead
    acuworker jobs list --lane bulk --json | jq -r .[].job_id
    """
    from worker import jobs as looking

    only = Lane(lane) if lane else None
    looking.show_list([State(state) for state in states], connection, only, limit, as_json=as_json)


@jobs.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def jobs_show(job_id: str, as_json: bool) -> None:
    """Show all that is known of the job ID, what it asks, and what to do about its error.

    \b
    acuworker jobs show 0f9d2c7e-4a51-4b0e-9f60-1c2d3e4f5a6b
    """
    from worker import jobs as looking

    looking.show_one(job_id, as_json=as_json)


@jobs.command("retry")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
def jobs_retry(job_ids: tuple[str, ...]) -> None:
    """Begin jobs anew that have failed, died or been cancelled, under the same ID; their time begins anew too.

    \b
    acuworker jobs retry 0f9d2c7e-4a51-4b0e-9f60-1c2d3e4f5a6b
    """
    from worker import jobs as changing

    sys.exit(0 if changing.retry(job_ids) else 1)


@jobs.command("cancel")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
def jobs_cancel(job_ids: tuple[str, ...]) -> None:
    """End jobs: one that waits at once, one that runs after the page that is under way.

    \b
    acuworker jobs cancel 0f9d2c7e-4a51-4b0e-9f60-1c2d3e4f5a6b
    """
    from worker import jobs as changing

    sys.exit(0 if changing.cancel(job_ids) else 1)


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--yes", is_flag=True, help="Also where the store knows no job at all.")
def gc(dry_run: bool, yes: bool) -> None:
    """Remove the blobs of jobs that ended over a week ago, and attached files that no job can name.

    Results in the store end by themselves, a day after their job. Run it once a day.

    \b
    acuworker gc --dry-run
    """
    from worker import jobs as cleaning

    cleaning.gc(Console(stderr=True), dry_run=dry_run, agreed=yes)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="Where to listen.")
def metrics(port: int) -> None:
    """Serve the fleet's figures at http://127.0.0.1:PORT/metrics, for Prometheus, until SIGTERM.

    \b
    acuworker metrics --port 9540
    """
    from worker import metrics as serving

    serving.serve(port)


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5555, show_default=True, help="Where to listen."
)
def flower(port: int) -> None:
    """Show the fleet's tasks by Flower at http://127.0.0.1:PORT, read-only, until SIGTERM.

    Its user is acuworker, its password that of ACUWORKER_FLOWER_PASSWORD.

    \b
    acuworker flower --port 5555
    """
    from worker import flowerbed

    flowerbed.serve(port)


COMMANDS = (status, health, doctor, pause, resume, license, sessions, jobs, gc, metrics, flower)

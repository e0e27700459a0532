"""The commands of an operator of a running fleet: look at it, change its limits, halt a connection, close a session.

What each does is in a module of its own, loaded when it is needed.
"""

from __future__ import annotations

import sys
from typing import IO

import click
from rich.console import Console

from worker.erp.license import read_changes


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


COMMANDS = (status, doctor, pause, resume, license, sessions)

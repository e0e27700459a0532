"""The commands that change something in the ERP, or ask an inquiry: each hands in a job of its kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click

from worker.job import Lane
from worker.kinds import Interface, Mode, parse
from worker.options import document, listed, named, value_of
from worker.waiting import hand_in, new_client

Command = Callable[..., Any]

_HOW = (
    click.option("--connection", metavar="NAME", help="A connection of the worker.  [default: default]"),
    click.option(
        "--branch", metavar="NAME", help="The ERP's branch to work in.  [default: the connection's]"
    ),
    click.option("--lane", type=click.Choice([str(lane) for lane in Lane]), help="How soon."),
    click.option(
        "--deadline", "deadline_seconds", type=int, metavar="SECONDS", help="Give up after so long."
    ),
    click.option(
        "--idempotency-key", metavar="TEXT", help="A name for what is asked: handed in twice it is done once."
    ),
    click.option("--wait", is_flag=True, help="Wait for the job's end, and print what it came to."),
)

_RECORD = (
    click.option("--key", "keys", multiple=True, metavar="VALUE", help="The record's key values, in order."),
    click.option("--id", "id", metavar="GUID", help="The record's id, in place of its keys."),
    click.option(
        "--idempotent", is_flag=True, default=None, help="It may be sent again when its outcome is not known."
    ),
)

_VALUES = (
    click.option("--set", "texts", multiple=True, metavar="NAME=TEXT", help="A text for a field."),
    click.option("--set-json", "values", multiple=True, metavar="NAME=JSON", help="Any other value for one."),
)


def _with(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """A command with these options, in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _hand_in(kind: str, *, wait: bool, keys: tuple[str, ...] = (), **said: Any) -> None:
    body = {"kind": kind, "keys": list(keys) or None, **said}
    hand_in(parse({name: value for name, value in body.items() if value is not None}), wait=wait)


def _values(texts: tuple[str, ...], values: tuple[str, ...]) -> dict[str, Any]:
    """The fields that options say."""
    said = dict(named(text, "--set") for text in texts)
    for text in values:
        name, value = named(text, "--set-json")
        said[name] = value_of(value, "--set-json")
    return said


@click.command()
@click.argument("entity")
@click.argument("action")
@_with(*_RECORD, *_VALUES)
@click.option(
    "--custom", multiple=True, metavar="VIEW.FIELD=TEXT", help="A parameter of the action's dialog box."
)
@_with(*_HOW)
def act(texts: tuple[str, ...], values: tuple[str, ...], custom: tuple[str, ...], **said: Any) -> None:
    """Execute an ACTION on a record of ENTITY, once. A long operation is waited for, without a worker.

    \b
    acuworker act SalesInvoice ReleaseSalesInvoice --key Invoice --key INV000046 --wait
    acuworker act Case Close --id e3f46a39-1a14-e911-816f-bc920a5e0ac8 --custom FilterPreview.Reason=Abandoned
    """
    dialog = dict(named(text, "--custom") for text in custom)
    _hand_in("action", parameters=_values(texts, values) or None, custom=dialog or None, **said)


@click.command()
@click.argument("entity")
@_with(*_RECORD, *_VALUES)
@click.option(
    "--json", "body", type=click.File("rb"), help="The record as JSON; the other options add to it."
)
@click.option("--mode", type=click.Choice([str(mode) for mode in Mode]), help="What may be there before.")
@click.option("--read-back", is_flag=True, default=None, help="Read the record again, and compare it.")
@click.option("--select", multiple=True, metavar="A,B", help="Fields to return.")
@_with(*_HOW)
def write(
    texts: tuple[str, ...],
    values: tuple[str, ...],
    body: IO[bytes] | None,
    select: tuple[str, ...],
    **said: Any,
) -> None:
    """Insert or update a record of ENTITY, once.

    \b
    acuworker write SalesOrder --key SO --key 000004 --set Description="By hand" --read-back --wait
    acuworker write Customer --json customer.json --mode insert --wait
    """
    record = document(body) | _values(texts, values)
    _hand_in("upsert", record=record, select=listed(select), **said)


@click.command()
@click.argument("entity")
@_with(*_RECORD, *_HOW)
def delete(**said: Any) -> None:
    """Delete a record of ENTITY, once.

    \b
    acuworker delete SalesOrder --key SO --key 000012 --wait
    """
    _hand_in("delete", **said)


@click.command()
@click.argument("entity")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_with(*_RECORD)
@click.option("--name", metavar="NAME", help="The file's name in the ERP.  [default: its own]")
@click.option("--comment", metavar="TEXT", help="A comment to the file.")
@_with(*_HOW)
def upload(file: Path, name: str | None, **said: Any) -> None:
    """Attach FILE to a record of ENTITY. Its bytes go into the workers' blob store first.

    \b
    acuworker upload StockItem picture.jpg --key AALEGO500 --wait
    """
    source = new_client().keep(file).model_dump()
    _hand_in("upload", name=name or file.name, source=source, **said)


@click.command()
@click.argument("entity", metavar="INQUIRY")
@_with(*_VALUES)
@click.option(
    "--interface",
    type=click.Choice([str(each) for each in Interface]),
    help="contract: the endpoint's; gi, dac: OData.",
)
@click.option("--filter", metavar="TEXT", help="Which rows (OData), as in: CustomerID eq 'C000000003'")
@click.option("--select", multiple=True, metavar="A,B", help="Fields to return.")
@click.option("--limit", type=int, help="At most so many rows.")
@_with(*_HOW)
def inquire(texts: tuple[str, ...], values: tuple[str, ...], select: tuple[str, ...], **said: Any) -> None:
    """Ask an INQUIRY: its rows for these parameters.

    \b
    acuworker inquire InventorySummaryInquiry --set InventoryID=AALEGO500 --wait
    acuworker inquire BI-Inventory --interface gi --limit 10 --wait
    """
    _hand_in("inquiry", parameters=_values(texts, values) or None, select=listed(select), **said)


COMMANDS = (act, write, delete, upload, inquire)

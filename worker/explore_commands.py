"""The commands of somebody who looks for what the ERP has: endpoints, entities, describe, new-handler.

What they do is loaded when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console

from worker.settings import Settings

if TYPE_CHECKING:
    from worker.visit import Visit

connection_option = click.option(
    "--connection",
    default="default",
    show_default=True,
    metavar="NAME",
    help="A connection of the worker.",
)
refresh_option = click.option(
    "--refresh", is_flag=True, help="Read what the endpoint has now, not what was known."
)


@click.command()
@connection_option
def endpoints(connection: str) -> None:
    """Show which endpoints the ERP has, in which versions; the tenant's own ones too.

    \b
    acuworker endpoints
    """
    from worker import explore

    with _visit(connection, "endpoints") as visit:
        found = explore.listed(visit)
        mine = visit.erp.connection
    Console().print(explore.endpoint_table(found, mine.endpoint, mine.version))


@click.command()
@click.option("--like", metavar="TEXT", help="Only those whose names hold this, or are almost so.")
@connection_option
@refresh_option
def entities(like: str | None, connection: str, refresh: bool) -> None:
    """Show the entities of the connection's endpoint, with their keys.

    \b
    acuworker entities --like price
    """
    from worker import explore
    from worker.handler import Endpoint

    with _visit(connection, "entities") as visit:
        schema = explore.known(visit, anew=refresh).schema
        mine = visit.erp.connection
    names = explore.named_like(list(schema.top), like)
    if names:
        Console().print(explore.entity_table(schema, Endpoint(mine.endpoint, mine.version, schema), names))
    click.echo(f"{len(names)} of {len(schema.top)} entities of {mine.endpoint}/{mine.version}", err=True)


@click.command()
@click.argument("entity")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@connection_option
@refresh_option
def describe(entity: str, as_json: bool, connection: str, refresh: bool) -> None:
    """Show what a job can ask of ENTITY: keys, fields with types, details, actions, custom fields.

    \b
    acuworker describe SalesOrder
    acuworker describe Customer --json | jq .keys
    """
    from worker import explore

    with _visit(connection, "describe") as visit:
        about = explore.described(visit, entity, anew=refresh)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(asdict(about)), indent=2))
    else:
        Console().print(explore.tree(about))


@click.command()
@click.argument("entity")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder that is not there yet.  [default: named like the entity]",
)
@connection_option
def new_handler(entity: str, to: Path | None, connection: str) -> None:
    """Write a package with a handler for ENTITY, its entry point, and a test.

    \b
    acuworker new-handler Shipment --to shipment-handler
    """
    from worker import explore, scaffold

    with _visit(connection, "new-handler") as visit:
        about = explore.described(visit, entity, anew=False)
    texts = scaffold.files(about)
    folder = to or Path(scaffold.package_of(entity).replace("_", "-"))
    scaffold.write(texts, folder)
    for name in texts:
        click.echo(folder / name)
    click.echo(f"pip install -e {folder}, then start the workers again; its test: pytest {folder}", err=True)


@contextmanager
def _visit(connection: str, what: str) -> Iterator[Visit]:
    """A visit to a connection, on a terminal with a word where it takes its time."""
    from worker.visit import patience, visiting

    with (
        patience("asking the ERP what it has", Console(stderr=True)),
        visiting(Settings.load(), connection, what) as visit,
    ):
        yield visit


COMMANDS: tuple[Any, ...] = (endpoints, entities, describe, new_handler)

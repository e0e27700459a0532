"""acuworker: the commands of an operator, and of a developer who tries a job by hand.

A WorkerError ends a command with one line that says the way out, and status 1; a wrong option ends it with 2. What a
command needs is imported inside it, so that those of an operator load no Celery, and submitting a job no HTTP client.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any

import click
from pydantic import BaseModel

from worker import change_commands, explore_commands, kinds, telemetry
from worker.commands import COMMANDS
from worker.errors import WorkerError
from worker.job import Compression, Consistency, Lane, Values
from worker.options import document, job_fields
from worker.plan_command import plan_like
from worker.result import Manifest, Result
from worker.settings import Settings
from worker.waiting import Interrupted, awaited, hand_in, hand_over, new_client, outlived_by

FILE = click.Path(path_type=Path, dir_okay=False)
LIST: dict[str, Any] = {"multiple": True, "metavar": "A,B"}


class _Failure(click.ClickException):
    """A WorkerError at the command line."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.message}", err=True)


class _Commands(click.Group):
    """A group whose commands end with one line where a WorkerError or Ctrl-C ends them."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WorkerError as error:
            raise _Failure(error.line) from None
        except KeyboardInterrupt:
            raise Interrupted("") from None
        except click.Abort as abort:
            # A question that Ctrl-C ended; one that was answered with a no is none.
            if isinstance(abort.__context__, KeyboardInterrupt):
                raise Interrupted("") from None
            raise


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="acumatica-worker")
def main() -> None:
    """Retrieve data from Acumatica ERP within the limits of its license."""
    telemetry.configure(os.environ.get("ACUWORKER_LOG_LEVEL", "WARNING"), sys.stderr)


@main.command()
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes for each lane."
)
@click.option(
    "--flower", is_flag=True, help="Show the tasks by Flower on this machine: read-only, by a password."
)
@click.option("--flower-port", type=click.IntRange(1, 65535), default=5555, show_default=True)
@click.option(
    "--metrics", type=click.IntRange(1, 65535), metavar="PORT", help="Serve figures for Prometheus there."
)
def up(workers: int, flower: bool, flower_port: int, metrics: int | None) -> None:
    """Run the workers. A private store is started too, unless another is set.

    Flower's user is acuworker; its password is that of ACUWORKER_FLOWER_PASSWORD, or is made and printed.

    \b
    acuworker up
    acuworker up --workers 3
    acuworker up --flower --metrics 9540
    """
    from worker import flowerbed, supervisor
    from worker import metrics as figures

    beside = [flowerbed.beside(flower_port)] if flower else []
    beside += [figures.beside(metrics)] if metrics else []
    sys.exit(supervisor.up(Settings.load(), workers, beside))


@main.command()
@click.argument("entity", required=False)
@click.option("--connection", metavar="NAME", help="A connection of the worker.  [default: default]")
@click.option("--branch", metavar="NAME", help="The ERP's branch to work in.  [default: the connection's]")
@click.option(
    "--key", "keys", multiple=True, metavar="VALUE", help="One record's key values, in their order."
)
@click.option("--filter", metavar="TEXT", help="Which records, as in: CustomerID eq :customer")
@click.option("--param", "texts", multiple=True, metavar="NAME=TEXT", help="A string for the filter's :NAME.")
@click.option(
    "--param-json", "values_as_json", multiple=True, metavar="NAME=JSON", help="Any other value for it."
)
@click.option("--select", help="Fields to return.", **LIST)
@click.option("--expand", help="Details and linked entities to return.", **LIST)
@click.option("--custom", help="Custom fields to return, as View.Field.", **LIST)
@click.option("--page-size", type=int, help="Retrieve in batches of so many records.")
@click.option("--limit", type=int, help="At most so many records.")
@click.option("--attachments", is_flag=True, help="Retrieve the records' files too.")
@click.option(
    "--lane", type=click.Choice([str(lane) for lane in Lane]), help="How soon.  [default: interactive]"
)
@click.option(
    "--values", type=click.Choice([str(form) for form in Values]), help="Unwrapped, or as on the wire."
)
@click.option(
    "--consistency",
    type=click.Choice([str(each) for each in Consistency]),
    help="Of rows that move meanwhile.",
)
@click.option(
    "--compression", type=click.Choice([str(each) for each in Compression]), help="Of a large result's parts."
)
@click.option("--max-age", type=int, metavar="SECONDS", help="A result of the same question may be so old.")
@click.option("--deadline", "deadline_seconds", type=int, metavar="SECONDS", help="Give up after so long.")
@click.option("--json", "body", type=click.File("rb"), help="The job as JSON; the other options add to it.")
@click.option("--wait", is_flag=True, help="Wait for the job's end, and print its records.")
@click.option(
    "--to", "--output", "output", type=FILE, metavar="FILE|-", help="With --wait: write them there."
)
def submit(body: IO[bytes] | None, wait: bool, output: Path | None, **options: Any) -> None:
    """Put a job on its queue. Print the job's id.

    \b
    acuworker submit SalesOrder --key SO --key 000001 --wait
    acuworker submit SalesOrder --filter 'CustomerID eq :id' --param id=C000000003 --expand Details
    """
    if output and not wait:
        raise click.UsageError("--to needs --wait: without it there are no records to write yet")
    job = kinds.parse(document(body) | job_fields(**options))
    hand_in(job, wait=wait, output=output)


@main.command()
@click.argument("job_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait for the job's end.")
@click.option(
    "--to", "--output", "output", type=FILE, metavar="FILE|-", help="Where to write the records to."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result itself, in place of its records.")
def result(job_id: str, wait: bool, output: Path | None, as_json: bool) -> None:
    """Print a job's records as NDJSON. What they cost goes to standard error.

    They are checked as they are read: if one is missing or another, the command ends with status 1, and writes no file.

    \b
    acuworker result 0f9d2c7e-4a51-4b0e-9f60-1c2d3e4f5a6b --to orders.ndjson
    """
    client = new_client()
    with outlived_by(job_id):
        found = awaited(client, job_id) if wait else client.result(job_id)
    if as_json:
        click.echo(found.model_dump_json(indent=2, exclude_none=True))
    else:
        hand_over(client, found, output)


@main.command()
@click.argument("name", default="default")
@click.option(
    "--url", help="The instance, or any URL of it; an endpoint and its version in it are taken too."
)
@click.option("--endpoint", help="The endpoint.  [default: Default]")
@click.option("--version", help="Its version.  [default: the newest that fits]")
@click.option("--tenant", help="The tenant, as on the sign-in page.")
@click.option("--username", help="The user of the API.")
@click.option(
    "--password-file", type=FILE, help="A file with the password; it is read whenever it is needed."
)
@click.option("--client-id", help="Of the connected application (SM303010).")
@click.option("--client-secret-file", type=FILE, help="A file with its secret.")
@click.option("--ca-file", type=FILE, help="Certificates to trust beside the system's, as PEM.")
@click.option("--trust", metavar="SHA256", help="Trust the certificate with this fingerprint.")
@click.option(
    "--sign-in",
    type=click.Choice(["password", "login", "cookie"]),
    help="By OAuth's password grant, by a person's login, or by cookies.  [default: password]",
)
@click.option("--scope", help="What OAuth is asked for, by spaces.  [default: api]")
@click.option("--branch", help="The branch to work in, where a job names none.")
@click.option("--locale", help="Of a cookie sign-in, as in en-US.")
@click.option("--plaintext", is_flag=True, help="With cookies: http:// to a private address.")
@click.option("--license", metavar="NAME", help="Share the license of this name in connections.toml.")
@click.option("--max-sessions", type=click.IntRange(1, 100), help="API sessions that we may open (SM604000).")
@click.option(
    "--max-per-minute", type=click.IntRange(0), help="Requests that we may make a minute; 0: no limit."
)
@click.option("--entity", default="Customer", show_default=True, help="What to read a record of.")
@click.option("--paste", is_flag=True, help="With a login: paste where the browser ends.")
@click.option("--port", type=click.IntRange(1, 65535), help="With a login: where the browser comes back to.")
def connect(**said: Any) -> None:
    """Set up the connection NAME. What no option gives is asked.

    It is saved in connections.toml once the ERP has taken the credentials; then a record is read. The password
    and the client secret are asked unseen, or read from ACUWORKER_PASSWORD and ACUWORKER_CLIENT_SECRET.
    With --sign-in login it is saved first, and then a person signs in.
    """
    from worker import connect as connecting

    password = os.environ.get("ACUWORKER_PASSWORD")
    client_secret = os.environ.get("ACUWORKER_CLIENT_SECRET")
    connecting.connect(connecting.Given(password=password, client_secret=client_secret, **said))


@main.command()
@click.argument("name", default="default")
@click.option("--paste", is_flag=True, help="The browser is elsewhere: paste the address where it ends.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Where the browser comes back to.  [default: any free one]"
)
def login(name: str, paste: bool, port: int | None) -> None:
    """Sign the connection NAME in with a browser. For tenants that forbid the password grant.

    Workers live on it for as long as the ERP lets it be renewed; run it again before that ends.
    """
    from worker import login as signing

    try:
        signing.login(name, paste=paste, port=port)
    except (KeyboardInterrupt, click.Abort):
        again = f"; nothing was handed to the workers: acuworker login {name} begins again"
        raise Interrupted(again) from None


@main.command()
@click.option("--result", "model", flag_value=Result, type=click.UNPROCESSED, help="Of a result.")
@click.option("--manifest", "model", flag_value=Manifest, type=click.UNPROCESSED, help="Of a manifest.")
@click.option("--kind", type=click.Choice(list(kinds.KINDS)), default="retrieve", show_default=True)
def job_schema(model: type[BaseModel] | None, kind: str) -> None:
    """Print the JSON Schema of a job of some kind.

    \b
    acuworker job-schema --kind action
    acuworker job-schema --result
    """
    click.echo(json.dumps((model or kinds.KINDS[kind]).model_json_schema(), indent=2, ensure_ascii=False))


for command in (*COMMANDS, *change_commands.COMMANDS, *explore_commands.COMMANDS):
    main.add_command(command)
main.add_command(plan_like(submit, lambda body, **said: document(body) | job_fields(**said)))

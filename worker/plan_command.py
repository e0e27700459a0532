"""acuworker plan: the command, which loads nothing that talks to the ERP before it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.console import Console

from worker import kinds
from worker.errors import JobInvalid
from worker.job import Asked, Job
from worker.settings import Settings

NOT_OF_THE_JOB = ("wait", "output")
"""Options of ``submit`` that say what becomes of a result."""


def plan_like(submit: click.Command, said: Callable[..., dict[str, Any]]) -> click.Command:
    """``acuworker plan``, which takes a job as ``submit`` does; ``said`` is its JSON by the options."""
    of_the_job = [each for each in submit.params if each.name not in NOT_OF_THE_JOB]

    @click.command("plan", params=of_the_job)
    @click.option(
        "--budget",
        type=click.IntRange(3, 100),
        default=10,
        show_default=True,
        help="Look at what there is by at most so many requests.",
    )
    @click.option("--as-json", is_flag=True, help="Print the plan as JSON, for machines.")
    def planned(budget: int, as_json: bool, **options: Any) -> None:
        """Say what a job would do: how many records and requests, and how long they take. It is not submitted.

        What there is is looked at by a few requests, so the numbers are ranges; more requests narrow them.

        \b
        acuworker plan SalesOrder --expand Details --page-size 500 --lane bulk
        acuworker plan Payment --budget 20 --as-json | jq .requests
        """
        from worker.planning import look
        from worker.visit import patience

        job = _retrieval(kinds.parse(said(**options)))
        with patience("looking at what there is", Console(stderr=True)) as say:
            report = look(Settings.load(), job, budget, say)
        if as_json:
            click.echo(report.document())
        else:
            Console().print(report.table())

    return planned


def _retrieval(job: Asked) -> Job:
    """The job, as it is one that can be planned. Raises JobInvalid."""
    if not isinstance(job, Job):
        raise JobInvalid(
            "only retrieve is planned: of another kind nothing is known until it is done", "kind"
        )
    return job

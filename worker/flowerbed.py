"""Flower beside the workers: Celery's web page of tasks and workers, on loopback, read-only, behind a password.

Flower itself has neither limit unless it is told so; here nothing that it reads can take one away. Raises
Misconfigured where Flower is missing, or the password is.
"""

from __future__ import annotations

import os
import secrets
from importlib.util import find_spec

from worker.bootsteps import watch_parent
from worker.errors import Misconfigured
from worker.supervisor import Beside

USER = "acuworker"
PASSWORD = "ACUWORKER_FLOWER_PASSWORD"  # noqa: S105 the name of a variable
ADDRESS = "127.0.0.1"


def beside(port: int) -> Beside:
    """The command for the supervisor; a password that nobody has set is made, and printed this once."""
    _require()
    password = os.environ.get(PASSWORD)
    told = "the password of " + PASSWORD
    if not password:
        password = secrets.token_urlsafe(18)
        told = f"password {password}"
    print(f"flower: http://{ADDRESS}:{port}, user {USER}, {told}", flush=True)
    return Beside(("flower", "--port", str(port)), {PASSWORD: password})


def serve(port: int) -> None:
    """Run Flower until SIGTERM."""
    _require()
    password = os.environ.get(PASSWORD, "")
    if not password or "," in password:
        raise Misconfigured("must be set, and hold no comma", PASSWORD)
    for name in [name for name in os.environ if name.startswith("FLOWER_")]:
        del os.environ[name]
    # A command line is for all to read.
    os.environ["FLOWER_BASIC_AUTH"] = f"{USER}:{password}"
    watch_parent(os.environ)
    from worker.celery import app

    app.start(["--quiet", "flower", *options(port)])


def options(port: int) -> tuple[str, ...]:
    """Flower's own options."""
    return (
        f"--address={ADDRESS}",
        f"--port={port}",
        "--read_only",
        # Another file could lift what the lines above say.
        f"--conf={os.devnull}",
        "--purge_offline_workers=3600",
        "--tasks_columns=name,uuid,state,args,result,exception,received,runtime,worker",
    )


def _require() -> None:
    if find_spec("flower") is None:
        raise Misconfigured("needs Flower: pip install 'acumatica-worker[flower]'", "flower")

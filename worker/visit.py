"""A visit to the ERP by a command: through the sessions and the minute that the workers share, for as long as it takes.

The store must run; the last to leave signs out. Raises whatever keeps a job from a session.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from uuid import uuid4

from rich.console import Console

from worker.bootsteps import Heartbeat
from worker.erp.caller import Caller
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.gateway import Gateway
from worker.erp.store import answering
from worker.job import Lane
from worker.settings import Settings
from worker.storage import COMMAND_SECONDS, open_store, saying_the_way_out

TRY_SECONDS = 120.0
BEAT_SECONDS = 1.0
QUIET_SECONDS = 2.0
"""How long somebody waits without a word."""


@dataclass(frozen=True)
class Visit:
    """A way to the ERP, and the gateway that it goes through."""

    erp: Erp
    gateway: Gateway


@contextmanager
def visiting(settings: Settings, name: str, what: str) -> Iterator[Visit]:
    """A visit to the connection of that name; ``what`` is the command, for those who watch."""
    settings.connection(name)
    with saying_the_way_out(), closing(open_store(settings, COMMAND_SECONDS)) as store:
        with answering():
            # An exchange would wait for the store as a job does.
            store.ping()
        gateway = Gateway(settings, store, f"{what}/{uuid4().hex[:8]}")
        heartbeat = Heartbeat(what, BEAT_SECONDS, gateway.beat)
        heartbeat.start()
        try:
            with gateway.job(name):
                caller = Caller(lane=Lane.INTERACTIVE, deadline=Deadline(TRY_SECONDS), job_id=what)
                yield Visit(gateway.erp(name, caller), gateway)
        finally:
            heartbeat.stop()
            gateway.close()


@contextmanager
def patience(
    words: str, console: Console, quiet_seconds: float = QUIET_SECONDS
) -> Iterator[Callable[[str], None]]:
    """Says on a terminal what is being done, once that takes its time; what it gives says it in other words."""
    status = console.status(words)
    timer = threading.Timer(quiet_seconds, status.start)
    timer.daemon = True
    if console.is_terminal:
        timer.start()
    try:
        yield status.update
    finally:
        timer.cancel()
        if timer.is_alive():
            timer.join()
        status.stop()

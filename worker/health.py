"""acuworker health: whether this machine's workers live and can work, for the probes of Kubernetes or systemd.

It says what is wrong in one line, and takes no longer than a probe waits. Looking changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from threading import Thread

from worker import beats
from worker.beats import Living
from worker.errors import StoreUnavailable, WorkerError
from worker.settings import Settings

PATIENCE_SECONDS = 0.7
"""How long the store and the broker may take to answer."""


@dataclass(frozen=True)
class Verdict:
    """Whether all is well, and a line that says what is, or what is not."""

    is_well: bool
    line: str


def probe(only_live: bool) -> Verdict:
    """Look at this machine's workers and, unless ``only_live``, at the store and the broker. Raises Misconfigured."""
    settings = Settings.load()
    workers = beats.living(settings.var)
    if (verdict := verdict_on(workers, settings)) is not None:
        return verdict
    count = f"{len(workers)} worker{'' if len(workers) == 1 else 's'}"
    if only_live:
        return Verdict(True, f"live: {count}")
    trouble = _trouble(
        {"store": lambda: _fleet_knows(settings, workers), "broker": lambda: _broker_answers(settings)}
    )
    return Verdict(False, f"not ready: {trouble}") if trouble else Verdict(True, f"ready: {count}")


def verdict_on(workers: Sequence[Living], settings: Settings) -> Verdict | None:
    """That they do not live, or that one is not well; None where all are well."""
    if not workers:
        return Verdict(False, f"not live: no worker of {settings.var.absolute()} runs: acuworker up")
    ill = [f"{each.node} has not beaten for {each.silent:.0f} s" for each in workers if not each.is_well]
    return Verdict(False, f"not live: {'; '.join(ill)}") if ill else None


def _trouble(questions: Mapping[str, Callable[[], None]]) -> str:
    """What is wrong by these questions, asked side by side; one that hangs is wrong too."""
    found = {what: f"the {what} does not answer" for what in questions}

    def ask(what: str, question: Callable[[], None]) -> None:
        try:
            question()
            del found[what]
        except WorkerError as error:
            found[what] = error.line

    # Who hangs is left behind: the process does not wait for a daemon.
    asking = [Thread(target=ask, args=each, daemon=True) for each in questions.items()]
    for thread in asking:
        thread.start()
    latest = time.monotonic() + PATIENCE_SECONDS
    for thread in asking:
        thread.join(max(0.0, latest - time.monotonic()))
    return "; ".join(found.values())


def _fleet_knows(settings: Settings, workers: Sequence[Living]) -> None:
    from worker.jobstore import JobStore
    from worker.storage import open_store

    with closing(open_store(settings, PATIENCE_SECONDS)) as store:
        known = {present.owner.rpartition("/")[0] for present in JobStore(store).workers()}
    missing = [each.node for each in workers if each.node not in known]
    if missing:
        raise StoreUnavailable(f"the store does not know {', '.join(missing)} as present")


def _broker_answers(settings: Settings) -> None:
    if not settings.broker_url:
        return
    from worker.celery import app
    from worker.doorbell import Doorbell

    with Doorbell(app, settings.broker).connected():
        pass

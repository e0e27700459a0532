"""``python -m tests.chaos.sabotage GUARD celery …``: a program of ours with one of its guards taken out.

This is how a check shows that it would notice: its control runs with the guard that it is about missing, and must
fail. The guard is taken out inside the process that is started; ``worker/`` has no switch for it. A guard that is not
where it was any more raises GuardMissing.
"""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from celery.exceptions import Ignore

from worker import jobstore
from worker.blobs import directory
from worker.erp import license as license_
from worker.erp import slots
from worker.erp.budget import Budget, Permit
from worker.erp.gateway import Gateway
from worker.erp.sessions import SessionPool
from worker.erp.store import Script
from worker.errors import StageLost
from worker.job import Lane
from worker.paging import Marks
from worker.publisher import Checkpoint
from worker.runner import Runner
from worker.sending import Sender
from worker.sweeper import Sweeper
from worker.tasks import Retrieve


class GuardMissing(Exception):
    """A guard was to be taken out that is not there."""


def no_pacing() -> None:
    """Bulk may burst as interactive may."""

    def burst(really: Any, budget: Budget, caller: Any, *rest: Any) -> Any:
        return really(budget, replace(caller, lane=Lane.INTERACTIVE), *rest)

    _wrap(Budget, "permit", burst)


def no_hearing() -> None:
    """Nobody notices how long answers take."""
    _wrap(Permit, "took", lambda *_: None)


def no_lanes() -> None:
    """At the session pool every caller is bulk."""

    def in_one_lane(really: Any, pool: SessionPool, caller: Any, *rest: Any) -> Any:
        return really(pool, replace(caller, lane=Lane.BULK), *rest)

    _wrap(SessionPool, "lease", in_one_lane)


def no_order() -> None:
    """At the session pool the last comes first."""
    numbers = count()

    def before_all(really: Any, *rest: Any) -> Any:
        return {**really(*rest), "rank": -next(numbers)}

    _wrap(SessionPool, "_asked", before_all)


def no_affinity() -> None:
    """A session changes its connection for whoever is next, however short it has had it."""
    kept = "LINGER, TENURE, TENURE_USES, TENURE_MOST = 1000, 5000, 25, 30000"

    def hasty(really: Any, name: str) -> Any:
        text = really(name)
        if name == "waiters.lua" and kept not in text:
            raise GuardMissing(f"{name} has no line {kept!r}")
        return text.replace(kept, "LINGER, TENURE, TENURE_USES, TENURE_MOST = 0, 0, 0, 0")

    _wrap(license_, "source", hasty)


def no_quarantine() -> None:
    """A slot whose sign-in was never answered is free as soon as its time is up."""
    if all(step.name != "unanswered" for step in slots.TRANSITIONS):
        raise GuardMissing("there is no step 'unanswered' in slots.py")
    at_once = tuple(
        replace(step, after=slots.FREE) if step.name == "unanswered" else step for step in slots.TRANSITIONS
    )
    _wrap(slots, "render", lambda really: really(at_once))


def no_sweeper() -> None:
    """Nobody rings again for a job that nobody sees to."""
    _wrap(Sweeper, "sweep", lambda *_: None)


def no_once() -> None:
    """Nobody minds that something may have been sent before."""

    def heedless(really: Any, sender: Sender, *rest: Any) -> Any:
        return really(replace(sender, idempotent=True), *rest)

    _wrap(Sender, "begun", heedless)


def no_attempts() -> None:
    """The job store takes what any attempt writes."""
    kept = "return get('state') == 'running' and number('attempt') == attempt"

    def heedless(really: Any, script: Script, store: Any, text: str, prefix: str) -> Any:
        if "local function is_latest" in text:
            if kept not in text:
                raise GuardMissing(f"jobstore.lua has no line {kept!r}")
            text = text.replace(kept, "return get('state') ~= nil")
        return really(script, store, text, prefix)

    _wrap(Script, "__init__", heedless)


def no_stopping() -> None:
    """A worker that is asked to end does all that it has in hand first."""
    for floor in (Runner, Gateway):
        _wrap(floor, "stop", lambda *_: None)


def no_crashes() -> None:
    """Nobody counts how often a job's worker has ended without a word."""
    if not hasattr(jobstore, "MOST_CRASHES"):
        raise GuardMissing("jobstore.py has no MOST_CRASHES")
    jobstore.MOST_CRASHES = 1_000_000


def no_one_task() -> None:
    """To Celery each slice of a job is a task that has ended."""

    def ended(really: Any, *rest: Any, **named: Any) -> Any:
        try:
            return really(*rest, **named)
        except Ignore:
            return {}

    _wrap(Retrieve, "run", ended)


def no_whole() -> None:
    """A blob is written where it is seen."""

    def in_its_place(really: Any, source: Path, place: Path) -> bool:
        content = source.read_bytes()
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            time.sleep(0.2)
            file.write(content[len(content) // 2 :])
        return True

    _wrap(directory, "_put_if_absent", in_its_place)


def no_joining() -> None:
    """Whatever comes first in a page is taken for a row that was passed."""

    def first(really: Any, marks: Marks, rows: Any, *rest: Any) -> Any:
        found = really(marks, rows, *rest)
        return 0 if found is None and rows and len(marks) else found

    _wrap(Marks, "last_in", first)


def no_cursors() -> None:
    """Whoever goes on with a job begins it anew."""

    def lost(_really: Any, _text: str) -> Any:
        raise StageLost("the cursor is taken away")

    _wrap(Checkpoint, "read", lost)


GUARDS: Mapping[str, Callable[[], None]] = {
    "pacing": no_pacing,
    "hearing": no_hearing,
    "lanes": no_lanes,
    "order": no_order,
    "affinity": no_affinity,
    "quarantine": no_quarantine,
    "sweeper": no_sweeper,
    "attempts": no_attempts,
    "once": no_once,
    "stopping": no_stopping,
    "crashes": no_crashes,
    "one task": no_one_task,
    "joining": no_joining,
    "cursors": no_cursors,
    "whole": no_whole,
}


def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Put a function around another, which it is given first."""
    really = getattr(owner, name, None)
    if really is None:
        raise GuardMissing(f"{owner.__name__} has no {name!r}")
    setattr(owner, name, lambda *rest, **named: around(really, *rest, **named))


def main(guard: str, program: str) -> None:
    """Take the guard out, and be the program, which finds its arguments where it looks for them."""
    GUARDS[guard]()
    del sys.argv[1]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv.pop(2))

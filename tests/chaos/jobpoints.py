"""Where a worker can be killed or stopped in a job's life: before and after each step that changes what others see.

``arm`` wraps those steps inside a process, beside the points of killpoints.py, and leaves a line of each write of an
attempt, so that a judge can see which were taken. A step that is not where it was raises StepMissing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery.backends.base import Backend
from kombu.message import Message
from kombu.transport import pyamqp, virtual

from tests.chaos.killpoints import Orders
from worker.blobs import directory
from worker.doorbell import Doorbell
from worker.erp.store import Script
from worker.jobstore import MOST_CRASHES
from worker.publisher import Draft
from worker.runner import Runner

AROUND = ("before", "after")
STEPS = {
    "submit": ("row before", "row after", "message before", "message after"),
    "message": ("popped", "held"),
    "begin": AROUND,
    "page": ("staged before", "staged after"),
    "checkpoint": AROUND,
    "manifest": AROUND,
    "finish": AROUND,
    "answer": AROUND,
    "told": AROUND,
    "acknowledge": AROUND,
    "continue": AROUND,
    "ring": AROUND,
    "park": AROUND,
    "sweep": ("swept", "ring before", "ring after"),
    "release": AROUND,
    "requeue": AROUND,
}
POINTS = tuple(f"{step}: {moment}" for step, moments in STEPS.items() for moment in moments)

OF_A_LEASE = tuple(f"lease: {step} {moment}" for step in ("lease", "release") for moment in AROUND)
OF_AN_EXCHANGE = tuple(f"exchange: request {moment}" for moment in ("before", "sent", "mid", "after"))
"""Points of killpoints.py that jobs come to as well."""

WRITES = {
    "checkpoint": "checkpoint",
    "put_off": "park",
    "continue": "continue",
    "release": "release",
    "finish": "finish",
    "fail": "finish",
}
"""What only the latest attempt may write, and the step that it is."""

OTHERS = {"accept": "submit: row", "begin": "begin:", "told": "told:"}


class StepMissing(Exception):
    """A step of a job is not where it was."""


def arm(orders: Orders) -> None:
    """Let this process die wherever an order says."""
    at = threading.local()
    _wrap_store(orders, at)
    _wrap_messages(orders, at)
    _wrap_result(orders)


def _wrap_store(orders: Orders, at: threading.local) -> None:
    really: Any = Script.__call__

    def call(script: Script, operation: str, **named: Any) -> Any:
        if operation == "accept":
            at.submits = True
        if "attempt" in named and operation in WRITES:
            return write(script, operation, **named)
        stage = OTHERS.get(operation)
        if stage is None:
            reply = really(script, operation, **named)
            if operation == "sweep" and reply.get("bells"):
                orders.reached("sweep: swept")
            return reply
        orders.reached(f"{stage} before")
        reply = really(script, operation, **named)
        if operation == "begin" and reply.get("kind") == "attempt":
            _spare_the_third(orders, script, named["id"])
            orders.tell("attempt", id=named["id"], attempt=reply["attempt"])
        orders.reached(f"{stage} after")
        return reply

    def write(script: Script, operation: str, **named: Any) -> Any:
        page = f"{named['id']}: page {named['pages']}" if operation == "checkpoint" else named["id"]
        orders.reached(f"{WRITES[operation]}: before")
        orders.reached(f"{page} before")
        sent = time.monotonic_ns()
        reply = really(script, operation, **named)
        about = {"id": named["id"], "attempt": named["attempt"]}
        orders.tell("write", operation=operation, sent=sent, accepted=reply is not False, **about)
        orders.spare(named["id"], False)
        orders.reached(f"{WRITES[operation]}: after")
        orders.reached(f"{page} after")
        return reply

    _replace(Script, "__call__", call)


def _spare_the_third(orders: Orders, script: Any, job_id: str) -> None:
    """A job whose worker dies three times in a row is given up, as poison.py shows; nobody else's is to be."""
    crashes = script._store.hget(f"acuworker:job:{job_id}", "crashes")
    if int(crashes or 0) >= MOST_CRASHES - 1:
        orders.spare(job_id, True)


def _wrap_messages(orders: Orders, at: threading.local) -> None:
    def popped(really: Any, *rest: Any) -> Any:
        # It is off its queue, and nobody has noted yet that a worker has it.
        orders.reached("message: popped")
        return really(*rest)

    def held(really: Any, *rest: Any) -> Any:
        orders.reached("message: held")
        return really(*rest)

    def rung(really: Any, *rest: Any) -> Any:
        stage = _ringing(at)
        orders.reached(f"{stage} before")
        really(*rest)
        orders.reached(f"{stage} after")

    def acknowledged(really: Any, *rest: Any, **named: Any) -> Any:
        orders.reached("acknowledge: before")
        really(*rest, **named)
        orders.reached("acknowledge: after")

    def rejected(really: Any, *rest: Any, **named: Any) -> Any:
        orders.reached("requeue: before")
        really(*rest, **named)
        orders.reached("requeue: after")

    _wrap(virtual.Transport, "_deliver", popped)
    _wrap(pyamqp.Channel, "_on_basic_deliver", popped)
    _wrap(Runner, "run", held)
    _wrap(Doorbell, "ring", rung)
    _wrap(Message, "ack", acknowledged)
    for name in ("reject", "requeue"):
        _wrap(Message, name, rejected)


def _ringing(at: threading.local) -> str:
    """What somebody rings for: a job that was handed in, one that nobody saw to, or the next slice of one."""
    if getattr(at, "submits", False):
        return "submit: message"
    return "sweep: ring" if threading.current_thread().name == "heartbeat-sweeper" else "ring:"


def _wrap_result(orders: Orders) -> None:
    def staged_before(really: Any, *rest: Any) -> Any:
        orders.reached("page: staged before")
        return really(*rest)

    def staged_after(really: Any, *rest: Any) -> Any:
        kept = really(*rest)
        orders.reached("page: staged after")
        return kept

    def put(really: Any, source: Path, place: Path) -> Any:
        if place.name != "manifest.json":
            return really(source, place)
        orders.reached("manifest: before")
        sent = time.monotonic_ns()
        shown = really(source, place)
        orders.tell("manifest", id=place.parent.name, sent=sent, put=shown)
        orders.reached("manifest: after")
        return shown

    def answered(
        really: Any, backend: Any, job_id: str, result: Any, state: str, *rest: Any, **named: Any
    ) -> Any:
        ends = state in ("SUCCESS", "FAILURE")
        if ends:
            orders.reached("answer: before")
        told = really(backend, job_id, result, state, *rest, **named)
        if ends:
            orders.reached("answer: after")
        return told

    _wrap(Draft, "add", staged_before)
    _wrap(Draft, "checkpoint", staged_after)
    _wrap(directory, "_put_if_absent", put)
    _wrap(Backend, "store_result", answered)


def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Put a function around another, which it is given first."""
    really = getattr(owner, name, None)
    if really is None:
        raise StepMissing(f"{owner.__name__} has no {name!r}")
    _replace(owner, name, lambda *rest, **named: around(really, *rest, **named))


def _replace(owner: Any, name: str, with_this: Any) -> None:
    setattr(owner, name, with_this)

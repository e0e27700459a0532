"""Where a worker can be killed: before and after every word to the store or the ERP that a session's life depends on.

``arm`` wraps those words inside a worker's process. An order is a file that names a point; the first worker of the
fleet that comes to it takes the order, writes down that it did, and kills itself as the kernel would, or stops.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worker.erp import network
from worker.erp.store import Script
from worker.erp.wire import Request, Wire

REQUEST = ("request before", "request sent", "request mid", "request after")
OPENING = ("intent after", "send before", "send after", *REQUEST)
POINTS = tuple(
    f"{activity}: {moment}"
    for activity, moments in {
        "lease": ("lease before", "lease after", "release before", "release after"),
        "exchange": REQUEST,
        "sign-in": (*OPENING, "opened before", "opened after"),
        "refresh": (*OPENING, "refreshed before", "refreshed after"),
        "sign-out": ("close after", *REQUEST, "closed before", "closed after"),
        "revocation": REQUEST,
    }.items()
    for moment in moments
)


STOPPING_SECONDS = 0.1
"""A signal to a process of many threads stops the one that sent it a little later than it was sent."""


class Orders:
    """The orders of a fleet, in a directory: one at a time, carried out once."""

    def __init__(self, directory: Path, kills: Path) -> None:
        self._order = directory / "order"
        self._kills = kills
        self._unanswered: set[int] = set()
        self._spared: frozenset[str] = frozenset()

    def give(self, point: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill the first worker that comes to this point, or stop it."""
        written = self._order.with_suffix(".new")
        written.write_text(f"{how.name} {point}", encoding="utf-8")
        written.replace(self._order)

    @property
    def stands(self) -> bool:
        """Whether nobody has taken the order yet."""
        return self._order.exists()

    def take_back(self) -> bool:
        """Whether there was an order still."""
        try:
            self._order.unlink()
        except FileNotFoundError:
            return False
        return True

    def sent(self) -> None:
        """This thread may have sent a sign-in, or a renewal, that the store has not heard the end of."""
        self._unanswered.add(threading.get_ident())

    def answered(self) -> None:
        """It has."""
        self._unanswered.discard(threading.get_ident())

    def spare(self, job_id: str, is_spared: bool) -> None:
        """Carry no order out while this process has that job in hand; or do so again."""
        self._spared = self._spared | {job_id} if is_spared else self._spared - {job_id}

    def reached(self, point: str | None) -> None:
        """Die here, if that is the order."""
        if self._spared:
            return
        try:
            how, _, ordered = self._order.read_text(encoding="utf-8").partition(" ")
            if ordered != point:
                return
            self._order.unlink()
        except FileNotFoundError:
            return
        kind = "kill" if how == signal.SIGKILL.name else "stop"
        self.tell(kind, point=point, cut_off=len(self._unanswered))
        os.kill(os.getpid(), signal.Signals[how])
        time.sleep(STOPPING_SECONDS)

    def tell(self, kind: str, **facts: Any) -> None:
        """Write a line down for the judge, of what this process has just done."""
        line = {"kind": kind, "at": time.monotonic_ns(), "pid": os.getpid(), **facts}
        with self._kills.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def arm(orders: Orders) -> None:
    """Let this process die wherever an order says."""
    at = _Where()
    _wrap_store(orders, at)
    _wrap_erp(orders, at)


ENDS = frozenset({"opened", "not_opened", "refreshed", "not_refreshed", "not_renewable", "unknown"})
"""Steps after which the store knows what became of a sign-in or a renewal, as far as anybody does."""


class _Where(threading.local):
    """What a thread is at: opening a session anew or renewing it, and the request that it waits on."""

    opening = "sign-in"
    request: str | None = None
    reads = 0


_AFTER_LOOKING = {
    "use": "lease: lease after",
    "sign_in": "sign-in: intent after",
    "refresh": "refresh: intent after",
    "close": "sign-out: close after",
}


def _wrap_store(orders: Orders, at: _Where) -> None:
    really: Any = Script.__call__

    def call(script: Script, operation: str, **named: Any) -> Any:
        stage = _stage(operation, named, at) if "attempt" not in named else None
        if stage:
            orders.reached(f"{stage} before")
        reply = really(script, operation, **named)
        if stage and stage.endswith(": send"):
            orders.sent()
        elif (named.get("name") if operation in ("step", "opened") else None) in ENDS:
            orders.answered()
        answer = reply.get("answer") if isinstance(reply, dict) else None
        if operation in ("lease", "idle", "last", "lost"):
            at.opening = "refresh" if answer == "refresh" else "sign-in"
            orders.reached(_AFTER_LOOKING.get(str(answer)))
        elif stage:
            orders.reached(f"{stage} after")
        return reply

    _replace(Script, "__call__", call)


def _stage(operation: str, named: Any, at: _Where) -> str | None:
    """The step of a session's life that an operation of the store is."""
    match named.get("name") if operation in ("step", "opened") else operation:
        case "lease":
            return "lease: lease"
        case "release":
            return "lease: release"
        case "send":
            return f"{at.opening}: send"
        case "opened":
            return "sign-in: opened"
        case "refreshed":
            return "refresh: refreshed"
        case "closed":
            return "sign-out: closed"
    return None


def _wrap_erp(orders: Orders, at: _Where) -> None:
    really_sent: Any = Wire.send
    really_read: Any = network._Stream.read

    def send(wire: Wire, request: Request, *rest: Any, **named: Any) -> Any:
        activity = activity_of(request)
        if activity is None:
            return really_sent(wire, request, *rest, **named)
        orders.reached(f"{activity}: request before")
        with _waiting_on(at, activity):
            answer = really_sent(wire, request, *rest, **named)
        orders.reached(f"{activity}: request after")
        return answer

    def read(stream: Any, *rest: Any, **named: Any) -> Any:
        if at.request is None or at.reads:
            return really_read(stream, *rest, **named)
        at.reads += 1
        orders.reached(f"{at.request}: request sent")
        data = really_read(stream, *rest, **named)
        orders.reached(f"{at.request}: request mid")
        return data

    _replace(Wire, "send", send)
    _replace(network._Stream, "read", read)


@contextmanager
def _waiting_on(at: _Where, activity: str) -> Iterator[None]:
    at.request, at.reads = activity, 0
    try:
        yield
    finally:
        at.request = None


def activity_of(request: Request) -> str | None:
    """What a request is to a session's life; None for discovery and the like."""
    form = request.form or {}
    if "grant_type" in form:
        return "refresh" if form["grant_type"] == "refresh_token" else "sign-in"
    if "token" in form:
        return "revocation"
    if request.path.endswith("/auth/logout"):
        return "sign-out"
    if request.path.endswith("/auth/login"):
        return "sign-in"
    return "exchange" if request.path.startswith("/entity/") else None


def _replace(owner: Any, name: str, with_this: Any) -> None:
    setattr(owner, name, with_this)

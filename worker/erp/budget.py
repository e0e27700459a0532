"""The license's minute: who may make a request now, for every worker that shares the license.

Bulk is spread evenly from its first request on, because a burst that is paced afterwards costs more of the delay
that the ERP imposes from half of the limit on (vendor's guide, License Restrictions for API Users); interactive may
burst, and goes first. What is in flight counts, and is stamped when it is released. When answers come late because
other software spends the same license, less is spent here, until they do not (congestion.lua). A store that does not
answer raises StoreUnavailable, and then there is no leave; one that was emptied gives none for a minute.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import redis

from worker.erp.caller import Caller
from worker.erp.license import LimitsInForce, prefix
from worker.erp.store import Script, ms, source
from worker.errors import ErpBusy, Stopping, StoreUnavailable
from worker.job import Lane

LONGEST_WAIT = 5.0
"""Seconds after which a waiter asks again, whatever it was told."""

SHORTEST_STEP, STEP = 0.01, 1.25
"""Waits are counted by steps of time: one of at most so many seconds, and each so many times the one before."""


@dataclass(frozen=True, kw_only=True)
class BudgetView:
    """The minute as people see it: ``arrivals`` of the last 60 s, what is ``in_flight``, and the ``limit`` in force.

    It is below the ``configured`` one while others spend the license: for ``cut_seconds`` now (None: it is not), and
    was cut last as answers were ``late_seconds`` later than usual. Limits of 0 are none. ``wait_p95`` is what 95 of 100
    requests of a lane waited at most, in the last minutes; ``declined`` those that the ERP has ever declined.
    """

    arrivals: int
    in_flight: int
    limit: int
    configured: int
    late_seconds: float
    cut_seconds: float | None
    wait_p95: Mapping[Lane, float] = field(default_factory=dict)
    declined: int = 0


class Permit:
    """The leave to make one request; whether it was made decides what it costs."""

    def __init__(self, round_: int = 0) -> None:
        """``round_`` tells the store which of its cuts the request has felt."""
        self.used = False
        self.round = round_
        self.answer: dict[str, Any] = {}
        self.watched: dict[str, Any] = {}

    def use(self, lane: Lane, waited: float) -> None:
        """The request is made now; it waited so many seconds for this permit and a session."""
        self.used = True
        self.watched["waited"] = f"{lane}|{step_of(waited)}"

    def took(self, kind: str, seconds: float) -> None:
        """Learn how long the ERP took to answer; answers of one ``kind`` are compared with each other."""
        self.answer = {"kind": kind, "took_ms": ms(seconds), "round": self.round}


class Budget:
    """The minute of one license, in the store."""

    def __init__(self, store: redis.Redis, limits: LimitsInForce, stop: threading.Event) -> None:
        text = source("congestion.lua") + source("budget.lua")
        self._script = Script(store, text, prefix(limits.name))
        self._limits = limits
        self._stop = stop
        self._flying: dict[str, int] = {}

    @contextmanager
    def permit(self, caller: Caller, longest: float) -> Iterator[Permit]:
        """The leave to make one request that takes at most ``longest`` seconds; waits for it.

        Raises DeadlineExceeded, Stopping or StoreUnavailable. A permit that was not used costs nothing.
        """
        with self._permit(caller, longest, str(caller.lane)) as permit:
            yield permit

    @contextmanager
    def sign_in_permit(self, caller: Caller, longest: float) -> Iterator[Permit]:
        """The leave to sign in, which goes first and for which some of the limit is kept; raises as ``permit``."""
        with self._permit(caller, longest, "sign_in") as permit:
            yield permit

    @contextmanager
    def exempt(self, longest: float) -> Iterator[None]:
        """Count a request that is never held up: a sign-out (vendor's guide, License Restrictions)."""
        name = uuid.uuid4().hex
        with suppress(StoreUnavailable):
            self._script("exempt", id=name, longest_ms=ms(longest))
        try:
            yield
        finally:
            with suppress(StoreUnavailable):
                self._script("sent", id=name)

    def beat(self) -> None:
        """Keep the permits of this process counted while their requests wait. Raises StoreUnavailable."""
        if held := self._flying.copy():
            self._script("keep", held=held)

    def view(self) -> BudgetView:
        """The minute, for people. Raises StoreUnavailable."""
        told = self._script("view")
        cut_ms = told.get("cut_ms")
        return BudgetView(
            arrivals=told["arrivals"],
            in_flight=told["in_flight"],
            limit=told["limit"],
            configured=told["configured"],
            late_seconds=told["late_ms"] / 1000,
            cut_seconds=None if cut_ms is None else cut_ms / 1000,
            wait_p95=wait_p95(dict(told["waits"])),
            declined=told["declined"],
        )

    @contextmanager
    def _permit(self, caller: Caller, longest: float, lane: str) -> Iterator[Permit]:
        name = uuid.uuid4().hex
        permit = Permit(self._wait(name, caller, longest, lane))
        self._flying[name] = ms(longest)
        try:
            yield permit
        except ErpBusy:
            permit.watched["declined"] = True
            raise
        finally:
            del self._flying[name]
            # Unreleased, it counts for longer than it must: the answer that we have is worth more.
            with suppress(StoreUnavailable):
                if permit.used:
                    self._script("sent", id=name, **permit.answer, **permit.watched)
                else:
                    self._script("unused", id=name)

    def _wait(self, name: str, caller: Caller, longest: float, lane: str) -> int:
        """Wait until the request may be made; the round of cuts that it belongs to."""
        began = time.monotonic()
        try:
            while True:
                told = self._ask(name, lane, longest, time.monotonic() - began)
                if "round" in told:
                    return int(told["round"])
                caller.deadline.check("the license's minute")
                pause = max(0.001, min(told["wait_ms"] / 1000, LONGEST_WAIT, caller.deadline.remaining()))
                caller.spent.waited("budget", pause)
                if self._stop.wait(pause):
                    raise Stopping("the worker is shutting down")
        except BaseException:
            with suppress(StoreUnavailable):
                self._script("unused", id=name)
            raise

    def _ask(self, name: str, lane: str, longest: float, waited: float) -> dict[str, Any]:
        """The store's answer; one that was emptied, or is new to this process, is asked again once we take part."""
        asked = {"id": name, "lane": lane, "longest_ms": ms(longest), "waited_ms": ms(waited)}
        while (told := self._script("take", epoch=self._limits.epoch, **asked)).get("emptied"):
            self._limits.join()
        return dict(told)


def step_of(seconds: float) -> int:
    """The step of time that a wait is counted in."""
    return max(0, math.ceil(math.log(max(seconds, SHORTEST_STEP) / SHORTEST_STEP, STEP)))


def wait_p95(counts: Mapping[str, int]) -> dict[Lane, float]:
    """What 95 of 100 requests of each lane waited at most, in seconds, by how many waited for each step of time."""
    found: dict[Lane, float] = {}
    for lane in Lane:
        steps = {int(name.split("|")[1]): count for name, count in counts.items() if name.startswith(lane)}
        passed, enough = 0, 0.95 * sum(steps.values())
        for step in sorted(steps):
            passed += steps[step]
            if passed >= enough:
                found[lane] = SHORTEST_STEP * STEP**step
                break
    return found

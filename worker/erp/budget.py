"""The license's minute, paced: who may make a request now, for every worker that shares the license.

Bulk is spread evenly from its first request on, because a burst that is paced afterwards costs more of the delay
that the ERP imposes from half of the limit on (vendor's guide, License Restrictions for API Users); interactive may
burst. What is in flight counts, and is stamped when it is released. It trusts the limit that it is given: other
software that spends the same license is not seen here.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis

from worker.erp.caller import Caller
from worker.erp.store import Script, ms
from worker.errors import Stopping, StoreUnavailable
from worker.job import Lane
from worker.settings import Connection

LONGEST_WAIT = 5.0
"""Seconds after which a waiter asks again, whatever it was told."""


class Permit:
    """The leave to make one request; whether it was made decides what it costs."""

    def __init__(self) -> None:
        self.used = False


class Budget:
    """The minute of one license, in the store."""

    def __init__(self, store: redis.Redis, connection: Connection, stop: threading.Event) -> None:
        self._script = Script(store, "budget.lua", f"acuworker:{connection.name}:")
        self._limit = connection.max_per_minute
        self._for_sign_ins = min(connection.max_sessions, self._limit - 1)
        self._stop = stop
        self._flying: dict[str, int] = {}

    @contextmanager
    def permit(self, caller: Caller, longest: float) -> Iterator[Permit]:
        """The leave to make one request that takes at most ``longest`` seconds; waits for it.

        Raises DeadlineExceeded, Stopping or StoreUnavailable. A permit that was not used costs nothing.
        """
        with self._permit(caller, longest, self._for_sign_ins) as permit:
            yield permit

    @contextmanager
    def sign_in_permit(self, caller: Caller, longest: float) -> Iterator[Permit]:
        """The leave to sign in, for which some of the limit is kept; raises as ``permit``."""
        with self._permit(caller, longest, 0) as permit:
            yield permit

    @contextmanager
    def exempt(self, longest: float) -> Iterator[None]:
        """Count a request that is never held up: a sign-out (vendor's guide, License Restrictions)."""
        name = uuid.uuid4().hex
        if self._limit:
            with suppress(StoreUnavailable):
                self._script("exempt", name, ms(longest))
        try:
            yield
        finally:
            if self._limit:
                with suppress(StoreUnavailable):
                    self._script("sent", name)

    def beat(self) -> None:
        """Keep the permits of this process counted while their requests wait. Raises StoreUnavailable."""
        if held := tuple(self._flying.copy().items()):
            self._script("keep", *(part for item in held for part in item))

    @contextmanager
    def _permit(self, caller: Caller, longest: float, reserve: int) -> Iterator[Permit]:
        permit = Permit()
        if not self._limit:
            yield permit
            return
        name = uuid.uuid4().hex
        self._take(name, caller, longest, reserve)
        self._flying[name] = ms(longest)
        try:
            yield permit
        finally:
            del self._flying[name]
            # Unreleased, it counts for longer than it must: the answer that we have is worth more.
            with suppress(StoreUnavailable):
                self._script("sent" if permit.used else "unused", name)

    def _take(self, name: str, caller: Caller, longest: float, reserve: int) -> None:
        paced = "1" if caller.lane is Lane.BULK else "0"
        while wait := self._script("take", name, self._limit, paced, ms(longest), reserve) / 1000:
            caller.deadline.check(f"the license's minute ({self._limit} requests)")
            pause = max(0.001, min(wait, LONGEST_WAIT, caller.deadline.remaining()))
            caller.spent.waited("budget", pause)
            if self._stop.wait(pause):
                raise Stopping("the worker is shutting down")

"""The license's seats: who holds a session, until when, and one request at a time in each.

Vendor's guide, License Restrictions for API Users and Signing Out; serialisation and expiry as reported by
live instances. Opening may be refused by a login limit; nothing else fails.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from deploy.sandbox.events import EventLog

SeatLimit = Literal["license", "user"]


class SignIn:
    """One OAuth grant with all its refreshed tokens, or one cookie sign-in. It holds at most one session.

    `turn` is the ERP's lock on a session: requests of one sign-in wait for each other, in order of arrival.
    `expires` is in seconds of the event loop's clock.
    """

    def __init__(self, kind: Literal["bearer", "cookie"], expires: float) -> None:
        self.kind = kind
        self.expires = expires
        self.turn = asyncio.Lock()
        self.session: int | None = None


def reached_limit(open_sessions: int, max_sessions: int, max_per_user: int) -> SeatLimit | None:
    """Which login limit refuses one more session, 0 being no limit. The license is asked before the user
    (vendor's guide, Limitation of API Connections); the sandbox has one user, who holds every session."""
    if max_sessions and open_sessions >= max_sessions:
        return "license"
    if max_per_user and open_sessions >= max_per_user:
        return "user"
    return None


class Seats:
    """The open sessions. A session outlives its request; it ends by sign-out, expiry or a site restart."""

    def __init__(self, log: EventLog, max_sessions: int, max_per_user: int, idle_seconds: float) -> None:
        """At most `max_sessions` and `max_per_user` open (0: no limit); a cookie session closes after
        `idle_seconds` without a request, a bearer's when its token expires."""
        self._log = log
        self._max_sessions = max_sessions
        self._max_per_user = max_per_user
        self._idle_seconds = idle_seconds
        self._holders: set[SignIn] = set()
        self._opened = 0
        self._timers: dict[SignIn, asyncio.TimerHandle] = {}

    def open(self, sign_in: SignIn, request: int | None) -> SeatLimit | None:
        """Give `sign_in` a session unless it has one; or say which limit refuses it."""
        if sign_in.session is not None:
            return None
        refused = reached_limit(len(self._holders), self._max_sessions, self._max_per_user)
        if refused is not None:
            self._log.add("seat_refused", request, why=refused)
            return refused
        self._opened += 1
        self._holders.add(sign_in)
        sign_in.session = self._opened
        self._log.add("session_open", request, sign_in.session)
        self.settle(sign_in)
        return None

    def close(self, sign_in: SignIn, why: str, request: int | None = None) -> None:
        """Free the seat of `sign_in`, if it has one. Its tokens live on."""
        if sign_in.session is None:
            return
        self._log.add("session_close", request, sign_in.session, why=why)
        sign_in.session = None
        self._holders.discard(sign_in)
        if sign_in in self._timers:
            self._timers.pop(sign_in).cancel()

    def close_all(self, why: str) -> None:
        """Close every session, as a restart of the site does."""
        for sign_in in list(self._holders):
            self.close(sign_in, why)

    @asynccontextmanager
    async def turn(self, sign_in: SignIn) -> AsyncIterator[None]:
        """Wait for the turn of a request of `sign_in` and hold it; leaving begins the idle time."""
        try:
            async with sign_in.turn:
                yield
        finally:
            if sign_in.kind == "cookie":
                sign_in.expires = asyncio.get_running_loop().time() + self._idle_seconds
            self.settle(sign_in)

    def settle(self, sign_in: SignIn) -> None:
        """Close the session of `sign_in` if it is due, or see to it when it will be.

        A request under way is not cut off: its end settles again.
        """
        if sign_in in self._timers:
            self._timers.pop(sign_in).cancel()
        if sign_in.session is None:
            return
        loop = asyncio.get_running_loop()
        if sign_in.expires > loop.time():
            self._timers[sign_in] = loop.call_at(sign_in.expires, self.settle, sign_in)
        elif not sign_in.turn.locked():
            self.close(sign_in, "expired" if sign_in.kind == "bearer" else "idle")

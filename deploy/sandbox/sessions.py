"""The license's seats: who holds a session, until when, and one request at a time in each.

Vendor's guide, License Restrictions for API Users and Signing Out; serialisation and expiry as reported by
live instances. Opening may be refused by a login limit; nothing else fails.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from deploy.sandbox.events import EventLog
from deploy.sandbox.tenants import Who

SeatLimit = Literal["license", "user"]


class SignIn:
    """Who may hold a session, and at most one: an OAuth grant of scope `api` with all its refreshed tokens, one
    cookie of an `api:concurrent_access` grant, or one cookie sign-in.

    `turn` is the ERP's lock on a session: requests of one sign-in wait for each other, in order of arrival.
    `expires` is in seconds of the event loop's clock. `cookie` is the ASP.NET_SessionId that a bearer's sessions
    are told apart by, where they are. `forbidden` are the entities that it had no right to when its session began.
    """

    def __init__(self, kind: Literal["bearer", "cookie"], who: Who, expires: float, cookie: str = "") -> None:
        self.kind = kind
        self.who = who
        self.expires = expires
        self.cookie = cookie
        self.forbidden: frozenset[str] = frozenset()
        self.turn = asyncio.Lock()
        self.session: int | None = None


@dataclass(frozen=True)
class SeatLimits:
    """How many sessions may be open, in all and for each user; 0 is no limit."""

    max_sessions: int
    max_logins_per_user: int


def reached_limit(open_sessions: int, of_the_user: int, limits: SeatLimits) -> SeatLimit | None:
    """Which login limit refuses one more session. The license is asked before the user (vendor's guide,
    Limitation of API Connections)."""
    if limits.max_sessions and open_sessions >= limits.max_sessions:
        return "license"
    if limits.max_logins_per_user and of_the_user >= limits.max_logins_per_user:
        return "user"
    return None


class Seats:
    """The open sessions. A session outlives its request; it ends by sign-out, expiry or a site restart."""

    def __init__(
        self,
        log: EventLog,
        limits: SeatLimits,
        idle_seconds: float,
        closed: Callable[[int], None] = lambda _session: None,
    ) -> None:
        """A cookie session closes after `idle_seconds` without a request, a bearer's when its token expires.
        Lower `limits` close no session; they refuse the next. `closed` is told of each session that has ended."""
        self.limits = limits
        self._log = log
        self._idle_seconds = idle_seconds
        self._closed = closed
        self._holders: set[SignIn] = set()
        self._opened = 0
        self._timers: dict[SignIn, asyncio.TimerHandle] = {}

    def open(self, sign_in: SignIn, request: int | None) -> SeatLimit | None:
        """Give `sign_in` a session unless it has one; or say which limit refuses it."""
        if sign_in.session is not None:
            return None
        who = sign_in.who
        of_the_user = sum(holder.who.user == who.user for holder in self._holders)
        refused = reached_limit(len(self._holders), of_the_user, self.limits)
        if refused is not None:
            self._log.add("seat_refused", request, why=refused, user=who.user)
            return refused
        self._opened += 1
        self._holders.add(sign_in)
        sign_in.session = self._opened
        self._log.add("session_open", request, sign_in.session, user=who.user, tenant=who.tenant.name)
        self.settle(sign_in)
        return None

    def close(self, sign_in: SignIn, why: str, request: int | None = None) -> None:
        """Free the seat of `sign_in`, if it has one. Its tokens live on."""
        if sign_in.session is None:
            return
        self._log.add("session_close", request, sign_in.session, why=why)
        self._closed(sign_in.session)
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

"""The license's throttle: one queue before a number of cores, and a paced minute.

Vendor's guide, License Restrictions for API Users. When a request may enter is decided by pure functions;
License keeps the waiting. It fails only by declining (Declined), which the ERP answers with 429.
"""

import asyncio
import time
from bisect import bisect_right, insort
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

MINUTE = 60.0  # seconds
QUEUE_LENGTH = 20  # requests that may wait
QUEUE_SECONDS = 600.0  # seconds that a request may wait

Entry = Callable[[Sequence[float], float, int], float]


class Declined(Exception):
    """The license declines the request."""


def sliding_entry(stamps: Sequence[float], now: float, limit: int) -> float:
    """When a request arriving at `now` may enter, by the minute that ends now.

    `stamps` are the ascending times, in seconds, of the requests that entered, of those waiting too. With
    half of the limit used in the last 60 s, a request waits for (60 s - age of the oldest of them) / (rest of
    the limit); one that finds the minute full waits until it is not. (Vendor's guide, License Restrictions
    for API Users; a limit of 0 is none.)
    """
    recent = stamps[bisect_right(stamps, now - MINUTE) :]
    if not limit or len(recent) * 2 < limit:
        return now
    if len(recent) >= limit:
        return recent[-limit] + MINUTE
    oldest = min(recent[0], now)
    return now + (oldest + MINUTE - now) / (limit - len(recent))


def calendar_entry(stamps: Sequence[float], now: float, limit: int) -> float:
    """When a request arriving at `now` may enter, by the minute of the clock (epoch seconds).

    The same rule with the rest of the calendar minute in place of the rest of the window, as the page of the
    License Monitoring Console words it. (That page's example delays below half of the limit, which the guide
    rules out; half is kept.)
    """
    start = now - now % MINUTE
    used = _within(stamps, start)
    if not limit or used * 2 < limit:
        return now
    entry = start + MINUTE if used >= limit else now + (start + MINUTE - now) / (limit - used)
    while _within(stamps, entry - entry % MINUTE) >= limit:
        entry += MINUTE - entry % MINUTE
    return entry


def _within(stamps: Sequence[float], start: float) -> int:
    """How many of the stamps lie in the minute that begins at `start`."""
    return sum(start <= stamp < start + MINUTE for stamp in stamps)


def declines(waits: bool, waiting: int) -> bool:
    """Whether a request is declined on arrival: it would have to wait, and the queue is full."""
    return waits and waiting >= QUEUE_LENGTH


class Cores:
    """So many requests at once, first come, first served. The number may change while they run."""

    def __init__(self, number: int) -> None:
        """`number` cores; 0 for no limit."""
        self._number = number
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def full(self) -> bool:
        """Whether one more would have to wait."""
        return self._number > 0 and self._taken >= self._number

    async def take(self) -> None:
        """Wait for a core and hold it."""
        if not self.full():
            self._taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give_back()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give_back(self) -> None:
        """Free a core for the next."""
        self._taken -= 1
        self._wake()

    def change(self, number: int) -> None:
        """Set the number of cores. Where there are fewer now, those in use run on."""
        self._number = number
        self._wake()

    def _wake(self) -> None:
        while self._waiting and (not self._number or self._taken < self._number):
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._taken += 1
                turn.set_result(None)


class License:
    """The queue, the cores and the minute, shared by every session. Single event loop."""

    def __init__(
        self,
        concurrent: int,
        per_minute: int,
        entry: Entry = sliding_entry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`concurrent` cores and `per_minute` requests, 0 for no limit; `clock` in the seconds of `entry`."""
        self.concurrent = concurrent
        self.per_minute = per_minute
        self._cores = Cores(concurrent)
        self._entry = entry
        self._clock = clock
        self._stamps: list[float] = []
        self._waiting = 0

    def change(self, concurrent: int, per_minute: int) -> None:
        """Set the limits. Who waits for the minute already keeps its time of entry."""
        self.concurrent = concurrent
        self.per_minute = per_minute
        self._cores.change(concurrent)

    def count(self) -> None:
        """Count a request that never waits: a sign-out."""
        insort(self._stamps, self._clock())

    @asynccontextmanager
    async def core(self, imposed: Callable[[float], None]) -> AsyncIterator[None]:
        """Wait for the minute and for a core, and hold the core.

        `imposed` is told the seconds that the minute makes the request wait, if any. Raises Declined.
        """
        now = self._clock()
        entry = self._entry(self._stamps, now, self.per_minute)
        waits = entry > now or self._cores.full()
        if declines(waits, self._waiting):
            raise Declined(f"{self._waiting} requests wait already")
        self._forget(now)
        insort(self._stamps, entry)
        if entry > now:
            imposed(entry - now)
        await self._queue(entry, now)
        try:
            yield
        finally:
            self._cores.give_back()

    async def _queue(self, entry: float, now: float) -> None:
        """Wait until `entry` and for a core; a request that may not wait so long leaves the minute again."""
        self._waiting += 1
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                if entry > now:
                    await asyncio.sleep(entry - now)
                await self._cores.take()
        except TimeoutError:
            self._stamps.remove(entry)
            raise Declined(f"waited {QUEUE_SECONDS:.0f} s") from None
        finally:
            self._waiting -= 1

    def _forget(self, now: float) -> None:
        """Drop the stamps that no window can reach."""
        del self._stamps[: bisect_right(self._stamps, now - MINUTE)]

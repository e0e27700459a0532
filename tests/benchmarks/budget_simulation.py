"""The license's minute in simulation: the ERP's rule, our sessions behind the real Lua, other software beside us.

Every event has its time on a clock that is modelled, the store's too, so a quarter of an hour takes some seconds. All
but the budget is simulated: the sandbox's rule decides how long a request is held, an answer takes what ``Answers``
says, sessions are lent in order of arrival, threads wake a little late, now and then a request is stuck on its way.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from deploy.sandbox.license import sliding_entry
from worker.erp.store import Script, source

PREFIX = "acuworker:{simulated}:"
MINUTE = 60.0
Answers = Callable[[random.Random], tuple[str, float]]
"""What is asked, and the seconds that the ERP works on it."""


def mixed(rng: random.Random) -> tuple[str, float]:
    """Three entities, of 50 to 300 ms."""
    kind = rng.choice(("SalesOrder", "Payment", "StockItem"))
    low, high, usual = {"SalesOrder": (50, 300, 100), "Payment": (50, 150, 70)}.get(kind, (80, 250, 150))
    return kind, rng.triangular(low, high, usual) / 1000


def spread(rng: random.Random) -> tuple[str, float]:
    """One entity whose answers take anything from 50 to 300 ms."""
    return "SalesOrder", rng.uniform(0.05, 0.3)


def quick(rng: random.Random) -> tuple[str, float]:
    """One entity that is answered in no time, mostly: a sandbox on a busy machine."""
    return "SalesOrder", 0.015 + rng.expovariate(1 / 0.015)


def ragged(rng: random.Random) -> tuple[str, float]:
    """One entity of large and small records: one answer in six takes more than twice the median."""
    return "SalesOrder", 0.1 * rng.lognormvariate(0, 0.8)


def two_sizes(rng: random.Random) -> tuple[str, float]:
    """One entity, asked for by the page and one by one."""
    slow = rng.random() < 0.5
    return "SalesOrder", rng.triangular(0.2, 0.6, 0.3) if slow else rng.triangular(0.03, 0.08, 0.05)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A request at the ERP: when, how long it was held, and whose it was."""

    at: float
    held: float
    ours: bool


class World:
    """The clock, in seconds, and what happens when."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 1_000_000.0
        self.began = self.now
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Let something happen."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), what))

    def run(self, until: float) -> None:
        """Go on until so many seconds after the beginning."""
        while self._events and self._events[0][0] <= self.began + until:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = self.began + until


class Erp:
    """The throttle of the license, by the sandbox's rule, and its cores."""

    def __init__(self, world: World, per_minute: int, cores: int) -> None:
        self.arrivals: list[Arrival] = []
        self.slowness = 1.0
        self._world = world
        self._per_minute = per_minute
        self._stamps: list[float] = []
        self._free = cores
        self._queue: deque[Callable[[], None]] = deque()

    def ask(self, ours: bool, seconds: float, answered: Callable[[], None]) -> None:
        """A request arrives that is worked on for so long."""
        now = self._world.now
        entry = sliding_entry(self._stamps, now, self._per_minute)
        insort(self._stamps, entry)
        del self._stamps[: bisect_right(self._stamps, now - MINUTE)]
        self.arrivals.append(Arrival(at=now - self._world.began, held=entry - now, ours=ours))

        def work() -> None:
            self._world.after(seconds * self.slowness, done)

        def done() -> None:
            self._free += 1
            if self._queue:
                self._free -= 1
                self._queue.popleft()()
            answered()

        def enter() -> None:
            if self._free:
                self._free -= 1
                work()
            else:
                self._queue.append(work)

        self._world.after(entry - now, enter)


class Clocked:
    """The real store, whose scripts are told the world's time."""

    def __init__(self, real: redis.Redis, world: World) -> None:
        self._real = real
        self._world = world

    def register_script(self, text: str) -> Callable[..., Any]:
        """A script, whose time is the world's."""
        assert text.count("redis.call('TIME')") == 1
        script = self._real.register_script(text.replace("redis.call('TIME')", "{ARGV[3], 0}"))
        return lambda keys, args: script(keys=keys, args=[*args, repr(self._world.now)])


class Fleet:
    """Our threads: each waits for its permit, then for a session, asks, and begins anew if it is of ``bulk``."""

    def __init__(self, world: World, erp: Erp, budget: Script, sessions: int, answers: Answers) -> None:
        self.waits: list[tuple[float, str, float]] = []
        """When a permit was had, in which lane, and how long it was waited for."""
        self.calls = 0
        self._world = world
        self._erp = erp
        self._budget = budget
        self._answers = answers
        self._free = sessions
        self._queue: deque[Callable[[], None]] = deque()
        self._names = itertools.count()

    def begin(self, lane: str, again: bool) -> None:
        """A thread wants to make a request."""
        name, since = f"request-{next(self._names)}", self._world.now

        def ask() -> None:
            self.calls += 1
            waited = int((self._world.now - since) * 1000)
            told = self._budget("take", id=name, lane=lane, longest_ms=120_000, waited_ms=waited, epoch="-")
            if "wait_ms" in told:
                pause = max(0.001, min(5.0, told["wait_ms"] / 1000)) + self._world.rng.expovariate(1 / 0.003)
                self._world.after(pause, ask)
                return
            self.waits.append((self._world.now - self._world.began, lane, self._world.now - since))
            self._borrow(lambda: self._send(name, told["round"], again and lane))

        ask()

    def _borrow(self, use: Callable[[], None]) -> None:
        if self._free:
            self._free -= 1
            self._world.after(0.001, use)
        else:
            self._queue.append(use)

    def _send(self, name: str, round_: int, again: str | bool) -> None:
        rng, sent = self._world.rng, self._world.now
        kind, seconds = self._answers(rng)
        stuck = 0.5 if rng.random() < 0.005 else 0.0

        def answered() -> None:
            took = int((self._world.now - sent) * 1000)
            self.calls += 1
            self._budget("sent", id=name, kind=kind, took_ms=took, round=round_)
            if self._queue:
                self._world.after(0.001, self._queue.popleft())
            else:
                self._free += 1
            if again:
                self._world.after(rng.random() * 0.01, lambda: self.begin(str(again), True))

        self._world.after(stuck + abs(rng.gauss(0, 0.005)), lambda: self._erp.ask(True, seconds, answered))


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a simulation is of."""

    per_minute: int = 300
    sessions: int = 5
    cores: int = 5
    threads: int = 16
    answers: Answers = mixed


class Simulation:
    """Our fleet with more work than allowed, from the first second on, and whoever else comes."""

    def __init__(self, store: redis.Redis, seed: int, shape: Shape, constants: dict[str, str] | None = None):
        self._store = store
        self.shape = shape
        self.world = World(seed)
        self.erp = Erp(self.world, shape.per_minute, shape.cores)
        store.flushall()
        store.set(f"{PREFIX}epoch", "-")
        self.set_limit(shape.per_minute)
        text = source("congestion.lua") + source("budget.lua")
        for said, instead in (constants or {}).items():
            assert text.count(said) == 1, said
            text = text.replace(said, instead)
        clocked: Any = Clocked(store, self.world)
        self.budget = Script(clocked, text, PREFIX)
        self.fleet = Fleet(self.world, self.erp, self.budget, shape.sessions, shape.answers)
        for _ in range(shape.threads):
            self.world.after(self.world.rng.random() * 0.5, lambda: self.fleet.begin("bulk", True))

    def set_limit(self, per_minute: int) -> None:
        """Change our limit; the ERP's stays."""
        self._store.hset(f"{PREFIX}limits", "max_per_minute", str(per_minute))
        self._store.hset(f"{PREFIX}limits", "max_sessions", str(self.shape.sessions))

    def run(self, until: float) -> None:
        """Go on until so many seconds after the beginning."""
        self.world.run(until)

    def foreign(self, per_minute: float, seconds: float) -> None:
        """Other software on a session of its own asks evenly; when it is late, it makes up for it."""
        end, due = self.world.now + seconds, self.world.now

        def ask() -> None:
            if self.world.now < end:
                self.erp.ask(False, self.world.rng.uniform(0.05, 0.2), answered)

        def answered() -> None:
            nonlocal due
            due += MINUTE / per_minute
            self.world.after(max(0.0, due - self.world.now), ask)

        ask()

    def foreign_burst(self, requests: int, sessions: int) -> None:
        """Other software asks so much at once, on some sessions."""
        left = requests

        def ask() -> None:
            nonlocal left
            if left:
                left -= 1
                self.erp.ask(False, self.world.rng.uniform(0.05, 0.2), ask)

        for _ in range(sessions):
            ask()

    def interactive(self, requests: int) -> None:
        """So many interactive requests come at once."""
        for _ in range(requests):
            self.fleet.begin("interactive", False)

    def view(self) -> dict[str, Any]:
        """What the budget says of itself."""
        return dict(self.budget("view"))

    def state(self) -> dict[str, Any]:
        """What it has heard of others."""
        text = self._store.get(f"{PREFIX}heard")
        return dict(json.loads(text)) if isinstance(text, bytes) else {}

    def minutes(self, begin: float, end: float, *, ours: bool = True, step: float = 60.0) -> list[int]:
        """Arrivals in each minute from ``begin`` on that ends by ``end``; overlapping where ``step`` is shorter."""
        times = [arrival.at for arrival in self.erp.arrivals if arrival.ours is ours]
        count = int((end - begin - MINUTE) / step) + 1
        starts = [begin + number * step for number in range(count)]
        return [bisect_left(times, start + MINUTE) - bisect_left(times, start) for start in starts]

    def held(self, begin: float, end: float, *, ours: bool = True) -> float:
        """Mean seconds for which the ERP held the requests that arrived in this time."""
        held = [each.held for each in self.erp.arrivals if each.ours is ours and begin <= each.at < end]
        return sum(held) / len(held) if held else 0.0

    def tightest(self) -> float:
        """The shortest time in which we made one request more than the license allows in a minute."""
        times = [arrival.at for arrival in self.erp.arrivals if arrival.ours]
        more = zip(times, times[self.shape.per_minute :], strict=False)
        return min((later - earlier for earlier, later in more), default=MINUTE * 2)

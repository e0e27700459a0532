"""``seats``: workers killed at every step of a session's life, and no seat too many, none lost, none left behind.

Several scenes at once, each with its own sandbox, store and fleet. In each, one worker after the other is killed at
the point that is its turn; then all seats must be in use again before the next. At last all are asked to end.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.chaos import oracle
from tests.chaos.errands import errands
from tests.chaos.fleet import Fleet, forked
from tests.chaos.killpoints import POINTS, Orders
from tests.chaos.scene import Scene, Setting, play

TOKEN_SECONDS = 20
LATENCY_MS = 300
WORKING, RESTING = 2.5, 3.0
"""Seconds of work, and of none, in which idle sessions are closed, where the kills are of opening and closing."""

STOP_SECONDS = 20.0
HIT_SECONDS = 90.0
RECOVER_SECONDS = 75.0
LOOK_SECONDS, DEMAND_SECONDS = 0.05, 0.2

CUT_OFF = frozenset(
    f"{opening}: {moment}"
    for opening, last in (("sign-in", "opened before"), ("refresh", "refreshed before"))
    for moment in ("send after", "request before", "request sent", "request mid", "request after", last)
)
"""Points after which nobody knows whether a session is open."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One scene: how many sessions, where the ERP takes a seat, whether tokens are renewed, and whom to kill."""

    name: str
    sessions: int
    seat_at: str
    renews: bool
    points: tuple[str, ...] = ()
    token_seconds: int = TOKEN_SECONDS


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The scenes, and how often each point is hit."""

    parts: tuple[Part, ...]
    rounds: int
    points: tuple[str, ...] = POINTS
    size: str = "full"


def _parts(*sessions: int) -> tuple[Part, ...]:
    return tuple(
        Part(name=f"{count}-{kind}-{seat}", sessions=count, seat_at=seat, renews=kind == "renewing")
        for count in sessions
        for kind in ("resting", "renewing")
        for seat in ("token", "first-call")
    )


FULL = Plan(parts=_parts(1, 2, 5), rounds=4)
CONTROL = Plan(
    parts=(Part(name="1-resting-token", sessions=1, seat_at="token", renews=False, token_seconds=90),),
    rounds=1,
    points=("sign-in: opened before",),
    size="small",
)
SMALL = Plan(
    parts=(Part(name="2-resting-token", sessions=2, seat_at="token", renews=False),),
    rounds=1,
    points=("exchange: request after",),
    size="small",
)


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play all scenes side by side, and leave in ``directory`` what the judge needs."""
    parts = dealt(plan, random.Random(3))
    with ThreadPoolExecutor(len(parts)) as side_by_side:
        playing = [side_by_side.submit(_play, directory / part.name, part, plan, guard) for part in parts]
    for each in playing:
        each.result()


def dealt(plan: Plan, dice: random.Random) -> Sequence[Part]:
    """The parts with their points: each point so often, those that take long spread evenly."""
    given: dict[str, list[str]] = {part.name: [] for part in plan.parts}
    costs = dict.fromkeys(given, 0.0)
    for point in sorted(plan.points * plan.rounds, key=lambda point: (-_cost(point), dice.random())):
        able = [part for part in plan.parts if _happens(point, part)]
        part = min(able, key=lambda part: (costs[part.name], given[part.name].count(point), dice.random()))
        given[part.name].append(point)
        costs[part.name] += _cost(point)
    for points in given.values():
        dice.shuffle(points)
    return [replace(part, points=tuple(given[part.name])) for part in plan.parts]


def _happens(point: str, part: Part) -> bool:
    """Whether it comes to this point in a scene: where tokens are renewed, few sessions are opened or closed."""
    activity = point.split(":")[0]
    return activity in ("lease", "exchange") or part.renews == (activity == "refresh")


def _cost(point: str) -> float:
    """About how many seconds a kill at this point takes: until it comes to it, and until all seats are in use again."""
    until_it_comes = {"refresh": 12.0, "lease": 1.0, "exchange": 1.0}.get(point.split(":")[0], 6.0)
    return until_it_comes + (50.0 if point in CUT_OFF else 17.0)


def _play(directory: Path, part: Part, plan: Plan, guard: str | None) -> None:
    setting = Setting(
        check="seats",
        directory=directory,
        sandbox=(
            *("--orders", "20", "--max-sessions", "0", "--latency", f"{LATENCY_MS},0,0"),
            *("--token-seconds", str(part.token_seconds), "--seat-at", part.seat_at),
        ),
        connections={
            "default": {
                "max_sessions": part.sessions,
                "max_per_minute": 0,
                "scope": "api offline_access" if part.renews else "api",
                "idle_seconds": 60 if part.renews else 0.4,
                "session_seconds": part.token_seconds,
                "queue_seconds": 1,
                "exchange_seconds": 1.5,  # the ERP may be at work on a request for so long after its lease
            }
        },
        guard=guard,
        size=plan.size,
        facts={
            "limits": {"sessions": part.sessions},
            "token_seconds": part.token_seconds,
            "part": asdict(part),
            "planned": sorted(set(plan.points)),
        },
    )
    workers = 2 if part.sessions < 5 else 3
    with play(setting) as scene, forked(scene, "-c", str(part.sessions + 1)) as fleet:
        fleet.keep_up(workers)
        with _Demand(scene, part) as demand:
            _Killer(scene, part, fleet, demand, workers).kill_all()
        fleet.stop(STOP_SECONDS)
        _until_none_is_open(scene, part.token_seconds + 2 * STOP_SECONDS)


def _until_none_is_open(scene: Scene, seconds: float) -> None:
    """Wait for sessions that nobody can close, so that the log says when the ERP did."""
    until = time.monotonic() + seconds
    while scene.sandbox.tally()["open_sessions"] and time.monotonic() < until:
        time.sleep(10 * LOOK_SECONDS)


class _Demand:
    """Work for all seats: always, or with rests in between; ``always`` while a seat is to be used again."""

    def __init__(self, scene: Scene, part: Part) -> None:
        self._scene = scene
        self._part = part
        # Where there are rests, jobs are short, so that rests begin soon.
        last = oracle.FIRST_NUMBER + (19 if part.renews else 3)
        self._job = oracle.orders(oracle.FIRST_NUMBER, last, page_size=2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.always = threading.Event()

    def __enter__(self) -> _Demand:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        began = time.monotonic()
        with errands(self._scene) as jobs:
            while not self._over.wait(DEMAND_SECONDS):
                rests = (time.monotonic() - began) % (WORKING + RESTING) > WORKING
                if self.always.is_set() or self._part.renews or not rests:
                    for _ in range(2 * self._part.sessions - jobs.queued("bulk")):
                        jobs.send(self._job)
                self._scene.tell(*map(_shortly, jobs.ended()))


def _shortly(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """A job's line without its records, of which nothing is asked here."""
    return {name: line[name] for name in ("kind", "id", "sent", "ended", "state")}


class _Killer:
    """Has one worker after the other killed."""

    def __init__(self, scene: Scene, part: Part, fleet: Fleet, demand: _Demand, workers: int) -> None:
        self._scene = scene
        self._part = part
        self._fleet = fleet
        self._demand = demand
        self._workers = workers
        self._orders = Orders(Path(scene.environment["ACUWORKER_VAR"]), scene.directory / "results.ndjson")
        self._dice = random.Random(part.name)

    def kill_all(self) -> None:
        """Kill a worker at each point; the last, in an exchange, just before all are asked to end."""
        self._until_in_use(0)
        for point in self._part.points:
            time.sleep(self._dice.uniform(0.0, 1.0))
            self._kill(point)
            self._scene.mark("killed", point=point)
            self._demand.always.set()
            self._fleet.keep_up(self._workers)
            self._until_in_use(int(time.time() * 1000) + LATENCY_MS)
            time.sleep(2 * LATENCY_MS / 1000)
            self._demand.always.clear()
        self._demand.always.set()
        self._kill("exchange: request sent")

    def _kill(self, point: str) -> None:
        self._orders.give(point)
        until = time.monotonic() + HIT_SECONDS
        while self._fleet.alive == self._workers:
            if time.monotonic() > until and self._orders.take_back():
                self._scene.mark("missed", point=point)
                return
            time.sleep(LOOK_SECONDS)

    def _until_in_use(self, since_ms: int) -> None:
        """Wait until every slot is open and was lent since then, as the store has it; not for ever."""
        until = time.monotonic() + RECOVER_SECONDS
        while time.monotonic() < until:
            slots = [self._slot(number) for number in range(1, self._part.sessions + 1)]
            if all(slot.get("state") == "open" and int(slot["used"]) > since_ms for slot in slots):
                return
            time.sleep(LOOK_SECONDS)

    def _slot(self, number: int) -> Mapping[str, str]:
        found: Mapping[bytes, bytes] = self._scene.store.hgetall(f"acuworker:{{default}}:slot:{number}")  # type: ignore[assignment]
        return {name.decode(): value.decode() for name, value in found.items()}

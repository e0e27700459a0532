"""Where the real pools are played against the real sandbox: one clock that can be moved on, and kills at any moment.

The sandbox, the store and the workers' code are real; only time is not. It goes on by itself and is moved on at will,
for the store and for the workers' deadlines at once; what the sandbox would have ended in that time it is told to end.
A worker is killed at one of its moments: just before or after it uses the store or asks something of the ERP.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO
from unittest.mock import patch

import redis

from tests.sandbox_process import Sandbox
from worker.erp.deadline import Deadline
from worker.erp.wire import Answer, Request, Wire

CLOCK = "stage:ahead"
AHEAD = f"""(function()
    local time = redis.call('TIME')
    local moved = time[2] + tonumber(redis.call('GET', '{CLOCK}') or '0')
    return {{time[1] + math.floor(moved / 1000000), moved % 1000000}}
end)()"""
AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
    local left = redis.call('PTTL', key)
    if left > 0 then redis.call('PEXPIRE', key, math.max(1, left - ARGV[1])) end
end
"""

FOREIGN = "foreign"
"""The X-Request-Id of other software's requests."""


class Killed(BaseException):
    """The process is gone: it does nothing any more."""


@dataclass
class Process:
    """One process of workers, as far as it can be killed; ``moments`` are those that it still has, None for all."""

    name: str
    moments: int | None = None
    dead: bool = False
    lose: str = ""
    uses: int = 0

    def pass_one(self) -> None:
        """A moment: go on, or be killed now. What a dead process would still do comes to nothing."""
        if self.dead:
            raise Killed
        if self.moments is not None:
            self.moments -= 1
            if self.moments < 0:
                self.dead = True
                raise Killed


@dataclass
class Clock:
    """How far time has been moved on."""

    ahead: float = 0.0

    def monotonic(self) -> float:
        """The monotonic clock of every worker."""
        return time.monotonic() + self.ahead


@dataclass
class Stage:
    """The sandbox, its log, the clock, and whose turn it is; ``passed`` is told when time was moved on."""

    sandbox: Sandbox
    store: redis.Redis
    log: TextIO
    life: float = 3600.0
    clock: Clock = field(default_factory=Clock)
    acting: Process | None = None
    open: dict[int, str] = field(default_factory=dict)
    passed: Callable[[], object] = bool
    _asked: dict[int, str] = field(default_factory=dict)
    _ended: float = 0.0

    def read_log(self) -> None:
        """Take note of what has happened in the sandbox: which sessions are open, and who opened them."""
        for line in self.log:
            event = json.loads(line)
            if event["kind"] == "arrival":
                self._asked[event["request"]] = str(event.get("request_id") or "")
            elif event["kind"] == "session_open":
                self.open[event["session"]] = self._asked.get(event["request"], "")
            elif event["kind"] == "session_close":
                self.open.pop(event["session"], None)

    def ours(self) -> int:
        """How many sessions of ours are open now."""
        self.read_log()
        return sum(who != FOREIGN for who in self.open.values())

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the store and the workers; the sandbox ends what is due by then."""
        if self.clock.ahead + seconds - self._ended >= self.life - 1:
            self.end_all()
            self._ended = self.clock.ahead + seconds
        self.clock.ahead += seconds
        self.store.set(CLOCK, round(self.clock.ahead * 1_000_000))
        self.store.eval(AGE, 0, int(seconds * 1000))
        self.passed()

    def empty_store(self) -> None:
        """Lose everything that the store knew, but for the time."""
        self.store.flushall()
        self.store.set(CLOCK, round(self.clock.ahead * 1_000_000))

    def end_all(self) -> None:
        """What time does at the ERP: tokens expire, and sessions with them."""
        self.sandbox.control("revoke-tokens")
        self.sandbox.control("close-sessions")

    def begin(self) -> None:
        """Begin anew: nothing is open, nothing armed, the store empty."""
        self.end_all()
        self.sandbox.control("faults", method="DELETE")
        self.store.flushall()
        self.clock.ahead, self._ended = 0.0, 0.0
        self.read_log()
        self.sandbox.control("events", method="DELETE")


class SteppedStore:
    """The store as one process has it: under the moved clock, with each use a moment of its own."""

    def __init__(self, stage: Stage, process: Process) -> None:
        self._stage = stage
        self._process = process

    def register_script(self, text: str) -> Callable[..., Any]:
        """A script of the real store, whose time is the stage's."""
        script = self._stage.store.register_script(text.replace("redis.call('TIME')", AHEAD))

        def call(keys: list[str], args: list[Any]) -> Any:
            if self._process.dead:
                raise redis.ConnectionError("killed")
            self._process.pass_one()
            self._lose("question")
            answer = script(keys=keys, args=args)
            self._lose("answer")
            self._process.pass_one()
            return answer

        return call

    def hgetall(self, name: str) -> Any:
        """What a hash holds."""
        return self._stage.store.hgetall(name)

    def blpop(self, keys: list[str], timeout: float) -> Any:
        """Wait for an item of a list, in the time of the stage."""
        self._process.pass_one()
        item = self._stage.store.lpop(keys[0])
        if item is None:
            self._stage.pass_time(timeout)
        return item

    def _lose(self, what: str) -> None:
        if self._process.lose != what:
            return
        self._process.uses -= 1
        if self._process.uses < 0:
            self._process.lose = ""
            raise redis.ConnectionError(f"the {what} is lost")


@contextmanager
def staged(sandbox: Sandbox, store_url: str, events: Path) -> Iterator[Stage]:
    """A stage over a sandbox that writes its log to a file; in this process the workers' code runs on it."""
    really_send = Wire.send
    with redis.Redis.from_url(store_url) as store, events.open(encoding="utf-8") as log:
        stage = Stage(sandbox, store, log)

        def send(self: Wire, request: Request, deadline: Deadline, *more: Any) -> Answer:
            if stage.acting:
                stage.acting.pass_one()
            answer = really_send(self, request, deadline, *more)
            if stage.acting:
                stage.acting.pass_one()
            return answer

        class Event(threading.Event):
            """One that is waited for in the time of the stage."""

            def wait(self, timeout: float | None = None) -> bool:
                if not self.is_set():
                    stage.pass_time(timeout or 0.0)
                return self.is_set()

        moved = SimpleNamespace(monotonic=stage.clock.monotonic, sleep=stage.pass_time)
        events_ = SimpleNamespace(Event=Event, Timer=threading.Timer)
        replaced: Mapping[str, Any] = {
            "worker.erp.deadline.time": moved,
            "worker.erp.sessions.time": moved,
            "worker.erp.gateway.threading": events_,
            "worker.erp.closing.threading": events_,
            "worker.erp.wire.Wire.send": send,
        }
        with ExitStack() as patches:
            for name, value in replaced.items():
                patches.enter_context(patch(name, value))
            yield stage

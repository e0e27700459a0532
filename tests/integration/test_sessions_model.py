"""Every step of the session pool in an order of hypothesis's choosing: the real code and the real Lua, a modelled ERP.

Each exchange is a thread that moves only when the schedule says so, one step at a time: a step is one use of the
store or one request to the ERP. Between any two of them a worker may be killed, an answer of the store or of the ERP
may be lost, and hours may pass. The clock of the store and of the deadlines is the model's.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.erp_floor import settings_for
from tests.store_process import start_store
from worker.erp import signin
from worker.erp.caller import Caller
from worker.erp.closing import Closer
from worker.erp.deadline import Deadline
from worker.erp.license import LimitsInForce
from worker.erp.sessions import Outcome, SessionPool
from worker.errors import ExchangeTimeout, SessionLost, StoreUnavailable, WorkerError
from worker.job import Lane
from worker.settings import Connection, License

TOKEN_SECONDS = 3600.0
FILE_SECONDS = 1800.0
LONG = 200
"""More steps than any actor has to take."""
JUMPS = (1.0, 6.0, 16.0, 70.0, 3550.0, 5000.0)
"""Seconds that pass at once: past a wait, a sign-in that holds up others, a lease, an intent, a token, a quarantine."""


class Killed(BaseException):
    """The process is gone: nothing that it would still do reaches the store or the ERP."""


@dataclass
class Token:
    """What the ERP knows of one token."""

    expires: float
    open: bool
    revoked: bool = False
    busy_until: float = 0.0


@dataclass(eq=False)
class Actor:
    """A thread of a worker; it moves while ``turn`` is its own."""

    worker: str
    work: Callable[[], None]
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    done: bool = False
    lose: bool = False


class World:
    """The clock, the ERP, and who may move."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.now = 1_000_000.0
        self.tokens: dict[str, Token] = {}
        self.dead: set[str] = set()
        self.actors: list[Actor] = []
        self.worst = 0
        self._back = threading.Semaphore(0)
        self._local = threading.local()
        self._threads: list[threading.Thread] = []

    def start(self, worker: str, work: Callable[[], None]) -> None:
        """Begin a thread of a worker; it stands still before its first step."""
        actor = Actor(worker, work)
        self.actors.append(actor)
        thread = threading.Thread(target=self._run, args=(actor,), daemon=True)
        self._threads.append(thread)
        thread.start()
        self._back.acquire()

    def _run(self, actor: Actor) -> None:
        self._local.actor = actor
        try:
            self.step()
            actor.work()
        except (WorkerError, Killed):
            pass
        finally:
            actor.done = True
            self._back.release()

    def step(self) -> bool:
        """Stand still until it is this thread's turn; whether the answer to what it does now is to be lost."""
        actor: Actor = self._local.actor
        self._back.release()
        actor.go.acquire()
        if actor.worker in self.dead:
            raise Killed
        return actor.lose

    def step_here(self) -> bool:
        """The same, unless this thread is nobody's in the model."""
        return self.step() if hasattr(self._local, "actor") else False

    def move(self, actor: Actor, lose: bool = False) -> None:
        """Let a thread take one step."""
        actor.lose = lose
        actor.go.release()
        self._back.acquire()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and sessions with it: one that is due while a request runs ends after it."""
        self.now += seconds
        for token in self.tokens.values():
            if token.expires <= self.now and token.busy_until <= self.now:
                token.open = False

    def use(self, secret: str) -> bool:
        """A request with this token arrives; whether the ERP takes it."""
        token = self.tokens[secret]
        if token.revoked or token.expires <= self.now:
            return False
        token.open = True
        self.count()
        return True

    def count(self) -> None:
        """Note how many sessions are open."""
        self.worst = max(self.worst, self.open())

    def open(self) -> int:
        """How many sessions are open."""
        return sum(token.open for token in self.tokens.values())

    def end(self) -> None:
        """Kill every worker and wait for its threads."""
        self.dead.update(actor.worker for actor in self.actors)
        for actor in self.actors:
            while not actor.done:
                self.move(actor)
        for thread in self._threads:
            thread.join()


class Store:
    """The real store, used in steps and under the model's clock."""

    def __init__(self, real: redis.Redis, world: World) -> None:
        self._real = real
        self._world = world

    def register_script(self, text: str) -> Callable[..., Any]:
        """A script, whose time is the model's."""
        assert text.count("redis.call('TIME')") == 1
        script = self._real.register_script(
            text.replace("redis.call('TIME')", "{redis.call('GET', 'now'), 0}")
        )

        def call(keys: list[str], args: list[Any]) -> Any:
            lost = self._world.step_here()
            self._real.set("now", repr(self._world.now))
            answer = script(keys=keys, args=args)
            if lost:
                raise redis.ConnectionError
            return answer

        return call

    def blpop(self, keys: list[str], timeout: float) -> None:
        """Wait for nothing: the schedule decides who is next."""
        self._world.step()


def _wire(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the modelled ERP where sign-ins go, and the model's clock where deadlines look."""

    def sign_in(wire: object, endpoints: object, deadline: Deadline, send_by: Deadline) -> signin.Grant:
        _arrive(world, send_by)
        secret = f"token-{len(world.tokens)}"
        world.tokens[secret] = Token(expires=world.now + TOKEN_SECONDS, open=True)
        world.count()
        if world.step() or deadline.remaining() <= 0:
            raise ExchangeTimeout("lost")
        return signin.Grant(token=SecretStr(secret), expires_in=TOKEN_SECONDS)

    def sign_out(wire: object, grant: signin.Grant, deadline: Deadline) -> None:
        _arrive(world, deadline)
        known = world.tokens[_secret(grant)]
        if known.revoked or known.expires <= world.now:
            raise SessionLost("401")
        while known.busy_until > world.now and deadline.remaining() > 0:
            world.step()  # one session runs one request at a time
        if deadline.remaining() <= 0:
            raise ExchangeTimeout("not in time")
        known.open = False
        if world.step():
            raise ExchangeTimeout("lost")

    def revoke(wire: object, endpoints: object, grant: signin.Grant, deadline: Deadline) -> None:
        _arrive(world, deadline)
        world.tokens[_secret(grant)].revoked = True

    def drain(closer: Closer, grant: signin.Grant, deadline: Deadline) -> bool:
        _arrive(world, deadline)
        secret = _secret(grant)
        while world.tokens[secret].busy_until > world.now and deadline.remaining() > 0:
            world.step()
        answered = deadline.remaining() > 0 and world.use(secret)
        return answered and not world.step()

    endpoints = signin.Endpoints()
    fake = SimpleNamespace(
        sign_in=sign_in, sign_out=sign_out, revoke=revoke, discover=lambda wire, deadline: endpoints
    )
    for module in ("opening", "closing"):
        monkeypatch.setattr(f"worker.erp.{module}.signin", fake)
    monkeypatch.setattr(Closer, "_drain", drain)
    monkeypatch.setattr("worker.erp.deadline.time", SimpleNamespace(monotonic=lambda: world.now))


def _secret(grant: signin.Grant) -> str:
    assert grant.token is not None
    return grant.token.get_secret_value()


def _arrive(world: World, deadline: Deadline) -> None:
    """A request is sent, if its time has not passed."""
    if world.step() or deadline.remaining() <= 0:
        raise ExchangeTimeout("lost before it was sent")


def _exchange(world: World, pool: SessionPool) -> None:
    """What the client does with a session, told of by its requests."""
    caller = Caller(lane=Lane.BULK, deadline=Deadline(10 * TOKEN_SECONDS), job_id="job")
    with pool.lease(caller) as lease:
        _arrive(world, lease.send_by)
        secret = _secret(lease.grant)
        if not world.use(secret):
            lease.outcome = Outcome.ANSWERED
            pool.lost(lease, SessionLost("401"))
            return
        # When the worker is killed or stands still, the ERP goes on with the request.
        world.tokens[secret].busy_until = world.now + FILE_SECONDS
        world.step()
        lease.outcome = Outcome.ANSWERED
        world.tokens[secret].busy_until = world.now
        world.pass_time(0)


def _works(world: World, pool: SessionPool, exchanges: int) -> Callable[[], None]:
    def work() -> None:
        for _ in range(exchanges):
            try:
                _exchange(world, pool)
                pool.tidy()
            except (ExchangeTimeout, StoreUnavailable):
                continue

    return work


@contextmanager
def _world(limit: int, real: redis.Redis) -> Iterator[tuple[World, dict[str, SessionPool]]]:
    real.flushall()
    world = World(limit)
    connection = Connection(
        url="https://erp.example.com/Site", version="20.200.001", tenant="T", username="u", client_id="c@T",
        password=SecretStr("p"), client_secret=SecretStr("s"), max_sessions=limit, max_per_minute=0, idle_seconds=5,
    )  # fmt: skip
    store: Any = Store(real, world)
    settings_ = settings_for(connection, "redis://unused")
    pools = {}
    for owner in ("a", "b", "c"):
        limits = LimitsInForce(
            store, License(name="default", max_sessions=limit, max_per_minute=0), TOKEN_SECONDS
        )
        limits.join()
        pools[owner] = SessionPool(
            settings_, connection, store, limits, _no_budget(), owner, threading.Event()
        )
    with pytest.MonkeyPatch.context() as patched, structlog.testing.capture_logs():
        _wire(world, patched)
        try:
            yield world, pools
        finally:
            world.end()


def _no_budget() -> Any:
    """A license without a minute: it is not what is looked at here."""
    free = lambda *_: nullcontext(SimpleNamespace())  # noqa: E731
    return SimpleNamespace(permit=free, sign_in_permit=free, exempt=free)


def _let_run(world: World, actor: Actor, steps: int) -> None:
    for _ in range(steps):
        if not actor.done:
            world.move(actor)


def _disturb(world: World, kind: str, actor: Actor) -> None:
    """What happens to a worker between two of its steps, or to the answer to the next one."""
    if kind == "killed":
        world.dead.add(actor.worker)
    if kind == "answer lost" and not actor.done:
        world.move(actor, lose=True)


@pytest.fixture(scope="module")
def real() -> Iterator[redis.Redis]:
    """A store for all runs."""
    with start_store() as url, redis.Redis.from_url(url) as store:
        yield store


@pytest.mark.parametrize("kind", ["killed", "stopped", "answer lost"])
def test_every_interruption_of_one_worker_by_another(real: redis.Redis, kind: str) -> None:
    """At whichever step a worker is interrupted, for however long, the ERP has one session open at most."""
    others = (*range(2, 7), LONG) if kind == "stopped" else (LONG,)
    for before, jump, meanwhile in itertools.product(range(12), JUMPS[2:], others):
        with _world(1, real) as (world, pools):
            for owner in ("a", "b"):
                world.start(owner, _works(world, pools[owner], 2))
            first, second = world.actors
            _let_run(world, first, before)
            _disturb(world, kind, first)
            world.pass_time(jump)
            for actor, steps in ((second, meanwhile), (first, LONG), (second, LONG)):
                _let_run(world, actor, steps)
            assert world.worst <= 1, (before, jump, meanwhile)


EVENTS = st.one_of(
    st.tuples(st.just("steps"), st.integers(0, 3), st.integers(1, 8)),
    st.tuples(st.just("steps"), st.integers(0, 3), st.integers(1, 8)),
    st.tuples(st.just("answer lost"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("killed"), st.just(0), st.just(0)),
    st.tuples(st.just("time"), st.integers(0, len(JUMPS) - 1), st.just(0)),
)


def _happen(world: World, kind: str, which: int, steps: int) -> None:
    if kind == "time":
        world.pass_time(JUMPS[which])
    elif kind == "steps":
        _let_run(world, world.actors[which], steps)
    else:
        _disturb(world, kind, world.actors[which])


@pytest.mark.parametrize("limit", [1, 2])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, max_size=40))
def test_whatever_happens_no_session_is_left(
    real: redis.Redis, limit: int, events: list[tuple[str, int, int]]
) -> None:
    """Never more sessions than allowed; a new worker gets one in time, and the last to leave leaves none open."""
    with _world(limit, real) as (world, pools):
        for owner in ("a", "a", "b", "b"):
            world.start(owner, _works(world, pools[owner], 4))
        for event in events:
            _happen(world, *event)
        world.end()
        world.dead.clear()
        world.pass_time(30_000)
        served: list[str] = []
        world.start("c", partial(_serve_and_leave, world, pools["c"], served))
        for _ in range(LONG):
            _let_run(world, world.actors[-1], 1)
            world.pass_time(1)
        assert (served, world.open(), world.worst <= limit) == (["served", "left"], 0, True)


def _serve_and_leave(world: World, pool: SessionPool, served: list[str]) -> None:
    _exchange(world, pool)
    served.append("served")
    pool.leave()
    served.append("left")

"""A state machine of hypothesis that plays the real session pools of a few processes against the real sandbox.

Each run is of a license of one to three sessions, signed in to by password, with renewals, or by cookies. In any order
come jobs, leases that are held and used, kills at any moment of what a worker does, lost questions and answers, answers
of the ERP that come late or not at all, tokens revoked, sessions closed, seats taken by others, and hours. After every
step no more sessions of ours may be open than are allowed, and none lent twice; at the end none may be left.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
from cryptography.fernet import Fernet
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.chaos.model.owner import Held, Owner
from tests.chaos.model.stage import FOREIGN, Stage
from tests.erp_floor import connection_to
from worker.erp.caller import Use
from worker.erp.overview import SlotView
from worker.erp.slots import State
from worker.errors import WorkerError
from worker.page import Query

ORDERS = Query(entity="SalesOrder", filter="CustomerID eq 'C000000003'", select=("OrderNbr",))
KINDS: Mapping[str, Mapping[str, Any]] = {
    "password": {},
    "renewals": {"scope": "api offline_access"},
    "cookies": {"sign_in": "cookie"},
}
LIVES = {"password": 3600.0, "renewals": 3600.0, "cookies": 600.0}
JUMPS = (1.0, 6.0, 16.0, 70.0, 700.0, 3545.0, 9000.0)
"""Seconds that pass at once: past a presence, a lease, a pause, what may be at work, a token, a quarantine."""

SIGNING_IN = ("/identity/connect/token", "/entity/auth/login")
ENDING = ("/entity/auth/logout", "/identity/connect/revocation")
ENTITY = "/entity/Default"
FAULTS: tuple[Mapping[str, Any], ...] = (
    {"kind": "status", "status": 504, "when": "after"},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429},
    {"kind": "cut", "bytes": 10},
    {"kind": "reset"},
)
REFUSED: Mapping[str, Any] = {"kind": "status", "status": 401}
LATE: Mapping[str, Any] = {"kind": "delay", "when": "after", "seconds": 0.08}
LATE_SECONDS = 0.03

HIDING = (State.INTENT, State.REFRESHING, State.QUARANTINE)
"""The states behind which a session may be open whose token nobody has."""

Tell = Callable[[Mapping[str, Any]], None]


class Sessions(RuleBasedStateMachine):
    """One run. ``stage`` is where, ``tell`` takes what is to be written down of it, ``numbers`` counts the runs."""

    stage: Stage
    tell: Tell
    numbers: Iterator[int]

    def __init__(self) -> None:
        super().__init__()
        self.number = next(self.numbers)
        self.began = time.monotonic_ns()
        self.acts: Counter[str] = Counter()
        self.kind, self.limit = "", 0
        self.owners: list[Owner] = []
        self.names = itertools.count(1)
        self.taken: list[str] = []
        self.graves: list[Owner] = []

    @initialize(kind=st.sampled_from(sorted(KINDS)), limit=st.integers(1, 3))
    def begin(self, kind: str, limit: int) -> None:
        """A license, a way of signing in, and three processes."""
        self.kind, self.limit = kind, limit
        self.stage.life = LIVES[kind]
        self.stage.begin()
        self.stage.passed = self._note_lapses
        self.began = time.monotonic_ns()
        self.key = Fernet.generate_key()
        own: dict[str, Any] = {
            "session_seconds": LIVES[kind],
            "idle_seconds": 5.0,
            "restart_seconds": 1.0,
            **KINDS[kind],
        }
        self.connection = connection_to(self.stage.sandbox, max_sessions=limit, **own)
        self.owners = [self._new_owner() for _ in range(3)]

    def _new_owner(self) -> Owner:
        return Owner(self.stage, self.connection, self.key, f"{self.number}-{next(self.names)}")

    def _do(self, act: str, owner: Owner, work: Callable[[], object]) -> None:
        """Do something as a process; if it is killed at it, another takes its place."""
        self.acts[act] += 1
        if not owner.do(work):
            self.acts[f"{act}, killed"] += 1
            self._bury(owner)

    def _bury(self, owner: Owner) -> None:
        for held in tuple(owner.held):
            self._over(owner, held)
        owner.end()
        self.graves.append(owner)
        self.owners[self.owners.index(owner)] = self._new_owner()

    def _over(self, owner: Owner, held: Held) -> None:
        """A lease is over: write down from when to when it was alive."""
        owner.held.remove(held)
        ended = min(time.monotonic_ns(), held.alive_until)
        self.tell(
            {"what": "lease", "run": self.number, "name": held.name, "began": held.began, "ended": ended}
        )

    def _job(self, owner: Owner) -> object:
        caller = owner.caller(f"job-{self.number}")
        return owner.gateway.erp("default", caller).list(ORDERS, top=1)

    def _take(self, owner: Owner) -> None:
        name = f"lease-{self.number}-{next(self.names)}"
        began = time.monotonic_ns()
        use = Use(what="SalesOrder", longest=self.connection.exchange_seconds)
        context = owner.pool.lease(owner.caller(name), use)
        owner.held.append(Held(context.__enter__(), context, name, began))

    def _leave(self, owner: Owner) -> None:
        while owner.held:
            self._drop(owner)
        owner.pool.leave()

    def _drop(self, owner: Owner) -> None:
        held = owner.held[0]
        self._over(owner, held)
        held.context.__exit__(None, None, None)

    @rule(which=st.integers(0, 2))
    def job(self, which: int) -> None:
        """A whole exchange."""
        owner = self.owners[which]
        self._do("job", owner, lambda: self._job(owner))

    @rule(which=st.integers(0, 2))
    def take(self, which: int) -> None:
        """A lease that is held."""
        owner = self.owners[which]
        self._do("take", owner, lambda: self._take(owner))

    # No preconditions: whether a lease is held may depend on how fast the machine was, and the rules drawn must not.
    @rule(late=st.booleans())
    def use(self, late: bool) -> None:
        """An exchange on a lease that is held; or one whose answer comes later than anybody waits for it."""
        owner = self._holder()
        if owner is None:
            self.acts["nothing held"] += 1
            return
        if late:
            self._arm(ENTITY, LATE)
        erp = owner.erp(owner.held[-1], LATE_SECONDS if late else 10.0)
        self._do("late" if late else "use", owner, lambda: erp.list(ORDERS, top=1))

    @rule()
    def drop(self) -> None:
        """A lease ends."""
        owner = self._holder()
        if owner is None:
            self.acts["nothing held"] += 1
            return
        self._do("drop", owner, lambda: self._drop(owner))

    def _holder(self) -> Owner | None:
        return next((owner for owner in self.owners if owner.held), None)

    @rule(which=st.integers(0, 2), act=st.sampled_from(("job", "job", "take", "tidy", "drop", "leave")),
          moment=st.integers(0, 17))  # fmt: skip
    def kill(self, which: int, act: str, moment: int) -> None:
        """A process is killed at a moment of what it does; past the last of them it goes on."""
        owner = self.owners[which]
        owner.process.moments = moment
        self._do(act, owner, self._work(act, owner))
        if act == "leave" and owner in self.owners:
            self._bury(owner)

    @rule(which=st.integers(0, 2), act=st.sampled_from(("job", "job", "take", "tidy", "drop")),
          lost=st.sampled_from(("question", "answer")), uses=st.integers(0, 5))  # fmt: skip
    def lose(self, which: int, act: str, lost: str, uses: int) -> None:
        """What a worker asks of the store, or the answer, is lost."""
        owner = self.owners[which]
        owner.process.lose, owner.process.uses = lost, uses
        self._do(f"{act}, {lost} lost", owner, self._work(act, owner))

    def _work(self, act: str, owner: Owner) -> Callable[[], object]:
        work: Mapping[str, Callable[[], object]] = {
            "job": lambda: self._job(owner),
            "take": lambda: self._take(owner),
            "tidy": owner.pool.tidy,
            "leave": lambda: self._leave(owner),
            "drop": lambda: self._drop(owner) if owner.held else owner.pool.beat(),
        }
        return work[act]

    @rule(which=st.integers(0, 2), tidies=st.booleans())
    def beat(self, which: int, tidies: bool) -> None:
        """The heartbeat, or what is done beside it."""
        owner = self.owners[which]
        self._do("tidy" if tidies else "beat", owner, owner.pool.tidy if tidies else owner.pool.beat)

    @rule(seconds=st.sampled_from(JUMPS))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.acts[f"{seconds:.0f} s"] += 1
        self.stage.pass_time(seconds)

    def _note_lapses(self) -> None:
        """Time has passed: some leases are not alive any more."""
        for held in [held for owner in self.owners for held in owner.held]:
            if held.lease.send_by.remaining() <= 0:
                held.alive_until = min(held.alive_until, time.monotonic_ns())

    @rule(
        how=st.sampled_from(
            (
                "fault",
                "fault",
                "fault",
                "401",
                "revoke-tokens",
                "close-sessions",
                "seats",
                "others",
                "emptied",
            )
        ),
        fault=st.sampled_from(FAULTS),
        path=st.sampled_from((*SIGNING_IN, *ENDING, ENTITY)),
        seats=st.integers(0, 3),
    )
    def hurt(self, how: str, fault: Mapping[str, Any], path: str, seats: int) -> None:
        """The ERP does what it should not, or somebody else does something to it."""
        self.acts[how] += 1
        match how:
            case "fault":
                self._arm(path, fault)
            case "401":
                self._arm(ENTITY if path in SIGNING_IN else path, REFUSED)
            case "seats":
                self._limit_seats(len(self.taken) + seats if seats else 0)
            case "others":
                self._let_others_in_or_out()
            case "emptied":
                self._empty()
            case _:
                self.stage.sandbox.control(how)

    def _arm(self, path: str, fault: Mapping[str, Any]) -> None:
        site = httpx.URL(self.stage.sandbox.url).path
        self.stage.sandbox.control("faults", {**fault, "path": site + path})

    def _limit_seats(self, allowed: int) -> None:
        self.stage.sandbox.control("license", {"max_sessions": allowed}, method="PATCH")

    def _let_others_in_or_out(self) -> None:
        sandbox = self.stage.sandbox
        with suppress(httpx.HTTPError):
            if self.taken:
                headers = _foreign(self.taken.pop())
                sandbox.http.post(f"{sandbox.url}/entity/auth/logout", headers=headers)
            else:
                token = sandbox.token()
                sandbox.http.get(
                    f"{sandbox.url}{ENTITY}/20.200.001/SalesOrder?$top=1", headers=_foreign(token)
                )
                self.taken.append(token)

    def _empty(self) -> None:
        """The store is emptied; those that knew it find out."""
        knowing = [owner for owner in self.owners if owner.has_joined]
        if knowing:
            self.stage.empty_store()
        for owner in knowing:
            owner.do(owner.join)

    @invariant()
    def no_more_than_allowed(self) -> None:
        """Never more sessions of ours than the license allows, and none lent to two."""
        assert self.stage.ours() <= max(1, self.limit)
        alive = [
            held.lease for owner in self.owners for held in owner.held if held.lease.send_by.remaining() > 0
        ]
        carried = [lease.grant.dumps() for lease in alive]
        assert len(carried) == len(set(carried)), "a session is lent to two"

    def teardown(self) -> None:
        """What is damaged is mended; the last to leave leaves nothing open, and in time there is a session again."""
        if not self.owners:
            return
        open_, left = self._leave_all()
        hidden = sum(slot.state in HIDING for slot in left)
        self.stage.pass_time(20_000.0)
        last = self._new_owner()
        served: list[object] = []
        last.do(lambda: served.append(self._job(last)))
        last.do(last.pool.leave)
        steps = sum(self.acts.values())
        self.tell({
            "what": "run", "number": self.number, "kind": self.kind, "limit": self.limit, "steps": steps,
            "began": self.began, "ended": time.monotonic_ns(), "acts": self.acts, "open": open_,
            "hidden": hidden, "served": len(served),
        })  # fmt: skip
        for owner in [*self.owners, *self.graves, last]:
            owner.end()
        assert open_ <= hidden, left
        assert served, "a seat is lost for ever"

    def _leave_all(self) -> tuple[int, Sequence[SlotView]]:
        self.stage.sandbox.control("faults", method="DELETE")
        self._limit_seats(0)
        for owner in self.owners:
            owner.do(partial(self._leave, owner))
        with suppress(WorkerError):
            self.owners[0].pool.restore()
        return self.stage.ours(), self.owners[0].look()


def _foreign(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}", "X-Request-Id": FOREIGN, "Content-Length": "0"}

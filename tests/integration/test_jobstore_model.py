"""Every step of the job store in an order of hypothesis's choosing, beside a model of it that shares nothing with it.

Two workers begin jobs, get on with them, are killed and come back as zombies; the broker loses messages and gives them
twice; answers of the store are lost; time passes. The clock is the test's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.job_desk import JOB, REFUSED, RESULT, JobDesk
from tests.store_process import start_store
from worker.errors import FilterRefused, JobCancelled, StoreUnavailable
from worker.job import Lane
from worker.jobstate import Attempt, Bell, Dropped, Ended, State, Superseded
from worker.page import Spent

LEASE, GRACE, CRASHES, TIME = 15, 15, 3, 86_400
FINAL = {State.DONE, State.FAILED, State.CANCELLED, State.DEAD}
JUMPS = [1, 5, 14, 16, 40, 1000, 100_000]
IDS = st.sampled_from(["a", "b", "c"])
WHICH = st.integers(0, 20)
LOST = st.sampled_from([False, False, False, True])


@dataclass
class Known:
    """What the model knows of one job."""

    now: float
    deadline: float
    state: State = State.ACCEPTED
    turn: int = 0
    attempt: int = 0
    crashes: int = 0
    look_at: float = 0
    unheard: float | None = None
    rings: int = 0
    cancel: bool = False
    pages: int = 0
    finished: int = 0

    def rest(self, state: State) -> None:
        """Nobody runs it: somebody is to hear of it."""
        self.state, self.unheard, self.rings = state, self.now + GRACE, 0
        if state in FINAL:
            self.cancel = False

    def again(self) -> None:
        """It is to be begun by a new message."""
        self.turn += 1
        self.rest(State.ACCEPTED)

    def in_time(self) -> bool:
        """Whether it may go on."""
        return self.deadline > self.now

    def crash(self) -> None:
        """An attempt has ended without a word."""
        self.crashes += 1
        self.rest(State.DEAD) if self.crashes == CRASHES else self.again()

    def begin(self, turn: int, is_beside_another: Callable[[], bool]) -> type:
        """What a delivery does."""
        if self.state in FINAL and turn < self.turn and self.unheard is None:
            # An old message, of a job whose end is no news.
            return Dropped
        if self.state not in FINAL and turn >= self.turn:
            if self.state is State.RUNNING and self.look_at > self.now:
                return Dropped
            if self.state is State.RUNNING:
                self.crash()
            if self.cancel and self.state not in FINAL:
                self.rest(State.CANCELLED)
            if self.state not in FINAL and self.crashes and self.in_time() and is_beside_another():
                self.turn += 1
                self.state, self.unheard = State.WAITING, None
                self.look_at = min(self.now + 1, self.deadline)
            elif self.state not in FINAL:
                self.state, self.unheard = State.RUNNING, None
                self.look_at = self.now + LEASE
                self.attempt += 1
                return Attempt
        return Ended if self.state in FINAL else Dropped

    def sweep(self, is_empty: bool) -> int:
        """How many bells the sweeper gets for it."""
        bells = 0
        if self.state in (State.RUNNING, State.WAITING) and self.look_at <= self.now:
            self.crash() if self.state is State.RUNNING else self.again()
            bells += 1
        if is_empty and self.unheard is not None and self.unheard <= self.now:
            self.rings += 1
            self.unheard = self.now + GRACE * 2 ** min(self.rings, 6)
            bells += 1
        return bells

    def write(self, kind: str) -> None:
        """What the latest attempt writes."""
        if kind == "page":
            self.pages += 1
            self.crashes = 0
        elif kind == "put off":
            self.turn += 1
            self.state, self.look_at = (
                State.WAITING,
                self.now if self.cancel else min(self.now + 30, self.deadline),
            )
        elif kind == "slice over":
            self.again()
        elif kind == "handed back":
            self.rest(State.ACCEPTED)
        else:
            self.finished += 1
            self.rest(State.DONE if kind == "done" else State.FAILED)


class Machine(RuleBasedStateMachine):
    """The real store and the model, side by side."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.client = redis.Redis.from_url(self.url)
        self.client.flushall()
        self.desk = JobDesk(self.client)
        self.known: dict[str, Known] = {}
        self.messages: list[tuple[str, int]] = []
        self.held: list[Attempt] = []
        self.suspect = ""

    def call(self, lost: bool, work: Callable[[], Any]) -> Any:
        """Use the store; None where its answer is lost, though it has done its work."""
        self.desk.store.lose = lost
        try:
            return work()
        except StoreUnavailable:
            assert lost
            return None
        finally:
            self.desk.store.lose = False

    def is_beside_another(self, job_id: str) -> bool:
        """Whether the one process that begins jobs here runs another that may have killed its process."""
        other = self.known.get(self.suspect)
        if self.suspect != job_id and other and other.state is State.RUNNING and other.crashes:
            return True
        self.suspect = job_id
        return False

    def ring(self, bells: list[Bell], arrive: bool) -> None:
        """Send messages, which may be lost."""
        for bell in bells:
            assert bell.body == JOB.wire()
            assert bell.turn == self.known[bell.job_id].turn
            if arrive:
                self.messages.append((bell.job_id, bell.turn))

    @rule(job_id=IDS, arrive=st.booleans(), lost=LOST)
    def submit(self, job_id: str, arrive: bool, lost: bool) -> None:
        """A job is accepted, and its message sent, or not."""
        self.call(lost, lambda: self.desk.jobs.accept(job_id, JOB))
        if job_id not in self.known:
            self.known[job_id] = Known(self.desk.store.now, self.desk.store.now + TIME)
            self.known[job_id].rest(State.ACCEPTED)
        if arrive:
            self.messages.append((job_id, 0))

    @precondition(lambda self: self.messages)
    @rule(which=WHICH, stays=st.booleans(), lost=LOST)
    def deliver(self, which: int, stays: bool, lost: bool) -> None:
        """The broker gives a message, perhaps not for the last time."""
        index = which % len(self.messages)
        job_id, turn = self.messages[index] if stays else self.messages.pop(index)
        found = self.call(lost, lambda: self.desk.deliver(job_id, turn=turn))
        expected = self.known[job_id].begin(turn, lambda: self.is_beside_another(job_id))
        if found is not None:
            assert isinstance(found, expected)
        if isinstance(found, Attempt):
            assert (found.number, found.turn) == (self.known[job_id].attempt, self.known[job_id].turn)
            assert found.checkpoint == (str(self.known[job_id].pages) if self.known[job_id].pages else None)
            self.held.append(found)

    @precondition(lambda self: self.held)
    @rule(
        which=WHICH,
        kind=st.sampled_from(["page", "page", "put off", "slice over", "handed back", "done", "failed"]),
        lost=LOST,
    )
    def write(self, which: int, kind: str, lost: bool) -> None:
        """An attempt, or a zombie of one, writes something."""
        attempt = self.held[which % len(self.held)]
        known = self.known[attempt.job_id]
        is_latest = known.state is State.RUNNING and known.attempt == attempt.number
        jobs, refused, cancelled = self.desk.jobs, False, False
        writes: dict[str, Callable[[], Any]] = {
            "page": lambda: jobs.checkpoint(attempt, str(known.pages + 1), known.pages + 1, 0),
            "put off": lambda: jobs.put_off(attempt, REFUSED, 30, Spent()),
            "slice over": lambda: jobs.continue_(attempt, Spent()),
            "handed back": lambda: jobs.release(attempt, Spent()),
            "done": lambda: jobs.finish(attempt, RESULT),
            "failed": lambda: jobs.finish(attempt, FilterRefused("no")),
        }
        try:
            self.call(lost, writes[kind])
        except Superseded:
            refused = True
        except JobCancelled:
            cancelled = True
        assert lost or refused != is_latest
        assert lost or cancelled == (is_latest and kind == "page" and known.cancel)
        if is_latest:
            known.write(kind)
            if kind == "slice over" and not lost:
                self.messages.append((attempt.job_id, known.turn))
            if kind == "handed back":
                self.messages.append((attempt.job_id, attempt.turn))

    @rule(lost=LOST)
    def beat(self, lost: bool) -> None:
        """Workers, zombies among them, say that their attempts live."""
        self.call(lost, lambda: self.desk.jobs.renew(self.held))
        for attempt in self.held:
            known = self.known[attempt.job_id]
            if known.state is State.RUNNING and known.attempt == attempt.number:
                known.look_at = known.now + LEASE

    @rule(half=st.booleans())
    def kill(self, half: bool) -> None:
        """A worker is killed, or all of them."""
        self.held = self.held[::2] if half else []

    @rule(is_empty=st.booleans(), arrive=st.booleans(), lost=LOST)
    def sweep(self, is_empty: bool, arrive: bool, lost: bool) -> None:
        """A sweeper looks; its messages may be lost."""
        found = self.call(lost, lambda: self.desk.swept(*(Lane if is_empty else ())))
        expected = [job_id for job_id, known in self.known.items() for _ in range(known.sweep(is_empty))]
        if found is not None:
            assert sorted(bell.job_id for bell in found) == sorted(expected)
            self.ring(found, arrive)

    @rule(job_id=IDS, arrive=st.booleans(), lost=LOST)
    def cancel(self, job_id: str, arrive: bool, lost: bool) -> None:
        """Somebody wants a job no more."""
        found = self.call(lost, lambda: self.desk.jobs.cancel(job_id))
        known = self.known.get(job_id)
        if known and known.state not in FINAL:
            if known.state is State.RUNNING and known.look_at > known.now:
                known.cancel = True
            else:
                known.turn += 1
                known.rest(State.CANCELLED)
        if found is not None:
            assert found[0] == (known.state if known else None)
            self.ring([found[1]] if found[1] else [], arrive)

    @rule(job_id=IDS, arrive=st.booleans(), lost=LOST)
    def retry(self, job_id: str, arrive: bool, lost: bool) -> None:
        """Somebody wants a job anew."""
        found = self.call(lost, lambda: self.desk.jobs.retry(job_id))
        known = self.known.get(job_id)
        if known and known.state in FINAL - {State.DONE}:
            known.crashes = known.pages = known.finished = 0
            known.deadline = known.now + TIME
            known.again()
        if found is not None:
            assert found[0] == (known.state if known else None)
            self.ring([found[1]] if found[1] else [], arrive)

    @rule(job_id=IDS, lost=LOST)
    def told(self, job_id: str, lost: bool) -> None:
        """Whoever sent the job has heard of it."""
        self.call(lost, lambda: self.desk.jobs.told(job_id))
        known = self.known.get(job_id)
        if known and known.state in FINAL:
            known.unheard = None

    @rule(seconds=st.sampled_from(JUMPS))
    def pass_time(self, seconds: int) -> None:
        """Time passes."""
        self.desk.later(seconds)
        for known in self.known.values():
            known.now = self.desk.store.now

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        """Each job is where the model has it, was finished once at most, and is somewhere whence it goes on."""
        for job_id, known in self.known.items():
            state = self.desk.state(job_id)
            assert (state.state, state.attempts, state.crashes) == (known.state, known.attempt, known.crashes)
            assert self.desk.row("turn", job_id) == str(known.turn)
            assert known.finished <= 1
            is_due = self.client.zscore("acuworker:jobs:due", job_id) is not None
            is_unheard = self.client.zscore("acuworker:jobs:unheard:bulk", job_id) is not None
            assert is_due == (known.state in (State.RUNNING, State.WAITING))
            assert is_unheard == (known.unheard is not None)

    def teardown(self) -> None:
        """When all workers are gone and every message is lost, the sweeper alone brings each job to its end."""
        for _ in range(12):
            self.desk.later(1000)
            for bell in self.desk.swept(*Lane):
                found = self.desk.deliver(bell.job_id, turn=bell.turn)
                if isinstance(found, Attempt):
                    self.desk.jobs.finish(found, RESULT)
                self.desk.jobs.told(bell.job_id)
        assert all(self.desk.state(job_id).ended for job_id in self.known)
        assert self.client.keys("acuworker:jobs:unheard:*") == []
        self.client.close()


def test_no_job_is_lost_and_none_done_twice() -> None:
    """Whatever workers, the broker and the store's answers do, every job has one end, and the store is as its model."""
    with start_store() as url:
        kind: Any = type("Played", (Machine,), {"url": url})
        machine = kind.TestCase()
        machine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
        machine.runTest()

"""What the workers' programs are run under: the table's steps, the spans of time, and the habits beyond the guards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from tests.chaos.model.promises import Promise
from tests.chaos.model.table import Row, Spans, Step, Table, compiled, of_no_account
from tests.chaos.model.world import IDLE, LEASE, Worker, World, canonical


@dataclass(frozen=True)
class Habits:
    """The rules of a worker that no guard of the table stands for; without any one of them a promise breaks."""

    intends_first: bool = True
    """A sign-in is written down before it is sent."""
    asks_in_time: bool = True
    """A sign-in is sent before its own end, or never."""
    sends_in_time: bool = True
    """A request is sent on a lease before the lease's own end, or never."""
    drains: bool = True
    """Where a request may be at work, a session is closed only once one of our own that came after it was answered."""
    revokes: bool = True
    """A session is said to be closed only after its token was revoked."""


HABITS = tuple(field.name for field in fields(Habits))


@dataclass(frozen=True)
class Chances:
    """What may happen in a world beside what workers do; each search is of a few, so that it comes to an end."""

    renews: bool = False
    """Tokens can be renewed."""
    revokes: bool = False
    """The ERP revokes tokens of its own accord."""
    closes: bool = False
    """The ERP closes sessions of its own accord, and an operator may see it."""
    empties: bool = False
    """The store is emptied."""


class Said(NamedTuple):
    """A step of the table as a worker says it; ``late``: the answer came, too late or not whole."""

    name: str
    generation: int = 0
    lease: int = 0
    grant: int = 0
    late: bool = False


class Move(NamedTuple):
    """Something that is done, the world after it, the steps that were taken with it, and the promise that it breaks."""

    told: str
    world: World
    steps: tuple[Said, ...] = ()
    broken: Promise | None = None


@dataclass(frozen=True)
class Rules:
    """All that a worker goes by."""

    steps: Mapping[str, Step]
    spans: Spans
    habits: Habits
    chances: Chances
    blanks: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(
        cls, table: Table, spans: Spans, habits: Habits | None = None, chances: Chances | None = None
    ) -> Rules:
        """The rules over a table."""
        steps = compiled(table, spans)
        return cls(steps, spans, habits or Habits(), chances or Chances(), of_no_account(table))

    def same(self, world: World) -> World:
        """The one world for all that will go on alike."""
        return canonical(world, self.blanks, self.spans.floor)

    def step(self, row: Row, name: str) -> Row | None:
        """The row after a step that whoever looks takes; None where it is refused, or not in the table."""
        return self.steps[name](row, 0, 0, 0, 0, 0) if name in self.steps else None

    def take(self, world: World, said: Said) -> World | None:
        """The world after a step; None where it is refused."""
        # A token that has lived for an unknown time is renewed at once: a worker knows how long it has waited.
        renew = 0 if said.late and not self.spans.stays else self.spans.life - self.spans.lease
        unknown = self.spans.life + (0 if said.late else self.spans.queue)
        row = self.steps[said.name](world.row, said.generation, said.lease, said.grant, renew, unknown)
        return None if row is None else world._replace(row=row)

    def say(self, world: World, place: int, said: Said, after: Worker, refused: Worker = IDLE) -> Move:
        """A worker takes a step and goes on, or is refused and goes on otherwise."""
        taken = self.take(world, said)
        if taken is None:
            return Move(f"is refused: {said.name}", world.with_worker(place, refused))
        return Move(said.name, taken.with_worker(place, after), (said,))

    def prolong(self, world: World, place: int, said: Said, after: Worker) -> Move:
        """A worker is heard of, and its lease goes on; if it is its own."""
        worker = world.workers[place]
        kept = self.say(world, place, said, after, worker)
        another = bool(kept.steps) and world.row[LEASE] != worker.lease
        return kept._replace(broken=Promise.PROLONGED if another else None)

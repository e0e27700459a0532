"""The modelled world, as values: a slot's row, the ERP's sessions, what is on its way to it, and two workers.

All moments are relative to now, and names (generations, leases, sessions) are told apart by nothing but which are the
same; so two worlds that will go on alike are one, and there are finitely many. Nothing here decides what happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from tests.chaos.model.table import PLACE, Row, Spans, aged

STATE, GENERATION, LEASE, GRANT = (PLACE[name] for name in ("state", "generation", "lease", "grant"))
LENT = tuple(PLACE[name] for name in ("lease_until", "before"))
"""The places of a row that say nothing of a session that is not lent."""

TOKENS = 4
"""A grant is a number: that of its session times this, and which of the session's tokens it is."""


class Request(NamedTuple):
    """A request in a session: whose it is, and for how many ticks the ERP may yet be at it."""

    tag: int
    left: int


class Session(NamedTuple):
    """What the ERP knows of one sign-in: ``end`` and each token's value are the ticks that they still have.

    A token that has expired has none; of one that is revoked they are counted below zero. Requests are worked off one
    by one, in the order of arrival; ``running`` says that the first of them is at work.
    """

    name: int
    open: bool
    running: bool
    end: int
    tokens: tuple[int, ...]
    queue: tuple[Request, ...]

    @property
    def matters(self) -> bool:
        """Whether anything can come of it any more."""
        return self.open or any(self.tokens) or bool(self.queue)


class Ask(NamedTuple):
    """A sign-in, or the renewal of a token of a session, that the ERP has not worked on yet; ``tag`` says whose."""

    session: int
    tag: int
    left: int


class Worker(NamedTuple):
    """What a worker is about: where it stands, the generation, grant and lease that it goes by.

    ``left`` are the ticks in which it may go on by its own clock; ``note`` is what it must remember.
    """

    at: str
    generation: int = 0
    grant: int = 0
    lease: int = 0
    left: int = 0
    note: int = 0


IDLE = Worker("idle")

FORGOTTEN = 9
"""The note of a worker whose slot was forgotten under it: the store was emptied."""


class World(NamedTuple):
    """Everything at one moment."""

    row: Row
    sessions: tuple[Session, ...]
    asks: tuple[Ask, ...]
    workers: tuple[Worker, ...]

    def session(self, grant: int) -> Session | None:
        """The session of a grant, while it matters."""
        for session in self.sessions:
            if session.name == grant // TOKENS:
                return session
        return None

    def with_session(self, session: Session) -> World:
        """The world with this session in place of the one of its name."""
        others = tuple(each for each in self.sessions if each.name != session.name)
        return self._replace(sessions=(*others, session) if session.matters else others)

    def with_worker(self, place: int, worker: Worker) -> World:
        """The world with this worker in that place."""
        return self._replace(workers=(*self.workers[:place], worker, *self.workers[place + 1 :]))

    def fresh_name(self) -> int:
        """A number that names nothing yet."""
        used = [self.row[GENERATION], self.row[LEASE], self.row[GRANT] // TOKENS]
        used += [
            name for each in self.workers for name in (each.generation, each.lease, each.grant // TOKENS)
        ]
        used += [name for each in self.sessions for name in (each.name, *(asked.tag for asked in each.queue))]
        used += [name for ask in self.asks for name in (ask.session, ask.tag)]
        return int(max(used)) + 1


def canonical(world: World, blanks: Mapping[str, tuple[int, ...]], floor: int) -> World:
    """The one world for all that will go on alike: names are renumbered, and what nobody reads any more is blanked.

    ``blanks`` are the places of a row that are of no account in a state.
    """
    look = partial(_looks, world.row)
    workers = sorted(world.workers, key=look)
    one = _renumbered(world, workers, blanks, floor)
    if workers[0] == workers[-1] or look(workers[0]) != look(workers[-1]):
        return one
    return min(one, _renumbered(world, workers[::-1], blanks, floor))


def _looks(row: Row, worker: Worker) -> tuple[object, ...]:
    """What tells a worker from another, whatever its names."""
    own = (worker.generation == row[GENERATION], worker.lease == row[LEASE], worker.grant == row[GRANT])
    return (worker.at, worker.left, worker.note, worker.lease == 0, worker.grant % TOKENS, *own)


def _renumbered(
    world: World, workers: list[Worker], blanks: Mapping[str, tuple[int, ...]], floor: int
) -> World:
    row = world.row
    generations = _numbers([row[GENERATION], *(worker.generation for worker in workers)])
    leases = _numbers([row[LEASE], *(worker.lease for worker in workers)])
    sessions = _numbers([row[GRANT] // TOKENS, *(worker.grant // TOKENS for worker in workers)])
    found = sorted(_renamed(session, sessions, leases) for session in world.sessions)
    named = list(row)
    named[GENERATION], named[LEASE] = generations[row[GENERATION]], leases[row[LEASE]]
    named[GRANT] = _regranted(row[GRANT], sessions)
    for place in blanks[row[STATE]] + (() if row[LEASE] and row[STATE] == "open" else LENT):
        named[place] = floor
    return World(
        tuple(named),
        tuple(session for session in found if session.matters),
        tuple(
            sorted(Ask(sessions.get(ask.session, 99), leases.get(ask.tag, 0), ask.left) for ask in world.asks)
        ),
        tuple(
            worker._replace(
                generation=generations[worker.generation],
                grant=_regranted(worker.grant, sessions),
                lease=leases[worker.lease],
            )
            for worker in workers
        ),
    )


def _numbers(names: Iterable[int]) -> dict[int, int]:
    """A number for each name, in the order in which they come; nothing stays nothing."""
    numbers = {0: 0}
    for name in names:
        numbers.setdefault(name, len(numbers))
    return numbers


def _regranted(grant: int, sessions: Mapping[int, int]) -> int:
    return sessions[grant // TOKENS] * TOKENS + grant % TOKENS


def _renamed(session: Session, sessions: Mapping[int, int], leases: Mapping[int, int]) -> Session:
    # Whose a request was does not matter once nobody waits for its answer; nor does a token that nobody has any more.
    queue = tuple(Request(leases.get(request.tag, 0), request.left) for request in session.queue)
    tokens = session.tokens if session.name in sessions else ()
    return session._replace(name=sessions.get(session.name, 99), tokens=tokens, queue=queue)


def later(world: World, spans: Spans) -> World | None:
    """The world a tick later; None while something is due that must come first."""
    due = [ask.left for ask in world.asks]
    due += [request.left for session in world.sessions for request in session.queue]
    if 0 in due:
        return None
    sessions = tuple(session for session in map(_aged, world.sessions) if session.matters)
    asks = tuple(ask._replace(left=ask.left - 1) for ask in world.asks)
    workers = tuple(worker._replace(left=max(0, worker.left - 1)) for worker in world.workers)
    return World(aged(world.row, spans), sessions, asks, workers)


def _aged(session: Session) -> Session:
    end = max(0, session.end - 1)
    return session._replace(
        open=session.open and (end > 0 or session.running),
        end=end,
        tokens=tuple(token - (token > 0) + (token < 0) for token in session.tokens),
        queue=tuple(Request(request.tag, request.left - 1) for request in session.queue),
    )

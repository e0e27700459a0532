"""The programs of a worker that looks for a session, and holds one: as ``worker/erp/sessions.py`` has them.

Between any two steps a worker may stand still for as long as it likes, or be killed. What it was told by the store it
acts on later; what it asks of the ERP may be lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tests.chaos.model import closing, erp, opening
from tests.chaos.model.promises import Promise
from tests.chaos.model.rules import Move, Rules, Said
from tests.chaos.model.table import PLACE
from tests.chaos.model.world import GENERATION, GRANT, IDLE, STATE, TOKENS, Request, Worker, World

RENEW = PLACE["renew"]
OVER = ("open", "closing", "quarantine")
"""The states in which an operator may release a slot."""

Program = Callable[[Rules, World, int, Worker], Iterator[Move]]


def moves(rules: Rules, world: World) -> Iterator[tuple[int, Move]]:
    """Everything that a worker may do now, and in whose place."""
    seen: list[Worker] = []
    for place, worker in enumerate(world.workers):
        if worker in seen:
            continue
        seen.append(worker)
        for move in PROGRAMS[worker.at](rules, world, place, worker):
            yield place, move
        if worker.at != "idle":
            yield place, Move("is killed", world.with_worker(place, IDLE))


def idle(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """It looks at the slot."""
    yield from (move for move in _found(rules, world, place) if move.steps or not rules.habits.intends_first)
    if rules.chances.closes and world.row[STATE] in OVER and closing.is_known(world):
        operator = Worker("knows", world.row[GENERATION], world.row[GRANT])
        yield Move("is asked to look at the ERP", world.with_worker(place, operator))


def _found(rules: Rules, world: World, place: int) -> Iterator[Move]:
    new, spans = world.fresh_name(), rules.spans
    generation, grant = world.row[GENERATION], world.row[GRANT]
    if rules.habits.intends_first:
        yield rules.say(world, place, Said("intend", new, new), Worker("intending", new, 0, new, spans.lease))
    elif world.row[STATE] == "free":
        yield Move("sees it free", world.with_worker(place, Worker("may ask", new, 0, new, spans.send)))
    holder = Worker("holding", generation, grant, new, spans.lease)
    yield rules.say(world, place, Said("lend", lease=new), holder)
    session = world.session(grant)
    if rules.chances.renews and world.row[RENEW] <= 0 and session and len(session.tokens) == 1:
        renewal = Worker("about to renew", new, grant, new, spans.lease)
        yield rules.say(world, place, Said("refresh", new, new), renewal)
    yield closing.begun(rules, world, place, Said("retire"), grant)
    yield closing.begun(rules, world, place, Said("again", new), grant)


def holding(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """It has a lease, and has sent nothing on it."""
    in_time = worker.left > 0 or not rules.habits.sends_in_time
    if in_time and erp.is_good(world, worker.grant) and not erp.is_full(world, worker.grant):
        sent = erp.sent(world, worker.grant, Request(worker.lease, rules.spans.work))
        yield Move("sends a request", sent.with_worker(place, worker._replace(at="asking")))
    elif in_time and not erp.is_good(world, worker.grant):
        refused = world.with_worker(place, worker._replace(at="rejected", left=0, note=0))
        old = not (rules.spans.stays or worker.note or erp.is_revoked(world, worker.grant))
        yield Move("is turned away", refused, (), Promise.OLD if old else None)
    yield rules.say(world, place, Said("untouched", lease=worker.lease), IDLE)
    yield from unheard(rules, world, place, worker)


def asking(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """Its request is on its way."""
    yield rules.prolong(
        world, place, Said("renew", lease=worker.lease), worker._replace(left=rules.spans.lease)
    )
    yield Move("gives up", world.with_worker(place, Worker("unheard", lease=worker.lease)))


def answered(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """Its request was answered."""
    yield rules.say(world, place, Said("release", lease=worker.lease), IDLE)


def unheard(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """Nothing was sent, or what became of it is not known."""
    yield rules.say(world, place, Said("let_go", lease=worker.lease), IDLE)


def rejected(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """The ERP does not take the token, or has no seat for it."""
    lost = closing.begun(rules, world, place, Said("lost", lease=worker.lease), worker.grant)
    another = bool(lost.steps) and world.row[GRANT] // TOKENS != worker.grant // TOKENS
    yield lost._replace(broken=Promise.ANOTHER if another else None)


PROGRAMS: Mapping[str, Program] = {
    "idle": idle,
    "holding": holding,
    "asking": asking,
    "answered": answered,
    "declined": unheard,
    "unheard": unheard,
    "rejected": rejected,
    "no seat": rejected,
    **opening.PROGRAMS,
    **closing.PROGRAMS,
}

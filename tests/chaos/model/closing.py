"""The programs of a worker that closes a session, as ``worker/erp/closing.py`` has them, and of an operator."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.model import erp
from tests.chaos.model.promises import Promise
from tests.chaos.model.rules import Move, Rules, Said
from tests.chaos.model.table import PLACE
from tests.chaos.model.world import GENERATION, GRANT, IDLE, TOKENS, Request, Worker, World

AT_WORK = PLACE["busy"]
CLEAR, BUSY, UNSURE = 0, 1, 2
"""What a closing worker notes: nothing is at work; something may be; something may be, and nothing came of waiting."""


def begun(rules: Rules, world: World, place: int, said: Said, grant: int) -> Move:
    """A worker is told to close a session; what may be at work in it, the store says, is to be waited for."""
    taken = rules.take(world, said)
    if taken is None:
        return rules.say(world, place, said, IDLE)
    closer = Worker("closing", taken.row[GENERATION], grant, world.fresh_name(), rules.spans.closing, CLEAR)
    if taken.row[AT_WORK] <= 0:
        return Move(said.name, taken.with_worker(place, closer), (said,))
    drain = Said("drain", closer.generation)
    drained = rules.say(taken, place, drain, closer._replace(note=BUSY))
    return drained._replace(told=f"{said.name}, drain", steps=(said, drain))


def closing(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """The slot is closing, and the session not yet signed out."""
    if worker.note == BUSY:
        yield Move("cannot drain", world.with_worker(place, worker._replace(note=UNSURE)))
        in_time = worker.left > 0 and not erp.is_full(world, worker.grant)
        if in_time and erp.is_good(world, worker.grant):
            asked = erp.sent(world, worker.grant, Request(worker.lease, rules.spans.work))
            yield Move("drains", asked.with_worker(place, worker._replace(at="draining")))
    elif erp.may_sign_out(world, worker.grant):
        yield from _signs_out(rules, world, place, worker)


def _signs_out(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    after = erp.signed_out(world, worker.grant, rules.spans)
    out = worker._replace(at="signed out" if rules.habits.revokes else "revoked")
    session = world.session(worker.grant)
    if after is not None:
        yield Move("signs out", after.with_worker(place, out))
        return
    yield Move("signs out in vain", world.with_worker(place, worker._replace(at="dead", note=CLEAR)))
    if session is None or not session.open:
        # Of a session that is closed some builds say that it is signed out, whatever the token.
        yield Move("signs out", world.with_worker(place, out))


def draining(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """A request of our own waits behind those that may be at work."""
    yield Move("gives up draining", world.with_worker(place, worker._replace(at="closing", note=UNSURE)))


def drained(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """It was answered: what came before it is over."""
    yield from closing(rules, world, place, worker._replace(at="closing", note=CLEAR))


def not_drained(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """It was turned away, which may have been before those had ended."""
    yield from draining(rules, world, place, worker)


def signed_out(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """The seat is free, the token good."""
    gone = worker._replace(at="revoked")
    yield Move("revokes the token", erp.revoked(world, worker.grant).with_worker(place, gone))


def revoked(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """The session is closed for good."""
    if worker.note == UNSURE and rules.habits.drains:
        yield rules.say(world, place, Said("dead", worker.generation), IDLE)
        return
    closed = rules.say(world, place, Said("closed", worker.generation), IDLE)
    live = bool(closed.steps) and erp.is_good(world, worker.grant)
    yield closed._replace(broken=Promise.TOKENS if live else None)


def dead(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """The ERP does not take the token any more."""
    yield rules.say(world, place, Said("dead", worker.generation), IDLE)


def knows(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """An operator has seen that the ERP has closed the session of a slot, and gives their word while it is so."""
    session = world.session(worker.grant)
    if session is None or not session.open:
        yield rules.say(world, place, Said("given_up", worker.generation), IDLE)


def is_known(world: World) -> bool:
    """Whether an operator can know that the slot's session is closed: nothing is open, and nothing is under way."""
    others = any(session.open or session.name != world.row[GRANT] // TOKENS for session in world.sessions)
    return not (world.asks or others)


PROGRAMS = {
    "closing": closing,
    "draining": draining,
    "drain answered": drained,
    "drain no seat": drained,
    "drain rejected": drained,
    "drain declined": not_drained,
    "signed out": signed_out,
    "revoked": revoked,
    "dead": dead,
    "knows": knows,
}

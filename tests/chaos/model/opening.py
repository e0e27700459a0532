"""The programs of a worker that signs in, or has a token renewed: as ``worker/erp/opening.py`` has them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.model import erp
from tests.chaos.model.rules import Move, Rules, Said
from tests.chaos.model.world import IDLE, TOKENS, Ask, Worker, World

TOO_LATE = 1
"""The note of a lease whose token may have lived already for longer than its worker thinks."""


def intending(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """The sign-in or the renewal is written down, and not yet allowed to be sent."""
    renewal = worker.at == "about to renew"
    kept = worker._replace(left=rules.spans.lease)
    yield rules.prolong(world, place, Said("keep", worker.generation), kept)
    may = worker._replace(at="may renew" if renewal else "may ask", left=rules.spans.send)
    yield rules.say(world, place, Said("send", worker.generation), may)
    yield rules.say(world, place, _nothing_came_of_it(worker), IDLE)


def asking(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """It may be sent."""
    if worker.left > 0 or not rules.habits.asks_in_time:
        ask = Ask(worker.grant // TOKENS, worker.lease, rules.spans.queue)
        waiting = worker._replace(at="renewing" if worker.at == "may renew" else "signing in")
        yield Move("asks the ERP", world._replace(asks=(*world.asks, ask)).with_worker(place, waiting))
    yield rules.say(world, place, _nothing_came_of_it(worker), IDLE)
    yield from waiting_for_it(rules, world, place, worker)


def waiting_for_it(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """Nothing is heard yet; it may be given up at any time, and then nobody knows."""
    yield rules.prolong(world, place, Said("keep", worker.generation), worker)
    yield Move("gives up", world.with_worker(place, Worker("not heard", worker.generation)))


def not_heard(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """What came of it will never be known."""
    said = Said("unknown", worker.generation, late=worker.at == "cut short")
    yield rules.say(world, place, said, IDLE)


def granted(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """There is a token."""
    step = "refreshed" if worker.at == "renewed" else "opened"
    said = Said(step, worker.generation, worker.lease, worker.grant, late=worker.left == 0)
    late = Worker("late", worker.generation, worker.grant)
    holding = worker._replace(at="holding", left=rules.spans.lease, note=TOO_LATE if said.late else 0)
    yield rules.say(world, place, said, holding, late)
    yield rules.say(world, place, said, late, late)._replace(told=f"{step}, and the answer is lost")
    yield Move("gives the session back", world.with_worker(place, late))


def refused(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """The ERP has said no."""
    said = _nothing_came_of_it(worker)
    yield rules.say(
        world, place, said._replace(name="not_renewable") if worker.at == "chain ended" else said, IDLE
    )


def _nothing_came_of_it(worker: Worker) -> Said:
    renewal = worker.at in ("about to renew", "may renew", "not renewed", "chain ended")
    return Said("not_refreshed" if renewal else "not_opened", worker.generation)


def late(rules: Rules, world: World, place: int, worker: Worker) -> Iterator[Move]:
    """There is a session that the store does not wait for: it is signed out, and its token revoked."""
    if worker.at == "late" and erp.may_sign_out(world, worker.grant):
        after = erp.signed_out(world, worker.grant, rules.spans)
        gone = (
            worker._replace(at="late, out")
            if rules.habits.revokes
            else Worker("late, revoked", worker.generation)
        )
        yield Move("signs out", (after or world).with_worker(place, IDLE if after is None else gone))
    if worker.at == "late, out":
        gone = Worker("late, revoked", worker.generation)
        yield Move("revokes the token", erp.revoked(world, worker.grant).with_worker(place, gone))
    if worker.at == "late, revoked":
        yield rules.say(world, place, Said("not_opened", worker.generation), IDLE)


PROGRAMS = {
    "intending": intending,
    "about to renew": intending,
    "may ask": asking,
    "may renew": asking,
    "signing in": waiting_for_it,
    "renewing": waiting_for_it,
    "not heard": not_heard,
    "cut short": not_heard,
    "granted": granted,
    "renewed": granted,
    "refused": refused,
    "not renewed": refused,
    "chain ended": refused,
    "late": late,
    "late, out": late,
    "late, revoked": late,
}

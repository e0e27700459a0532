"""What must hold in every world that can come about."""

from __future__ import annotations

from enum import StrEnum

from tests.chaos.model.world import FORGOTTEN, GENERATION, GRANT, LEASE, STATE, TOKENS, Worker, World

HOLDS = {
    **dict.fromkeys(("intending", "may ask", "signing in", "granted"), "intent"),
    **dict.fromkeys(("about to renew", "may renew", "renewing", "renewed"), "refreshing"),
    **dict.fromkeys(("holding", "asking"), "open"),
}
"""In which state a worker may rely on to find its slot, while it is in time."""

CLOSES = frozenset({"closing", "draining", "drain answered", "signed out", "revoked"})


class Promise(StrEnum):
    """What is promised, as it is told when it breaks."""

    SEATS = "more sessions are open than there are slots"
    FREE = "a slot is free while its session is open"
    TOKENS = "a slot is free while a token can open its session"
    ONE = "two workers hold a lease of one session"
    ROBBED = "a worker in time is robbed of its slot"
    PROLONGED = "a lease is prolonged by another than its holder"
    OLD = "an exchange is begun with a token that is too old"
    ANOTHER = "a 401 closes another session than the one that it is about"
    STUCK = "a slot is never free again, whoever waits for it"
    UNLENT = "a session that nobody holds is not lent on when the lease is over"


def broken(world: World) -> Promise | None:
    """The promise that does not hold in this world, if one does not."""
    still_open = sum(session.open for session in world.sessions)
    if still_open > 1:
        return Promise.SEATS
    if still_open and world.row[STATE] == "free":
        return Promise.FREE
    in_time = [worker for worker in world.workers if worker.left > 0 and worker.note != FORGOTTEN]
    holders = [worker.grant // TOKENS for worker in in_time if HOLDS.get(worker.at) == "open"]
    if len(holders) > len(set(holders)):
        return Promise.ONE
    return Promise.ROBBED if any(_is_robbed(world, worker) for worker in in_time) else None


def _is_robbed(world: World, worker: Worker) -> bool:
    row = world.row
    same = row[GENERATION] == worker.generation
    if worker.at in HOLDS:
        mine = HOLDS[worker.at] == "intent" or row[LEASE] == worker.lease
        return not (row[STATE] == HOLDS[worker.at] and same and mine)
    # A session that is being closed may be over by itself, and its slot another's.
    return worker.at in CLOSES and row[GRANT] == worker.grant and not (row[STATE] == "closing" and same)

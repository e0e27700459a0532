"""What the ERP may do at any moment, with what has reached it and by itself.

It works off what it was sent in its own time, within a bound, whether or not anybody still waits for the answer: a
sign-in opens a session; a request opens one again where it has been signed out, if its token was good when it came.
Signing out frees the seat and overtakes requests that only wait; revoking kills the token and frees no seat. That a
session was closed it says only where that is so; this much of its word is taken.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.model.rules import Chances
from tests.chaos.model.table import Spans
from tests.chaos.model.world import TOKENS, Ask, Request, Session, Worker, World

Move = tuple[str, World]

MOST_WAITING = 2
"""Requests in one session: one that was left behind, and one that comes after it."""


def moves(world: World, spans: Spans, chances: Chances) -> Iterator[Move]:
    """Everything that it may do now."""
    for ask in world.asks:
        yield from _answers(world, ask, spans)
    for session in world.sessions:
        yield from _works(world, session, spans)
        if chances.revokes and any(token > 0 for token in session.tokens):
            revoked = session._replace(tokens=tuple(-abs(token) for token in session.tokens))
            yield "revokes tokens of its own accord", world.with_session(revoked)
        if chances.closes and session.open and not session.running:
            yield "closes a session of its own accord", _closed(world, session, spans)


def _closed(world: World, session: Session, spans: Spans) -> World:
    # Cookies are good for their session and no longer.
    tokens = tuple(0 for _ in session.tokens) if spans.stays else session.tokens
    return world.with_session(session._replace(open=False, tokens=tokens))


def _answers(world: World, ask: Ask, spans: Spans) -> Iterator[Move]:
    asks = list(world.asks)
    asks.remove(ask)
    left = world._replace(asks=tuple(asks))
    before = world.session(ask.session * TOKENS) if ask.session else None
    old = before.tokens if before else (0,) * bool(ask.session)
    queue, running = (before.queue, before.running) if before else ((), False)
    name = ask.session or world.fresh_name()
    session = Session(name, True, running, spans.life, (*old, spans.life), queue)
    granted = left.with_session(session)
    yield "grants, and nobody hears of it", granted
    yield "refuses, and nobody hears of it", left
    for place, worker in enumerate(world.workers):
        if worker.lease == ask.tag and worker.at in ("signing in", "renewing"):
            at = "granted" if worker.at == "signing in" else "renewed"
            heard = worker._replace(at=at, grant=name * TOKENS + len(session.tokens))
            yield "grants", granted.with_worker(place, heard)
            cut = Worker("cut short", worker.generation)
            yield "grants, and the answer is cut short", granted.with_worker(place, cut)
            for refusal in ("refused",) if worker.at == "signing in" else ("not renewed", "chain ended"):
                no = Worker(refusal, worker.generation)
                yield f"says {refusal}", left.with_worker(place, no)


def _works(world: World, session: Session, spans: Spans) -> Iterator[Move]:
    if not session.queue:
        return
    first, rest = session.queue[0], session.queue[1:]
    without_it = world.with_session(session._replace(queue=rest))
    if session.running:
        yield "ends a request", _told(world.with_session(_ended(session, spans)), first, "answered")
    elif not session.open and spans.stays:
        yield "refuses a request", _told(without_it, first, "rejected")
    else:
        yield "begins a request", world.with_session(session._replace(open=True, running=True))
        if not session.open:
            yield "has no seat for a request", _told(without_it, first, "no seat")
        for request in session.queue:
            others = tuple(each for each in session.queue if each != request)
            declined = world.with_session(session._replace(queue=others))
            yield "declines a request", _told(declined, request, "declined")


def _ended(session: Session, spans: Spans) -> Session:
    if spans.stays:
        session = session._replace(end=spans.stays, tokens=tuple(spans.stays for _ in session.tokens))
    return session._replace(open=session.end > 0, running=False, queue=session.queue[1:])


def _told(world: World, request: Request, answer: str) -> World:
    """The world in which whoever waits for the answer has it."""
    for place, worker in enumerate(world.workers):
        if worker.lease == request.tag and worker.at in ("asking", "draining"):
            return world.with_worker(place, _heard(worker, answer))
    return world


def _heard(worker: Worker, answer: str) -> Worker:
    if worker.at == "draining":
        return worker._replace(at=f"drain {answer}")
    if answer in ("answered", "declined"):
        return Worker(answer, lease=worker.lease)
    return worker._replace(at=answer, left=0, note=0)


def is_full(world: World, grant: int) -> bool:
    """Whether as many requests wait in a session as this model has room for."""
    session = world.session(grant)
    return session is not None and len(session.queue) >= MOST_WAITING


def is_good(world: World, grant: int) -> bool:
    """Whether the ERP takes a token."""
    session = world.session(grant)
    return session is not None and session.tokens[grant % TOKENS - 1] > 0


def is_revoked(world: World, grant: int) -> bool:
    """Whether a token was revoked before its time."""
    session = world.session(grant)
    return session is not None and session.tokens[grant % TOKENS - 1] < 0


def sent(world: World, grant: int, request: Request) -> World:
    """The world in which a request with a good token has come to the ERP."""
    session = world.session(grant)
    assert session is not None
    return world.with_session(session._replace(queue=(*session.queue, request)))


def may_sign_out(world: World, grant: int) -> bool:
    """Whether a sign-out need not wait: for a request that is at work in the session, it does."""
    session = world.session(grant)
    return session is None or not session.running


def signed_out(world: World, grant: int, spans: Spans) -> World | None:
    """The world after a sign-out; None where the token is refused."""
    session = world.session(grant)
    return _closed(world, session, spans) if session is not None and is_good(world, grant) else None


def revoked(world: World, grant: int) -> World:
    """The world in which a token is dead."""
    session = world.session(grant)
    if session is None:
        return world
    tokens = list(session.tokens)
    tokens[grant % TOKENS - 1] = -abs(tokens[grant % TOKENS - 1])
    return world.with_session(session._replace(tokens=tuple(tokens)))

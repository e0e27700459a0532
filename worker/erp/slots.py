"""The states of a slot and every step between them, as one table; the store's Lua is rendered from it.

A slot is a session's place in the store. Each row of TRANSITIONS is one step: the states it starts from, the guards
that must hold, the state it ends in, and what it writes. A step whose state or guards do not fit changes nothing and
says so; that is the compare-and-set by which a stale worker is refused. ``tests/chaos/model`` checks the same table.

In guards and writes a bare word is a field of the slot, ``$word`` an argument of the step, ``now`` the store's clock in
milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from worker.erp.store import source


class State(StrEnum):
    """What is known of a slot's session."""

    FREE = "free"
    """There is none."""
    INTENT = "intent"
    """A worker is signing in; written before the request is sent."""
    OPEN = "open"
    """It is open, lent to one exchange or to none."""
    REFRESHING = "refreshing"
    """It is open, and a worker is having its token renewed."""
    CLOSING = "closing"
    """A worker is signing it out and then revoking its token."""
    QUARANTINE = "quarantine"
    """It may be open, and nobody can close it: wait until the ERP surely has."""


FREE, INTENT, OPEN, REFRESHING, CLOSING, QUARANTINE = State

NUMBERS = {
    "generation": "the number of what was begun in it last (a sign-in, a renewal, another try to close), given once",
    "until": "when the state ends by itself",
    "sent": "whether the request that opens or renews may have been sent",
    "expires": "when the ERP stops taking the token",
    "renew": "from when on no exchange is begun with the token",
    "gone": "when the ERP has closed the session by itself, if nothing runs in it",
    "stays": "how long the ERP keeps the session after a request, where that is what ends it",
    "busy": "until when a request that was sent in it may yet be at work",
    "before": "what busy was before the lease that it is lent on",
    "lease_until": "when the lease ends unless its holder is heard of",
    "long": "whether the lease is for a long exchange",
    "used": "when it was last used",
    "opened": "when it was opened",
    "uses": "how many leases there were",
    "fresh": "whether no exchange has been answered in it yet",
    "renewable": "whether its token can be renewed",
}
TEXTS = {
    "lease": "whose it is, if it is lent",
    "owner": "the worker that signs in or out",
    "connection": "the connection that it is a session of",
    "chain": "the login that it lives on, where a person signed in",
    "grant": "what its requests carry, encrypted",
}


@dataclass(frozen=True, kw_only=True)
class Transition:
    """One step. ``after`` None keeps the state; a free slot has no fields."""

    name: str
    before: frozenset[State]
    after: State | None
    guards: Mapping[str, str] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)


SAME = {"same generation": "generation == $generation"}
MINE = {"mine": "lease == $lease"}
LENT = {
    "lease_until": "now + $lease_ms",
    "busy": "max(busy, now + $busy_ms)",
    "before": "busy",
    "long": "$long",
    "used": "now",
    "uses": "uses + 1",
}
UNLENT = {"lease": "''", "long": "0", "used": "now", "gone": "max(gone, now + stays)"}
LEFT_ALONE = {"until": "max(gone, busy + stays)", "lease": "''"}
TOKEN = {
    "grant": "$grant",
    "expires": "now + $expires_ms",
    "renew": "now + $renew_ms",
    "gone": "now + $gone_ms",
    "stays": "$stays_ms",
    "renewable": "$renewable",
}


def _step(
    name: str,
    before: State | tuple[State, ...],
    after: State | None,
    guards: Mapping[str, str] | None = None,
    writes: Mapping[str, str] | None = None,
) -> Transition:
    states = frozenset((before,) if isinstance(before, State) else before)
    return Transition(name=name, before=states, after=after, guards=guards or {}, writes=writes or {})


TRANSITIONS = (
    # A sign-in: written down, sent, answered.
    _step("intend", FREE, INTENT, {}, {
        "generation": "$generation", "until": "now + $lease_ms", "lease": "$lease", "owner": "$owner",
        "connection": "$connection", "chain": "$chain", "used": "now",
    }),
    _step("keep", (INTENT, REFRESHING), None, SAME, {"until": "now + $lease_ms"}),
    _step("send", (INTENT, REFRESHING), None, SAME, {
        "sent": "1", "until": "now + $lease_ms", "gone": "max(gone, now + $send_ms + $unknown_ms)",
    }),
    _step("opened", INTENT, OPEN, SAME, TOKEN | LENT | {"opened": "now", "fresh": "1"}),
    _step("not_opened", (INTENT, QUARANTINE), FREE, SAME | {"never opened": "opened == 0"}),
    _step("unknown", (INTENT, REFRESHING), QUARANTINE, SAME, LEFT_ALONE | {
        "until": "max(now + $unknown_ms, busy + stays)",
    }),
    # What time does to it when nobody answers any more.
    _step("abandoned", INTENT, FREE, {"not sent": "sent == 0", "out of time": "until <= now"}),
    _step("unanswered", (INTENT, REFRESHING), QUARANTINE, {"out of time": "until <= now"}, LEFT_ALONE),
    # A lease.
    _step("lend", OPEN, None, {"nobody's": "lease == ''", "fresh enough": "renew > now"}, LENT | {"lease": "$lease"}),
    _step("renew", OPEN, None, MINE, {"lease_until": "now + $lease_ms"}),
    _step("release", OPEN, None, MINE, UNLENT | {"busy": "0", "fresh": "0"}),
    _step("let_go", OPEN, None, MINE, UNLENT),
    _step("untouched", OPEN, None, MINE, UNLENT | {"busy": "before"}),
    _step("lapsed", OPEN, None, {"out of time": "lease_until <= now"}, {"lease": "''", "long": "0"}),
    # A renewal of the token by its refresh token.
    _step("refresh", OPEN, REFRESHING, {"nobody's": "lease == ''"}, {
        "generation": "$generation", "until": "now + $lease_ms", "sent": "0", "lease": "$lease", "owner": "$owner",
        "used": "now",
    }),
    _step("refreshed", REFRESHING, OPEN, SAME, TOKEN | LENT),
    _step("not_refreshed", REFRESHING, OPEN, SAME, {"lease": "''"}),
    _step("not_begun", REFRESHING, OPEN, {"not sent": "sent == 0", "out of time": "until <= now"}, {"lease": "''"}),
    _step("not_renewable", REFRESHING, CLOSING, SAME, {"until": "now + $closing_ms", "lease": "''"}),
    # A sign-out and a revocation.
    _step("lost", OPEN, CLOSING, MINE, {
        "until": "now + $closing_ms", "owner": "$owner", "lease": "''", "busy": "before",
    }),
    _step("retire", OPEN, CLOSING, {"nobody's": "lease == ''"}, {"until": "now + $closing_ms", "owner": "$owner"}),
    _step("again", CLOSING, None, {"out of time": "until <= now"}, {
        "generation": "$generation", "until": "now + $closing_ms", "owner": "$owner",
    }),
    _step("drain", CLOSING, None, {}, {"busy": "max(busy, now + $drain_ms)"}),
    _step("closed", CLOSING, FREE, SAME),
    _step("dead", CLOSING, QUARANTINE, SAME, LEFT_ALONE),
    # What the ERP does by itself, and what people know.
    _step("outlived", (OPEN, CLOSING), FREE, {
        "closed by the ERP": "gone <= now", "nothing at work": "busy + stays <= now",
    }),
    _step("over", QUARANTINE, FREE, {"out of time": "until <= now"}),
    _step("mourn", FREE, QUARANTINE, {}, {"generation": "$generation", "until": "now + $forgotten_ms"}),
    _step("given_up", (OPEN, CLOSING, QUARANTINE), FREE, SAME | {"nothing at work": "busy <= now"}),
)  # fmt: skip

_FIELDS = {"NUMBERS": NUMBERS, "TEXTS": TEXTS}
_WORD = re.compile(r"\$?[a-z_]+|''|[0-9]+|[<>=]=|[<>+(),]")


def words(text: str) -> list[str]:
    """A guard's or a write's words."""
    return _WORD.findall(text)


def render(transitions: tuple[Transition, ...] = TRANSITIONS) -> str:
    """The table as Lua: ``steps.NAME(row, args)`` takes the step, or changes nothing and returns false."""
    names = [f"local {name} = {{{', '.join(map(repr, fields))}}}" for name, fields in _FIELDS.items()]
    return "\n".join([*names, source("slots.lua"), "local steps = {}", *map(_function, transitions)])


def _function(transition: Transition) -> str:
    states = " or ".join(f"row.state == '{state}'" for state in sorted(transition.before))
    refusals = [
        f"    if not ({test}) then return false end"
        for test in (states, *map(_lua, transition.guards.values()))
    ]
    writes = ", ".join(f"['{name}'] = {_lua(value)}" for name, value in transition.writes.items())
    after = f"'{transition.after}'" if transition.after else "row.state"
    return "\n".join(
        [
            f"function steps.{transition.name}(row, args)",
            *refusals,
            f"    become(row, {after}, {{{writes}}})",
            "    return true",
            "end",
        ]
    )


def _lua(text: str) -> str:
    return " ".join(map(_lua_word, words(text)))


def _lua_word(word: str) -> str:
    if word == "max":
        return "math.max"
    if word.startswith("$"):
        return f"args['{word[1:]}']"
    return f"row['{word}']" if word in NUMBERS or word in TEXTS else word

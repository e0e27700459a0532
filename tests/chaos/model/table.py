"""The table of slots, read: each step as a function from a slot's row to the row after it, or to None if it is refused.

Two forms are made of one translation: rows as dictionaries under the store's clock, as the Lua has them, and rows as
tuples in time relative to now, of the fields that matter for safety, which the search needs by the million. A word that
the table does not declare raises KeyError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from worker.erp import slots
from worker.erp.slots import Transition

Row = tuple[Any, ...]
Table = tuple[Transition, ...]

TIMES = frozenset({"until", "expires", "renew", "gone", "busy", "before", "lease_until", "used"})
"""The fields that are moments."""

EVER = frozenset({"opened"})
"""The moments of which nothing matters but whether they have come."""

LEFT_OUT = frozenset(
    {"long", "used", "uses", "fresh", "renewable", "expires", "owner", "connection", "chain"}
)
"""What no promise depends on: it chooses among slots, or is for people."""

FIELDS = ("state", *(name for name in (*slots.NUMBERS, *slots.TEXTS) if name not in LEFT_OUT))
PLACE = {name: place for place, name in enumerate(FIELDS)}


@dataclass(frozen=True)
class Spans:
    """The spans of time of a world, in ticks; what the arguments of steps are made of.

    A tick is the time between two moments that differ; each span is long enough that what it guards against has room.
    """

    lease: int = 1
    send: int = 1
    queue: int = 1
    work: int = 1
    life: int = 3
    closing: int = 1
    stays: int = 0

    @property
    def moments(self) -> tuple[int, ...]:
        """The places of a row that grow older; cookies need no renewal, so theirs does not."""
        return tuple(PLACE[name] for name in FIELDS if name in TIMES and not (self.stays and name == "renew"))

    @property
    def floor(self) -> int:
        """The moment before which all moments are alike."""
        return -self.stays

    @property
    def all(self) -> int:
        """As long as all of them after one another."""
        return sum(getattr(self, field.name) for field in fields(self))

    def arguments(self) -> dict[str, int]:
        """What the workers say in their steps."""
        return {
            "lease_ms": self.lease,
            "send_ms": self.send,
            "forgotten_ms": max(self.send + self.queue + self.life, self.lease + self.work + self.stays),
            "busy_ms": self.lease + self.work,
            "drain_ms": self.closing + self.work,
            "closing_ms": self.closing,
            "expires_ms": self.life,
            "gone_ms": self.life,
            "stays_ms": self.stays,
        }


def without(table: Table, name: str, guard: str) -> Table:
    """The table with one guard of one step taken out."""
    return tuple(
        replace(step, guards={label: text for label, text in step.guards.items() if label != guard})
        if step.name == name
        else step
        for step in table
    )


def guards(table: Table) -> list[tuple[str, str]]:
    """Every guard: the step's name and its own."""
    return [(step.name, guard) for step in table for guard in step.guards]


def _expression(text: str, word: Callable[[str], str]) -> str:
    return " ".join(map(word, slots.words(text)))


def take(
    step: Transition, row: Mapping[str, Any], given: Mapping[str, Any], now: int
) -> dict[str, Any] | None:
    """A step on a whole row under the store's clock: the row after it."""

    def word(text: str) -> str:
        if text.startswith("$"):
            return f"given[{text[1:]!r}]"
        return f"row[{text!r}]" if text in row else text

    def value(text: str) -> Any:
        return eval(_expression(text, word), {"max": max, "row": row, "given": given, "now": now})  # noqa: S307

    if row["state"] not in step.before or not all(map(value, step.guards.values())):
        return None
    if step.after == slots.FREE:
        return free()
    written = {name: value(text) for name, text in step.writes.items()}
    return {**row, **written, "state": str(step.after or row["state"])}


def free() -> dict[str, Any]:
    """The row of a free slot."""
    return {"state": "free", **dict.fromkeys(slots.NUMBERS, 0), **dict.fromkeys(slots.TEXTS, "")}


GIVEN = ("generation", "lease", "grant", "renew_ms", "unknown_ms")
"""The arguments of a step that are not the same for all who say it."""

Step = Callable[[Row, int, int, int, int, int], Row | None]
"""A step on a relative row, with these."""


def compiled(table: Table, spans: Spans) -> dict[str, Step]:
    """Each step by its name, in relative time."""
    return {step.name: _compiled(step, spans) for step in table}


def free_row(spans: Spans) -> Row:
    """The relative row of a free slot: its moments are long past, its lease and grant nobody's."""
    return tuple("free" if name == "state" else spans.floor if name in TIMES else 0 for name in FIELDS)


def aged(row: Row, spans: Spans) -> Row:
    """The row a tick later."""
    later = list(row)
    for place in spans.moments:
        later[place] = max(spans.floor, later[place] - 1)
    return tuple(later)


def _compiled(step: Transition, spans: Spans) -> Step:
    word = _relative_word(spans)
    states = " or ".join(f"row[0] == {str(state)!r}" for state in sorted(step.before))
    tests = [f"({states})", *(f"({_expression(text, word)})" for text in step.guards.values())]
    scope = {"max": max, "FREE": free_row(spans)}
    source = f"lambda row, {', '.join(GIVEN)}: {_after(step, spans)} if {' and '.join(tests)} else None"
    made: Step = eval(source, scope)  # noqa: S307
    return made


def _after(step: Transition, spans: Spans) -> str:
    if step.after == slots.FREE:
        return "FREE"
    after = {name: f"row[{place}]" for name, place in PLACE.items()}
    if step.after:
        after["state"] = repr(str(step.after))
    for name, text in step.writes.items():
        if name in after:
            after[name] = _written(name, text, spans)
    return f"({', '.join(after.values())})"


def _written(name: str, text: str, spans: Spans) -> str:
    if name in EVER:
        return str(int(text != "0"))
    return str(spans.floor) if name in TIMES and text == "0" else _expression(text, _relative_word(spans))


def _relative_word(spans: Spans) -> Callable[[str], str]:
    arguments = spans.arguments()
    fixed = {"now": "0", "''": "0"}

    def word(text: str) -> str:
        if text.startswith("$"):
            name = text[1:]
            return name if name in GIVEN else str(arguments[name])
        return f"row[{PLACE[text]}]" if text in PLACE else fixed.get(text, text)

    return word


ALWAYS_READ = frozenset({"state", "generation", "lease", "grant"})
"""What workers read of a slot in any state."""

READ = {"open": {"renew", "busy"}, "closing": {"busy"}}
"""What they read of it else."""


def of_no_account(table: Table) -> dict[str, tuple[int, ...]]:
    """For each state the places of those fields that nothing reads any more before they are written anew."""
    live: dict[str, set[str]] = {str(state): set(READ.get(str(state), ())) for state in slots.State}
    changed = True
    while changed:
        changed = False
        for step in table:
            for state in map(str, step.before):
                found = _read(step, live[str(step.after or state)]) - live[state]
                live[state] |= found
                changed = changed or bool(found)
    return {
        state: tuple(place for name, place in PLACE.items() if name not in fields | ALWAYS_READ)
        for state, fields in live.items()
    }


def _read(step: Transition, after: set[str]) -> set[str]:
    """What must be known before a step for its guards and for what is of account after it."""
    written = {name: text for name, text in step.writes.items() if name in PLACE}
    kept = set() if step.after == slots.FREE else after
    texts = [*step.guards.values(), *(text for name, text in written.items() if name in kept)]
    return {word for text in texts for word in slots.words(text) if word in PLACE} | (kept - written.keys())

"""The worlds that are searched, and every guard and habit that is taken out in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.chaos.model.promises import Promise
from tests.chaos.model.rules import HABITS, Chances, Habits, Rules
from tests.chaos.model.search import BY_TIME
from tests.chaos.model.table import Spans, Table, guards, without


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A kind of world: how long things take in it, and what may happen beside what workers do."""

    spans: Spans = field(default_factory=Spans)
    chances: Chances = field(default_factory=Chances)

    def rules(self, table: Table, habits: Habits | None = None) -> Rules:
        """The rules of such a world over a table."""
        return Rules.of(table, self.spans, habits, self.chances)


VARIANTS: Mapping[str, Variant] = {
    "tokens": Variant(),
    "slow sign-ins": Variant(spans=Spans(lease=2, send=2)),
    "renewals": Variant(spans=Spans(life=2), chances=Chances(renews=True)),
    "cookies": Variant(spans=Spans(life=2, stays=2)),
    "revoked tokens": Variant(spans=Spans(life=2), chances=Chances(revokes=True)),
    "closed sessions": Variant(spans=Spans(life=2), chances=Chances(closes=True)),
    "emptied store": Variant(spans=Spans(lease=2, send=2), chances=Chances(empties=True)),
}
SMALL = ("tokens",)
"""What the tests search."""

SEATS = frozenset({Promise.SEATS, Promise.FREE, Promise.TOKENS})
"""What a habit is for."""


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """Something taken out: a guard of a step, a habit of the workers, or a step that time takes."""

    kind: str
    step: str
    name: str
    table: Table
    habits: Habits = field(default_factory=Habits)
    heeded: frozenset[Promise] = frozenset(Promise)

    def variants(self) -> Iterator[str]:
        """Where to look for what breaks, the likeliest first."""
        likely = LIKELY.get(self.step, LIKELY.get(self.name, "tokens"))
        yield likely
        yield from (name for name in VARIANTS if name != likely)


LIKELY: Mapping[str, str] = {
    "not sent": "slow sign-ins",
    "abandoned": "tokens",
    "not_begun": "renewals",
    "refresh": "renewals",
    "refreshed": "renewals",
    "not_refreshed": "renewals",
    "not_renewable": "renewals",
    "given_up": "closed sessions",
}


def deletions(table: Table) -> list[Deletion]:
    """Each guard, each habit, and each step of time."""
    found = [
        Deletion(kind="guard", step=step, name=name, table=without(table, step, name))
        for step, name in guards(table)
    ]
    for name in HABITS:
        habits = Habits(**{name: False})
        found.append(Deletion(kind="habit", step="", name=name, table=table, habits=habits, heeded=SEATS))
    for name in BY_TIME:
        left = tuple(step for step in table if step.name != name)
        found.append(Deletion(kind="step", step=name, name="", table=left))
    return found

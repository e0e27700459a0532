"""What becomes of a slot when everybody who has to do with it is killed, and others only wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.model.promises import Promise
from tests.chaos.model.rules import Rules
from tests.chaos.model.table import PLACE, Row, aged
from tests.chaos.model.world import LEASE, STATE

SETTLES = ("abandoned", "not_begun", "unanswered", "over", "outlived")
"""What time does to a slot, in the order in which the store looks: one of these, and then a lease may lapse."""


def kept_back(rules: Rules, row: Row) -> Promise | None:
    """The promise that breaks when everybody is killed now, and others wait for this slot."""
    later = list(_by_time_alone(rules, row))
    sent = row[STATE] in ("intent", "refreshing") and row[PLACE["sent"]]
    soon = later[rules.spans.lease]
    usable = soon[STATE] == "free" or (soon[STATE] == "open" and not soon[LEASE])
    if row[STATE] in ("intent", "refreshing", "open") and not sent and not usable:
        return Promise.UNLENT
    return None if later[-1][STATE] == "free" else Promise.STUCK


def _by_time_alone(rules: Rules, row: Row) -> Iterator[Row]:
    for _ in range(2 * rules.spans.all + 2):
        row = settled(rules, row)
        yield row
        row = aged(row, rules.spans)


def settled(rules: Rules, row: Row) -> Row:
    """What time alone has done to a slot, as whoever looks writes it down."""
    for name in SETTLES:
        after = rules.step(row, name)
        if after is not None:
            row = after
            break
    return (rules.step(row, "lapsed") or row) if row[LEASE] else row

"""How the database puts an entity's values in order, and how it compares them with a filter's literals.

The two need not agree: the rows of a combo box may be sorted by its stored code while a filter compares its label.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from deploy.sandbox.collation import COLLATIONS, Collation
from deploy.sandbox.rows import SERVER_ZONE, Scalar
from deploy.sandbox.schema import Field

Comparable = Any
"""A scalar in the form in which the database orders it: a sort key, a number, a moment."""
Measure = Callable[[Scalar], Comparable]
Combo = Literal["code", "label"]

STAMPS = frozenset({"CreatedDateTime", "LastModified", "LastModifiedDateTime"})
"""The fields that are instants; every other date is a day of business, the same in all zones."""
_EQUALITY = ("eq", "ne")


@dataclass(frozen=True)
class Zones:
    """How moments print: a stamp by the clock of the API user, but with the server's offset (recorded)."""

    server: timezone = SERVER_ZONE
    user: timezone = SERVER_ZONE

    def printed(self, name: str) -> Callable[[datetime], datetime]:
        """What is printed of a field's moments."""
        if name in STAMPS:
            return lambda moment: moment.astimezone(self.user).replace(tzinfo=self.server)
        return lambda moment: moment.replace(tzinfo=self.server)

    def read(self, literal: datetime) -> datetime:
        """A filter's literal as the moment that prints so; without an offset it has the server's."""
        return literal.replace(tzinfo=self.server) if literal.tzinfo is None else literal


@dataclass(frozen=True)
class Ordering:
    """A database's collation, its ways with combo boxes, and its zones."""

    collation: Collation = field(default_factory=lambda: COLLATIONS["sql"])
    combo_order: Combo = "code"
    combo_compare: Combo = "code"
    zones: Zones = field(default_factory=Zones)

    def sorted_by(self, field: Field) -> Measure:
        """How the rows are put in order by a field."""
        return self._measure(field, self.combo_order)

    def compared_by(self, field: Field, operator: str) -> Measure:
        """How a field compares; a label equals itself in any case."""
        return self._measure(field, self.combo_order if operator in _EQUALITY else self.combo_compare)

    def agrees(self, field: Field, operator: str) -> bool:
        """Whether the rows that a comparison with a field finds lie together in the order of that field."""
        return operator == "eq" or not field.codes or self.combo_order == self.combo_compare

    def _measure(self, field: Field, combo: Combo) -> Measure:
        if field.kind == "DateTime":
            return _moments(self.zones.printed(field.name))
        if field.kind != "String":
            return _as_it_is
        key = self.collation.key
        if not field.codes or combo == "label":
            return lambda value: key(str(value))
        fold = self.collation.fold
        by_label = {fold(label): key(code) for label, code in field.codes.items()}
        return lambda value: by_label.get(fold(str(value))) or key(str(value))


def _moments(printed: Callable[[datetime], datetime]) -> Measure:
    return lambda value: printed(value) if isinstance(value, datetime) else value


def _as_it_is(value: Scalar) -> Comparable:
    return value

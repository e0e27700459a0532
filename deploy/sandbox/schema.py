"""The entities as the endpoint defines them: fields in contract order, keys, forms, data views, notes, actions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

LINKED = "Linked"
DETAIL = "Detail"

Lists = Literal["everything", "by keys", "one by one", "nothing"]
"""How far an entity can be listed: `by keys` fails when it is filtered by anything else, `one by one` always, and
`nothing` fails for single records too (all reported by live instances)."""


@dataclass(frozen=True, eq=False)
class Form:
    """What a top-level entity has and a nested one has not: its keys in the order of the URL, and its form."""

    keys: tuple[str, ...]
    """Empty for an entity that is reached by id alone."""
    screen: str
    """The form's title, which file names begin with."""
    screen_id: str
    """The form's number, which refusals name."""
    graph: str
    view: str
    lists: Lists = "everything"
    inquiry: bool = False
    """Whether it keeps nothing, and answers a PUT of parameters with rows."""
    numbered: bool = False
    """Whether it numbers a new record by itself, in the last of its keys."""
    whole: bool = False
    """Whether `$select` is ignored (reported for JournalTransaction)."""


@dataclass(frozen=True, eq=False)
class Field:
    """One member of an entity: a scalar, a linked entity or a list of detail rows."""

    name: str
    index: int
    """Its place in a row, which has the fields of all endpoints with the entity."""
    kind: str
    """A scalar's type (`String`, `Decimal`, `Boolean`, `DateTime`, `Int`, …), `Linked` or `Detail`."""
    nested: "Entity | None" = None
    view: str = ""
    """The data view behind it; empty for a scalar of the view that the entity is in."""
    delegate: bool = False
    """Whether the view behind a nested entity has a BQL delegate, which the optimizer cannot see through."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """For a combo box that is a key: the stored code of each label. Rows are in the order of the codes."""


@dataclass(frozen=True, eq=False)
class Entity:
    """A top-level entity or the entity of a nested field."""

    name: str
    fields: Mapping[str, Field]
    has_note: bool
    """A row without a note has no lasting id either, and no links."""
    custom: Mapping[str, str]
    """User-defined fields by `View.Field`, with their types."""
    width: int
    """How many values its rows have."""

    def empty_values(self) -> list[None]:
        """The values of a row of which nothing is known."""
        return [None] * self.width


@dataclass(frozen=True, eq=False)
class TopLevel(Entity):
    """An entity that the endpoint serves by its own name."""

    form: Form
    actions: Mapping[str, Mapping[str, str]]
    """The actions that the endpoint types, each with its parameters and their types."""


@dataclass(frozen=True, eq=False)
class Contract:
    """An endpoint of one version: what it is called, and its entities by name."""

    name: str
    version: str
    own: bool
    """Whether it is the tenant's own, which nobody sees without signing in."""
    entities: Mapping[str, TopLevel]

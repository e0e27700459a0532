"""What of a record goes into an answer: `$select`, `$expand`, `$custom` and the fields of `$filter`, resolved.

Rules recorded or reported by live instances: without `$select` all scalar fields and no nested entity; each nested
level must be expanded; with `$select` an expanded entity of which no member is selected is left out; fields of the
filter are added (those of an expanded entity too, selected or not: a choice); an unknown name is a 500. Names are
taken to be case-sensitive, as in filters.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from deploy.sandbox.refusal import unknown_name
from deploy.sandbox.schema import Entity, Field

FILES = "files"
_ALWAYS = frozenset({"id", "rowNumber", "note", "custom", "_links"})

Path = tuple[str, ...]


@dataclass(frozen=True)
class Member:
    """A field of the answer; `inner` says what of a nested entity is in it. Without, a nested entity is null there."""

    field: Field
    inner: "Projection | None"


@dataclass(frozen=True)
class Projection:
    """The members of an entity that an answer carries, in contract order."""

    entity: Entity
    members: tuple[Member, ...]
    files: bool
    custom: tuple[str, ...]
    """The user-defined fields asked for, `View.Field`."""


@dataclass(frozen=True)
class _Request:
    """The query's paths below one entity; `selected` is None when everything is."""

    selected: frozenset[Path] | None
    expanded: frozenset[Path]
    custom: frozenset[Path]
    filtered: frozenset[Path]

    def below(self, name: str) -> "_Request":
        """The same for a nested entity. Selecting the entity by its own name selects all of it."""
        selected = self.selected
        if selected is not None:
            selected = None if (name,) in selected else _below(selected, name)
        return _Request(
            selected, _below(self.expanded, name), _below(self.custom, name), _below(self.filtered, name)
        )

    def takes(self, name: str) -> bool:
        """Whether a scalar field of this name is in the answer."""
        return self.selected is None or (name,) in self.selected or (name,) in self.filtered


def project(entity: Entity, select: str, expand: str, custom: str, filtered: Iterable[Path]) -> Projection:
    """Resolves the query options, each a comma-separated list or empty; raises Refusal for an unknown name."""
    selected, expanded = _paths(select), _paths(expand)
    for path in selected:
        _check(entity, path, scalar_end=True)
    for path in expanded:
        _check(entity, path, scalar_end=False)
    request = _Request(selected or None, expanded, _paths(custom), frozenset(filtered))
    return _projection(entity, request)


def _paths(option: str) -> frozenset[Path]:
    names = (name.strip() for name in option.split(","))
    return frozenset(tuple(name.split("/")) for name in names if name)


def _below(paths: Collection[Path], name: str) -> frozenset[Path]:
    return frozenset(path[1:] for path in paths if len(path) > 1 and path[0] == name)


def _check(entity: Entity, path: Path, scalar_end: bool) -> None:
    """Refuses a path that leads nowhere in the entity."""
    for name in path[:-1]:
        step = entity.fields.get(name)
        if step is None or step.nested is None:
            raise unknown_name()
        entity = step.nested
    last = path[-1]
    if last == FILES or (scalar_end and (last in _ALWAYS or last.startswith("custom."))):
        return
    field = entity.fields.get(last)
    if field is None or (field.nested is None and not scalar_end):
        raise unknown_name()


def _projection(entity: Entity, request: _Request) -> Projection:
    members = (_member(field, request) for field in entity.fields.values())
    files = (FILES,) in request.expanded and request.takes(FILES)
    custom = tuple(sorted(path[0] for path in request.custom if len(path) == 1))
    if any(name not in entity.custom for name in custom):
        raise unknown_name()
    return Projection(entity, tuple(member for member in members if member is not None), files, custom)


def _member(field: Field, request: _Request) -> Member | None:
    if field.nested is None:
        return Member(field, None) if request.takes(field.name) else None
    if (field.name,) not in request.expanded:
        return None
    inner = request.below(field.name)
    if inner.selected is not None and not (inner.selected or inner.filtered):
        return None
    return Member(field, _projection(field.nested, inner))

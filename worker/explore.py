"""What an ERP has: its endpoints, the entities of one, and what a job can ask of each, with its custom fields.

Raises RequestRefused where the endpoint does not tell, EntityUnknown with the nearest names, and what jobs raise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from rich import box
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from worker.erp import answers, endpoints
from worker.erp.checks import require_entity
from worker.erp.endpoints import EndpointVersion
from worker.erp.schema import SCALARS, Schema, is_detail, nested_in
from worker.erp.schemas import Known
from worker.errors import JobInvalid, RequestRefused
from worker.handler import Endpoint
from worker.registry import FALLBACK, Registry
from worker.visit import Visit

Fields = dict[str, Any]
"""Each field's type by its name; of what is nested an object with ``type`` and ``fields``."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """An entity, as jobs see it; ``handler`` is who serves it, ``fallback`` the one that takes any."""

    entity: str
    endpoint: str
    handler: str
    inquiry: bool
    keys: tuple[str, ...]
    combos: tuple[str, ...]
    stamp: str | None
    fields: Fields
    actions: Mapping[str, Mapping[str, str]]
    custom: Mapping[str, str] | None
    notes: tuple[str, ...] = field(default=())

    @property
    def details(self) -> tuple[str, ...]:
        """The fields that are lists of rows."""
        return tuple(
            name
            for name, inner in self.fields.items()
            if isinstance(inner, dict) and is_detail(inner["type"])
        )


def listed(visit: Visit) -> Sequence[EndpointVersion]:
    """The endpoints that the instance offers to whoever signs in on the connection."""
    return visit.erp.exchanges.read("document", "/entity", "", endpoints.read)


def known(visit: Visit, *, anew: bool) -> Known:
    """The schema of the connection's endpoint, ``anew`` even if it was read a while ago. Raises RequestRefused."""
    schemas = visit.gateway.schemas
    found = schemas.again(visit.erp) if anew else schemas.of(visit.erp)
    reason = (found.failure if anew else "") if isinstance(found, Known) else found.reason
    if reason or not isinstance(found, Known):
        raise RequestRefused(f"the ERP does not tell what the endpoint has: {reason}", "connection")
    return found


def described(visit: Visit, entity: str, *, anew: bool) -> Description:
    """All about one entity. Raises EntityUnknown."""
    found = known(visit, anew=anew)
    connection = visit.erp.connection
    endpoint = Endpoint(connection.endpoint, connection.version, found.schema)
    require_entity(found.schema, entity, str(endpoint))
    custom = visit.gateway.schemas.custom(visit.erp, entity, anew=anew)
    return description(entity, endpoint, custom, found.drift(entity))


def description(
    entity: str, endpoint: Endpoint, custom: Mapping[str, str] | None, notes: tuple[str, ...] = ()
) -> Description:
    """All about an entity of an endpoint whose schema is known."""
    schema = endpoint.schema or Schema(types={}, top={})
    handler = Registry.load().handler_for(entity)
    try:
        keys, inquiry = handler.key_fields(entity, endpoint), False
    except JobInvalid:
        keys, inquiry = (), True
    own = f"{type(handler).__module__}.{type(handler).__qualname__}"
    return Description(
        entity=entity,
        endpoint=str(endpoint),
        handler="fallback" if handler.entity == FALLBACK else own,
        inquiry=inquiry,
        keys=keys,
        combos=() if inquiry else handler.combos_of(entity, endpoint),
        stamp=schema.stamp(entity),
        fields=_fields(schema, entity, ()),
        actions=schema.top.get(entity, {}),
        custom=custom,
        notes=notes,
    )


def _fields(schema: Schema, entity: str, within: tuple[str, ...]) -> Fields:
    """The fields of an entity with all that is nested in them, but for what lies within itself."""
    told: Fields = {}
    for name, type_ in schema.fields(entity).items():
        inner = nested_in(type_)
        if type_ in SCALARS:
            told[name] = type_
        elif inner not in (*within, entity):
            told[name] = {"type": type_, "fields": _fields(schema, inner, (*within, entity))}
        else:
            told[name] = {"type": type_, "fields": {}}
    return told


def named_like(names: Sequence[str], like: str | None) -> list[str]:
    """The names that hold a text, whatever the case; where none does, those that are spelled almost so."""
    if like is None:
        return sorted(names)
    holding = [name for name in names if like.lower() in name.lower()]
    lower = {name.lower(): name for name in names}
    return sorted(holding) or [lower[each] for each in get_close_matches(like.lower(), lower, n=8)]


def endpoint_table(found: Sequence[EndpointVersion], name: str, version: str) -> Table:
    """The endpoints, with a mark at the connection's."""
    table = Table("endpoint", "version", "")
    for each in sorted(found, key=lambda each: (each.name.lower(), each.version)):
        mine = (each.name, each.version) == (name, version)
        named = (Text(answers.clean(text)) for text in (each.name, each.version))
        table.add_row(*named, "this connection's" if mine else "")
    return table


def entity_table(schema: Schema, endpoint: Endpoint, names: Sequence[str]) -> Table:
    """Entities in a line each."""
    named = (Column("entity", no_wrap=True), Column("keys", overflow="fold"))
    # All of it in 80 columns, which lines between would not leave room for.
    table = Table(
        *named, "fields", "details", "actions", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    for name in names:
        about = description(name, endpoint, None)
        keys = "inquiry" if about.inquiry else ", ".join(about.keys) or "id"
        scalars = sum(not isinstance(inner, dict) for inner in about.fields.values())
        counts = (scalars, len(about.details), len(about.actions))
        table.add_row(name, keys, *map(str, counts))
    return table


def tree(about: Description) -> Tree:
    """A picture of an entity: what lies within what."""
    top = Tree(Text(f"{about.entity} of {about.endpoint}", style="bold"))
    for line in _facts(about):
        top.add(Text(line))
    _grow(top.add(Text("fields", style="bold")), about.fields, about.keys)
    if about.actions:
        actions = top.add(Text("actions", style="bold"))
        for name, parameters in about.actions.items():
            told = ", ".join(f"{parameter}: {type_}" for parameter, type_ in parameters.items())
            actions.add(Text(f"{name}({told})"))
    if about.custom:
        custom = top.add(Text("custom fields", style="bold"))
        for path, type_ in about.custom.items():
            custom.add(Text.assemble(path, (f"  {type_}", "dim")))
    return top


def _facts(about: Description) -> Iterator[str]:
    if about.inquiry:
        yield 'an inquiry: ask with "kind": "inquiry"'
    else:
        yield f"keys: {', '.join(about.keys)}" if about.keys else "by its id alone: no keys are known"
        yield f"changed: {about.stamp}" if about.stamp else "no field tells when a record was changed"
    yield f"handler: {about.handler}"
    if about.custom is None:
        yield "custom fields: the ERP does not tell"
    yield from about.notes


def _grow(branch: Tree, fields: Fields, keys: Sequence[str] = ()) -> None:
    for name, inner in fields.items():
        if isinstance(inner, dict):
            nested = branch.add(Text.assemble(name, (f"  {inner['type']}", "dim")))
            _grow(nested, inner["fields"])
        else:
            branch.add(Text.assemble(name, (f"  {inner}", "dim"), ("  key" if name in keys else "", "green")))

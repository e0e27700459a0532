"""The endpoints as they are written down in `endpoints/`: a file for each, with the facts of its entities.

A file that breaks its own rules raises ValueError with the line.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

_FOLDER = Path(__file__).parent / "endpoints"
_ACTION = re.compile(r"(\w+)(?:\(([\w:,]+)\))?")

Members = Mapping[str, str]
"""Fields in contract order, with the name of their type: `String`, `Address`, `SalesOrderDetail[]`."""


@dataclass(frozen=True)
class Definition:
    """An entity as an endpoint defines it; without a screen it only stands within others."""

    name: str
    screen: str
    members: Members
    actions: Mapping[str, Members] = field(default_factory=dict)
    """The actions with the types of their parameters."""


def read_endpoint(name: str, version: str) -> Mapping[str, Definition]:
    """The entities of an endpoint, nested ones included, by name."""
    return _read(_FOLDER / f"{name.lower()}-{version}.txt")


def merged(sources: Sequence[Mapping[str, Definition]]) -> Mapping[str, Definition]:
    """What several endpoints say of the same data: each entity with the fields of all, the first's first.

    Raises ValueError where two of them give a field different types, for then it would not be the same data.
    """
    found: dict[str, Definition] = {}
    for source in sources:
        for name, definition in source.items():
            known = found.get(name)
            found[name] = definition if known is None else _joined(known, definition)
    return MappingProxyType(found)


def _joined(one: Definition, other: Definition) -> Definition:
    for name in one.members.keys() & other.members.keys():
        if one.members[name] != other.members[name]:
            raise ValueError(f"{one.name}.{name} is {one.members[name]} here and {other.members[name]} there")
    members = MappingProxyType({**one.members, **other.members})
    return Definition(one.name, one.screen or other.screen, members)


@cache
def _read(path: Path) -> Mapping[str, Definition]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] not in ("#", "")]
    definitions = (_definition(head, body) for head, body in _blocks(lines))
    return MappingProxyType({definition.name: definition for definition in definitions})


def _blocks(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each entity's head with the lines that are indented below it."""
    body: list[str] = []
    head = ""
    for line in lines:
        if line.startswith(" "):
            body.append(line.strip())
            continue
        if head:
            yield head, body
        head, body = line, []
    yield head, body


def _definition(head: str, body: list[str]) -> Definition:
    name, screen = head.split()
    if name == "+":
        name, screen = screen, ""
    members = " ".join(line for line in body if not line.startswith("!"))
    actions = " ".join(line.removeprefix("!") for line in body if line.startswith("!"))
    return Definition(name, screen, _members(members.split()), MappingProxyType(dict(_actions(actions))))


def _members(specs: Sequence[str]) -> Members:
    pairs = (spec.partition(":") for spec in specs)
    return MappingProxyType({name: type_name or "String" for name, _, type_name in pairs})


def _actions(text: str) -> Iterator[tuple[str, Members]]:
    for spec in text.split():
        match = _ACTION.fullmatch(spec)
        if match is None:
            raise ValueError(f"{spec} is no action")
        yield match[1], _members((match[2] or "").split(",") if match[2] else [])

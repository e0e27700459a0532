"""What an OData service serves, read from its ``$metadata``: CSDL of version 3 or 4, in XML.

That of every data access class has thousands of types, so only the names of all are kept, and one type is read when it
is asked for. What is no such document, or declares entities of XML, raises AnswerMalformed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from worker.errors import AnswerMalformed

DEEPEST = 16
"""Levels of types that are made of others."""

Attributes = Mapping[str, str]


@dataclass(frozen=True)
class EntityType:
    """The columns of a type with their own types (``Edm.Decimal``), in their order, and those that are keys."""

    columns: Mapping[str, str]
    keys: tuple[str, ...]


@dataclass
class _Names:
    """The sets of a service by their types' names, the types by the one that each is made of, and the functions."""

    sets: dict[str, str] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)
    functions: dict[str, dict[str, str]] = field(default_factory=dict)
    namespace: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    def start(self, tag: str, attributes: Attributes) -> None:
        """Take in the beginning of an element."""
        name = attributes.get("Name", "")
        match _local(tag):
            case "Schema":
                self.namespace = attributes.get("Namespace", "")
            case "EntityType":
                self.bases[f"{self.namespace}.{name}"] = attributes.get("BaseType", "")
            case "EntitySet":
                self.sets[name] = attributes.get("EntityType", "")
            case "Function" | "FunctionImport":
                # v4 has the parameters in the function, and an import of the same name without any; v3 in the import.
                self.parameters = self.functions.setdefault(name, {})
            case "Parameter":
                self.parameters[name] = attributes.get("Type", "")


@dataclass
class _Members:
    """The members of one type."""

    wanted: str
    namespace: str = ""
    inside: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def start(self, tag: str, attributes: Attributes) -> None:
        """Take in the beginning of an element."""
        name = attributes.get("Name", "")
        match _local(tag):
            case "Schema":
                self.namespace = attributes.get("Namespace", "")
            case "EntityType" | "ComplexType" | "EntityContainer" | "Function" | "FunctionImport":
                self.inside = f"{self.namespace}.{name}" == self.wanted and _local(tag) == "EntityType"
            case "Property" if self.inside:
                self.columns[name] = attributes.get("Type", "")
            case "PropertyRef" if self.inside:
                self.keys.append(name)


class Service:
    """What one service serves."""

    def __init__(self, document: bytes) -> None:
        """Raises AnswerMalformed."""
        self._document = document
        self._names = _Names()
        _read(document, self._names.start)
        if not self._names.sets:
            raise AnswerMalformed("$metadata describes no entity set")

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of its sets: the feeds."""
        return tuple(self._names.sets)

    def parameters(self, function: str) -> Mapping[str, str] | None:
        """The parameters of a function with their types; None where there is no such function."""
        return self._names.functions.get(function)

    def type_of(self, name: str) -> EntityType:
        """The type of a set's rows. Raises AnswerMalformed."""
        type_ = self._names.sets[name]
        chain: list[_Members] = []
        while type_:
            if type_ not in self._names.bases or len(chain) == DEEPEST:
                raise AnswerMalformed(f"$metadata does not tell what {name} consists of")
            members = _Members(type_)
            _read(self._document, members.start)
            chain.insert(0, members)
            type_ = self._names.bases[type_]
        columns = {column: each for part in chain for column, each in part.columns.items()}
        return EntityType(columns=columns, keys=tuple(key for part in chain for key in part.keys))


def _read(document: bytes, start: Callable[[str, Attributes], None]) -> None:
    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise AnswerMalformed(f"$metadata is no XML: {expat.ErrorString(error.code)}") from None
    except (LookupError, ValueError):
        raise AnswerMalformed("$metadata is in an encoding that nobody knows") from None


def _refuse(*_declared: object) -> None:
    raise AnswerMalformed("$metadata declares what no $metadata needs (a DTD)")


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]

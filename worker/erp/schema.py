"""What an endpoint serves: its entities, their fields with types, their actions, read from its ``swagger.json``.

The document is OpenAPI 3.0 or 2.0, of 2 to 3 MB (contract 4, builds of 2022 R1 and 2024 R1); what is kept of it is a
twentieth. One that is not such a document raises AnswerMalformed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice

import msgspec

from worker.erp import answers
from worker.errors import AnswerMalformed

Types = Mapping[str, str]
"""Fields or parameters by name, each with its type: one of SCALARS, ``Address`` (linked), ``SalesOrderDetail[]``."""

SCALARS = frozenset(
    {
        *("String", "Boolean", "DateTime", "DateOnly", "Guid"),
        *("Int", "Long", "Short", "Byte", "Decimal", "Double"),
    }
)
"""The types of values; on the wire each is called so with ``Value`` behind it, as in StringValue."""

NUMBERS = frozenset({"Int", "Long", "Short", "Byte", "Decimal", "Double"})

INQUIRIES = frozenset(
    {"CompaniesStructure", "EmailProcessing", "InventoryQuantityAvailable", "ProjectBilling"}
)
"""Entities of the vendor's endpoints that keep no records, though their names do not say so; forms for processing are
among them."""

STAMPS = ("LastModifiedDateTime", "LastModified")
"""What the time of a record's last change is called (sales orders and stock items: LastModified)."""

MOST_FIELDS = 200_000
"""Fields in all; the largest endpoint of the vendor's has 7,000."""

MOST_TOLD = 50
"""Fields that are named of those that came, went or changed."""

DEEPEST = 16
"""Levels of a type that is made of others; the vendor's are two."""

_NAME = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)
_BASE = "Entity"
"""What every entity is made of besides: id, note, custom and the like, which are no fields."""


class Schema(msgspec.Struct, frozen=True):
    """An endpoint's entities. ``types`` has all of them, nested ones too; ``top`` those that are served by their name,
    with the parameters of their actions; ``unlisted`` those of the latter that take no GET."""

    types: dict[str, dict[str, str]]
    top: dict[str, dict[str, dict[str, str]]]
    unlisted: frozenset[str] = frozenset()

    def fields(self, entity: str) -> Types:
        """The fields of an entity, nested or not, in the document's order; none where there is no such entity."""
        return self.types.get(entity, {})

    def is_inquiry(self, entity: str) -> bool:
        """Whether an entity surely keeps no records, and answers a PUT of parameters with rows.

        The document gives every entity the same paths (a GET too), so the vendor's naming decides.
        """
        has_rows = any(map(is_detail, self.fields(entity).values()))
        return entity in self.unlisted or (is_named_inquiry(entity) and has_rows)

    def type_at(self, entity: str, path: str) -> str | None:
        """The type of what lies at a path such as ``MainContact/Address/City``; None where nothing does."""
        found = entity
        for name in path.split("/"):
            found = self.fields(nested_in(found)).get(name, "")
        return found or None

    def paths(self, entity: str) -> dict[str, str]:
        """Every path from an entity, such as ``MainContact/Email``, with the type of what lies there.

        A type that lies within itself is not followed into itself.
        """
        return dict(self.each_path(entity))

    def each_path(
        self, entity: str, above: str = "", within: tuple[str, ...] = ()
    ) -> Iterator[tuple[str, str]]:
        """The same, one by one, below a path and ``within`` what lies above it. Raises AnswerMalformed where there is
        no end of them."""
        if len(within) > DEEPEST:
            raise AnswerMalformed("swagger.json nests its types without end")
        for name, type_ in self.fields(entity).items():
            yield f"{above}{name}", type_
            inner = nested_in(type_)
            if inner not in (*within, entity):
                yield from self.each_path(inner, f"{above}{name}/", (*within, entity))

    def stamp(self, entity: str) -> str | None:
        """The field with the time of a record's last change; None where there is none."""
        fields = self.fields(entity)
        return next((name for name in STAMPS if fields.get(name) == "DateTime"), None)


def is_named_inquiry(entity: str) -> bool:
    """Whether an entity's name is one of those that inquiries have."""
    return entity.endswith("Inquiry") or entity in INQUIRIES


def is_detail(type_: str) -> bool:
    """Whether a field of that type is a list of rows."""
    return type_.endswith("[]")


def nested_in(type_: str) -> str:
    """The entity that a field of that type holds; of a scalar its own name, which no entity bears."""
    return type_.removesuffix("[]")


def like(name: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` with names that are like this one, or what to look at where none is."""
    by_lower = {each.lower(): each for each in known}
    found = [by_lower[each] for each in get_close_matches(name.lower(), by_lower)]
    return (
        f"; did you mean {' or '.join(found)}?" if found else "; names are case-sensitive, as in SalesOrder"
    )


def changes(before: Schema, after: Schema, entity: str) -> str:
    """What came, went or changed its type in an entity and all within it, in words; empty where nothing did."""
    was, is_now = before.paths(entity), after.paths(entity)
    changed = [
        f"{path} is {is_now[path]} (was {was[path]})"
        for path in was.keys() & is_now.keys()
        if was[path] != is_now[path]
    ]
    gained = _some([path for path in is_now if path not in was], ", ")
    lost = _some([path for path in was if path not in is_now], ", ")
    told = [f"it has {gained} now" if gained else "", f"it lost {lost}" if lost else ""]
    return "; ".join(filter(None, [*told, _some(sorted(changed), "; ")]))


def _some(names: Sequence[str], between: str) -> str:
    """As many of the names as a note has room for."""
    more = len(names) - MOST_TOLD
    return between.join([*names[:MOST_TOLD], *([f"{more} more"] if more > 0 else [])])


def read_custom(skeleton: bytes) -> dict[str, str]:
    """The custom fields in the answer to ``$adHocSchema``, with their types: ``Document.UsrX``, and those of the rows
    of a detail as ``Details/Transactions.UsrY``. Raises AnswerMalformed."""
    record = answers.decode(skeleton)
    if not isinstance(record, dict):
        raise AnswerMalformed("$adHocSchema did not answer with a record")
    # The record's own come first.
    return dict(sorted(_custom_in(record, ""), key=lambda found: found[0].count("/")))


def _custom_in(record: Mapping[str, object], above: str) -> Iterator[tuple[str, str]]:
    for name, member in record.items():
        inner = member[0] if isinstance(member, list) and member else member
        if not isinstance(inner, dict) or not _NAME.fullmatch(name):
            continue
        if name == "custom":
            yield from ((f"{above}{path}", type_) for path, type_ in _custom_of(inner))
        else:
            yield from _custom_in(inner, f"{above}{name}/")


def _custom_of(views: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each field of ``{"Document": {"UsrX": {"type": "CustomStringField", …}}}``."""
    for view, fields in views.items():
        for name, field in fields.items() if isinstance(fields, dict) else ():
            type_ = str(field.get("type")) if isinstance(field, dict) else ""
            if all(map(_NAME.fullmatch, (view, name, type_))):
                yield f"{view}.{name}", type_.removeprefix("Custom").removesuffix("Field")


class _Node(msgspec.Struct):
    ref: str = msgspec.field(name="$ref", default="")
    all_of: list[_Node] = msgspec.field(name="allOf", default_factory=list)
    items: _Node | None = None
    properties: dict[str, _Node] = {}


class _Content(msgspec.Struct):
    schema: _Node | None = None


class _Body(msgspec.Struct):
    content: dict[str, _Content] = {}


class _Parameter(msgspec.Struct):
    place: str = msgspec.field(name="in", default="")
    schema: _Node | None = None


class _Operation(msgspec.Struct):
    body: _Body | None = msgspec.field(name="requestBody", default=None)
    parameters: list[_Parameter] = []


class _Path(msgspec.Struct):
    get: _Operation | None = None
    put: _Operation | None = None
    post: _Operation | None = None


class _Components(msgspec.Struct):
    schemas: dict[str, _Node] = {}


class _Document(msgspec.Struct):
    paths: dict[str, _Path]
    components: _Components | None = None
    definitions: dict[str, _Node] = {}


_DOCUMENT = msgspec.json.Decoder(_Document)


def read(document: bytes) -> Schema:
    """The schema in a ``swagger.json``. Raises AnswerMalformed."""
    try:
        found = _DOCUMENT.decode(document)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise AnswerMalformed(
            f"swagger.json is not what describes an endpoint: {answers.clean(str(error))}"
        ) from None
    nodes = found.components.schemas if found.components else found.definitions
    schema = _Reader(nodes, found.paths).schema()
    if not schema.top:
        raise AnswerMalformed("swagger.json describes no entity")
    return schema


class _Reader:
    """Turns the parts of a document into a schema."""

    def __init__(self, nodes: Mapping[str, _Node], paths: Mapping[str, _Path]) -> None:
        self._nodes = nodes
        self._paths = paths
        self._left = MOST_FIELDS

    def schema(self) -> Schema:
        """All of it."""
        actions: dict[str, dict[str, dict[str, str]]] = {}
        unlisted = set()
        for path, item in self._paths.items():
            names = path.strip("/").split("/")
            if not all(map(_NAME.fullmatch, names)):
                continue  # {ids}, $adHocSchema and the like: every entity has them
            if len(names) == 1 and (item.get or item.put) and names[0] in self._nodes:
                actions.setdefault(names[0], {})
                unlisted |= set() if item.get else {names[0]}
            if len(names) == 2 and item.post:
                actions.setdefault(names[0], {})[names[1]] = self._parameters(item.post)
        top = {name: found for name, found in actions.items() if name in self._nodes}
        schema = Schema(types=self._types(top), top=top, unlisted=frozenset(unlisted))
        for name in top:
            self._count(sum(1 for _ in islice(schema.each_path(name), self._left + 1)))
        return schema

    def _types(self, top: Iterable[str]) -> dict[str, dict[str, str]]:
        """The fields of these entities and of all that is nested in them."""
        types: dict[str, dict[str, str]] = {}
        wanted = list(top)
        while wanted:
            name = wanted.pop()
            if name not in types:
                types[name] = self._members(self._nodes[name])
                wanted += [nested_in(each) for each in types[name].values() if each not in SCALARS]
        return types

    def _members(self, node: _Node, depth: int = 0) -> dict[str, str]:
        """The fields of an object, with those of the objects that it is made of."""
        self._count(1)
        if depth > DEEPEST:
            raise AnswerMalformed("swagger.json nests its types without end")
        found: dict[str, str] = {}
        for part in node.all_of:
            found |= self._members(part, depth + 1)
        if node.ref and _named(node) != _BASE and _named(node) in self._nodes:
            found |= self._members(self._nodes[_named(node)], depth + 1)
        for name, member in node.properties.items():
            if (type_ := self._type(member)) and _NAME.fullmatch(name):
                found[name] = type_
        self._count(len(found))
        return found

    def _count(self, fields: int) -> None:
        self._left -= fields
        if self._left < 0:
            raise AnswerMalformed(f"swagger.json has more than {MOST_FIELDS} fields")

    def _type(self, node: _Node) -> str:
        """The type of a member; empty for what is no field."""
        named = _named(node.items or node)
        is_known = named in self._nodes and _NAME.fullmatch(named)
        if node.items is not None:
            return f"{named}[]" if is_known else ""
        scalar = named.removesuffix("Value")
        if named.endswith("Value") and scalar in SCALARS:
            return scalar
        return named if is_known else ""

    def _parameters(self, operation: _Operation) -> dict[str, str]:
        """The parameters of an action, in the body that it takes."""
        for node in _bodies(operation):
            body = self._nodes.get(_named(node), node)
            asked = body.properties.get("parameters")
            if asked is not None:
                return self._members(asked)
        return {}


def _bodies(operation: _Operation) -> Iterator[_Node]:
    """What an operation takes: in OpenAPI 3 its body, in OpenAPI 2 a parameter."""
    contents = operation.body.content.values() if operation.body else ()
    given = (each.schema for each in operation.parameters if each.place == "body")
    yield from (node for node in (*(each.schema for each in contents), *given) if node)


def _named(node: _Node) -> str:
    return node.ref.rpartition("/")[2]

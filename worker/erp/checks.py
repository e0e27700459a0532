"""Whether what a job asks for is in the endpoint, before a request is spent on it.

What is not there is refused with names that are like it: JobInvalid, FilterInvalid or EntityUnknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from worker.erp.query import Compared
from worker.erp.schema import NUMBERS, SCALARS, Schema, is_detail, like, nested_in
from worker.errors import EntityUnknown, FilterInvalid, JobInvalid

EVERYWHERE = frozenset({"id", "rowNumber", "note", "custom", "files", "Translations"})
"""What may be asked for of every record, and is no field of it."""

_VALUES: Mapping[str, tuple[frozenset[str], str]] = {
    "String": (frozenset({"string"}), "a text, as in 'text'"),
    "Boolean": (frozenset({"boolean"}), "true or false"),
    "DateTime": (frozenset({"datetimeoffset", "date"}), "a time, as in datetimeoffset'2024-08-18'"),
    "DateOnly": (frozenset({"datetimeoffset", "date"}), "a day, as in date'2025-06-17'"),
    "Guid": (frozenset({"guid"}), "a GUID, as in guid'6b29fc40-ca47-1067-b31d-00dd010662da'"),
    **dict.fromkeys(NUMBERS, (frozenset({"number"}), "a number, as in 10.5")),
}
"""The literals that a field of each type is compared with: the ERP answers any other with a 500 about incompatible
types (reported by live instances)."""

_CUSTOM = re.compile(r"cf\.(\w+)\(f='([\w.]+)'\)")


def require_entity(schema: Schema, entity: str, endpoint: str) -> None:
    """Raise EntityUnknown where the endpoint does not serve the entity by its name."""
    if entity in schema.top:
        return
    missing = EntityUnknown(_told_missing(schema, entity, endpoint), "entity")
    missing.certain = True
    raise missing


def _told_missing(schema: Schema, entity: str, endpoint: str) -> str:
    if entity in schema.types:
        holders = [name for name in schema.top if _holds(schema, name, entity)]
        return f"{endpoint} has {entity} only within others: ask for {' or '.join(holders[:3])}"
    return f"{endpoint} has no entity {entity!r}{like(entity, schema.top)}"


def check_select(schema: Schema, entity: str, paths: Iterable[str]) -> None:
    """Raise JobInvalid where a path leads to no field, linked entity or detail."""
    for path in paths:
        _require_path(schema, entity, path, "select")


def check_expand(schema: Schema, entity: str, paths: Iterable[str]) -> None:
    """Raise JobInvalid where a path leads to nothing that could be expanded."""
    for path in paths:
        type_ = _require_path(schema, entity, path, "expand")
        if type_ in SCALARS:
            raise JobInvalid(f"{path} of {entity} is a field, which is there without it: select it", "expand")


def check_custom(entity: str, custom: Mapping[str, str], paths: Iterable[str]) -> None:
    """Raise JobInvalid where a record has no such custom field; ``custom`` are those that it has, with their types."""
    for path in paths:
        if path not in custom:
            raise JobInvalid(f"{entity} has no custom field {path}{_like_custom(path, custom)}", "custom")


def check_filter(
    schema: Schema, entity: str, filter_: Iterable[Compared], custom: Mapping[str, str] | None
) -> None:
    """Raise FilterInvalid where a field is not there, cannot be filtered by, or has another type than the value.

    ``custom`` are the record's custom fields; None: they are not known, and pass.
    """
    for each in filter_:
        found = _CUSTOM.fullmatch(each.field)
        if found:
            type_ = _custom_type(entity, found[2], found[1], custom)
        else:
            type_ = _filtered_type(schema, entity, each.field)
        _require_value(each, type_)


def _require_path(schema: Schema, entity: str, path: str, field: str) -> str:
    """The type of what lies there; empty for what every record has. Raises JobInvalid."""
    found = entity
    for name in path.split("/"):
        if name.partition(".")[0] in EVERYWHERE:
            return ""
        fields = schema.fields(nested_in(found))
        if name not in fields:
            whose = entity if found == entity else f"{nested_in(found)} of {entity}"
            raise JobInvalid(f"{whose} has no field {name}{like(name, fields)}", field)
        found = fields[name]
    return found


def _filtered_type(schema: Schema, entity: str, path: str) -> str:
    found = entity
    for name in path.split("/"):
        fields = schema.fields(nested_in(found))
        if name not in fields:
            whose = entity if found == entity else f"{nested_in(found)} of {entity}"
            raise FilterInvalid(f"{whose} has no field {name}{like(name, fields)}", "filter")
        found = fields[name]
        if is_detail(found):
            raise FilterInvalid(
                f"{path}: a filter over the rows of a detail gets a wrong answer or none (vendor's guide): filter by "
                f"fields of {entity} itself, and look at the rows yourself",
                "filter",
            )
    if found not in SCALARS:
        raise FilterInvalid(f"{path} is an entity of its own: name one of its fields, {path}/…", "filter")
    return found


def _custom_type(entity: str, path: str, type_: str, custom: Mapping[str, str] | None) -> str:
    if custom is not None and path not in custom:
        raise FilterInvalid(f"{entity} has no custom field {path}{_like_custom(path, custom)}", "filter")
    if custom is not None and custom[path] != type_:
        raise FilterInvalid(f"{path} is written cf.{custom[path]}(f='{path}')", "filter")
    return type_


def _require_value(each: Compared, type_: str) -> None:
    if each.is_sought and type_ != "String":
        raise FilterInvalid(
            f"{each.field} is a {type_}: {each.use} looks into texts; compare it, as with eq", "filter"
        )
    kinds, example = _VALUES[type_]
    if each.kind not in kinds | {"null"}:
        raise FilterInvalid(f"{each.field} is a {type_}: compare it with {example}", "filter")


def _holds(schema: Schema, top: str, entity: str) -> bool:
    return any(nested_in(type_) == entity for type_ in schema.paths(top).values())


def _like_custom(path: str, custom: Mapping[str, str]) -> str:
    if not custom:
        return "; it has none (its $adHocSchema)"
    found = like(path, custom)
    return found if "mean" in found else f"; it has {', '.join(list(custom)[:8])}"

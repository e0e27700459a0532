"""What the body of a PUT makes of a record: values set, detail rows added, changed and deleted.

A field that cannot be set as it is asked leaves an error, in the words that the echo of the body then carries; a field
that the entity lacks, or that nobody can set, is passed over in silence (reported by live instances). A body of the
wrong shape raises Refusal.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from deploy.sandbox.refusal import bad_body, no_entity
from deploy.sandbox.rows import Row, Scalar, Value
from deploy.sandbox.schema import LINKED, Entity, Field
from deploy.sandbox.values import scalar_of

Json = dict[str, Any]
Path = tuple[str, ...]
Check = Callable[[Field, Scalar], str]
"""The error of a value that its type allows; empty for none."""

_BESIDE: Final = frozenset({"id", "rowNumber", "note", "custom", "error", "files", "_links", "delete"})


class Edit:
    """One body's way into a record, and what there is to tell of it afterwards."""

    def __init__(self, check: Check, fixed: Collection[str]) -> None:
        """`fixed` are the fields of the record itself that stay as they are whatever is sent."""
        self._check = check
        self._fixed = fixed
        self.errors: list[str] = []
        """`Field: words`, for each field that could not be set."""
        self.scalars: list[Path] = []
        self.nested: list[Path] = []
        """What was sent, the entities of it apart from their fields."""
        self.custom: list[str] = []
        self.fresh: set[str] = set()
        """The ids of rows that were not there before."""

    def apply(self, entity: Entity, row: Row, sent: Mapping[str, Any], at: Path = ()) -> tuple[Row, Json]:
        """The row with what was sent for it, and the echo of that."""
        values: list[Value] = list(row.values)
        echo: Json = {}
        for name, given in sent.items():
            field = entity.fields.get(name)
            echo[name] = given
            if field is None or name in _BESIDE:
                continue
            if field.nested is not None:
                self.nested.append((*at, name))
                values[field.index], echo[name] = self._nested(
                    field, field.nested, values[field.index], given, at
                )
            else:
                values[field.index], echo[name] = self._scalar(field, values[field.index], given, at)
        row = row._replace(values=tuple(values), note=_note_of(row, sent))
        return self._with_custom(entity, row, sent, at), echo

    def _scalar(self, field: Field, value: Value, given: Any, at: Path) -> tuple[Value, Any]:
        """A field's new value. Without a `value` it was not meant; with null it is emptied."""
        self.scalars.append((*at, field.name))
        sent = _value_of(field.name, given)
        if sent is _NOTHING or (not at and field.name in self._fixed):
            return value, given
        if sent is None:
            return None, given
        try:
            found = _converted(field.name, field.kind, sent)
        except ValueError:
            return value, self._failed(
                at, field.name, given, f"'{sent}' is no valid value of '{field.name}'."
            )
        error = self._check(field, found)
        return (value, self._failed(at, field.name, given, error)) if error else (found, given)

    def _failed(self, at: Path, name: str, given: Mapping[str, Any], words: str) -> Json:
        self.errors.append(f"{'/'.join((*at, name))}: {words}")
        return {**given, "error": words}

    def _nested(self, field: Field, entity: Entity, value: Value, given: Any, at: Path) -> tuple[Value, Any]:
        path = (*at, field.name)
        if field.kind == LINKED:
            if not isinstance(given, Mapping):
                raise bad_body(field.name, "an object was expected")
            row = value if isinstance(value, Row) else _new_row(entity)
            return self.apply(entity, row, given, path)
        if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
            raise bad_body(field.name, "a list of objects was expected")
        rows = {row.id: row for row in value if isinstance(row, Row)} if isinstance(value, tuple) else {}
        echoes = [self._detail(entity, rows, item, path) for item in given]
        return tuple(rows.values()), echoes

    def _detail(self, entity: Entity, rows: dict[str, Row], sent: Mapping[str, Any], at: Path) -> Json:
        """One row of a list: without an id it is added, else changed or deleted."""
        row_id = str(sent.get("id") or "").lower()
        if not row_id:
            row = _new_row(entity)
            self.fresh.add(row.id)
        elif row_id in rows:
            row = rows[row_id]
        else:
            raise no_entity(500)
        if sent.get("delete") is True:
            rows.pop(row.id, None)
            return dict(sent)
        rows[row.id], echo = self.apply(entity, row, sent, at)
        return echo

    def _with_custom(self, entity: Entity, row: Row, sent: Mapping[str, Any], at: Path) -> Row:
        """The row with the user-defined fields that were sent; one that the form lacks is cut (reported)."""
        found = dict(row.custom)
        for name, given in _custom_sent(sent):
            kind, value = entity.custom.get(name), _value_of(name, given)
            if kind is None or value is _NOTHING:
                continue
            self.custom.append("/".join((*at, name)))
            if value is None:
                found.pop(name, None)
                continue
            try:
                found[name] = _converted(name, kind, value)
            except ValueError:
                self.errors.append(f"{name}: '{value}' is no valid value of '{name}'.")
        return row._replace(custom=found)


_NOTHING: Final = object()


def _custom_sent(sent: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The user-defined fields of a body, as `View.Field`."""
    views = sent.get("custom") or {}
    if not isinstance(views, Mapping) or not all(isinstance(fields, Mapping) for fields in views.values()):
        raise bad_body("custom", "an object of views was expected")
    return [(f"{view}.{name}", given) for view, fields in views.items() for name, given in fields.items()]


def _value_of(name: str, given: Any) -> Any:
    """The plain value in `{"value": …}`; raises Refusal for anything but an object."""
    if not isinstance(given, Mapping):
        raise bad_body(name, f"Error converting value {given!r}")
    return given.get("value", _NOTHING)


def _converted(name: str, kind: str, sent: Any) -> Scalar:
    """A value as JSON has it in the type of its field; what .NET's JSON converts by itself is taken."""
    if kind == "String" and isinstance(sent, int | Decimal) and not isinstance(sent, bool):
        return str(sent)
    if kind == "Boolean" and str(sent).casefold() in ("true", "false"):
        return str(sent).casefold() == "true"
    if kind in ("Int", "Short", "Long", "Byte") and isinstance(sent, str):
        return int(sent)
    return scalar_of(name, kind, sent)


def _note_of(row: Row, sent: Mapping[str, Any]) -> str | None:
    note = sent.get("note")
    return str(note.get("value") or "") if isinstance(note, Mapping) else row.note


def _new_row(entity: Entity) -> Row:
    return Row(str(uuid.uuid4()), tuple(entity.empty_values()))

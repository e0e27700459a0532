"""The bodies of actions, a record and parameters, and of inquiries.

Pure; fails with BadBody, which the ERP answers with 400.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

_BARE = frozenset({"id", "rowNumber", "note", "custom", "error", "files", "_links", "delete"})
"""Members of a record that are no fields."""


class BadBody(Exception):
    """The body is not what an action takes; the argument says why."""


@dataclass(frozen=True)
class Asked:
    """An action's record, as it was sent and its fields unwrapped, and its parameters by `Name` or `View.Field`."""

    sent: Mapping[str, object]
    fields: Mapping[str, object]
    parameters: Mapping[str, object]

    @property
    def id(self) -> str | None:
        """The record's id, where it is named by it."""
        return None if self.sent.get("id") is None else str(self.sent["id"])


def read_body(body: bytes) -> Asked:
    """Read `{"entity": {…}, "parameters": {…}}`; `Entity` is read too (recorded)."""
    document = _document(body)
    entity = _object(document, "entity" if "entity" in document else "Entity")
    if not entity:
        raise BadBody("The entity of the action is not specified.")
    if not isinstance(entity.get("id", ""), str | None):
        raise BadBody("The id of an entity is a GUID.")
    return Asked(entity, _fields(entity), _parameters(_object(document, "parameters")))


def read_record(body: bytes) -> dict[str, object]:
    """The scalar fields of a record that is the whole body, as an inquiry takes it."""
    return _fields(_document(body))


def echo(asked: Asked, errors: Mapping[str, str]) -> dict[str, object]:
    """The record as it was sent, with each error at its field; one of a parameter is where such a field would be."""
    found = dict(asked.sent)
    for name, error in errors.items():
        view, _, field = name.rpartition(".")
        if not view:
            value = asked.fields.get(name, asked.parameters.get(name))
            found[name] = {"value": value, "error": error}
            continue
        custom = dict(_object(found, "custom"))
        fields = dict(_object(custom, view))
        fields[field] = {"type": "CustomStringField", "value": asked.parameters.get(name), "error": error}
        found["custom"] = {**custom, view: fields}
    return found


def _document(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body)
    except ValueError:
        raise BadBody("The request body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise BadBody("The request body must be a JSON object.")
    return document


def _object(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A member that is an object, or absent."""
    found = document.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadBody(f"'{name}' must be a JSON object.")
    return found


def _fields(entity: Mapping[str, object]) -> dict[str, object]:
    """The scalar fields, without their wrapping. Lines and linked entities are not looked at."""
    found: dict[str, object] = {}
    for name, wrapped in entity.items():
        if name in _BARE or isinstance(wrapped, list):
            continue
        if not isinstance(wrapped, dict):
            raise BadBody(f"Error converting value of '{name}': a field is an object with a value.")
        if "value" in wrapped:
            found[name] = wrapped["value"]
    return found


def _parameters(given: Mapping[str, object]) -> dict[str, object]:
    """The parameters: `Name` of typed ones, `View.Field` of those of a dialog box."""
    found = _fields(given)
    for view, fields in _object(given, "custom").items():
        for name, wrapped in _object({view: fields}, view).items():
            if not isinstance(wrapped, dict) or "value" not in wrapped:
                raise BadBody(f"Error converting value of '{view}.{name}': a field has a type and a value.")
            found[f"{view}.{name}"] = wrapped["value"]
    return found

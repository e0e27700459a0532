"""The answer to `$adHocSchema`: a record of an entity with nothing in it, which tells its user-defined fields too."""

import json
from typing import Any

from deploy.sandbox.schema import DETAIL, Entity


def skeleton(entity: Entity, workflow: bool) -> bytes:
    """The document. `workflow` is whether the build lists the form's workflow actions; none is in the list here."""
    further: dict[str, object] = {"_workflowActions": []} if workflow else {}
    return json.dumps({**_empty(entity), **further}, separators=(",", ":")).encode()


def _empty(entity: Entity) -> dict[str, Any]:
    """All fields empty, one row of each detail, and the user-defined fields with their types."""
    found: dict[str, Any] = {"rowNumber": 1, "note": {"value": ""} if entity.has_note else None}
    for name, field in entity.fields.items():
        inner = _empty(field.nested) if field.nested else {}
        found[name] = [inner] if field.kind == DETAIL else inner
    custom: dict[str, dict[str, object]] = {}
    for path, kind in entity.custom.items():
        view, _, name = path.partition(".")
        custom.setdefault(view, {})[name] = {"type": f"Custom{kind}Field", "value": None}
    return {**found, "custom": custom}

"""Files that are put to records: by the place that `_links` gives, or by the older path with the record's keys."""

import re
from collections.abc import Sequence

from deploy.sandbox.answer import Answer
from deploy.sandbox.instance import Instance
from deploy.sandbox.refusal import no_entity, not_found
from deploy.sandbox.schema import Contract, TopLevel

_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LONGEST_COMMENT = 500


def attach(
    instance: Instance, contract: Contract, path: Sequence[str], content: bytes, comment: str
) -> tuple[Answer, str]:
    """Attach `content` at `path` below the endpoint: 204, with the place of the file; else an answer without.

    `files/{Graph}/{View}/{id}/{name}` is a record's or a detail row's; `{Entity}/{key}[/{key}…]/files/{name}` a
    record's by its keys, and never by its id (reported: 404).
    """
    found = _by_link(instance, contract, path) if path[0] == "files" else _by_keys(instance, contract, path)
    if found is None:
        return not_found("/".join(path)).answer(), ""
    definition, row_id = found
    try:
        file_id = instance.attach(definition.name, row_id, path[-1], content, comment[:_LONGEST_COMMENT])
    except LookupError:
        return no_entity(instance.variants.missing_status).answer(), ""
    return Answer(204, b""), f"{instance.base(contract)}/files/{file_id}"


def _by_link(instance: Instance, contract: Contract, path: Sequence[str]) -> tuple[TopLevel, str] | None:
    """The record's entity, which the graph tells, and the row's id."""
    if len(path) != 5:
        return None
    for definition in contract.entities.values():
        if definition.form.graph == path[1] and not definition.form.inquiry:
            return definition, path[3]
    return None


def _by_keys(instance: Instance, contract: Contract, path: Sequence[str]) -> tuple[TopLevel, str] | None:
    definition = contract.entities.get(path[0])
    keys = path[1:-2]
    if definition is None or not keys or _GUID.fullmatch(keys[0]):
        return None
    row = instance.row(definition.name, keys)
    return (definition, row.id) if row else None

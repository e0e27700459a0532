"""Saving and deleting records: what PUT, PATCH and DELETE of an entity do to the data, and what they answer.

Nothing is raised: what the ERP refuses is an answer too, and then nothing has been changed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from deploy.sandbox import refusal, rules
from deploy.sandbox.answer import Answer
from deploy.sandbox.edits import Edit, Json, Path
from deploy.sandbox.instance import Instance
from deploy.sandbox.projection import Member, Projection, project
from deploy.sandbox.refusal import Refusal
from deploy.sandbox.rows import Row
from deploy.sandbox.schema import LINKED, Contract, Field, TopLevel
from deploy.sandbox.values import scalar_of


@dataclass(frozen=True)
class Write:
    """A request to write: through which endpoint, to which entity, and under which conditions."""

    contract: Contract
    entity: str
    query: Mapping[str, str]
    only_new: bool = False
    """`If-None-Match: *`."""
    only_known: bool = False
    """`If-Match: *`."""
    patch: bool = False
    keeps: bool = True
    """Whether anything is kept: the form of a user who may only look at it answers 200 and forgets it (reported)."""


@dataclass(frozen=True)
class Written:
    """The answer, and what was changed: nothing, unless it has an `op`."""

    answer: Answer
    op: str = ""
    record: str = ""
    keys: tuple[str, ...] = ()


def put(instance: Instance, write: Write, body: bytes) -> Written:
    """Insert the record of a body, or update the one that its id, its keys or the `$filter` names."""
    try:
        definition = _definition(write)
        sent = _object(body)
        current = _current(instance, write, definition, sent)
        _check_condition(write, current)
        return _save(instance, write, definition, sent, current)
    except Refusal as refused:
        return Written(refused.answer())


def delete(instance: Instance, write: Write, keys: Sequence[str]) -> Written:
    """Delete a record by its keys or its id. It is missed as by GET."""
    try:
        _definition(write)
        row = instance.row(write.entity, keys)
        if row is None:
            raise refusal.no_entity(instance.variants.missing_status)
    except Refusal as refused:
        return Written(refused.answer())
    found = tuple(instance.keys_of(write.entity, row.id).values())
    if not write.keeps:
        return Written(Answer(204, b""))
    instance.delete(write.entity, row.id)
    return Written(Answer(204, b""), "delete", row.id, found)


def _definition(write: Write) -> TopLevel:
    definition = write.contract.entities.get(write.entity)
    if definition is None:
        raise refusal.not_found(f"entity {write.entity}")
    return definition


def _object(body: bytes) -> Json:
    """The JSON object of a body, its numbers exact; raises Refusal (400) for anything else."""
    try:
        document = json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except ValueError:
        raise refusal.bad_body("", "The body is no JSON.") from None
    if not isinstance(document, dict):
        raise refusal.bad_body("", "An object was expected.")
    return document


def _no_number(name: str) -> object:
    raise ValueError(name)


def _current(instance: Instance, write: Write, definition: TopLevel, sent: Json) -> Row | None:
    """The record that the request means; None for a new one. An id that no record has is missed as by GET."""
    if "$filter" in write.query:
        found = instance.matching(definition, write.query["$filter"])
        if len(found) > 1:
            raise refusal.ambiguous()
        return found[0] if found else None
    if sent.get("id"):
        row = instance.keyed(write.entity, [str(sent["id"])], by_id=True)
        if row is None:
            raise refusal.no_entity(404 if write.patch else instance.variants.missing_status)
        return row
    keys = _keys_sent(definition, sent)
    if not definition.form.keys or len(keys) < len(definition.form.keys):
        return None
    return instance.keyed(write.entity, [keys[name] for name in definition.form.keys])


def _keys_sent(definition: TopLevel, sent: Json) -> dict[str, str]:
    """The keys that a body has, as text."""
    given = {name: sent.get(name) for name in definition.form.keys}
    values = {name: each.get("value") for name, each in given.items() if isinstance(each, Mapping)}
    return {name: str(value).strip() for name, value in values.items() if value is not None}


def _check_condition(write: Write, current: Row | None) -> None:
    if (write.only_new and current) or (write.only_known and not current):
        raise refusal.precondition_failed()
    if write.patch and current is None:
        raise refusal.no_entity(404)


def _save(instance: Instance, write: Write, definition: TopLevel, sent: Json, current: Row | None) -> Written:
    whole = instance.definition(write.entity) or definition
    before = current or _new_row(instance, definition, sent)

    def exists(entity: str, key: str) -> bool:
        return instance.definition(entity) is not None and instance.keyed(entity, [key]) is not None

    def check(field: Field, value: Any) -> str:
        return rules.error_of(field, value, definition.form.keys, exists)

    edit = Edit(check, {*rules.READ_ONLY, *definition.form.keys})
    row, echo = edit.apply(definition, before, sent)
    edit.errors.extend(_missing_keys(definition, row, echo))
    if edit.errors:
        raise _failed(instance, definition, current, edit, echo)
    row = rules.filled(whole, row, is_new=current is None)
    answer = _answer(instance, write, definition, (before, row), edit, is_new=current is None)
    if not write.keeps:
        return Written(answer)
    _keep(instance, definition, row)
    keys = tuple(instance.keys_of(write.entity, row.id).values())
    return Written(answer, "update" if current else "insert", row.id, keys)


def _keep(instance: Instance, definition: TopLevel, row: Row) -> None:
    """Put the record in; raises Refusal where the filter found none, and yet its keys are another's."""
    try:
        instance.keep(definition.name, row)
    except ValueError:
        words = f"Another process has added the '{definition.form.screen.removesuffix('s')}' record."
        raise refusal.has_errors(definition.form.screen.removesuffix("s"), True, [words]) from None


def _new_row(instance: Instance, definition: TopLevel, sent: Json) -> Row:
    """An empty record with the keys that were sent or that the form gives."""
    row = instance.empty(definition.name)
    values = list(row.values)
    taken = rules.keys_of_new(
        definition,
        _keys_sent(definition, sent),
        lambda keys: instance.keyed(definition.name, keys) is not None,
    )
    for name, value in taken.items():
        field = definition.fields[name]
        try:
            typed = int(str(value)) if field.kind == "Int" else value
            values[field.index] = scalar_of(name, field.kind, typed)
        except ValueError:
            raise refusal.bad_body(name, f"Error converting value {value!r}") from None
    for name in definition.form.keys:
        if definition.fields[name].kind == "Guid":
            values[definition.fields[name].index] = row.id
    return row._replace(values=tuple(values))


def _missing_keys(definition: TopLevel, row: Row, echo: Json) -> list[str]:
    """The errors of keys that a new record lacks or has wrong; each is put into the echo."""
    errors = []
    for name in definition.form.keys:
        field = definition.fields[name]
        value = row.values[field.index]
        words = f"'{name}' cannot be empty." if value is None else ""
        if field.codes and value is not None and value not in field.codes:
            words = f"The list value '{value}' is not allowed for field '{name}'."
        known = echo.get(name)
        if words and not (isinstance(known, Mapping) and "error" in known):
            echo[name] = {**(known or {}), "error": words}
            errors.append(f"{name}: {words}")
    return errors


def _failed(instance: Instance, definition: TopLevel, current: Row | None, edit: Edit, echo: Json) -> Refusal:
    """The save's failure: what was sent with the errors in it, or an exception as older builds have it."""
    title = definition.form.screen.removesuffix("s")
    if instance.variants.bad_save == 500:
        return refusal.has_errors(title, current is None, edit.errors)
    found: Json = {"id": current.id} if current else {}
    found |= {"rowNumber": 1, "note": None, **_plain(echo), "error": refusal.raised(title, current is None)}
    return Refusal(422, found)


def _plain(value: Any) -> Any:
    """A document whose numbers JSON can write."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value


def _answer(
    instance: Instance, write: Write, definition: TopLevel, rows: tuple[Row, Row], edit: Edit, is_new: bool
) -> Answer:
    """The fields that were sent, those that the form set by itself, and what the query asks for besides (recorded)."""
    before, row = rows
    projection = _projection(write.query, definition, edit, _changed(definition, before, row, is_new))
    fresh = edit.fresh | ({row.id} if is_new else set())
    return instance.written(_without_notes(row, fresh), projection, definition, write.contract)


def _changed(definition: TopLevel, before: Row, row: Row, is_new: bool) -> list[Path]:
    shown = (*rules.STAMPS, *(definition.form.keys if is_new else ()))
    return [
        (name,)
        for name, field in definition.fields.items()
        if field.nested is None and (name in shown or before.values[field.index] != row.values[field.index])
    ]


def _projection(
    query: Mapping[str, str], definition: TopLevel, edit: Edit, changed: list[Path]
) -> Projection:
    """What is in the answer; a linked entity that was sent and not expanded has null for what is nested in it."""
    expanded = [name.strip() for name in query.get("$expand", "").split(",") if name.strip()]
    selected = [name.strip() for name in query.get("$select", "").split(",") if name.strip()]
    named = {name.partition("/")[0] for name in selected}
    selected += [name for name in expanded if name.partition("/")[0] not in named]
    sent = ["/".join(path) for path in (*edit.scalars, *changed)]
    nested = ["/".join(path) for path in edit.nested]
    custom = [name for name in query.get("$custom", "").split(",") if name.strip()]
    found = project(
        definition,
        ",".join(dict.fromkeys([*selected, *sent, "id"])),
        ",".join(dict.fromkeys([*expanded, *nested])),
        ",".join(dict.fromkeys([*custom, *edit.custom])),
        (),
    )
    return replace(found, members=tuple(_stub(member, expanded) for member in found.members))


def _stub(member: Member, expanded: Sequence[str]) -> Member:
    inner = member.inner
    if member.field.kind != LINKED or inner is None or member.field.name in expanded:
        return member
    here = {each.field.name for each in inner.members}
    nulls = [
        Member(field, None)
        for field in inner.entity.fields.values()
        if field.nested and field.name not in here
    ]
    members = sorted((*inner.members, *nulls), key=lambda each: each.field.index)
    return Member(member.field, replace(inner, members=tuple(members)))


def _without_notes(row: Row, fresh: set[str]) -> Row:
    """The record as it is answered at once: rows that were not there before have no note yet (recorded)."""
    values = [
        tuple(_without_notes(each, fresh) for each in value if isinstance(each, Row))
        if isinstance(value, tuple) and not isinstance(value, Row)
        else value
        for value in row.values
    ]
    return row._replace(values=tuple(values), note=row.note or None if row.id in fresh else row.note)

"""Rows to JSON as the ERP writes it: member order, number scale, `{}` for an empty field, links by build.

A writer is compiled once for a projection and then runs over the rows of a page.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from deploy.sandbox.ordering import Zones
from deploy.sandbox.projection import Member, Projection
from deploy.sandbox.rows import File, Row, Scalar
from deploy.sandbox.schema import DETAIL, Entity, Form

Writer = Callable[[Row, int], str]
"""Writes a row as the object with this row number."""
_MemberWriter = Callable[[Row], str]


@dataclass(frozen=True)
class Endpoint:
    """Where the endpoint is on its host, whether records say so, and how it prints moments."""

    base: str
    """`/MyStoreInstance/entity/Default/22.200.001`"""
    links: bool
    zones: Zones = field(default_factory=Zones)


def write_list(rows: Iterable[Row], writer: Writer) -> bytes:
    """A page: its row numbers begin at 1 on each (recorded)."""
    return f"[{','.join(writer(row, number) for number, row in enumerate(rows, 1))}]".encode(
        "utf-8", "replace"
    )


def writer_of(projection: Projection, form: Form, endpoint: Endpoint) -> Writer:
    """The writer of the records of a top-level entity."""
    return _writer(projection, endpoint, f"{form.graph}/{form.view}", with_self=True)


def _writer(projection: Projection, endpoint: Endpoint, view: str, with_self: bool) -> Writer:
    members = [_member_writer(member, endpoint, view) for member in projection.members]
    custom = _custom_writer(projection, endpoint)
    after = _links_writer(projection.entity, endpoint, view, with_self)
    files = _files_writer(endpoint) if projection.files else _nothing
    has_note = projection.entity.has_note
    note = '{"value":""}' if has_note else "null"

    def write(row: Row, number: int) -> str:
        row_id = row.id if has_note else uuid.uuid4()
        body = "".join([member(row) for member in members])
        shown = note if row.note == "" else _note(row.note)
        return f'{{"id":"{row_id}","rowNumber":{number},"note":{shown}{body}{custom(row)}{after(row)}{files(row)}}}'

    return write


def _member_writer(member: Member, endpoint: Endpoint, view: str) -> _MemberWriter:
    index, prefix = member.field.index, f',"{member.field.name}":'
    if member.inner is None and member.field.nested is not None:
        return lambda row: f"{prefix}null"
    if member.inner is None:
        return _scalar_writer(index, prefix, _encoder(member.field.name, member.field.kind, endpoint))
    graph = view.partition("/")[0]
    nested = _writer(member.inner, endpoint, f"{graph}/{member.field.view}", with_self=False)
    if member.field.kind == DETAIL:
        return lambda row: f"{prefix}[{_joined(row.values[index], nested)}]"
    empty = Row("", tuple(member.inner.entity.empty_values()))
    return lambda row: prefix + nested(_linked(row.values[index], empty), 1)


def _joined(rows: Any, writer: Writer) -> str:
    return ",".join([writer(row, number) for number, row in enumerate(rows or (), 1)])


def _linked(value: Any, empty: Row) -> Row:
    """A linked entity is part of its record: without data it is an object of empty fields."""
    return value if isinstance(value, Row) else empty


def _scalar_writer(index: int, prefix: str, encode: Callable[[Any], str]) -> _MemberWriter:
    empty, opening = prefix + "{}", prefix + '{"value":'

    def write(row: Row) -> str:
        value = row.values[index]
        return empty if value is None else f"{opening}{encode(value)}}}"

    return write


def _custom_writer(projection: Projection, endpoint: Endpoint) -> _MemberWriter:
    """`custom`: empty, or the fields asked for by view, typed; a field without a value is null."""
    if not projection.custom:
        return lambda row: ',"custom":{}'
    encoders = [
        (name, kind, _encoder(name, kind, endpoint))
        for name, kind in ((name, projection.entity.custom[name]) for name in projection.custom)
    ]

    def write(row: Row) -> str:
        views: dict[str, list[str]] = {}
        for name, kind, encode in encoders:
            view, _, field = name.partition(".")
            value = _custom_value(row.custom.get(name), encode)
            views.setdefault(view, []).append(f'"{field}":{{"type":"Custom{kind}Field","value":{value}}}')
        return (
            ',"custom":{'
            + ",".join(f'"{view}":{{{",".join(fields)}}}' for view, fields in views.items())
            + "}"
        )

    return write


def _custom_value(value: Scalar | None, encode: Callable[[Any], str]) -> str:
    return "null" if value is None else encode(value)


def _links_writer(entity: Entity, endpoint: Endpoint, view: str, with_self: bool) -> _MemberWriter:
    """`_links`: `self` on top-level records, `files:put` on every row with a note (recorded from 22.200.001 on)."""
    if not (endpoint.links and entity.has_note):
        return _nothing
    put = f'"files:put":"{endpoint.base}/files/{view}/'
    if not with_self:
        return lambda row: f',"_links":{{{put}{row.id}/{{filename}}"}}'
    own = f'"self":"{endpoint.base}/{entity.name}/'
    return lambda row: f',"_links":{{{own}{row.id}",{put}{row.id}/{{filename}}"}}'


def _files_writer(endpoint: Endpoint) -> _MemberWriter:
    def write(row: Row) -> str:
        return f',"files":[{",".join(_file(file, endpoint) for file in row.files)}]'

    return write


def _file(file: File, endpoint: Endpoint) -> str:
    comment = f',"comment":{_text(file.comment)}' if file.comment else ""
    href = f"{endpoint.base}/files/{file.id}"
    return f'{{"id":"{file.id}","filename":{_text(file.filename)},"href":"{href}"{comment}}}'


def _note(text: str | None) -> str:
    return "null" if text is None else f'{{"value":{_text(text)}}}'


def _nothing(row: Row) -> str:
    return ""


_text = json.JSONEncoder(ensure_ascii=False).encode


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _decimal(value: Decimal) -> str:
    return f"{value:f}"


def _moment(value: datetime) -> str:
    """An ISO stamp with the server's offset; zeros at the end of the fraction are dropped (recorded)."""
    text = value.isoformat()
    if not value.microsecond:
        return f'"{text}"'
    stamp, offset = text[:26].rstrip("0"), text[26:]
    return f'"{stamp}{offset}"'


_ENCODERS: Mapping[str, Callable[[Any], str]] = {
    "String": _text,
    "Boolean": _boolean,
    "Int": str,
    "Short": str,
    "Long": str,
    "Byte": str,
    "Decimal": _decimal,
    "DateTime": _moment,
    "Guid": _text,
}


def _encoder(name: str, kind: str, endpoint: Endpoint) -> Callable[[Any], str]:
    """How the values of a field are written."""
    if kind != "DateTime" or endpoint.zones == Zones():
        return _ENCODERS[kind]
    printed = endpoint.zones.printed(name)
    return lambda value: _moment(printed(value))

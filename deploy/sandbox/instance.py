"""The ERP's data behind its front door: lists, single records and files as answers, and changes to the data.

Synchronous and in memory, for one caller at a time. Requests never raise: what the ERP refuses is an answer too.
Changes raise ValueError or LookupError, with a message for whoever asked for them.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from deploy.sandbox.answer import Answer
from deploy.sandbox.builds import Build
from deploy.sandbox.data import make_data
from deploy.sandbox.files import attached, file_name, files_of
from deploy.sandbox.filters import parse
from deploy.sandbox.generate import Volume
from deploy.sandbox.optimizer import check_filter, check_list, non_key_fields
from deploy.sandbox.ordering import Ordering
from deploy.sandbox.predicates import Binder, Bound
from deploy.sandbox.projection import Path, Projection, project
from deploy.sandbox.refusal import Refusal, bad_option, no_entity, not_found
from deploy.sandbox.rows import SERVER_ZONE, File, Row
from deploy.sandbox.schema import DETAIL, Entity, TopLevel, load_schema
from deploy.sandbox.table import Table
from deploy.sandbox.values import changed, row_of
from deploy.sandbox.wire import Endpoint, write_list, writer_of

_GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_COUNT = re.compile(r"[0-9]{1,9}")
_STAMPS = ("LastModified", "LastModifiedDateTime")


@dataclass(frozen=True)
class Variants:
    """Where the sources contradict each other or say nothing, one of the possible behaviours."""

    missing_status: int = 500
    """Status for a record that does not exist: 500 (several live instances), 404 (one)."""
    refuse_non_key_filters: bool = True
    """Whether Shipment filtered by other fields than keys is a 500 or silently `[]`; both are reported."""
    match_across_views: bool = True
    """Whether `and` over fields of two data views can match; reported to give `[]` on some composite entities."""
    ordering: Ordering = field(default_factory=Ordering)
    """How keys are sorted and compared, and how moments print."""
    detail_edits: Literal["stamp", "silent"] = "stamp"
    """Whether a change of nothing but detail rows moves the record's stamp; a real one may not."""


class Instance:
    """One ERP tenant: six entities, their files, and the two ways to read them."""

    def __init__(
        self,
        build: Build,
        site: str,
        volume: Volume = Volume(),  # noqa: B008 - frozen
        variants: Variants = Variants(),
    ) -> None:
        """The demo records and as many generated ones; `site` is the first segment of every path, or empty."""
        self._variants = variants
        self._schema = load_schema(build)
        root = f"/{site.strip('/')}" if site.strip("/") else ""
        base = f"{root}/entity/{build.endpoint}/{build.version}"
        self._endpoint = Endpoint(base, build.links, variants.ordering.zones)
        self._data = make_data(self._schema, variants.ordering, build, volume)

    def list(self, entity: str, query: Mapping[str, str]) -> Answer:
        """A page of records; `query` has the decoded options (`$filter`, `$select`, …), others are ignored."""
        try:
            return self._list(self._entity(entity), query)
        except Refusal as refusal:
            return refusal.answer()

    def get(self, entity: str, keys: Sequence[str], query: Mapping[str, str]) -> Answer:
        """One record by id (a single GUID) or by its key values, percent-decoded; `|` may separate them as `/` does."""
        try:
            definition = self._entity(entity)
            projection = _projection(definition, query, ())
            record = self._find(entity, [part for key in keys for part in key.split("|") if part])
        except Refusal as refusal:
            return refusal.answer()
        body = writer_of(projection, definition.form, self._endpoint)(record, 1)
        return Answer(200, body.encode("utf-8", "replace"), rows=1)

    def file(self, file_id: str) -> Answer:
        """The bytes of an attached file."""
        file = self._data.file(file_id.lower())
        if file is None:
            return not_found(f"file {file_id}").answer()
        if isinstance(file.content, bytes):
            return Answer(200, file.content, "application/octet-stream")
        return Answer(200, b"", "application/octet-stream", drawn=file.content)

    def screen_id(self, entity: str) -> str | None:
        """The number of an entity's form; None for an entity that the endpoint does not have."""
        definition = self._schema.get(entity)
        return definition.form.screen_id if definition else None

    def insert(self, entity: str, record: Mapping[str, object]) -> str:
        """Adds a record of plain values, nested ones included, and returns its id.

        Raises LookupError for an unknown entity, ValueError for a bad field, a missing or a taken key.
        """
        table, definition = self._table(entity)
        row = row_of(definition, _stamped(definition, record))
        table.add(row)
        return row.id

    def change(self, entity: str, record_id: str, fields: Mapping[str, object]) -> None:
        """Sets fields of a record and its stamp of last change; raises as `insert` does, LookupError without record."""
        table, definition = self._table(entity)
        row = _known(table.by_id(record_id), entity, record_id)
        silent = self._variants.detail_edits == "silent" and _only_details(definition, fields)
        table.replace(changed(definition, row, fields if silent else _stamped(definition, fields)))

    def id_of(self, entity: str, keys: Sequence[str]) -> str:
        """The id of the record with these keys, as the wire gives them; raises LookupError when there is none."""
        table, _ = self._table(entity)
        row = table.by_keys(keys)
        if row is None:
            raise LookupError(f"{entity} has no record with the keys {', '.join(keys)}")
        return row.id

    def keys_of(self, entity: str, record_id: str) -> dict[str, str]:
        """The keys of a record, by name; raises LookupError when there is none with this id."""
        table, definition = self._table(entity)
        row = _known(table.by_id(record_id), entity, record_id)
        return {name: str(row.values[definition.fields[name].index]) for name in definition.form.keys}

    def delete(self, entity: str, record_id: str) -> None:
        """Takes a record and its files away; raises LookupError when there is none with this id."""
        table, _ = self._table(entity)
        for file in files_of(table.remove(record_id)):
            self._data.files.pop(file.id, None)  # a generated one was never kept

    def attach(self, entity: str, record_id: str, filename: str, content: bytes) -> str:
        """Attaches a file to a record, or to the detail row that has this id; returns the file's id.

        A file of the same name is overwritten under its id. Raises LookupError when there is no such row.
        """
        table, definition = self._table(entity)
        row_id = record_id.lower()
        direct = table.by_id(row_id)
        for row in (direct,) if direct else table:
            name = file_name(definition, row, filename)
            found = attached(definition, row, row_id, File(str(uuid.uuid4()), name, content))
            if found is not None:
                changed_row, file = found
                table.replace(changed_row)
                self._data.files[file.id] = file
                return file.id
        raise LookupError(f"{entity} has no record or detail row with the id {record_id}")

    def _list(self, entity: TopLevel, query: Mapping[str, str]) -> Answer:
        top, skip = _count(query, "$top"), _count(query, "$skip") or 0
        bound = self._bound(entity, query.get("$filter", ""))
        paths = bound.paths if bound else ()
        projection = _projection(entity, query, paths)
        check_list(projection)
        if non_key_fields(entity, paths) and not self._variants.refuse_non_key_filters:
            return Answer(200, b"[]")
        check_filter(entity, paths)
        rows, passed = self._data.tables[entity.name].page(bound, skip, top)
        body = write_list(rows, writer_of(projection, entity.form, self._endpoint))
        return Answer(200, body, rows=len(rows), skipped=passed, ids=tuple(row.id for row in rows))

    def _bound(self, entity: TopLevel, text: str) -> Bound | None:
        if not text.strip():
            return None
        return Binder(entity, self._variants.ordering, self._variants.match_across_views).bind(parse(text))

    def _find(self, entity: str, keys: Sequence[str]) -> Row:
        table = self._data.tables[entity]
        row = table.by_id(keys[0]) if len(keys) == 1 and _GUID.fullmatch(keys[0]) else None
        row = row or table.by_keys(keys)
        if row is None:
            raise no_entity(self._variants.missing_status)
        return row

    def _entity(self, name: str) -> TopLevel:
        entity = self._schema.get(name)
        if entity is None:
            raise not_found(f"entity {name}")
        return entity

    def _table(self, entity: str) -> tuple[Table, TopLevel]:
        if entity not in self._data.tables:
            raise LookupError(f"there is no entity {entity!r}; there are {', '.join(self._data.tables)}")
        return self._data.tables[entity], self._schema[entity]


def _projection(entity: Entity, query: Mapping[str, str], filtered: Sequence[Path]) -> Projection:
    return project(
        entity, query.get("$select", ""), query.get("$expand", ""), query.get("$custom", ""), filtered
    )


def _count(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    if not _COUNT.fullmatch(text):
        raise bad_option(name, text)
    return int(text)


def _stamped(entity: Entity, record: Mapping[str, object]) -> Mapping[str, object]:
    """The record with the time of its last change, in milliseconds, unless it brings one of its own."""
    now = datetime.now(SERVER_ZONE)
    stamp = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return {name: stamp for name in _STAMPS if name in entity.fields} | dict(record)


def _only_details(entity: Entity, record: Mapping[str, object]) -> bool:
    return all(name in entity.fields and entity.fields[name].kind == DETAIL for name in record)


def _known(row: Row | None, entity: str, record_id: str) -> Row:
    if row is None:
        raise LookupError(f"{entity} has no record with the id {record_id}")
    return row

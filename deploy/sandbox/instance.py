"""The ERP's data behind its front door: lists, single records and files as answers, and changes to the data.

Synchronous and in memory, for one caller at a time. Requests never raise: what the ERP refuses is an answer too.
Changes raise ValueError or LookupError, with a message for whoever asked for them.
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from deploy.sandbox.answer import Answer
from deploy.sandbox.builds import Build
from deploy.sandbox.contracts import Schema
from deploy.sandbox.data import make_data
from deploy.sandbox.files import attached, file_name, files_of
from deploy.sandbox.filters import parse
from deploy.sandbox.generate import Volume
from deploy.sandbox.optimizer import check_filter, check_list, check_one, non_key_fields
from deploy.sandbox.ordering import Ordering
from deploy.sandbox.predicates import Binder, Bound
from deploy.sandbox.projection import Path, Projection, project
from deploy.sandbox.refusal import Refusal, bad_option, no_entity, not_found
from deploy.sandbox.rows import SERVER_ZONE, File, Row
from deploy.sandbox.schema import DETAIL, Contract, Entity, TopLevel
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
    bad_save: int = 422
    """Status for a record that cannot be saved: 422 with the errors at their fields, or 500 as on older builds."""


class Instance:
    """One ERP tenant: its records and files, and how they are read through each of the endpoints.

    Where no endpoint is given, the build's first is meant.
    """

    def __init__(
        self,
        build: Build,
        site: str,
        volume: Volume = Volume(),  # noqa: B008 - frozen
        variants: Variants = Variants(),
    ) -> None:
        """The demo records and as many generated ones; `site` is the first segment of every path, or empty."""
        self.build = build
        self.variants = variants
        self._schema = Schema(build)
        root = f"/{site.strip('/')}" if site.strip("/") else ""
        self._wires = {
            contract: Endpoint(
                f"{root}/entity/{contract.name}/{contract.version}", build.links, variants.ordering.zones
            )
            for contract in self._schema.contracts
        }
        self._data = make_data(self._schema.whole, variants.ordering, build, volume)

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """The endpoints, the main one first."""
        return self._schema.contracts

    @property
    def entity_names(self) -> Sequence[str]:
        """The names of all entities of all endpoints."""
        return tuple(self._schema.whole)

    def contract(self, name: str, version: str) -> Contract | None:
        """The endpoint of this name and version, with its entities and their actions."""
        return self._schema.contract(name, version)

    def definition(self, entity: str) -> TopLevel | None:
        """An entity with the fields of all endpoints, by which its rows are kept."""
        return self._schema.whole.get(entity)

    def rows(self, entity: str) -> Iterator[Row]:
        """All records of an entity in the order of its keys; raises LookupError for an unknown entity."""
        return iter(self._table(entity)[0])

    def row(self, entity: str, keys: Sequence[str]) -> Row | None:
        """One record, found as `get` finds it; raises LookupError for an unknown entity."""
        values = [part for key in keys for part in key.split("|") if part]
        by_id = len(values) == 1 and _GUID.fullmatch(values[0]) is not None
        return (self.keyed(entity, values, by_id=True) if by_id else None) or self.keyed(entity, values)

    def keyed(self, entity: str, values: Sequence[str], by_id: bool = False) -> Row | None:
        """The record with exactly these keys, or with this id; raises LookupError for an unknown entity."""
        table, _ = self._table(entity)
        return table.by_id(values[0]) if by_id else table.by_keys(values)

    def matching(self, definition: TopLevel, text: str) -> Sequence[Row]:
        """The records that a filter finds, without regard to what can be listed; raises Refusal for a bad filter."""
        rows, _ = self._data.tables[definition.name].page(self._bound(definition, text), 0, None)
        return rows

    def empty(self, entity: str) -> Row:
        """A record of which nothing is known but a new id; raises LookupError for an unknown entity."""
        return row_of(self._table(entity)[1], {})

    def keep(self, entity: str, row: Row) -> None:
        """Puts a record in, or in the place of the one with its id; raises as `insert` does."""
        table, _ = self._table(entity)
        (table.replace if table.by_id(row.id) else table.add)(row)

    def list(self, entity: str, query: Mapping[str, str], contract: Contract | None = None) -> Answer:
        """A page of records; `query` has the decoded options (`$filter`, `$select`, …), others are ignored."""
        found = contract or self.contracts[0]
        try:
            return self._list(_entity(found, entity), query, self._wires[found])
        except Refusal as refusal:
            return refusal.answer()

    def get(
        self, entity: str, keys: Sequence[str], query: Mapping[str, str], contract: Contract | None = None
    ) -> Answer:
        """One record by id (a single GUID) or by its key values, percent-decoded; `|` may separate them as `/` does."""
        found = contract or self.contracts[0]
        try:
            definition = _entity(found, entity)
            projection = _projection(definition, query, ())
            check_one(definition, projection)
            record = self.row(entity, keys)
            if record is None:
                raise no_entity(self.variants.missing_status)
        except Refusal as refusal:
            return refusal.answer()
        return self.written(record, projection, definition, found)

    def written(
        self, record: Row, projection: Projection, definition: TopLevel, contract: Contract
    ) -> Answer:
        """A record as one endpoint answers it."""
        body = writer_of(projection, definition.form, self._wires[contract])(record, 1)
        return Answer(200, body.encode("utf-8", "replace"), rows=1)

    def base(self, contract: Contract) -> str:
        """The path of an endpoint: `/MyStoreInstance/entity/Default/24.200.001`."""
        return self._wires[contract].base

    def file(self, file_id: str) -> Answer:
        """The bytes of an attached file."""
        file = self._data.file(file_id.lower())
        if file is None:
            return not_found(f"file {file_id}").answer()
        if isinstance(file.content, bytes):
            return Answer(200, file.content, "application/octet-stream")
        return Answer(200, b"", "application/octet-stream", drawn=file.content)

    def screen_id(self, entity: str, contract: Contract | None = None) -> str | None:
        """The number of an entity's form; None for an entity that the endpoint does not have."""
        definition = (contract or self.contracts[0]).entities.get(entity)
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
        silent = self.variants.detail_edits == "silent" and _only_details(definition, fields)
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

    def attach(self, entity: str, record_id: str, filename: str, content: bytes, comment: str = "") -> str:
        """Attaches a file to a record, or to the detail row that has this id; returns the file's id.

        A file of the same name is overwritten under its id, its comment too. Raises LookupError without such a row.
        """
        table, definition = self._table(entity)
        row_id = record_id.lower()
        direct = table.by_id(row_id)
        for row in (direct,) if direct else table:
            name = file_name(definition, row, filename)
            found = attached(definition, row, row_id, File(str(uuid.uuid4()), name, content, comment))
            if found is not None:
                changed_row, file = found
                table.replace(changed_row)
                self._data.files[file.id] = file
                return file.id
        raise LookupError(f"{entity} has no record or detail row with the id {record_id}")

    def _list(self, entity: TopLevel, query: Mapping[str, str], wire: Endpoint) -> Answer:
        top, skip = _count(query, "$top"), _count(query, "$skip") or 0
        bound = self._bound(entity, query.get("$filter", ""))
        paths = bound.paths if bound else ()
        projection = _projection(entity, query, paths)
        check_list(entity, projection)
        if non_key_fields(entity, paths) and not self.variants.refuse_non_key_filters:
            return Answer(200, b"[]")
        check_filter(entity, paths)
        rows, passed = self._data.tables[entity.name].page(bound, skip, top)
        body = write_list(rows, writer_of(projection, entity.form, wire))
        return Answer(200, body, rows=len(rows), skipped=passed, ids=tuple(row.id for row in rows))

    def _bound(self, entity: TopLevel, text: str) -> Bound | None:
        if not text.strip():
            return None
        return Binder(entity, self.variants.ordering, self.variants.match_across_views).bind(parse(text))

    def _table(self, entity: str) -> tuple[Table, TopLevel]:
        if entity not in self._data.tables:
            raise LookupError(f"there is no entity {entity!r}; there are {', '.join(self._data.tables)}")
        return self._data.tables[entity], self._schema.whole[entity]


def _entity(contract: Contract, name: str) -> TopLevel:
    entity = contract.entities.get(name)
    if entity is None:
        raise not_found(f"entity {name}")
    return entity


def _projection(entity: TopLevel, query: Mapping[str, str], filtered: Sequence[Path]) -> Projection:
    select = "" if entity.form.whole else query.get("$select", "")
    return project(entity, select, query.get("$expand", ""), query.get("$custom", ""), filtered)


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

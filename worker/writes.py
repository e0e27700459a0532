"""How writes become pages: a record inserted or updated, one deleted, a file attached. Each is sent once.

Raises JobInvalid or KeysInvalid where the schema knows that the ERP would refuse it; nothing is sent then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from worker.erp import urls, wrapping
from worker.erp.client import Erp
from worker.erp.schema import Schema
from worker.erp.wire import Body
from worker.erp.writing import Writer
from worker.errors import (
    ErpRefused,
    JobInvalid,
    OperationFailed,
    OutcomeUnknown,
    RecordNotFound,
    StoreUnavailable,
    TryAgain,
)
from worker.kinds import Delete, Mode, Source, Upload, Upsert
from worker.naming import Named, fits_a_path
from worker.page import Cursor, Page, Query, Record, Sending, Stage
from worker.sending import Sender

PRECONDITIONS: Mapping[Mode, Mapping[str, str]] = {
    Mode.UPSERT: {},
    Mode.INSERT: {"If-None-Match": "*"},
    Mode.UPDATE: {"If-Match": "*"},
}
"""Source: the vendor's guide, Create or Update a Record."""


def upsert(
    erp: Erp,
    writer: Writer,
    sender: Sender,
    named: Named,
    job: Upsert,
    schema: Schema | None,
    after: Cursor | None,
) -> Iterator[Page]:
    """Insert or update a record; the last page has it as the ERP answered, or as it was read back.

    Raises OperationFailed where it was to be read back, and is otherwise than it was written.
    """
    body = body_of(job, named, schema)
    query = _query(job)
    sending = sender.begun(after)
    if sending.stage is Stage.READY:
        options = urls.options(query)
        record = writer.put(body, options, PRECONDITIONS[job.mode])
        record_id = str(record["id"])
        sender.is_at(Sending(stage=Stage.DONE, answer=record_id))
    else:
        record, record_id = {}, sending.answer
    if job.read_back or not record:
        record = _read_back(erp, query, record_id, sender.look)
    if job.read_back:
        require_kept(body, record)
    yield sender.last(record)


def _read_back(erp: Erp, query: Query, record_id: str, look: str) -> Record:
    """The record as the ERP has it now. Raises OutcomeUnknown where it cannot be read: to write it again is no help."""
    try:
        return erp.get_by_id(query, record_id)
    except StoreUnavailable:
        raise
    except (ErpRefused, TryAgain) as error:
        raise OutcomeUnknown(
            f"the ERP answered that it was done, and it cannot be read again ({error.message}): look at {look}"
        ) from None


def body_of(job: Upsert, named: Named, schema: Schema | None) -> Record:
    """The record in the form of the wire, with what names it. Raises JobInvalid."""
    body = wrapping.record(job.record, job.entity, schema)
    for name, value in named.wire.items():
        if body.setdefault(name, value) != value:
            raise JobInvalid("is given by keys or id too, and otherwise", f"record.{name}")
    return body


def _query(job: Upsert) -> Query:
    """What is wanted of the record: what the job names, or all fields, and the nested ones that were written."""
    nested = [
        name for name, value in job.record.items() if isinstance(value, dict | list) and name != "custom"
    ]
    expand = tuple(nested) if job.expand is None else job.expand
    return Query(entity=job.entity, select=job.select or (), expand=expand, custom=job.custom)


def require_kept(written: Record, found: Record) -> None:
    """Raise OperationFailed where a field of the record itself is not as it was written.

    A user who may only look at a form gets a 200 for a write, and nothing is kept (vendor's guide; reported by live
    instances). Texts are compared without case and padding, numbers by their value, moments by their day.
    """
    lost = [
        f"{name} is {_plain(found[name])!r} and not {_plain(value)!r}"
        for name, value in written.items()
        if _is_value(value) and _is_value(found.get(name)) and not _alike(_plain(value), _plain(found[name]))
    ]
    if lost:
        raise OperationFailed(
            f"the ERP answered that it was done, and has kept something else: {'; '.join(lost)}"
        )


def _is_value(member: object) -> bool:
    return isinstance(member, dict) and (not member or "value" in member)


def _plain(member: Mapping[str, Any]) -> Any:
    return member.get("value")


def _alike(written: object, found: object) -> bool:
    return any(form(written) == form(found) for form in (_text, _number, _day))


def _text(value: object) -> object:
    return "" if value is None else str(value).strip().casefold()


def _number(value: object) -> object:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return object()


def _day(value: object) -> object:
    try:
        return datetime.fromisoformat(str(value)).date()
    except ValueError:
        return object()


def delete(
    erp: Erp, writer: Writer, sender: Sender, named: Named, job: Delete, after: Cursor | None
) -> Iterator[Page]:
    """Delete a record; the last page has one record that says so."""
    sending = sender.begun(after)
    if sending.stage is Stage.READY:
        try:
            segments = named.segments if fits_a_path(named) else (_id_of(erp, named),)
            writer.delete(*segments)
        except RecordNotFound:
            # It may have been sent before, and then it has done it.
            if not job.idempotent:
                raise
        sender.is_at(Sending(stage=Stage.DONE))
    yield sender.last({"outcome": "deleted", "record": job.record_name})


def upload(
    erp: Erp,
    writer: Writer,
    sender: Sender,
    named: Named,
    job: Upload,
    chunks: Callable[[], Iterator[bytes]],
    after: Cursor | None,
) -> Iterator[Page]:
    """Attach a file to a record; the last page has one record with the file's id. Raises BlobsUnavailable."""
    sending = sender.begun(after)
    if sending.stage is Stage.READY:
        require_itself(chunks(), job.source)
        path = _place(erp, named, job.name)
        body = Body(chunks=chunks, size=job.source.size)
        location = writer.upload(path, body, job.comment)
        sending = Sending(stage=Stage.DONE, answer=location.rpartition("/")[2])
        sender.is_at(sending)
    yield sender.last(
        {"outcome": "uploaded", "name": job.name, "file_id": sending.answer, "sha256": job.source.sha256}
    )


def require_itself(chunks: Iterator[bytes], source: Source) -> None:
    """Read all of a file, so that nothing is sent which is not what it should be. Raises JobInvalid."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    if size != source.size:
        raise JobInvalid(f"the blob of that hash has {size:,} bytes", "source.size")
    if digest.hexdigest() != source.sha256:
        raise JobInvalid("the blob store has another content under that hash", "source.sha256")


def _place(erp: Erp, named: Named, name: str) -> str:
    """Where the ERP wants a file of the record: what its ``_links`` say; by its keys on builds that have none."""
    query = Query(entity=named.entity)
    if len(named.segments) == 1 and urls.is_id(named.segments[0]):
        record = erp.get_by_id(query, named.segments[0])
    else:
        record = erp.get(Query(entity=named.entity, key_fields=tuple(named.wire)), named.segments)
    links = record.get("_links")
    place = links.get("files:put") if isinstance(links, dict) else None
    if isinstance(place, str):
        return urls.upload_path(erp.connection, place, name)
    return urls.entity_path(erp.connection, named.entity, *named.segments, "files", name)


def _id_of(erp: Erp, named: Named) -> str:
    return erp.id_of(Query(entity=named.entity, key_fields=tuple(named.wire)), named.segments)

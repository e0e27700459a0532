"""The record that a job changes: its name for the ERP and for people. Raises KeysInvalid where nothing can name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.erp import urls
from worker.errors import KeysInvalid
from worker.kinds import Change
from worker.page import Record


@dataclass(frozen=True, kw_only=True)
class Named:
    """A record: the ``wire`` members that name it in a body, and the ``segments`` of its URL."""

    entity: str
    wire: Record
    segments: tuple[str, ...]


def named(job: Change, key_fields: Sequence[str]) -> Named:
    """The record of a job, by its keys or its id; of a new one nothing may be known."""
    if job.id is not None:
        return Named(entity=job.entity, wire={"id": job.id}, segments=(job.id,))
    if job.keys is None:
        return Named(entity=job.entity, wire={}, segments=())
    if len(job.keys) != len(key_fields):
        how = f"named by {', '.join(key_fields)} in this order" if key_fields else "named by its id"
        raise KeysInvalid(f"a record of {job.entity} is {how}; {len(job.keys)} keys given", "keys")
    wire = {name: {"value": key} for name, key in zip(key_fields, job.keys, strict=True)}
    return Named(entity=job.entity, wire=wire, segments=job.keys)


def fits_a_path(record: Named) -> bool:
    """Whether a URL can carry the record's name."""
    return urls.fits_a_path(record.segments) or (len(record.segments) == 1 and urls.is_id(record.segments[0]))

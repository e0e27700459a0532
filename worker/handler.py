"""The whole contract of a plugin: how the records of one entity are named, and how they are retrieved.

A handler is found through an entry point of the group ``acumatica_worker.handlers`` that bears its entity's
name. It refuses a job that it cannot serve with a JobRefused, before anything reaches the ERP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, final

from worker.attachments import with_files
from worker.custom import told_of_missing
from worker.erp import checks, urls
from worker.erp.client import Erp
from worker.erp.query import compared
from worker.erp.schema import Schema
from worker.errors import KeysInvalid
from worker.job import Consistency, FileChoice, Job
from worker.page import Page, Query
from worker.strategies import one, repaired, unless_optimized


@dataclass(frozen=True)
class Endpoint:
    """What a connection's entities belong to: ``Default`` and ``20.200.001``, say.

    ``schema`` is what it serves, ``custom`` the custom fields of the job's entity with their types, as
    ``Document.UsrX``; None: it is not known.
    """

    name: str
    version: str
    schema: Schema | None = None
    custom: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


class Handler(ABC):
    """Retrieves the records of one entity. One instance serves all threads, so it holds no state.

    Attributes:
        entity: The name of the entity, which is also the name of the entry point.
        keys: The key fields in the order of the URL; empty: unknown, and records go by their id.
        combos: Those of them that are shown by a label, as Payment's Type: the ERP may order them by another text.
        stamp: The field with the time of a record's last change; None where the entity has none.
        select: The fields to return where a job does not say; empty: all.
        expand: The details and linked entities to return where a job names no fields.
        by_schema: Whether the endpoint's schema is read for its jobs; it is looked at in any case where it is known.
    """

    entity: ClassVar[str]
    keys: ClassVar[tuple[str, ...]] = ()
    combos: ClassVar[tuple[str, ...]] = ()
    stamp: ClassVar[str | None] = None
    select: ClassVar[tuple[str, ...]] = ()
    expand: ClassVar[tuple[str, ...]] = ()
    by_schema: ClassVar[bool] = False

    @abstractmethod
    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        """The records of a list in pages: a strategy of ``worker.strategies``, or one of the plugin's own."""

    def key_fields(self, entity: str, endpoint: Endpoint) -> tuple[str, ...]:
        """The key fields of the entity in an endpoint. Raises EntityUnknown where it has no such entity."""
        return self.keys

    def combos_of(self, entity: str, endpoint: Endpoint) -> tuple[str, ...]:
        """The entity's key fields that are combos."""
        return self.combos

    def stamp_of(self, entity: str, endpoint: Endpoint) -> str | None:
        """The entity's field with the time of a record's last change."""
        return self.stamp

    @final
    def query(self, job: Job, bound: str | None, endpoint: Endpoint) -> Query:
        """What the job asks of the ERP, ``bound`` being its filter with the values in place.

        Raises KeysInvalid where the keys are too many or too few, what ``key_fields`` raises, and EntityUnknown,
        JobInvalid or FilterInvalid where the endpoint is known to have no such thing.
        """
        if endpoint.schema:
            checks.require_entity(endpoint.schema, job.entity, str(endpoint))
        there = _Served(endpoint.schema, job.entity)
        key_fields = there.all_or_none(self.key_fields(job.entity, endpoint))
        if job.keys is not None and not _name_one(job.keys, key_fields):
            raise KeysInvalid(_how_to_name(job, key_fields), "keys")
        asked = self.select if job.select is None else job.select
        chosen = there.kept(asked) if job.select is None else asked
        select = tuple(path for path in chosen if not is_custom(path))
        custom = _unique((*job.custom, *filter(is_custom, chosen)))
        expand = _expanded(job, select, custom, there.kept(self.expand))
        stamp = self.stamp_of(job.entity, endpoint)
        query = Query(
            entity=job.entity,
            keys=job.keys,
            key_fields=key_fields,
            combos=self.combos_of(job.entity, endpoint) if key_fields else (),
            stamp=stamp if stamp and there.has(stamp) else None,
            filter=bound,
            select=_selected(select, expand, key_fields) if asked else (),
            expand=expand,
            custom=custom,
            page_size=job.page_size,
            limit=job.limit,
            files=_choice(job),
            fresh=job.consistency is Consistency.FRESH,
            on_optimization_error=job.on_optimization_error,
            notes=tuple(_vanished(path, job.entity) for path in self._own(job) if not there.has(path)),
        )
        _check(query, endpoint)
        return query

    def _own(self, job: Job) -> Iterator[str]:
        """What the handler asks for by itself, as the job does not say."""
        yield from self.select if job.select is None else ()
        yield from () if job.select or job.expand is not None else self.expand

    @final
    def retrieve(self, erp: Erp, query: Query) -> Iterator[Page]:
        """What a job gets: one record by its keys; or the handler's pages, and what the ERP cannot list by key.

        With what has changed meanwhile, and the records' attachments, where the query wants them.
        """
        pages = one(erp, query) if query.keys else repaired(query, partial(self._listed, erp))
        return _noted(query.notes, told_of_missing(query.custom, with_files(erp, query, pages)))

    def _listed(self, erp: Erp, query: Query) -> Iterator[Page]:
        return unless_optimized(erp, query, partial(self.pages, erp))


@dataclass(frozen=True)
class _Served:
    """What an endpoint serves of an entity: whatever one asks for, where nothing is known of it."""

    schema: Schema | None
    entity: str

    def has(self, path: str) -> bool:
        """Whether a field, linked entity or detail is there."""
        return self.schema is None or is_custom(path) or self.schema.type_at(self.entity, path) is not None

    def kept(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        """Those of these that are there."""
        return tuple(filter(self.has, paths))

    def all_or_none(self, key_fields: tuple[str, ...]) -> tuple[str, ...]:
        """These key fields; none where one is not there, as the others name no record."""
        return key_fields if all(map(self.has, key_fields)) else ()


def _check(query: Query, endpoint: Endpoint) -> None:
    """Raise JobInvalid or FilterInvalid where the endpoint is known not to have what a query asks for."""
    if endpoint.schema is None:
        return
    checks.check_select(endpoint.schema, query.entity, query.select)
    checks.check_expand(endpoint.schema, query.entity, query.expand)
    if query.filter:
        checks.check_filter(endpoint.schema, query.entity, compared(query.filter), endpoint.custom)
    if endpoint.custom is not None:
        checks.check_custom(query.entity, endpoint.custom, query.custom)


def _noted(notes: tuple[str, ...], pages: Iterator[Page]) -> Iterator[Page]:
    """The pages, the first of them with notes."""
    for page in pages:
        yield replace(page, notes=(*notes, *page.notes)) if notes else page
        notes = ()


def _vanished(path: str, entity: str) -> str:
    return f"FieldVanished: {entity} has no {path} any more, which its handler asks for by itself: left out"


def is_custom(path: str) -> bool:
    """Whether a path is one of a custom field, as ``Document.UsrX``; ``custom.Document`` is what the ERP takes."""
    last = path.rpartition("/")[2]
    return "." in last and not last.startswith("custom.")


def _name_one(keys: tuple[str, ...], key_fields: tuple[str, ...]) -> bool:
    """Whether these can be the keys of a record, or the id of one."""
    return not key_fields or len(keys) == len(key_fields) or (len(keys) == 1 and urls.is_id(keys[0]))


def _choice(job: Job) -> FileChoice | None:
    if isinstance(job.attachments, FileChoice):
        return job.attachments
    return FileChoice() if job.attachments else None


def _how_to_name(job: Job, key_fields: tuple[str, ...]) -> str:
    given = len(job.keys or ())
    return f"a record of {job.entity} is named by {', '.join(key_fields)} in this order; {given} given"


def _expanded(
    job: Job, select: tuple[str, ...], custom: tuple[str, ...], default: tuple[str, ...]
) -> tuple[str, ...]:
    """The ``$expand``: as the job says; else what the fields lie in, and the handler's if the job names none.

    The ERP wants every level of a path by itself: MainContact and MainContact/Address.
    """
    wanted = job.expand
    if wanted is None:
        wanted = (*_parents(select), *_parents(custom), *(() if job.select else default))
    if files := _choice(job):
        wanted += ("files", *(f"{detail}/files" for detail in files.details))
    return _unique(level for path in wanted for level in _levels(path))


def _selected(
    select: tuple[str, ...], expand: tuple[str, ...], key_fields: tuple[str, ...]
) -> tuple[str, ...]:
    """The ``$select`` of some fields. The keys are always in it, as a list goes on by them.

    Where there is one, the ERP leaves out what is expanded and has no member in it (reported by live
    instances), so such an entity is selected by its own name.
    """
    bare = (path for path in expand if not any(f"{name}/".startswith(f"{path}/") for name in select))
    return _unique((*key_fields, *select, *bare))


def _parents(paths: Iterable[str]) -> Iterator[str]:
    return (path.rpartition("/")[0] for path in paths if "/" in path)


def _levels(path: str) -> Iterator[str]:
    names = path.split("/")
    return ("/".join(names[:depth]) for depth in range(1, len(names) + 1))


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

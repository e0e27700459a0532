"""The whole contract of a plugin: how the records of one entity are named, and how they are retrieved.

A handler is found through an entry point of the group ``acumatica_worker.handlers`` that bears its entity's
name. It refuses a job that it cannot serve with a JobRefused, before anything reaches the ERP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

from worker.attachments import with_files
from worker.erp.client import Erp
from worker.errors import KeysInvalid
from worker.job import Consistency, FileChoice, Job
from worker.page import Page, Query
from worker.strategies import one, repaired, unless_optimized


@dataclass(frozen=True)
class Endpoint:
    """What a connection's entities belong to: ``Default`` and ``20.200.001``, say."""

    name: str
    version: str


class Handler(ABC):
    """Retrieves the records of one entity. One instance serves all threads, so it holds no state.

    Attributes:
        entity: The name of the entity, which is also the name of the entry point.
        keys: The key fields in the order of the URL; empty: unknown, and records go by their id.
        combos: Those of them that are shown by a label, as Payment's Type: the ERP may order them by another text.
        stamp: The field with the time of a record's last change; None where the entity has none.
        select: The fields to return where a job does not say; empty: all.
        expand: The details and linked entities to return where a job names no fields.
    """

    entity: ClassVar[str]
    keys: ClassVar[tuple[str, ...]] = ()
    combos: ClassVar[tuple[str, ...]] = ()
    stamp: ClassVar[str | None] = None
    select: ClassVar[tuple[str, ...]] = ()
    expand: ClassVar[tuple[str, ...]] = ()

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

        Raises KeysInvalid where the keys are too many or too few, and what ``key_fields`` raises.
        """
        key_fields = self.key_fields(job.entity, endpoint)
        if job.keys is not None and key_fields and len(job.keys) != len(key_fields):
            raise KeysInvalid(_how_to_name(job, key_fields), "keys")
        chosen = self.select if job.select is None else job.select
        expand = _expanded(job, chosen, self.expand)
        return Query(
            entity=job.entity,
            keys=job.keys,
            key_fields=key_fields,
            combos=self.combos_of(job.entity, endpoint),
            stamp=self.stamp_of(job.entity, endpoint),
            filter=bound,
            select=_selected(chosen, expand, key_fields),
            expand=expand,
            custom=job.custom,
            page_size=job.page_size,
            limit=job.limit,
            files=_choice(job),
            fresh=job.consistency is Consistency.FRESH,
            on_optimization_error=job.on_optimization_error,
        )

    @final
    def retrieve(self, erp: Erp, query: Query) -> Iterator[Page]:
        """What a job gets: one record by its keys; or the handler's pages, and what the ERP cannot list by key.

        With what has changed meanwhile, and the records' attachments, where the query wants them.
        """
        pages = one(erp, query) if query.keys else repaired(query, partial(self._listed, erp))
        return with_files(erp, query, pages)

    def _listed(self, erp: Erp, query: Query) -> Iterator[Page]:
        return unless_optimized(erp, query, partial(self.pages, erp))


def _choice(job: Job) -> FileChoice | None:
    if isinstance(job.attachments, FileChoice):
        return job.attachments
    return FileChoice() if job.attachments else None


def _how_to_name(job: Job, key_fields: tuple[str, ...]) -> str:
    given = len(job.keys or ())
    return f"a record of {job.entity} is named by {', '.join(key_fields)} in this order; {given} given"


def _expanded(job: Job, select: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    """The ``$expand``: as the job says; else what the fields lie in, and the handler's if the job names none.

    The ERP wants every level of a path by itself: MainContact and MainContact/Address.
    """
    wanted = job.expand
    if wanted is None:
        wanted = (*_parents(select), *_parents(job.custom), *(() if job.select else default))
    if files := _choice(job):
        wanted += ("files", *(f"{detail}/files" for detail in files.details))
    return _unique(level for path in wanted for level in _levels(path))


def _selected(
    select: tuple[str, ...], expand: tuple[str, ...], key_fields: tuple[str, ...]
) -> tuple[str, ...]:
    """The ``$select``: empty for all fields. The keys are always in it, as a list goes on by them.

    Where there is one, the ERP leaves out what is expanded and has no member in it (reported by live
    instances), so such an entity is selected by its own name.
    """
    if not select:
        return ()
    bare = (path for path in expand if not any(f"{name}/".startswith(f"{path}/") for name in select))
    return _unique((*key_fields, *select, *bare))


def _parents(paths: Iterable[str]) -> Iterator[str]:
    return (path.rpartition("/")[0] for path in paths if "/" in path)


def _levels(path: str) -> Iterator[str]:
    names = path.split("/")
    return ("/".join(names[:depth]) for depth in range(1, len(names) + 1))


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

"""What the ERP could not optimize, remembered in the store for a week: no second request fails for the same reason.

The ERP's error names fields (``ApplicationHistory.DisplayDocType: View ARPost has BQL delegate``, recorded 2024 R1),
and a list that asks for one of them fails; where it names none, the question as a whole is remembered. It is kept for
each connection, entity and endpoint version. A store that does not answer raises StoreUnavailable.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import redis

from worker.erp.store import answering
from worker.errors import NotOptimizable
from worker.page import Query
from worker.settings import Connection

KEPT_SECONDS = 7 * 86_400
"""An ERP that was upgraded or customised may do better."""


class Optimizer:
    """The memory of one connection."""

    def __init__(self, store: redis.Redis, connection: Connection) -> None:
        self._store = store
        self._place = f"acuworker:optimizer:{connection.name}:{connection.endpoint}/{connection.version}:"
        self._unknown: set[str] = set()

    def check(self, query: Query) -> None:
        """Raise NotOptimizable, with the ERP's words, where it is known to fail; a question is looked up once."""
        asked = question(query)
        if asked in self._unknown:
            return
        with answering():
            found: Any = self._store.hgetall(self._place + query.entity)
        known = {mark.decode(): words.decode() for mark, words in cast(Mapping[bytes, bytes], found).items()}
        fields = tuple(mark for mark in known if not mark.startswith("?") and asks_for(query, mark))
        if words := known.get(asked) or (fields and known[fields[0]]):
            raise NotOptimizable(words, fields=fields)
        self._unknown.add(asked)

    def learn(self, query: Query, error: NotOptimizable) -> None:
        """Remember what a list failed with."""
        self._unknown.clear()
        marks = [
            field for field in error.fields if asks_for(query, field) and not filters_by(query, field)
        ] or [question(query)]
        with answering(), self._store.pipeline() as pipe:
            pipe.hset(self._place + query.entity, mapping=dict.fromkeys(marks, error.message))
            pipe.expire(self._place + query.entity, KEPT_SECONDS)
            pipe.execute()


def asks_for(query: Query, field: str) -> bool:
    """Whether a list asks for a field, named as the ERP's error does: ``Entity.Field``, or a field of its own."""
    entity, _, name = field.rpartition(".")
    if not entity or entity == query.entity:
        return not query.select or name in query.select
    return entity in query.expand and (
        not query.select or bool({entity, f"{entity}/{name}"} & set(query.select))
    )


def filters_by(query: Query, field: str) -> bool:
    """Whether the filter is over such a field: then it may be the filter that fails."""
    entity, _, name = field.rpartition(".")
    return (name if entity in ("", query.entity) else f"{entity}/{name}") in _filtered(query)


def question(query: Query) -> str:
    """What a list asks for, whatever the values in its filter; no field is called so."""
    parts = (query.select, query.expand, query.custom, _filtered(query))
    return "?" + hashlib.sha256(repr([sorted(part) for part in parts]).encode()).hexdigest()


def _filtered(query: Query) -> set[str]:
    """The names in the filter: of fields, operators and functions."""
    return set(re.findall(r"[A-Za-z_][\w/.]*", re.sub(r"'[^']*'", "", query.filter or "")))


def narrowed(query: Query, fields: Collection[str]) -> Query | None:
    """The query without these fields; None where they cannot be left out: it names none and gets all, or filters."""
    entities = {field.rpartition(".")[0] for field in fields} - {"", query.entity}
    own = {field.rpartition(".")[2] for field in fields if field.rpartition(".")[0] in ("", query.entity)}
    if not fields or (own and not query.select) or any(filters_by(query, field) for field in fields):
        return None
    named = {f"{entity}/{name}" for entity, _, name in (field.rpartition(".") for field in fields) if entity}
    select = tuple(path for path in query.select if path not in own | named | entities)
    kept = {path.rpartition("/")[0] for path in select if "/" in path}
    expand = tuple(level for level in query.expand if level.split("/")[0] not in entities - kept)
    return replace(query, select=select, expand=expand)

"""The schemas of endpoints, each read once from the ERP and kept in the store for the whole fleet.

Where the ERP does not give one (no rights, too large, not what it should be), what is known of it says why, and jobs go
on without. A store that does not answer raises StoreUnavailable; what an exchange raises that may pass goes up.
"""

from __future__ import annotations

import hashlib
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
import redis
import structlog

from worker.erp.client import Erp
from worker.erp.schema import Schema, changes, read, read_custom
from worker.erp.store import answering
from worker.errors import AnswerMalformed, ErpFault, ErpRefused
from worker.settings import Connection

log = structlog.get_logger(__name__)

FORM = 1
"""Of what is kept; another form of Schema makes a new one."""

KEPT_SECONDS = 30 * 86_400

FAILURE_SECONDS = 3600.0
"""After so long it is asked again for a document that could not be had."""

TURN_SECONDS = 10.0
"""How long a thread waits for another one that reads the same document, before it reads it too."""

MOST_DECODED = 32
"""Schemas that a process keeps decoded; 2 MB each."""

AGAIN_SECONDS = 60.0
"""How old a look must be to be repeated out of turn."""

UNHAD = (ErpRefused, AnswerMalformed, ErpFault)
"""What says that the ERP does not give a document."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Known:
    """A schema as it was when somebody looked, at ``read_at`` (seconds since 1970); ``before`` is what the look before
    that one found, None where it found the same; ``sha256`` is of the document. ``failure`` is why a later look found
    nothing."""

    schema: Schema
    sha256: str
    read_at: float
    before: Schema | None = None
    failure: str = ""

    def drift(self, entity: str) -> tuple[str, ...]:
        """What changed in an entity between the last look and the one before, as the note that a result has of it."""
        told = changes(self.before, self.schema, entity) if self.before else ""
        seen = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.read_at))
        return (f"SchemaChanged: {entity} is another than before, as seen on {seen}: {told}",) if told else ()


@dataclass(frozen=True)
class Absent:
    """The ERP does not give the schema, for this reason."""

    reason: str


class _Custom(msgspec.Struct, frozen=True):
    """The custom fields of an entity, or None where the ERP does not tell them, as of a moment."""

    looked_at: float
    fields: dict[str, str] | None


@dataclass(frozen=True)
class _Row:
    """What the store has of a schema, but for the schema itself."""

    sha256: str
    read_at: float
    before: str
    looked_at: float
    failure: str


class Schemas:
    """The schemas of every connection's endpoint."""

    def __init__(self, store: redis.Redis, hours: float, clock: Callable[[], float] = time.time) -> None:
        """``hours`` is how long a schema is taken for what the ERP has."""
        self._store = store
        self._seconds = hours * 3600
        self._clock = clock
        self._decoded: dict[str, Schema] = {}
        self._turns: dict[str, threading.Lock] = {}

    def known(self, connection: Connection) -> Known | None:
        """What the store has of the connection's endpoint, however old; the ERP is not asked."""
        place = _place(connection)
        return self._known(place, self._row(place))

    def of(self, erp: Erp) -> Known | Absent:
        """The schema of the job's endpoint, read by the job's own exchanges where that is due."""
        place = _place(erp.connection)
        row = self._row(place)
        if self._is_due(row):
            # With an old one at hand nobody waits for a new one.
            turn = self._turns.setdefault(place, threading.Lock())
            is_ours = turn.acquire(timeout=0 if row.sha256 else TURN_SECONDS)
            try:
                row = self._row(place)
                if self._is_due(row) and (is_ours or not row.sha256):
                    row = self._look(erp, place, row)
            finally:
                if is_ours:
                    turn.release()
        return self._known(place, row) or Absent(row.failure)

    def again(self, erp: Erp) -> Known | Absent:
        """As ``of``, but read now unless it just was: the ERP has said what does not go with what is known."""
        place = _place(erp.connection)
        row = self._row(place)
        if self._clock() - row.looked_at >= AGAIN_SECONDS:
            row = self._look(erp, place, row)
        return self._known(place, row) or Absent(row.failure)

    def known_custom(self, connection: Connection, entity: str) -> dict[str, str] | None:
        """The custom fields of an entity with their types, as far as the store has them."""
        found = self._custom(_place(connection), entity)
        return found.fields if found else None

    def custom(self, erp: Erp, entity: str, *, anew: bool = False) -> dict[str, str] | None:
        """The same, read where that is due, or ``anew`` unless it just was; None where the ERP does not tell."""
        place = _place(erp.connection)
        found = self._custom(place, entity)
        if found is None or self._clock() - found.looked_at >= (AGAIN_SECONDS if anew else self._seconds):
            fields = _had(lambda: read_custom(erp.document(entity, "$adHocSchema")))
            known = None if isinstance(fields, Absent) else fields
            found = _Custom(looked_at=self._clock(), fields=known)
            self._keep(f"{place}:custom", {entity: msgspec.msgpack.encode(found)})
        return found.fields

    def _is_due(self, row: _Row) -> bool:
        seconds = min(self._seconds, FAILURE_SECONDS) if row.failure else self._seconds
        return self._clock() - row.looked_at >= seconds

    def _look(self, erp: Erp, place: str, row: _Row) -> _Row:
        """Read the document and keep what it says; what is kept then."""
        now = self._clock()
        document = _had(lambda: erp.document("swagger.json"))
        schema = document if isinstance(document, Absent) else _had(lambda: read(document))
        if isinstance(schema, Absent) or isinstance(document, Absent):
            reason = schema.reason if isinstance(schema, Absent) else ""
            log.warning("schema", connection=erp.connection.name, outcome="not had", reason=reason)
            found = _Row(row.sha256, row.read_at, row.before, now, reason)
            self._keep(place, _told(found))
            return found
        mark = hashlib.sha256(document).hexdigest()
        changed = bool(row.sha256) and mark != row.sha256
        if changed:
            self._tell_changed(erp.connection, place, row, schema)
        found = _Row(mark, now, row.sha256 if changed else "", now, "")
        bodies = {f"body:{mark}": zlib.compress(msgspec.msgpack.encode(schema))}
        gone = {row.sha256, row.before} - {found.sha256, found.before, ""}
        self._keep(place, _told(found) | bodies, [f"body:{each}" for each in gone])
        return found

    def _tell_changed(self, connection: Connection, place: str, row: _Row, schema: Schema) -> None:
        before = self._body(place, row.sha256)
        names = {*schema.top, *before.top} if before else set()
        changed = [name for name in sorted(names) if before and changes(before, schema, name)]
        log.warning(
            "schema",
            outcome="SchemaChanged",
            connection=connection.name,
            endpoint=f"{connection.endpoint}/{connection.version}",
            entities=changed[:20],
        )

    def _known(self, place: str, row: _Row) -> Known | None:
        schema = self._body(place, row.sha256) if row.sha256 else None
        if schema is None:
            return None
        before = self._body(place, row.before) if row.before else None
        return Known(
            schema=schema, sha256=row.sha256, read_at=row.read_at, before=before, failure=row.failure
        )

    def _body(self, place: str, mark: str) -> Schema | None:
        """A schema by the hash of its document; None where the store has lost it."""
        if mark not in self._decoded:
            with answering():
                text = cast(bytes | None, self._store.hget(place, f"body:{mark}"))
            if text is None:
                return None
            if len(self._decoded) >= MOST_DECODED:
                self._decoded = {}
            self._decoded[mark] = msgspec.msgpack.decode(zlib.decompress(text), type=Schema)
        return self._decoded[mark]

    def _row(self, place: str) -> _Row:
        with answering():
            found = cast(list[bytes | None], self._store.hmget(place, list(_Row.__annotations__)))
        mark, read_at, before, looked_at, failure = ((each or b"").decode() for each in found)
        return _Row(mark, float(read_at or 0), before, float(looked_at or "-inf"), failure)

    def _custom(self, place: str, entity: str) -> _Custom | None:
        with answering():
            found = cast(bytes | None, self._store.hget(f"{place}:custom", entity))
        return msgspec.msgpack.decode(found, type=_Custom) if found else None

    def _keep(self, key: str, values: Mapping[str, Any], gone: Sequence[str] = ()) -> None:
        """Keep these, and let go of what nobody will ask for: both or neither."""
        with answering(), self._store.pipeline() as pipe:
            if gone:
                pipe.hdel(key, *gone)
            pipe.hset(key, mapping=cast(Any, values))
            pipe.expire(key, KEPT_SECONDS)
            pipe.execute()


def _told(row: _Row) -> dict[str, Any]:
    return dict(vars(row))


def _had(read_it: Callable[[], T]) -> T | Absent:
    """What is read, or why the ERP does not give it."""
    try:
        return read_it()
    except UNHAD as error:
        return Absent(f"{error.code}: {error.message}")


def _place(connection: Connection) -> str:
    """Where the store keeps it: for whoever signs in, as the tenant and the rights decide what there is."""
    return f"acuworker:schema:{FORM}:{connection.identity}:{connection.endpoint}/{connection.version}"

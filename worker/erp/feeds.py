"""The feeds of OData that jobs ask for, each looked up once an hour for the whole fleet, and kept in the store.

A store that does not answer raises StoreUnavailable.
"""

from __future__ import annotations

from typing import cast

import msgspec
import redis

from worker.erp.exchanges import Exchanges
from worker.erp.odata import Feed, find
from worker.erp.store import answering
from worker.settings import Connection

FORM = 1
"""Of what is kept; another form of Feed makes a new one."""

KEPT_SECONDS = 3600
"""A generic inquiry may be given columns, or parameters, at any time."""


class Feeds:
    """What is known of feeds."""

    def __init__(self, store: redis.Redis) -> None:
        self._store = store

    def of(self, exchanges: Exchanges, kind: str, name: str) -> Feed:
        """The feed of that name. Raises what ``odata.find`` raises."""
        place = _place(exchanges.connection, kind, name)
        with answering():
            kept = cast(bytes | None, self._store.get(place))
        if kept is not None:
            return msgspec.msgpack.decode(kept, type=Feed)
        feed = find(exchanges, kind, name)
        with answering():
            self._store.set(place, msgspec.msgpack.encode(feed), ex=KEPT_SECONDS)
        return feed

    def forget(self, connection: Connection, kind: str, name: str) -> None:
        """Look again the next time: the ERP has said something that does not go with what is known."""
        with answering():
            self._store.delete(_place(connection, kind, name))


def _place(connection: Connection, kind: str, name: str) -> str:
    # For whoever signs in: the tenant and the rights decide what there is.
    return f"acuworker:feed:{FORM}:{connection.identity}:{kind}:{name}"

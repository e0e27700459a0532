"""What an operator does to the sessions of one connection, beside the workers: halt it, close one, give one up.

Raises StoreUnavailable where the store does not answer, and what the wire raises where the ERP does not.
"""

from __future__ import annotations

import threading

import redis
from pydantic import SecretStr

from worker.erp.budget import Budget
from worker.erp.closing import Closer
from worker.erp.deadline import Deadline
from worker.erp.license import LimitsInForce, sessions_script
from worker.erp.membership import CLOSE_SECONDS, Member
from worker.erp.signin import Grant
from worker.erp.store import ms
from worker.settings import Connection, Settings


class Control:
    """One operator's hand on one connection."""

    def __init__(self, store: redis.Redis, settings: Settings, connection: Connection, owner: str) -> None:
        limits = LimitsInForce(store, settings.license_of(connection), 0.0)
        self._member = Member(settings, connection, sessions_script(store, limits.name), owner)
        self._closer = Closer(self._member, Budget(store, limits, threading.Event()))

    @property
    def mark(self) -> str:
        """Whose sessions this one may close: the connection's, by the user that it has now."""
        return self._member.mark

    def pause(self, message: str, *, reasoned: bool = True) -> str:
        """Let the connection's jobs wait; what is in flight ends, then its sessions are signed out.

        Returns why it is paused now: not the ``message`` where that gives no reason, and it was paused before.
        """
        name = self._member.connection.name
        return str(self._member.script("pause", name=name, message=message, reasoned=int(reasoned)))

    def resume(self) -> bool:
        """Let its jobs go on; whether it was paused, by an operator or because its ERP restarts."""
        name = self._member.connection.name
        return bool(self._member.script("resume", name=name, connection=self.mark))

    def sign_out(self, slot: int, generation: int) -> None:
        """Close that session, unless it is lent, is another connection's, or has become another one."""
        times = {"closing_ms": ms(CLOSE_SECONDS), "drain_ms": self._member.drain_ms}
        closing = {"owner": self._member.owner, "connection": self.mark, **times}
        answer = self._member.script("sign_out", slot=slot, generation=generation, **closing)
        if answer["answer"] == "close":
            grant = self._member.grant(answer["grant"])
            limit = Deadline(CLOSE_SECONDS)
            self._closer.close(slot, answer["generation"], grant, busy=answer["busy"], deadline=limit)

    def release(self, slot: int, generation: int) -> bool:
        """Take the operator's word that the ERP has closed that session; whether the slot was one to give up."""
        return bool(self._member.script("given_up", slot=slot, generation=generation))

    def close_foreign(self, token: SecretStr) -> None:
        """Close the session of a token that is none of ours, and kill the token.

        Raises SessionLost where the ERP does not know it.
        """
        self._closer.goodbye(Grant(token=token, expires_in=CLOSE_SECONDS), Deadline(CLOSE_SECONDS))

    def make_room(self) -> None:
        """Say that a session was closed which was none of ours: a login limit that was met may be gone."""
        self._member.script("make_room", connection=self.mark)

    def end(self) -> None:
        """Close the connections to the ERP."""
        self._closer.end()

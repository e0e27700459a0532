"""What the steps of a session have in common: whose it is, how to tell the store, and what is kept encrypted there."""

from __future__ import annotations

from functools import cached_property

from cryptography.fernet import InvalidToken, MultiFernet
from pydantic import SecretStr

from worker.erp.outbox import Outbox
from worker.erp.signin import Grant
from worker.erp.store import Script, ms
from worker.errors import Misconfigured
from worker.settings import Connection, Settings

LEASE_SECONDS = 15.0
"""After which a worker that is not heard of loses its lease."""

USE_SECONDS = LEASE_SECONDS - 0.05
"""After which nothing more is sent on a lease: the store counts in whole milliseconds, and no two clocks run alike."""

PRESENCE_SECONDS = 4.0
SEND_SECONDS = 5.0
"""After which a sign-in is not sent any more; a worker that was killed at one leaves a slot unknown from then on."""

SIGN_IN_SECONDS = 30.0
CLOSE_SECONDS = 15.0
LEAVE_SECONDS = 7.0
"""After which a worker that closes a session as it leaves is taken to have been killed at it."""

RENEWAL_SHARE = 0.1
"""The last part of a token's life in which no exchange is begun; a minute at most."""

MOST_GRANTS = 100
"""Grants that are kept unlocked, as each lease asks for one; there is one for each session."""


def forgotten_seconds(connection: Connection) -> float:
    """How long a session may last of which the store knows nothing any more, even one that is just being opened."""
    opened = SEND_SECONDS + connection.queue_seconds + connection.session_seconds
    kept = connection.session_seconds if connection.sign_in == "cookie" else 0.0
    longest = max(connection.exchange_seconds, connection.file_seconds)
    return max(opened, LEASE_SECONDS + connection.queue_seconds + longest + kept)


class Member:
    """One process's part in the sessions of one connection."""

    def __init__(self, settings: Settings, connection: Connection, script: Script, owner: str) -> None:
        self.connection = connection
        self.script = script
        self.outbox = Outbox(script)
        self.owner = owner
        self._settings = settings
        self._grants: dict[str, Grant] = {}

    @cached_property
    def mark(self) -> str:
        """The connection's name, and whose sessions it has: another user's are not this one's."""
        return f"{self.connection.name}#{self.connection.identity}"

    @cached_property
    def fingerprint(self) -> str:
        """A mark of the credentials, which tells when they have changed."""
        return self.connection.fingerprint(self._settings.fingerprint_key())

    @property
    def unknown_ms(self) -> int:
        """How long a session may last that was asked for, and never heard of."""
        return ms(self.connection.queue_seconds + self.connection.session_seconds)

    @property
    def drain_ms(self) -> int:
        """How long a request may be at work that is made, while a session is closed, to wait for those before it."""
        return ms(CLOSE_SECONDS + self.connection.queue_seconds + self.connection.exchange_seconds)

    @cached_property
    def _cipher(self) -> MultiFernet:
        return self._settings.cipher()

    def lock(self, secret: str) -> str:
        """A secret as the store keeps it."""
        return self._cipher.encrypt(secret.encode()).decode()

    def unlock(self, kept: str) -> str:
        """A secret that the store kept. Raises Misconfigured."""
        try:
            return self._cipher.decrypt(kept.encode()).decode()
        except InvalidToken:
            message = "the store's tokens were encrypted with another key: give that key too"
            raise Misconfigured(message, "store_keys") from None

    def grant(self, kept: str) -> Grant:
        """What requests of a session carry. Raises Misconfigured."""
        if kept not in self._grants:
            if len(self._grants) >= MOST_GRANTS:
                self._grants.clear()
            self._grants[kept] = Grant.loads(self.unlock(kept))
        return self._grants[kept]

    def secret(self, kept: str | None) -> SecretStr | None:
        """A secret that may not be there. Raises Misconfigured."""
        return SecretStr(self.unlock(kept)) if kept else None

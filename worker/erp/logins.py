"""The logins of a connection that a person signs in: refresh chains in the store, which the fleet lives on.

A login gives one session; a second login lets a second be open. Each use of a refresh token yields the next one. The
ERP ends a chain some days after the login, whatever is done with it, and then a person is needed again.
"""

from __future__ import annotations

from dataclasses import dataclass

import redis
from pydantic import SecretStr

from worker.erp.license import sessions_script
from worker.erp.membership import Member
from worker.erp.signin import Grant
from worker.errors import SignInRefused
from worker.settings import Connection, Settings

DAY = 86400.0
WARNING_DAYS = 14.0


@dataclass(frozen=True, kw_only=True)
class Login:
    """A login, and for how many days the ERP goes on with it; ``used`` while a session lives on it."""

    id: str
    days_left: float
    used: bool

    @property
    def is_ending(self) -> bool:
        """Whether a person should sign in again soon."""
        return self.days_left <= WARNING_DAYS


class Logins:
    """The logins of one connection."""

    def __init__(self, store: redis.Redis, settings: Settings, connection: Connection) -> None:
        license_name = settings.license_of(connection).name
        self._member = Member(settings, connection, sessions_script(store, license_name), "logins")

    def add(self, grant: Grant) -> None:
        """Keep a login's refresh token for the fleet. Raises SignInRefused without one, StoreUnavailable."""
        if grant.refresh is None:
            raise SignInRefused("a login without a refresh token ends within the hour", "connection")
        kept = self._member.lock(grant.refresh.get_secret_value())
        self._member.script("log_in", connection=self._member.mark, chain=kept)

    def list(self) -> list[Login]:
        """The logins there are. Raises StoreUnavailable."""
        days = self._member.connection.login_days
        return [
            Login(id=entry["id"], days_left=days - entry["age_ms"] / 1000 / DAY, used=entry["used"])
            for entry in self._member.script("logins", connection=self._member.mark)
        ]

    def take(self, login: str) -> SecretStr | None:
        """End a login here, and its refresh token, to be revoked. Raises StoreUnavailable."""
        kept = self._member.script("log_out", connection=self._member.mark, login=login)
        return self._member.secret(kept or None)

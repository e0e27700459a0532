"""The API users: their passwords, and the lock that wrong ones lead to. Nothing here fails.

A user is the same in every tenant of the site.
"""

from collections.abc import Collection, Mapping
from typing import Literal

Checked = Literal["ok", "wrong", "locked"]


class Account:
    """An API user. A number of wrong passwords in a row locks it until it is unlocked.

    With `view_only` its saves are answered as if they were made, and are not (reported by live instances).
    """

    def __init__(self, username: str, password: str, lock_after: int) -> None:
        """`lock_after` wrong passwords in a row lock the account; 0 never does."""
        self.username = username
        self.password = password
        self.lock_after = lock_after
        self.locked = False
        self.view_only = False
        self._failures = 0

    def check(self, password: str) -> Checked:
        """Try a password."""
        if self.locked:
            return "locked"
        if password == self.password:
            self._failures = 0
            return "ok"
        self._failures += 1
        self.locked = self.lock_after > 0 and self._failures >= self.lock_after
        return "wrong"

    def lock(self, locked: bool) -> None:
        """Lock or unlock by hand; either forgets the failures."""
        self.locked = locked
        self._failures = 0


class Accounts:
    """All users of the site by name, without regard to case."""

    def __init__(
        self, passwords: Mapping[str, str], lock_after: int, view_only: Collection[str] = ()
    ) -> None:
        """The users with their passwords; `first` is the one that is meant when none is named."""
        accounts = [Account(name, password, lock_after) for name, password in passwords.items()]
        self.first = accounts[0]
        self._by_name = {account.username.casefold(): account for account in accounts}
        for name in view_only:
            self._by_name[name.casefold()].view_only = True

    def find(self, username: str) -> Account | None:
        """The user of this name."""
        return self._by_name.get(username.casefold())

    def check(self, username: str, password: str) -> Checked:
        """Try a name and a password. An unknown name is wrong and locks nobody out."""
        account = self.find(username)
        return "wrong" if account is None else account.check(password)

    def name(self, username: str) -> str | None:
        """The name as the site writes it; None for nobody's, which may be a secret typed into the wrong field."""
        account = self.find(username)
        return None if account is None else account.username

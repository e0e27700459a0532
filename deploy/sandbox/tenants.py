"""The tenants of the site, and in which of them a sign-in lands. Pure but for the switch `stale`; nothing fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FIRST_BRANCH = 82  # the UserBranch of the course's tenant; the others count on from it

Unknown = Literal["refuse", "any", "default"]


@dataclass(frozen=True)
class Tenant:
    """A tenant by its login name. `user_branch` is the number in the UserBranch cookie of whoever is in it."""

    name: str
    user_branch: int


@dataclass(frozen=True)
class Who:
    """Who is signed in, and where."""

    user: str
    tenant: Tenant


class Tenants:
    """The tenants, the default first. While `stale`, the site has forgotten which name is whose."""

    def __init__(self, names: Sequence[str], unknown: Unknown) -> None:
        """A name that is none of `names` is refused, or lands in the default; `any` looks at no name at all."""
        self.all = tuple(Tenant(name, FIRST_BRANCH + index) for index, name in enumerate(names))
        self.stale = False
        self._unknown = unknown

    @property
    def default(self) -> Tenant:
        """Where a sign-in that names no tenant lands."""
        return self.all[0]

    def landing(self, name: str) -> Tenant | None:
        """Where a sign-in that names this tenant lands; None when it is refused."""
        if not name or self.stale or self._unknown == "any":
            return self.default
        for tenant in self.all:
            if tenant.name.casefold() == name.casefold():
                return tenant
        return self.default if self._unknown == "default" else None


def known_branch(branches: Sequence[str], name: str) -> bool:
    """Whether a request may name this branch; one that names none is in the user's own."""
    return not name or name.strip().casefold() in {branch.casefold() for branch in branches}

"""The sandbox's tenants and branches: where a sign-in lands, and which names are known."""

import pytest

from deploy.sandbox.tenants import Tenants, Unknown, known_branch

CASES: list[tuple[Unknown, bool, str, str | None]] = [
    ("refuse", False, "First", "First"),
    ("refuse", False, "second", "Second"),
    ("refuse", False, "", "First"),
    ("refuse", False, "Third", None),
    ("refuse", True, "Second", "First"),
    ("refuse", True, "Third", "First"),
    ("default", False, "Second", "Second"),
    ("default", False, "Third", "First"),
    ("any", False, "Second", "First"),
    ("any", False, "Third", "First"),
]


@pytest.mark.parametrize(("unknown", "stale", "name", "landing"), CASES)
def test_where_a_sign_in_lands(unknown: Unknown, stale: bool, name: str, landing: str | None) -> None:
    """In the tenant that it names; in the default when it names none, or when the site does not know better."""
    tenants = Tenants(("First", "Second"), unknown)
    tenants.stale = stale
    found = tenants.landing(name)
    assert (found.name if found else None) == landing


def test_each_tenant_has_a_branch_of_its_own() -> None:
    """The UserBranch tells the tenants apart, and the first has the recorded one."""
    assert [tenant.user_branch for tenant in Tenants(("A", "B", "C"), "refuse").all] == [82, 83, 84]


@pytest.mark.parametrize(
    ("name", "known"), [("", True), ("MYSTORE", True), ("mystore ", True), ("NORTH", True), ("SOUTH", False)]
)
def test_known_branches(name: str, known: bool) -> None:
    """A branch is known by its name, without regard to case; to name none is always right."""
    assert known_branch(("MYSTORE", "North"), name) is known

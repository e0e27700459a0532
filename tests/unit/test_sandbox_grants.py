"""The sandbox's grants: in whose session a call with a token runs."""

import asyncio

from deploy.sandbox.events import EventLog
from deploy.sandbox.grants import Grant
from deploy.sandbox.sessions import SeatLimits, Seats
from deploy.sandbox.tenants import Tenant, Who

WHO = Who("admin", Tenant("MyStore", 82))


def test_under_api_there_is_one_session() -> None:
    """Cookies do not matter where the session lives in the token."""
    grant = Grant("client", WHO, ("api",), 100.0)
    assert grant.caller("") is grant.caller("some")
    assert (grant.caller("").cookie, grant.sign_ins) == ("", [grant.caller("")])


def test_under_concurrent_access_a_cookie_is_a_session() -> None:
    """A call without a known cookie is another session's; a cookie is known while its session is open."""

    async def scenario() -> None:
        seats = Seats(EventLog(), SeatLimits(0, 0), idle_seconds=60)
        grant = Grant("client", WHO, ("api", "api:concurrent_access"), 100.0)
        grant.extend(asyncio.get_running_loop().time() + 60)
        first, second = grant.caller(""), grant.caller("made up")
        assert first is not second
        assert first.cookie != second.cookie
        assert grant.caller(first.cookie) is not first
        seats.open(first, 1)
        assert grant.caller(first.cookie) is first
        assert grant.successor().caller(first.cookie) is not first
        seats.close(first, "sign-out")
        assert grant.caller(first.cookie) is not first

    asyncio.run(scenario())


def test_a_refresh_extends_every_session() -> None:
    """All sessions of a grant, the shared and those with cookies, live as long as its newest token."""
    grant = Grant("client", WHO, ("api", "api:concurrent_access"), 100.0)
    kept = grant.caller("")
    grant.extend(40.0)
    assert kept.expires == 40.0
    assert grant.caller("").expires == 40.0


def test_a_session_that_nobody_has_is_forgotten() -> None:
    """A call that is refused a seat leaves nothing behind."""
    grant = Grant("client", WHO, ("api", "api:concurrent_access"), 100.0)
    for _ in range(10):
        grant.caller("")
    assert len(grant.sign_ins) == 1

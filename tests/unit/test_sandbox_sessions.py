"""The sandbox's seats: who gets one, and when it is free again."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from deploy.sandbox.events import EventLog, tally
from deploy.sandbox.sessions import SeatLimits, Seats, SignIn, reached_limit
from deploy.sandbox.tenants import Tenant, Who

ADMIN = Who("admin", Tenant("MyStore", 82))
CLERK = Who("clerk", Tenant("MyStore", 82))


@pytest.mark.parametrize(
    ("open_sessions", "of_the_user", "max_sessions", "max_per_user", "expected"),
    [
        (0, 0, 0, 0, None),
        (9, 9, 0, 0, None),
        (1, 1, 2, 0, None),
        (2, 0, 2, 0, "license"),
        (2, 2, 0, 2, "user"),
        (2, 1, 0, 2, None),
        (2, 2, 2, 2, "license"),
        (2, 2, 3, 2, "user"),
        (2, 2, 2, 3, "license"),
    ],
)
def test_reached_limit(
    open_sessions: int, of_the_user: int, max_sessions: int, max_per_user: int, expected: str | None
) -> None:
    """The license's limit is looked at before the user's; 0 is no limit."""
    assert reached_limit(open_sessions, of_the_user, SeatLimits(max_sessions, max_per_user)) == expected


def run(
    scenario: Callable[[Seats, EventLog], Awaitable[None]], max_sessions: int = 0, max_per_user: int = 0
) -> EventLog:
    """Play a scenario with seats and give its log."""
    log = EventLog()

    async def play() -> None:
        await scenario(Seats(log, SeatLimits(max_sessions, max_per_user), idle_seconds=0.02), log)

    asyncio.run(play())
    return log


def bearer(seconds: float, who: Who = ADMIN) -> SignIn:
    """A sign-in whose token lives so long."""
    return SignIn("bearer", who, asyncio.get_running_loop().time() + seconds)


async def closed(sign_in: SignIn) -> None:
    """Wait until the session is closed."""
    async with asyncio.timeout(5):
        while sign_in.session is not None:
            await asyncio.sleep(0.005)


def reasons(log: EventLog) -> list[object]:
    """Why sessions were closed."""
    return [event.facts["why"] for event in log.since(0) if event.kind == "session_close"]


def test_a_seat_is_taken_once_and_given_back() -> None:
    """A sign-in holds one seat, whose closing makes room for another's."""

    async def scenario(seats: Seats, _log: EventLog) -> None:
        first, second = bearer(60), bearer(60)
        assert seats.open(first, 1) is None
        assert seats.open(first, 2) is None
        assert seats.open(second, 3) == "license"
        seats.close(first, "sign-out", 4)
        assert seats.open(second, 5) is None
        seats.close_all("restart")
        assert (first.session, second.session) == (None, None)

    log = run(scenario, max_sessions=1)
    assert reasons(log) == ["sign-out", "restart"]
    assert tally(log.since(0)).peak_sessions == 1


def test_each_user_has_a_limit_of_its_own() -> None:
    """One user's sessions leave another's seats alone, until the license's are gone."""

    async def scenario(seats: Seats, _log: EventLog) -> None:
        assert seats.open(bearer(60), 1) is None
        assert seats.open(bearer(60), 2) == "user"
        assert seats.open(bearer(60, CLERK), 3) is None
        assert seats.open(bearer(60, Who("third", ADMIN.tenant)), 4) == "license"
        seats.close_all("restart")

    log = run(scenario, max_sessions=2, max_per_user=1)
    opened = [e.facts for e in log.since(0) if e.kind == "session_open"]
    assert opened == [{"user": user, "tenant": "MyStore"} for user in ("admin", "clerk")]


def test_limits_change_under_open_sessions() -> None:
    """A lower limit closes nothing and refuses the next; a higher one lets it in."""

    async def scenario(seats: Seats, _log: EventLog) -> None:
        first, second = bearer(60), bearer(60)
        seats.open(first, 1)
        seats.limits = SeatLimits(1, 0)
        assert seats.open(second, 2) == "license"
        seats.limits = SeatLimits(2, 0)
        assert seats.open(second, 3) is None
        assert first.session is not None
        seats.close_all("restart")

    run(scenario)


def test_a_bearers_session_ends_with_its_token() -> None:
    """Without another request the seat is free when the token has expired."""

    async def scenario(seats: Seats, _log: EventLog) -> None:
        sign_in = bearer(0.01)
        seats.open(sign_in, 1)
        await closed(sign_in)

    assert reasons(run(scenario)) == ["expired"]


def test_a_refreshed_token_keeps_the_session() -> None:
    """A later expiry, once settled, replaces the earlier."""

    async def scenario(seats: Seats, _log: EventLog) -> None:
        sign_in, other = bearer(0.01), bearer(0.03)
        seats.open(sign_in, 1)
        seats.open(other, 2)
        sign_in.expires += 60
        seats.settle(sign_in)
        await closed(other)
        assert sign_in.session is not None

    assert reasons(run(scenario)) == ["expired"]


def test_a_request_under_way_is_not_cut_off() -> None:
    """A session due while a request runs is closed after that request."""

    async def scenario(seats: Seats, log: EventLog) -> None:
        sign_in = bearer(0)
        async with seats.turn(sign_in):
            seats.open(sign_in, 1)
            assert sign_in.session is not None
        assert sign_in.session is None

    assert reasons(run(scenario)) == ["expired"]


def test_a_cookie_session_ends_idle_after_its_last_request() -> None:
    """The idle time begins anew with every request."""

    async def scenario(seats: Seats, _log: EventLog) -> None:
        sign_in = SignIn("cookie", ADMIN, asyncio.get_running_loop().time() + 60)
        seats.open(sign_in, 1)
        async with seats.turn(sign_in):
            pass
        await closed(sign_in)

    assert reasons(run(scenario)) == ["idle"]


def test_turns_come_in_order() -> None:
    """Requests of one session run one at a time, first come, first served."""
    order: list[int] = []

    async def scenario(seats: Seats, _log: EventLog) -> None:
        sign_in = bearer(60)

        async def request(number: int) -> None:
            async with seats.turn(sign_in):
                order.append(number)
                await asyncio.sleep(0)
                order.append(number)

        await asyncio.gather(*(request(number) for number in range(4)))

    run(scenario)
    assert order == [0, 0, 1, 1, 2, 2, 3, 3]

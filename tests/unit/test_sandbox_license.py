"""The sandbox's throttle: when a request may enter, and who is declined."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.license import Cores, Declined, Entry, License, calendar_entry, declines, sliding_entry

# stamps, now, limit, seconds of delay
SLIDING = [
    pytest.param([], 100.0, 50, 0.0, id="an idle minute"),
    pytest.param([60.0] + [99.0] * 24, 100.0, 50, 0.8, id="the guide: 25 of 50, the oldest 40 s ago"),
    pytest.param([60.0] + [99.0] * 23, 100.0, 50, 0.0, id="below half"),
    pytest.param([60.0] + [99.0] * 39, 100.0, 50, 2.0, id="10 left for the 20 s that remain"),
    pytest.param([60.0] + [99.0] * 48, 100.0, 50, 20.0, id="one left: the rest of the window"),
    pytest.param([60.0] + [99.0] * 49, 100.0, 50, 20.0, id="a full minute: until the oldest leaves it"),
    pytest.param([60.0, 70.0] + [99.0] * 49, 100.0, 50, 30.0, id="a full minute with one waiting already"),
    pytest.param([40.0] * 25, 100.0, 50, 0.0, id="60 s ago is out of the window"),
    pytest.param([101.0] * 25, 100.0, 50, 2.4, id="delayed requests count while they wait"),
    pytest.param([60.0] * 1000, 100.0, 0, 0.0, id="no limit"),
    pytest.param([99.0], 100.0, 1, 59.0, id="a limit of one"),
]
CALENDAR = [
    pytest.param([], 40.0, 50, 0.0, id="an idle minute"),
    pytest.param([1.0] * 24, 40.0, 50, 0.0, id="below half"),
    pytest.param([1.0] * 30, 40.0, 50, 1.0, id="20 s for the 20 left"),
    pytest.param([1.0] * 50, 59.0, 50, 1.0, id="a full minute: the next"),
    pytest.param([1.0] * 50 + [60.0] * 50, 59.0, 50, 61.0, id="the next one is full too"),
    pytest.param([1.0] * 50, 60.0, 50, 0.0, id="the minute before does not count"),
    pytest.param([1.0] * 1000, 40.0, 0, 0.0, id="no limit"),
]


@pytest.mark.parametrize(("stamps", "now", "limit", "delay"), SLIDING)
def test_sliding_minute(stamps: list[float], now: float, limit: int, delay: float) -> None:
    """The delay follows the vendor's guide, its own example included."""
    assert sliding_entry(stamps, now, limit) - now == pytest.approx(delay)


@pytest.mark.parametrize(("stamps", "now", "limit", "delay"), CALENDAR)
def test_calendar_minute(stamps: list[float], now: float, limit: int, delay: float) -> None:
    """The delay follows the wording of the License Monitoring Console."""
    assert calendar_entry(stamps, now, limit) - now == pytest.approx(delay)


def _entries(entry: Entry, gaps: list[float], limit: int) -> list[float]:
    """The times of entry of requests that arrive with these gaps."""
    now, stamps = 1000.0, list[float]()
    for gap in gaps:
        now += gap
        stamps.append(entry(sorted(stamps), now, limit))
        assert stamps[-1] >= now
    return sorted(stamps)


ARRIVALS = st.lists(st.floats(0, 20), max_size=60)


@given(gaps=ARRIVALS, limit=st.integers(1, 8))
def test_a_sliding_minute_never_overflows(gaps: list[float], limit: int) -> None:
    """However requests arrive, no 60 s hold more entries than the limit."""
    entries = _entries(sliding_entry, gaps, limit)
    assert all(later - earlier > 60 - 1e-6 for earlier, later in zip(entries, entries[limit:], strict=False))


@given(gaps=ARRIVALS, limit=st.integers(1, 8))
def test_a_calendar_minute_never_overflows(gaps: list[float], limit: int) -> None:
    """However requests arrive, no calendar minute holds more entries than the limit."""
    minutes = [entry // 60 for entry in _entries(calendar_entry, gaps, limit)]
    assert all(minutes.count(minute) <= limit for minute in minutes)


@given(gaps=ARRIVALS, limit=st.integers(1, 8), entry=st.sampled_from([sliding_entry, calendar_entry]))
def test_the_minute_lets_nobody_overtake(gaps: list[float], limit: int, entry: Entry) -> None:
    """Whoever arrives later enters later, or at the same time."""
    now, stamps = 1000.0, list[float]()
    for gap in gaps:
        now += gap
        stamps.append(entry(sorted(stamps), now, limit))
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(stamps))


@pytest.mark.parametrize(
    ("waits", "waiting", "declined"),
    [(False, 0, False), (True, 19, False), (True, 20, True), (False, 20, False)],
)
def test_declines(waits: bool, waiting: int, declined: bool) -> None:
    """Only a request that would have to wait behind twenty others is declined."""
    assert declines(waits, waiting) is declined


def test_fifty_at_once_on_sixteen_cores() -> None:
    """The guide's example: of 50 simultaneous requests 16 run, 20 wait and 14 are declined."""

    async def scenario() -> tuple[int, int, int]:
        license_, done = License(16, 0), asyncio.Event()
        running: list[int] = []

        async def request(number: int) -> str:
            try:
                async with license_.core(lambda _seconds: None):
                    running.append(number)
                    await done.wait()
            except Declined:
                return "declined"
            return "served"

        tasks = [asyncio.create_task(request(number)) for number in range(50)]
        await asyncio.sleep(0)
        at_first = len(running)
        done.set()
        outcomes = await asyncio.gather(*tasks)
        return at_first, outcomes.count("served"), outcomes.count("declined")

    assert asyncio.run(scenario()) == (16, 36, 14)


def test_cores_are_given_in_order_of_arrival() -> None:
    """Requests that wait for a core get it first come, first served."""

    async def scenario() -> list[int]:
        license_, order = License(1, 0), list[int]()

        async def request(number: int) -> None:
            async with license_.core(lambda _seconds: None):
                await asyncio.sleep(0)
                order.append(number)

        await asyncio.gather(*(request(number) for number in range(10)))
        return order

    assert asyncio.run(scenario()) == list(range(10))


def test_nobody_overtakes_whoever_waits_for_a_core() -> None:
    """A newcomer that finds a core just freed does not take it from the one who waited for it."""

    async def scenario() -> list[str]:
        license_, order = License(1, 0), list[str]()

        async def request(name: str) -> None:
            async with license_.core(lambda _seconds: None):
                order.append(name)

        async with license_.core(lambda _seconds: None):
            waited = asyncio.create_task(request("waited"))
            await asyncio.sleep(0)
        newcomer = asyncio.create_task(request("newcomer"))
        await asyncio.gather(waited, newcomer)
        return order

    assert asyncio.run(scenario()) == ["waited", "newcomer"]


def test_who_gives_up_waiting_takes_no_core_along() -> None:
    """A request that is cancelled while it waits, or just as its turn comes, leaves the cores to the others."""

    async def scenario() -> list[bool]:
        cores = Cores(1)
        await cores.take()
        early, late, last = (asyncio.create_task(cores.take()) for _ in range(3))
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.sleep(0)
        cores.give_back()
        late.cancel()
        await asyncio.wait([early, late, last], timeout=5)
        return [early.cancelled(), late.cancelled(), last.done() and not last.cancelled(), cores.full()]

    assert asyncio.run(scenario()) == [True, True, True, True]


def test_the_number_of_cores_changes() -> None:
    """More cores wake those who wait, in order; fewer take none away; none at all is no limit."""

    async def scenario() -> list[list[bool]]:
        cores = Cores(1)
        tasks = [asyncio.create_task(cores.take()) for _ in range(6)]
        seen = []
        for number in (1, 3, 2, 0):
            cores.change(number)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append([task.done() for task in tasks])
        return seen

    held = [1, 3, 3, 6]
    assert asyncio.run(scenario()) == [[index < number for index in range(6)] for number in held]


def test_the_delay_is_told_and_sign_outs_count() -> None:
    """A request is told the delay that the requests before it, sign-outs among them, impose."""

    async def scenario() -> list[float]:
        imposed: list[float] = []
        license_ = License(0, 60_000, clock=lambda: 100.0)
        for _ in range(30_000):
            license_.count()
        async with license_.core(imposed.append):
            return imposed

    assert asyncio.run(scenario()) == [pytest.approx(60 / 30_000)]


def test_waiting_too_long_declines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that has waited for the longest time allowed is declined and counts for nothing."""
    monkeypatch.setattr("deploy.sandbox.license.QUEUE_SECONDS", 0.01)

    async def scenario() -> list[float]:
        license_, imposed = License(1, 4), list[float]()
        async with license_.core(imposed.append):
            with pytest.raises(Declined, match="waited"):
                async with license_.core(imposed.append):
                    raise AssertionError("no core was free")
        async with license_.core(imposed.append):
            return imposed

    assert asyncio.run(scenario()) == []

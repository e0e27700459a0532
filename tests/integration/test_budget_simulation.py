"""The license's minute beside other software, simulated: the real Lua under a modelled clock, the sandbox's rule."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.benchmarks.budget_simulation import Answers, Shape, Simulation, mixed, quick, spread, two_sizes
from tests.store_process import start_store


@pytest.fixture(scope="module")
def store() -> Iterator[redis.Redis]:
    """A store for one simulation after the other."""
    with start_store() as url, redis.Redis.from_url(url) as connected:
        yield connected


@pytest.mark.parametrize("answers", [mixed, quick, two_sizes])
def test_alone_the_whole_minute_is_ours(store: redis.Redis, answers: Answers) -> None:
    """With more work than allowed: 98 % of the limit in every full minute, never over it, and little delay."""
    run = Simulation(store, 1, Shape(answers=answers))
    run.run(420)
    assert min(run.minutes(60, 420)) >= 294
    assert run.tightest() > 60
    assert run.held(0, 420) <= 0.25
    assert "cut_ms" not in run.view()


def test_waiting_is_cheap(store: redis.Redis) -> None:
    """However many wait, a request costs the store a handful of calls."""
    run = Simulation(store, 1, Shape(threads=64))
    run.run(120)
    assert min(run.minutes(60, 120)) >= 294
    assert run.fleet.calls / len(run.erp.arrivals) < 8


@pytest.mark.parametrize("answers", [mixed, spread, quick])
def test_we_give_way_and_come_back(store: redis.Redis, answers: Answers) -> None:
    """Beside 150 a minute of others ours fall to what is left within a minute, and are all again two minutes later."""
    run = Simulation(store, 2, Shape(answers=answers))
    run.run(240)
    run.foreign(150, 300)
    run.run(720)
    beside = run.minutes(300, 540, step=1)
    assert 140 <= sum(beside) / len(beside) <= 150
    assert min(beside) >= 130 and max(beside) <= 160
    assert min(run.minutes(240, 540, ours=False)) >= 140
    assert run.held(240, 300) <= 0.5 and run.held(300, 540) <= 0.25
    assert run.minutes(600, 660)[0] >= 294
    assert min(run.minutes(660, 720)) >= 294


def test_why_it_was_cut_is_told(store: redis.Redis) -> None:
    """People see the limit in force below the configured one, for how long, and how late answers were."""
    run = Simulation(store, 1, Shape())
    run.run(180)
    run.foreign(150, 120)
    run.run(290)
    view = run.view()
    assert view["configured"] == 300
    assert 130 <= view["limit"] <= 165
    assert 90_000 <= view["cut_ms"] <= 110_000
    assert 100 <= view["late_ms"] <= 1500


@pytest.mark.parametrize(("others", "left"), [(50, (235, 257)), (250, (75, 130))])
def test_others_keep_what_they_use(store: redis.Redis, others: int, left: tuple[int, int]) -> None:
    """Others get what they ask for, or most of it where they ask for most of the limit; we use the rest."""
    run = Simulation(store, 1, Shape())
    run.run(180)
    run.foreign(others, 240)
    run.run(420)
    ours, theirs = run.minutes(240, 420), run.minutes(240, 420, ours=False)
    assert left[0] <= min(ours) and max(ours) <= left[1]
    assert min(theirs) >= others * 0.6
    assert min(sum(both) for both in zip(ours, theirs, strict=True)) >= 280


def test_bursts_of_others(store: redis.Redis) -> None:
    """A hundred requests of others at once cost us about as much, for about a minute."""
    run = Simulation(store, 1, Shape())
    run.run(180)
    run.foreign_burst(100, 3)
    run.run(420)
    ours = run.minutes(180, 420)
    assert sum(ours) >= 4 * 300 - 100 - 180
    assert ours[3] >= 294
    assert run.held(180, 420) <= 0.25


@pytest.mark.parametrize("answers", [mixed, spread])
def test_a_slow_erp_costs_little(store: redis.Redis, answers: Answers) -> None:
    """An ERP that becomes three times as slow is taken for a busy license for minutes at most."""
    run = Simulation(store, 1, Shape(answers=answers))
    run.run(180)
    run.erp.slowness = 3
    run.run(780)
    ours = run.minutes(180, 780)
    assert sum(300 - each for each in ours) <= 3 * 300
    assert min(ours) >= 90
    assert ours[-1] >= 290


def test_a_tenth_is_ours(store: redis.Redis) -> None:
    """Others who take whatever they can leave us a tenth at least."""
    run = Simulation(store, 1, Shape(cores=30))
    run.run(120)
    run.foreign_burst(100_000, 15)
    run.run(480)
    assert min(run.minutes(240, 480)) >= 28


def test_a_lowered_limit(store: redis.Redis) -> None:
    """A limit that is lowered in the store is kept from the next minute on, and used."""
    run = Simulation(store, 1, Shape())
    run.run(120)
    run.set_limit(100)
    run.run(360)
    assert all(97 <= each <= 100 for each in run.minutes(180, 360))


def test_interactive_beside_bulk(store: redis.Redis) -> None:
    """Interactive requests that come when bulk spends the whole minute are the next to go."""
    run = Simulation(store, 1, Shape())
    run.run(120)
    run.interactive(20)
    run.run(150)
    waits = [waited for _, lane, waited in run.fleet.waits if lane == "interactive"]
    assert len(waits) == 20
    assert max(waits) < 6

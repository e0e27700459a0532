"""The figures of the license's minute in simulation: ``python -m tests.benchmarks.budget_figures [SCENARIO…]``.

Each scenario prints one line for each kind of answers: our requests in each minute, other software's, and the mean
seconds for which the ERP held one of ours. Nothing is judged here; tests/integration/test_budget_simulation.py does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import redis

from tests.benchmarks.budget_simulation import (
    Answers,
    Shape,
    Simulation,
    mixed,
    quick,
    ragged,
    spread,
    two_sizes,
)
from tests.store_process import start_store

KINDS: tuple[Answers, ...] = (mixed, spread, quick, ragged, two_sizes)
Make = Callable[[Shape], Simulation]


def alone(make: Make, answers: Answers) -> str:
    """Nobody else, for a quarter of an hour."""
    run = make(Shape(answers=answers))
    run.run(900)
    return f"{run.minutes(0, 900)} held {run.held(60, 900):.3f}, 301 in {run.tightest():.2f} s"


def foreign(per_minute: int) -> Callable[[Make, Answers], str]:
    """Other software that asks so often for five minutes, from the fifth on."""

    def scenario(make: Make, answers: Answers) -> str:
        run = make(Shape(answers=answers))
        run.run(300)
        run.foreign(per_minute, 300)
        run.run(780)
        theirs = run.minutes(300, 600, ours=False)
        rolling = run.minutes(360, 600, step=1)
        return (
            f"{run.minutes(240, 780)} rolling after one minute {min(rolling)}-{max(rolling)}, mean "
            f"{sum(rolling) / len(rolling):.1f}; theirs {theirs}; held {run.held(300, 360):.3f} in the first, then "
            f"{run.held(360, 600):.3f}; theirs {run.held(300, 600, ours=False):.3f}"
        )

    return scenario


def bursts(make: Make, answers: Answers) -> str:
    """Other software that asks a hundred times at once, on three sessions, every two minutes."""
    run = make(Shape(answers=answers))
    run.run(300)
    for number in range(4):
        run.foreign_burst(100, 3)
        run.run(420 + 120 * number)
    run.run(900)
    return f"{run.minutes(240, 900)} theirs {run.minutes(240, 900, ours=False)} held {run.held(300, 780):.3f}"


def coming_and_going(make: Make, answers: Answers) -> str:
    """Other software that asks 150 times a minute for 90 s, and then not for 90 s."""
    run = make(Shape(answers=answers))
    run.run(300)
    for number in range(3):
        run.foreign(150, 90)
        run.run(480 + 180 * number)
    return f"{run.minutes(240, 840)} theirs {run.minutes(240, 840, ours=False)} held {run.held(300, 840):.3f}"


def slow(factor: float) -> Callable[[Make, Answers], str]:
    """Nobody else, and from the fifth minute on an ERP that takes so many times as long."""

    def scenario(make: Make, answers: Answers) -> str:
        run = make(Shape(answers=answers))
        run.run(300)
        run.erp.slowness = factor
        run.run(900)
        return f"{run.minutes(240, 900)} cuts {run.state().get('round', 0)}"

    return scenario


def slow_and_foreign(make: Make, answers: Answers) -> str:
    """Other software at 150 a minute from the fifth minute on, and an ERP three times as slow from 500 s on."""
    run = make(Shape(answers=answers))
    run.run(300)
    run.foreign(150, 600)
    run.run(500)
    run.erp.slowness = 3
    run.run(900)
    return f"{run.minutes(240, 900)} held {run.held(360, 900):.3f} cuts {run.state().get('round', 0)}"


def limit(per_minute: int, sessions: int, others: int) -> Callable[[Make, Answers], str]:
    """Another license, and other software that asks so often for five minutes, from the fifth on."""

    def scenario(make: Make, answers: Answers) -> str:
        run = make(Shape(per_minute=per_minute, sessions=sessions, cores=20, threads=40, answers=answers))
        run.run(300)
        run.foreign(others, 300)
        run.run(780)
        theirs = run.minutes(300, 600, ours=False)
        return f"{run.minutes(180, 780)} theirs {theirs} held {run.held(60, 300):.3f}, then {run.held(300, 600):.3f}"

    return scenario


SCENARIOS: dict[str, Callable[[Make, Answers], str]] = {
    "alone": alone,
    "foreign-50": foreign(50),
    "foreign-150": foreign(150),
    "foreign-250": foreign(250),
    "bursts": bursts,
    "coming-and-going": coming_and_going,
    "slow-2": slow(2),
    "slow-3": slow(3),
    "slow-and-foreign": slow_and_foreign,
    "limit-20": limit(20, 1, 8),
    "limit-50": limit(50, 2, 25),
    "limit-1000": limit(1000, 10, 400),
}


def main(names: Iterable[str]) -> None:
    """Print the figures of these scenarios, or of all."""
    with start_store() as url, redis.Redis.from_url(url) as store:
        for name in names or SCENARIOS:
            for answers in KINDS:
                told = SCENARIOS[name](lambda shape: Simulation(store, 1, shape), answers)
                print(f"{name:17} {answers.__name__:9} {told}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

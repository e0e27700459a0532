"""The bars that a run must reach: pure decisions over what was measured, each with its name, figure and verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from tests.benchmarks.bench.measure import Run, Spread

BATCHES_EFFICIENCY = 0.88
BY_KEY_EFFICIENCY = 0.92
REQUESTS_A_PAGE = 1.15
REQUESTS_BESIDE_LOOP = 1.02
EASY_TIMES = 4.0
EASY_LIST_SLOWER = 0.05
EASY_BY_KEY_SLOWER = 0.03
CPU_TIMES = 2.5
INTERACTIVE_MS = 15.0
TASK_TIMES = 4.0
DEPTH_MB = 150.0
DEPTH_MEMORY = 0.10
DEPTH_TIME = 0.20
FILE_MB = 32.0
FILE_SPEED = 0.40
SANDBOX_CORES = 0.5


@dataclass(frozen=True)
class Latency:
    """The sandbox's, in milliseconds."""

    base: float
    per_row: float
    per_skipped: float

    def option(self) -> str:
        """As the sandbox's command line takes it."""
        return f"{self.base:g},{self.per_row:g},{self.per_skipped:g}"

    def seconds(self, rows: int) -> float:
        """The time of an answer with so many rows, none skipped."""
        return (self.base + self.per_row * rows) / 1000


@dataclass(frozen=True)
class Bar:
    """A bar, and whether it was reached."""

    name: str
    figure: str
    is_met: bool

    def line(self) -> str:
        """As it is printed."""
        return f"bench {self.name}: {self.figure} {'ok' if self.is_met else 'missed'}"


def at_least(name: str, figure: float, bound: float, unit: str = "") -> Bar:
    """A bar for a figure that must not be less."""
    return Bar(name, f"{figure:.4g}{unit} (at least {bound:g}{unit})", figure >= bound)


def at_most(name: str, figure: float, bound: float, unit: str = "") -> Bar:
    """A bar for a figure that must not be more."""
    return Bar(name, f"{figure:.4g}{unit} (at most {bound:g}{unit})", figure <= bound)


def limit_of_batches(rows: int, page: int, sessions: int, latency: Latency) -> float:
    """The seconds in which so many rows can be listed at best: full pages, no pause, every session at work."""
    return ceil(rows / page) * latency.seconds(page) / sessions


def limit_of_by_key(rows: int, sessions: int, latency: Latency) -> float:
    """The seconds in which so many records can be read one by one at best."""
    return rows * latency.seconds(1) / sessions


def efficiency(name: str, limit: float, runs: Sequence[Run], bound: float) -> Bar:
    """How much of the time the sessions were at work, at the median."""
    return at_least(name, limit / _median(run.seconds for run in runs), bound)


def requests_a_page(name: str, runs: Sequence[Run], page: int) -> Bar:
    """Requests for each page of records, at the most."""
    return at_most(name, max(run.requests / ceil(run.rows / page) for run in runs), REQUESTS_A_PAGE)


def requests_beside(name: str, runs: Sequence[Run], loop: Sequence[Run]) -> Bar:
    """Requests for each one that the plain loop makes, at the most."""
    least = min(run.requests for run in loop)
    return at_most(name, max(run.requests for run in runs) / least, REQUESTS_BESIDE_LOOP)


def faster(name: str, runs: Sequence[Run], other: Sequence[Run], times: float) -> Bar:
    """Records a second, for each one of another contender."""
    return at_least(name, _median(_rates(runs)) / _median(_rates(other)), times, "x")


def slower(name: str, runs: Sequence[Run], other: Sequence[Run], bound: float) -> Bar:
    """The time a record, for each second of another contender."""
    return at_most(name, _median(_rates(other)) / _median(_rates(runs)), 1 + bound, "x")


def whole(name: str, runs: Sequence[Run]) -> Bar:
    """Nothing was lost or doubled."""
    return _moved(name, runs, must_be=False)


def torn(name: str, runs: Sequence[Run]) -> Bar:
    """The control: something was lost or doubled in every run, or the data did not move as it should."""
    return _moved(name, runs, must_be=True)


def _moved(name: str, runs: Sequence[Run], *, must_be: bool) -> Bar:
    lost, doubled = sum(run.lost for run in runs), sum(run.doubled for run in runs)
    every = all((run.lost + run.doubled > 0) is must_be for run in runs)
    wanted = "some, as it must" if must_be else "none"
    return Bar(name, f"{lost} lost and {doubled} doubled (wanted: {wanted})", every and bool(runs))


def sandbox_idle(name: str, runs: Iterable[Run]) -> Bar:
    """The sandbox is not what is measured."""
    return at_most(name, max(run.sandbox_cores for run in runs), SANDBOX_CORES, " cores")


def lost_and_doubled(before: Iterable[str], after: Iterable[str], got: Iterable[str]) -> tuple[int, int]:
    """Of the rows that were there before and after, how many are missing; and how often any came again."""
    counts = Counter(got)
    lost = sum(row not in counts for row in set(before) & set(after))
    return lost, counts.total() - len(counts)


def _rates(runs: Iterable[Run]) -> list[float]:
    return [run.rate for run in runs]


def _median(figures: Iterable[float]) -> float:
    return Spread.of(list(figures)).median

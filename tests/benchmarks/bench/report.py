"""What a bench comes to: its runs, what would be possible, and its bars; as a table and as lines to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.bench.bars import Bar
from tests.benchmarks.bench.measure import Run, Spread


@dataclass(frozen=True)
class Report:
    """One bench. ``limits`` are records/s that are possible at best; ``runs`` are by contender."""

    name: str
    runs: Mapping[str, Sequence[Run]]
    limits: Mapping[str, float]
    bars: Sequence[Bar]
    notes: Sequence[str] = field(default=())


COLUMNS: Mapping[str, Callable[[Run], float]] = {
    "records/s": lambda run: run.rate,
    "requests": lambda run: run.requests,
    "sessions": lambda run: run.sessions,
    "CPU ms a record": lambda run: run.cpu_ms,
    "peak RSS, MB": lambda run: run.peak_mb,
    "lost": lambda run: run.lost,
    "doubled": lambda run: run.doubled,
    "sandbox, cores": lambda run: run.sandbox_cores,
}
"""What the table has of each contender: the median, the least and the greatest of its runs."""


def table(report: Report) -> Iterator[str]:
    """The lines of a report's table, if it has runs, and its notes."""
    if report.runs:
        yield from _table(report)
    yield from report.notes


def _table(report: Report) -> Iterator[str]:
    rows = [(report.name, *COLUMNS)]
    rows += [
        (name, *(_shown([figure(run) for run in runs]) for figure in COLUMNS.values()))
        for name, runs in report.runs.items()
    ]
    rows += [(name, f"{rate:.4g}", *([""] * (len(COLUMNS) - 1))) for name, rate in report.limits.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _shown(figures: Sequence[float]) -> str:
    spread = Spread.of(figures)
    middle = _number(spread.median)
    least, greatest = _number(spread.least), _number(spread.greatest)
    return middle if least == greatest else f"{middle} ({least}–{greatest})"


def _number(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 100 or figure == int(figure) else f"{figure:.3g}"

"""Draws a report: records a second as bars, from the least to the greatest, and what is possible as a mark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from tests.benchmarks.bench.measure import Spread
from tests.benchmarks.bench.report import Report

LEFT, WIDE, HIGH, ROOM = 230, 560, 22, 34
OURS, OTHERS, LIMIT = "#2a6fb0", "#9a9a9a", "#c0392b"


def svg(report: Report) -> str:
    """The report as a picture."""
    spreads = {name: Spread.of([run.rate for run in runs]) for name, runs in report.runs.items()}
    most = max([each.greatest for each in spreads.values()] + list(report.limits.values()))
    lines: list[str] = []
    for place, (name, spread) in enumerate(spreads.items()):
        lines += _bar(name, spread, most, ROOM + place * (HIGH + 12))
    for place, (name, rate) in enumerate(report.limits.items(), len(spreads)):
        lines += _limit(name, rate, most, ROOM + place * (HIGH + 12))
    high = ROOM + (len(spreads) + len(report.limits)) * (HIGH + 12)
    title = f'<text x="8" y="20" font-weight="bold">{escape(report.name)}: records/s</text>'
    return _document([title, *lines], LEFT + WIDE + 140, high)


def _bar(name: str, spread: Spread, most: float, y: int) -> Iterator[str]:
    colour = OURS if name.startswith("acuworker") else OTHERS
    low, middle, top = (LEFT + WIDE * each / most for each in (spread.least, spread.median, spread.greatest))
    line = y + HIGH / 2
    yield _words(8, y, name)
    yield f'<rect x="{LEFT}" y="{y}" width="{middle - LEFT:.1f}" height="{HIGH}" fill="{colour}"/>'
    yield f'<line x1="{low:.1f}" x2="{top:.1f}" y1="{line}" y2="{line}" stroke="black"/>'
    yield _words(top + 6, y, f"{spread.median:.0f} ({spread.least:.0f}–{spread.greatest:.0f})")


def _limit(name: str, rate: float, most: float, y: int) -> Iterator[str]:
    x = LEFT + WIDE * rate / most
    yield _words(8, y, name)
    yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + HIGH}" stroke="{LIMIT}" stroke-width="3"/>'
    yield _words(x + 6, y, f"{rate:.0f}")


def _words(x: float, y: int, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y + HIGH - 6}">{escape(text)}</text>'


def _document(lines: Sequence[str], width: int, height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    style = 'font-family="sans-serif" font-size="13">'
    return "\n".join([head + style, '<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>", ""])

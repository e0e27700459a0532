"""A figure, its bar and whether it was reached; and how a table of them is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure of a verdict; one without a bar is told and not judged."""

    name: str
    value: float | str
    bar: str = ""
    ok: bool = True


def at_most(name: str, value: float, bar: float) -> Figure:
    """A figure that must not exceed its bar."""
    return Figure(name, value, f"<= {_number(bar)}", value <= bar)


def at_least(name: str, value: float, bar: float) -> Figure:
    """A figure that must reach its bar."""
    return Figure(name, value, f">= {_number(bar)}", value >= bar)


def within(name: str, value: float, low: float, high: float) -> Figure:
    """A figure that must lie between two bars."""
    return Figure(name, value, f"{_number(low)} to {_number(high)}", low <= value <= high)


def told(name: str, value: float | str) -> Figure:
    """A figure that is told only."""
    return Figure(name, value)


def table(figures: Sequence[Figure]) -> str:
    """The figures, one to a line."""
    width = max(len(figure.name) for figure in figures)
    return "\n".join(
        f"  {figure.name:<{width}}  {_number(figure.value):>10}  {_bar(figure)}".rstrip()
        for figure in figures
    )


def _bar(figure: Figure) -> str:
    if not figure.bar:
        return ""
    return f"{figure.bar:<12} {'ok' if figure.ok else 'FAILED'}"


def _number(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

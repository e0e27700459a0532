"""Where in a list sorted by keys the rows are that a condition on the keys can find: a search instead of a scan."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from deploy.sandbox.ordering import Comparable

Key = tuple[Comparable, ...]


class Span(NamedTuple):
    """A stretch of the list, from `first` up to and without `last`."""

    first: int
    last: int


@dataclass(frozen=True)
class Reach:
    """The stretches, in order, outside of which nothing matches; `exact` when within them everything does."""

    spans: tuple[Span, ...]
    exact: bool


@dataclass(frozen=True)
class KeyIs:
    """A comparison of the key at this place."""

    place: int
    operator: str
    value: Comparable


@dataclass(frozen=True)
class Anything:
    """A condition that says nothing about where its rows are."""


@dataclass(frozen=True)
class AllOf:
    """Conditions joined by `and`, none of which is an AllOf."""

    parts: "tuple[KeyCondition, ...]"


@dataclass(frozen=True)
class AnyOf:
    """Conditions joined by `or`."""

    parts: "tuple[KeyCondition, ...]"


KeyCondition = KeyIs | Anything | AllOf | AnyOf


def reach(keys: Sequence[Key], condition: KeyCondition) -> Reach:
    """Where in the sorted keys the condition can be met."""
    match condition:
        case Anything():
            return Reach((Span(0, len(keys)),), exact=False)
        case KeyIs():
            return _together(keys, (condition,))
        case AllOf(parts):
            return _together(keys, parts)
        case AnyOf(parts):
            found = [reach(keys, part) for part in parts]
            spans = _merged(sorted(span for one in found for span in one.spans))
            return Reach(spans, all(one.exact for one in found))


def _together(keys: Sequence[Key], parts: Sequence[KeyCondition]) -> Reach:
    """Every part at once: the comparisons as far as they follow the order of the keys, then the other parts."""
    comparisons = [part for part in parts if isinstance(part, KeyIs)]
    span, used, place = Span(0, len(keys)), 0, 0
    while here := [part for part in comparisons if part.place == place]:
        for comparison in here:
            span = _narrowed(keys, span, comparison)
        used, place = used + len(here), place + 1
        if all(comparison.operator != "eq" for comparison in here):
            break  # only behind a fixed key are the next ones in order
    found = Reach((span,) if span.first < span.last else (), exact=used == len(comparisons))
    for part in parts:
        if not isinstance(part, KeyIs):
            found = _common(found, reach(keys, part))
    return found


def _narrowed(keys: Sequence[Key], span: Span, comparison: KeyIs) -> Span:
    """The part of a span, in which the keys before this one are all the same, that meets a comparison."""
    first, last = span
    place, value = comparison.place, comparison.value

    def at(key: Key) -> Comparable:
        return key[place]

    if comparison.operator in ("eq", "ge"):
        first = bisect_left(keys, value, *span, key=at)
    if comparison.operator in ("eq", "le"):
        last = bisect_right(keys, value, *span, key=at)
    if comparison.operator == "gt":
        first = bisect_right(keys, value, *span, key=at)
    if comparison.operator == "lt":
        last = bisect_left(keys, value, *span, key=at)
    return Span(first, max(first, last))


def _common(one: Reach, other: Reach) -> Reach:
    cuts = (
        Span(max(a.first, b.first), min(a.last, b.last)) for a in one.spans for b in other.spans
    )  # each side's spans are apart and in order
    return Reach(tuple(cut for cut in cuts if cut.first < cut.last), one.exact and other.exact)


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The same places without a place twice."""
    found: list[Span] = []
    for span in spans:
        if found and span.first <= found[-1].last:
            found[-1] = Span(found[-1].first, max(found[-1].last, span.last))
        else:
            found.append(span)
    return tuple(found)

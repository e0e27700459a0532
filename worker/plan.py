"""What a job would cost, as ranges, from what little was seen of it: decisions alone, which ask nothing.

The lower ends are those of a fleet that does nothing else, the upper ends those of one session and of the worst that
the sample leaves open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from worker.page import Query
from worker.settings import License

COUNT_PAGE = 500
"""Keys that are asked for to count the last of them; a size that live instances are known to serve well."""

GALLOP = 8
"""How many times further each probe goes while no end was seen: from 500, four of them pass two million."""

MOST_GROUPS = 8
"""Types that an entity with a combo among its keys is taken to have; each is a list of its own that ends."""

FENCE_LOOKS = 40
"""Looks at where a list of over a thousand pages ends: twice the logarithm of a million."""

INQUIRY_PAGE = 500
"""Rows that a job of an inquiry asks for at once where it does not say."""

WORTH = 10
"""An inquiry is told of when it takes so many times fewer requests."""


@dataclass(frozen=True)
class Range:
    """From ``low`` to ``high``, both meant."""

    low: float
    high: float


@dataclass(frozen=True)
class Count:
    """How many records there are: ``low`` were seen, and there are no more than ``high``; None: nobody knows."""

    low: int
    high: int | None

    @property
    def is_exact(self) -> bool:
        """Whether the number is known."""
        return self.low == self.high


@dataclass(frozen=True)
class Probe:
    """A look at the list: at most ``top`` rows after the first ``skip``."""

    skip: int
    top: int


def next_probe(count: Count) -> Probe | None:
    """Where to look next; None once the number is known.

    A short list is listed, as is the end of a long one. In between it is looked at further each time until an end was
    seen, then by the middle of the logarithms, as it is by their ratio that numbers so far apart differ.
    """
    if count.is_exact:
        return None
    if count.high is not None and count.high - count.low <= COUNT_PAGE:
        return Probe(count.low, count.high - count.low)
    if count.low < COUNT_PAGE:
        return Probe(count.low, COUNT_PAGE)
    if count.high is None:
        return Probe(GALLOP * count.low - 1, 1)
    return Probe(math.isqrt(count.low * count.high), 1)


def counted(count: Count, probe: Probe, found: int) -> Count:
    """What is known after a look that found so many rows."""
    if found == 0:
        return Count(count.low, probe.skip)
    seen = max(count.low, probe.skip + found)
    return Count(seen, seen if found < probe.top else count.high)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was seen of a job.

    ``strategy`` is the handler's, or ``by_key`` where the ERP cannot list; ``page_size`` is that of its first page,
    None where it asks for all at once. ``seconds`` is how long a request of ``rows`` records took, ``files`` how many a
    record had; ``awkward`` is whether there was a key that a URL cannot carry.
    """

    strategy: str
    page_size: int | None
    count: Count
    seconds: Range
    rows: int = 1
    files: Range = Range(0, 0)
    awkward: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a job would do; ranges whose upper end is None where nobody knows one. It uses up to ``sessions``."""

    strategy: str
    records: tuple[int, int | None]
    requests: tuple[int, int | None]
    sessions: int
    seconds: tuple[float, float | None]
    advice: tuple[str, ...]


def plan(query: Query, sample: Sample, limits: License, *, bulk: bool) -> Plan:
    """What the job would cost under these limits."""
    low = requests(query, sample, sample.count.low, worst=False, seats=limits.max_sessions)
    sessions = at_once(sample, low, limits.max_sessions)
    fast = sample.seconds.low * low / sessions
    quickest = max(fast, paced(low, limits.max_per_minute, bulk=bulk))
    high, slowest = None, None
    if sample.count.high is not None:
        high = requests(query, sample, sample.count.high, worst=True, seats=limits.max_sessions)
        growth = rows_asked(sample, sample.count.high) / max(1, sample.rows)
        slowest = sample.seconds.high * max(1.0, growth) * high + paced(
            high, limits.max_per_minute, bulk=True
        )
    return Plan(
        strategy=sample.strategy,
        records=(sample.count.low, sample.count.high),
        requests=(low, high),
        sessions=sessions,
        seconds=(round(quickest, 1), None if slowest is None else round(slowest, 1)),
        advice=advice(sample, low),
    )


def requests(query: Query, sample: Sample, count: int, *, worst: bool, seats: int) -> int:
    """How many requests so many records take, sign-ins among them in the worst case."""
    files = math.ceil(count * (sample.files.high if worst else sample.files.low))
    signing = at_once(sample, seats, seats) if worst else 0
    if query.keys:
        return (2 if worst and sample.awkward else 1) + files + signing
    listing = _listing(query, sample, count, worst=worst, seats=seats)
    if query.fresh:
        # What changes meanwhile is read again: nothing as a rule, everything at the worst.
        listing += 2 + listing if worst else 1
    records = 0
    if sample.strategy == "by_key":
        records = count * (2 if worst and sample.awkward else 1)
    return listing + records + files + signing


def _listing(query: Query, sample: Sample, count: int, *, worst: bool, seats: int) -> int:
    """The requests of the list: its pages, the one that shows its end, and in the worst case what was in vain."""
    if sample.page_size is None:
        return 1
    pages = max(1, math.ceil(count / sample.page_size))
    if not worst:
        return pages + (0 if count in (0, query.limit) else 1)
    groups = MOST_GROUPS if query.combos else 1
    vain = 0 if sample.strategy == "by_key" else min(pages, seats + 1)
    return pages + groups * (2 + vain) + (FENCE_LOOKS if pages >= 1000 else 0)


def rows_asked(sample: Sample, count: int) -> int:
    """How many records the largest answer holds, where there are so many."""
    if sample.strategy == "by_key":
        return sample.rows
    return min(count, sample.page_size or count)


def at_once(sample: Sample, requests: int, seats: int) -> int:
    """How many sessions the job can use."""
    if sample.page_size is None and not sample.files.high:
        return 1
    return max(1, min(seats, requests))


def paced(requests: int, per_minute: int, *, bulk: bool) -> float:
    """Seconds until the license's minute lets the last of them go: bulk goes evenly, interactive may burst."""
    if not per_minute:
        return 0.0
    return 60 / per_minute * max(0, requests - (1 if bulk else per_minute))


def advice(sample: Sample, requests: int) -> tuple[str, ...]:
    """What would be cheaper, where much is."""
    rows = math.ceil((sample.count.high or sample.count.low) / INQUIRY_PAGE) + 1
    if sample.strategy != "by_key" or requests < WORTH * rows:
        return ()
    return (
        f"each record is a request of its own; a generic inquiry that has these fields (kind inquiry, interface gi) "
        f"takes about {rows:,} for all of them",
    )


def on_deadline(seconds: tuple[float, float | None], allowed: int) -> tuple[str, ...]:
    """What to say where the time that the job may take is short."""
    low, high = seconds
    way_out = f"than the {allowed:,} s that it may: --lane bulk or --deadline gives it more"
    if low > allowed:
        return (f"it takes longer {way_out}",)
    return () if high is not None and high <= allowed else (f"it may take longer {way_out}",)

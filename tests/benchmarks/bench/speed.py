"""How fast each contender reads a list, and records one by one; and how many requests and sessions it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tests.benchmarks.bench import bars
from tests.benchmarks.bench.bars import Bar
from tests.benchmarks.bench.contenders import ORDERS, PAYMENTS, UNTHROTTLED, Ask, Way, easy, loop, ours
from tests.benchmarks.bench.measure import Run, Spread
from tests.benchmarks.bench.progress import say, under_way
from tests.benchmarks.bench.report import Report
from tests.benchmarks.bench.site import SPEED, Site, site

ORDER_COUNT = 20_000
RECORDS_A_SESSION = 300
"""By key each session reads so many records, which takes it 24 seconds at best."""

THROTTLED_RECORDS = 200
"""The same for who makes ten calls a second, however many sessions there are."""

SESSIONS = (1, 3, 5)
ROUNDS = 3
MOST = SESSIONS[-1]

LOOP = "loop with $skip"
EASY, EASY_DEFAULT = "easy-acumatica, unthrottled", "easy-acumatica"


def name_of(count: int) -> str:
    """Us with so many sessions."""
    return f"acuworker, {_sessions(count)}"


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count} sessions"


LISTS: Mapping[str, Way] = {
    **{name_of(count): ours(count) for count in SESSIONS},
    EASY: easy(UNTHROTTLED),
    EASY_DEFAULT: easy(None),
    LOOP: loop,
}
BY_KEY: Mapping[str, tuple[Way, int]] = {
    **{name_of(count): (ours(count), count * RECORDS_A_SESSION) for count in SESSIONS},
    EASY: (easy(UNTHROTTLED, MOST), MOST * RECORDS_A_SESSION),
    EASY_DEFAULT: (easy(None, MOST), THROTTLED_RECORDS),
}
"""Who reads records one by one, and how many."""


def batches() -> Report:
    """A list of 20,000 orders."""
    with site(SPEED, "--orders", str(ORDER_COUNT)) as sandbox:
        runs = in_turn(sandbox, {name: (way, ORDERS) for name, way in LISTS.items()}, "batches")
    limits = {_limit(count): _limit_of_list(runs[name_of(count)], count) for count in SESSIONS}
    return Report("batches", runs, limits, _bars_of_lists(runs))


def by_key() -> Report:
    """Payments with their history, which the ERP cannot list."""
    asks = {name: (way, replace(PAYMENTS, limit=limit)) for name, (way, limit) in BY_KEY.items()}
    with site(SPEED, "--customers", str(MOST * RECORDS_A_SESSION)) as sandbox:
        runs = in_turn(sandbox, asks, "by_key")
    limits = {_limit(count): count / SPEED.seconds(1) for count in SESSIONS}
    return Report("by-key", runs, limits, _bars_of_keys(runs))


def in_turn(
    sandbox: Site, contenders: Mapping[str, tuple[Way, Ask]], what: str, rounds: int = ROUNDS
) -> dict[str, list[Run]]:
    """Let each contender run in turn, so many times."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, (way, ask) in contenders.items():
            with under_way(f"{what}: {name}, round {number} of {rounds}"):
                run = way(sandbox, ask)
            say(f"    {run.rate:.0f} records/s, {run.requests} requests, {run.cpu_ms:.2f} ms CPU a record")
            runs[name].append(run)
    return runs


def _limit(count: int) -> str:
    return f"the limit, {_sessions(count)}"


def _limit_of_list(runs: Sequence[Run], sessions: int) -> float:
    rows = runs[0].rows
    return rows / bars.limit_of_batches(rows, ORDERS.page_size, sessions, SPEED)


def _bars_of_lists(runs: Mapping[str, Sequence[Run]]) -> list[Bar]:
    found = []
    for count in SESSIONS:
        mine = runs[name_of(count)]
        limit = bars.limit_of_batches(mine[0].rows, ORDERS.page_size, count, SPEED)
        found.append(bars.efficiency(f"efficiency-batches-{count}", limit, mine, bars.BATCHES_EFFICIENCY))
    alone, most = runs[name_of(1)], runs[name_of(MOST)]
    return [
        *found,
        bars.requests_a_page(f"requests-{MOST}", most, ORDERS.page_size),
        bars.requests_beside("requests-1", alone, runs[LOOP]),
        bars.faster(f"against-easy-batches-{MOST}", most, runs[EASY], bars.EASY_TIMES),
        bars.slower("against-easy-batches-1", alone, runs[EASY], bars.EASY_LIST_SLOWER),
        _every_row("batches-whole", [run for count in SESSIONS for run in runs[name_of(count)]], ORDER_COUNT),
        bars.sandbox_idle("sandbox-batches", [run for each in runs.values() for run in each]),
    ]


def _bars_of_keys(runs: Mapping[str, Sequence[Run]]) -> list[Bar]:
    found = []
    for count in SESSIONS:
        mine = runs[name_of(count)]
        limit = bars.limit_of_by_key(mine[0].rows, count, SPEED)
        found.append(bars.efficiency(f"efficiency-by-key-{count}", limit, mine, bars.BY_KEY_EFFICIENCY))
    return [
        *found,
        bars.slower("against-easy-by-key", runs[name_of(MOST)], runs[EASY], bars.EASY_BY_KEY_SLOWER),
        _every_row("by-key-whole", [run for count in SESSIONS for run in runs[name_of(count)]], 1),
        bars.sandbox_idle("sandbox-by-key", [run for each in runs.values() for run in each]),
    ]


def _every_row(name: str, runs: Sequence[Run], least: int) -> Bar:
    """Nothing was lost or doubled where nothing moved, of at least so many rows."""
    bar = bars.whole(name, runs)
    return replace(bar, is_met=bar.is_met and Spread.of([run.rows for run in runs]).least >= least)

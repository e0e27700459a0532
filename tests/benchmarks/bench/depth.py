"""Half a million orders: no more memory and no more time a row than for a tenth of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.bench.bars import DEPTH_MB, DEPTH_MEMORY, DEPTH_TIME, Bar, at_most
from tests.benchmarks.bench.contenders import ORDERS, ids_in, warm_up
from tests.benchmarks.bench.fleet import fleet
from tests.benchmarks.bench.measure import peak_bytes
from tests.benchmarks.bench.process import contender
from tests.benchmarks.bench.progress import say, under_way
from tests.benchmarks.bench.report import Report
from tests.benchmarks.bench.site import SPEED, site

FEW, MANY = 50_000, 500_000
SESSIONS = 5
ASK = replace(ORDERS, page_size=500)


@dataclass(frozen=True)
class Read:
    """How so many generated orders were read; ``beside`` are those that are there besides them."""

    seconds: float
    peak_mb: float
    rows: int
    doubled: int
    beside: int

    @property
    def row_us(self) -> float:
        """The time a row, in microseconds."""
        return 1e6 * self.seconds / self.rows


def depth() -> Report:
    """All sessions, pages of 500, a skipped row at its price."""
    few, many = _read(FEW), _read(MANY)
    whole = many.beside == few.beside and not many.doubled + few.doubled
    counts = f"{many.rows} rows, {many.doubled} doubled; {few.rows} rows, {few.doubled} doubled"
    found = [
        at_most("depth-rss", many.peak_mb, DEPTH_MB, " MB"),
        at_most("depth-memory", many.peak_mb / few.peak_mb, 1 + DEPTH_MEMORY, f"x that of {FEW}"),
        at_most("depth-time", many.row_us / few.row_us, 1 + DEPTH_TIME, f"x that of {FEW} a row"),
        Bar("depth-whole", counts, whole),
    ]
    notes = [
        f"{read.rows} orders: {read.seconds:.1f} s, {read.row_us:.1f} us a row, peak RSS of a process "
        f"{read.peak_mb:.1f} MB"
        for read in (few, many)
    ]
    return Report("depth", {}, {}, found, notes)


def _read(orders: int) -> Read:
    with (
        under_way(f"depth: {orders} orders"),
        site(SPEED, "--orders", str(orders)) as sandbox,
        fleet(sandbox.sandbox, max_sessions=SESSIONS) as workers,
        TemporaryDirectory() as directory,
    ):
        to = Path(directory) / "records.ndjson"
        told = {"before": [warm_up(ASK, SESSIONS)], "job": ASK.job(), "to": str(to)}
        with contender("job", told, workers.environment) as one:
            seconds, _ = one.work()
            peak = max(map(peak_bytes, workers.workers)) / 1e6
            say(f"    {seconds:.1f} s")
            one.save()
        ids = list(ids_in(to))
    distinct = len(set(ids))
    return Read(seconds, peak, len(ids), len(ids) - distinct, distinct - orders)

"""What a record costs in CPU: a job to NDJSON beside msgspec, which decodes and encodes the same bytes and no more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec

from tests.benchmarks.bench.bars import CPU_TIMES, at_most, whole
from tests.benchmarks.bench.contenders import ORDERS, ours
from tests.benchmarks.bench.measure import Spread
from tests.benchmarks.bench.progress import under_way
from tests.benchmarks.bench.report import Report
from tests.benchmarks.bench.site import NONE, site
from tests.benchmarks.bench.speed import ORDER_COUNT, in_turn

ASK = replace(ORDERS, page_size=500)
LEAST_ROUNDS = 5


def cpu_record() -> Report:
    """One session, pages of 500, no latency, no compression: TLS, hash and publishing are in it."""
    with site(NONE, "--orders", str(ORDER_COUNT)) as sandbox:
        runs = in_turn(sandbox, {"acuworker, pages of 500": (ours(1), ASK)}, "cpu-record")
        with under_way("cpu-record: msgspec"):
            pages = list(sandbox.pages(ASK.entity, ASK.expand, ASK.page_size))
            least = Spread.of([_least_ms(pages) for _ in range(LEAST_ROUNDS)])
    (mine,) = runs.values()
    spread = Spread.of([run.cpu_ms for run in mine])
    note = (
        f"CPU a record: {spread.median:.4f} ms ({spread.least:.4f}–{spread.greatest:.4f}); msgspec from bytes to "
        f"Decimal and back {least.median:.4f} ms ({least.least:.4f}–{least.greatest:.4f})"
    )
    found = [
        at_most("cpu-record", spread.median / least.median, CPU_TIMES, "x msgspec"),
        whole("cpu-record-whole", mine),
    ]
    return Report("cpu-record", runs, {}, found, (note,))


def _least_ms(pages: Sequence[bytes]) -> float:
    """The CPU of decoding and encoding these pages, a record, in milliseconds."""
    decoder = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
    encoder = msgspec.json.Encoder(decimal_format="number")
    count, began = 0, time.process_time()
    for page in pages:
        records = decoder.decode(page)
        encoder.encode_lines(records)
        count += len(records)
    return 1000 * (time.process_time() - began) / count

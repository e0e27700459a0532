"""``python -m tests.benchmarks.bench [NAME…]``: what ``make bench`` runs, each against a sandbox of its own.

It prints tables, plots them to ``var/bench/``, and ends with a line for each bar. Status 0 when every bar was reached,
1 when one was missed or a bench broke off, 2 for a name that there is not.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.bench import attachment, cost, depth, interactive, loses, speed
from tests.benchmarks.bench.bars import Bar
from tests.benchmarks.bench.plot import svg
from tests.benchmarks.bench.progress import say
from tests.benchmarks.bench.report import Report, table

VAR = Path("var/bench")

BENCHES: Mapping[str, Callable[[], Report]] = {
    "batches": speed.batches,
    "by-key": speed.by_key,
    "cpu-record": cost.cpu_record,
    "interactive": interactive.interactive,
    "depth": depth.depth,
    "attachment": attachment.attachment,
    "loses": loses.loses,
}


def main(names: Sequence[str]) -> int:
    """Run these, or all; the exit status."""
    unknown = set(names) - BENCHES.keys()
    if unknown:
        print(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    # Whoever ends a run ends what it has started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    VAR.mkdir(parents=True, exist_ok=True)
    reached: list[Bar] = []
    for name in names or BENCHES:
        say(f"bench {name}: begins")
        reached += _reached(name)
    say("")
    for bar in reached:
        say(bar.line())
    return int(not all(bar.is_met for bar in reached))


def _reached(name: str) -> Sequence[Bar]:
    """The bars of a bench; one that broke off has reached nothing, and the others go on."""
    try:
        report = BENCHES[name]()
    except Exception as error:
        return [Bar(name, f"broke off: {type(error).__name__}: {error}", is_met=False)]
    _keep(report)
    return report.bars


def _keep(report: Report) -> None:
    """Print the report, and leave it for those who come later."""
    text = "\n".join(table(report))
    say(f"\n{text}\n")
    lines = [bar.line() for bar in report.bars]
    (VAR / f"{report.name}.txt").write_text("\n".join((text, *lines, "")), encoding="utf-8")
    runs = {name: [asdict(run) for run in runs] for name, runs in report.runs.items()}
    (VAR / f"{report.name}.json").write_text(json.dumps(runs, indent=1), encoding="utf-8")
    if report.runs:
        (VAR / f"{report.name}.svg").write_text(svg(report), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

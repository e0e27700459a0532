"""Many tasks that do nothing, one after the other, each from its sending to its result."""

from __future__ import annotations

from tests.benchmarks.bench.programs import protocol
from tests.benchmarks.bench.programs.noop import nothing


def main() -> None:
    """Send them when the bench says so."""
    told = protocol.told()
    for _ in range(told["before"]):
        nothing.delay().get(timeout=60)
    protocol.begin()
    for _ in range(told["times"]):
        nothing.delay().get(timeout=60)
    protocol.done()
    protocol.saved()


if __name__ == "__main__":
    main()

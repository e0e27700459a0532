"""What processes spend, as the kernel counts it: their CPU, and their memory at its most.

A process that is not there raises FileNotFoundError.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run came to. ``requests`` are those that the license counts, without sign-outs."""

    rows: int
    seconds: float
    requests: int = 0
    sessions: int = 0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    sandbox_cores: float = 0.0
    lost: int = 0
    doubled: int = 0

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.rows / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU a record, in milliseconds."""
        return 1000 * self.cpu_seconds / self.rows

    @property
    def peak_mb(self) -> float:
        """The most memory, in MB."""
        return self.peak_bytes / 1e6


@dataclass(frozen=True)
class Spread:
    """The median of some figures, the least and the greatest."""

    median: float
    least: float
    greatest: float

    @staticmethod
    def of(figures: Sequence[float]) -> Spread:
        """The spread of these."""
        return Spread(statistics.median(figures), min(figures), max(figures))


def cpu_seconds(pid: int) -> float:
    """The CPU that a process has spent, all its threads, in its own code and in the kernel."""
    # The name of the program stands in brackets and may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    return _status(pid, "VmHWM")


def held_bytes(pid: int) -> int:
    """The memory that a process has now."""
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise FileNotFoundError(f"the process {pid} has ended, so its {name} is not known")
    return int(found[1]) * 1024

"""A small version of each check of ``make chaos``: the same players and the same judge, with less of everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.checks import CHECKS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", CHECKS)
def test_a_small_version_of_each_check_passes(name: str, tmp_path: Path) -> None:
    """Real workers under load, or killed, hold to the limits as the judge reads them off the sandbox's log."""
    CHECKS[name].small(tmp_path / name)
    command = [sys.executable, "-m", "tests.chaos.judge", name, str(tmp_path / name)]
    judged = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert judged.stdout.endswith(f"chaos {name}: figures ok\n"), judged.stdout

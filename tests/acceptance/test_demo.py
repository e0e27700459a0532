"""``make demo``: the first thing that a newcomer sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy import demo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A working directory of the test's own, from which the checkout's modules are imported."""
    return tmp_path


def test_the_demo_ends_with_its_figures(checkout: Path) -> None:
    """The course's three questions are answered, and the last line holds what the sandbox and the results say."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == demo.EXPECTED
    assert sum("SO180-009-01" in line for line in lines) == 2
    assert any("INV000045" in line and "Payment 000001" in line for line in lines)


def test_the_demo_fails_when_a_figure_differs(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A figure that is not as the course has it makes the exit status 1, and both lines are shown."""
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(demo, "EXPECTED", demo.EXPECTED.replace("orders=9", "orders=10"))
    assert demo.main() == 1
    assert "expected: demo: orders=10" in capsys.readouterr().out

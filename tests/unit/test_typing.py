"""What a type checker says of programs that build filters and fetch: each right use passes, each wrong one is found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SAMPLE = """
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, assert_type
from uuid import UUID

from worker.fetch import fetch
from worker.filters import Condition, F, Field
from worker.job import Lane

assert_type(F.Status, Field)
assert_type(F.MainContact.Email, Field)
assert_type(F["Status"], Field)
assert_type(F.custom("Document.AttributeCOLOR", str), Field)
assert_type(F.custom("Document.UsrNumber", "Long"), Field)
assert_type(F.Status == "Open", Condition)
assert_type(F.Status != "Open", Condition)
assert_type(F.Hold == True, Condition)
assert_type(F.CustomerOrder == None, Condition)
assert_type(F.CustomerOrder.is_(None), Condition)
assert_type(F.Date >= date(2022, 1, 1), Condition)
assert_type(F.Date < datetime(2022, 1, 1), Condition)
assert_type(F.OrderTotal > Decimal(1), Condition)
assert_type(1.5 <= F.OrderTotal, Condition)
assert_type(F.NoteID == UUID(int=0), Condition)
assert_type(F.Status.in_(["Open", None]), Condition)
assert_type(F.Status.startswith("O"), Condition)
assert_type((F.A == 1) & ~(F.B == 2) | (F.C == 3), Condition)
assert_type(fetch("SalesOrder", filter=F.Status == "Open"), Iterator[dict[str, Any]])
fetch("SalesOrder", filter="Status eq :s", params={"s": "Open"}, timeout=30, limit=5, lane=Lane.BULK)
fetch("SalesOrder", select=["OrderNbr"], keys=("SO", "000001"))

F.Status < None  # wrong
F.Status < [1]  # wrong
F.NoteID < UUID(int=0)  # wrong
F.A == F.B  # wrong
F.A == 1 & F.B == 2  # wrong
F.A & F.B  # wrong
(F.A == 1) & True  # wrong
(F.A == 1) & F.B  # wrong
~F.A  # wrong
F.A.contains(1)  # wrong
F.A.is_("x")  # wrong
F.A.in_(3)  # wrong
F.A.startswyth("x")  # wrong
F.custom("A.B", list)  # wrong
F.custom("A.B", "Text")  # wrong
F("Status")  # wrong
fetch("SalesOrder", filter=F.Status)  # wrong
fetch("SalesOrder", filter=F.Status == [1])  # wrong
fetch("SalesOrder", filter=not (F.A == 1))  # wrong
fetch("SalesOrder", filter=F.Status is None)  # wrong
fetch("SalesOrder", F.A == 1)  # wrong
fetch("SalesOrder", limits=5)  # wrong
fetch("SalesOrder", limit="5")  # wrong
fetch("SalesOrder", lane="bulk")  # wrong
"""


def test_a_type_checker_finds_each_wrong_use(tmp_path: Path) -> None:
    """mypy --strict accepts every right line of the sample, and has an error for each that is marked as wrong."""
    assert (ROOT / "worker/py.typed").exists()
    sample = tmp_path / "sample.py"
    sample.write_text(SAMPLE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", sample],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {
        int(number) for number in re.findall(r"^[^\n:]*sample\.py:(\d+): error", done.stdout, re.MULTILINE)
    }
    wrong = {number for number, line in enumerate(SAMPLE.splitlines(), 1) if line.endswith("# wrong")}
    assert found == wrong, done.stdout + done.stderr

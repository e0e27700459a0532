"""The commands that change something: what each hands in, and that the guide's lines are such commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from worker import change_commands
from worker.cli import main
from worker.job import Asked
from worker.kinds import Source

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "changes.md"
GUID = "e3f46a39-1a14-e911-816f-bc920a5e0ac8"

COMMANDS: list[tuple[str, dict[str, Any]]] = [
    (
        f"act Case Close --id {GUID} --custom FilterPreview.Reason=Abandoned --idempotent",
        {
            "kind": "action",
            "entity": "Case",
            "action": "Close",
            "id": GUID,
            "custom": {"FilterPreview.Reason": "Abandoned"},
            "idempotent": True,
        },
    ),
    (
        "act SalesOrder Ship --key SO --key 000001 --set Warehouse=MAIN --set-json Count=2 --deadline 30",
        {
            "kind": "action",
            "entity": "SalesOrder",
            "action": "Ship",
            "keys": ["SO", "000001"],
            "parameters": {"Warehouse": "MAIN", "Count": 2},
            "deadline_seconds": 30,
        },
    ),
    (
        'write Customer --set CustomerID=A --set-json \'MainContact={"Email": "a@b"}\' --mode insert --read-back',
        {
            "kind": "upsert",
            "entity": "Customer",
            "record": {"CustomerID": "A", "MainContact": {"Email": "a@b"}},
            "mode": "insert",
            "read_back": True,
        },
    ),
    (
        "delete SalesOrder --key SO --key 000012 --lane bulk",
        {"kind": "delete", "entity": "SalesOrder", "keys": ["SO", "000012"], "lane": "bulk"},
    ),
    (
        "inquire BI-Inventory --interface gi --filter 'Qty gt 1' --select A,B --limit 3",
        {
            "kind": "inquiry",
            "entity": "BI-Inventory",
            "interface": "gi",
            "filter": "Qty gt 1",
            "select": ["A", "B"],
            "limit": 3,
        },
    ),
]


@pytest.fixture
def handed_in(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """The jobs that commands hand in, in place of their being handed in."""
    jobs: list[Asked] = []
    monkeypatch.setattr(change_commands, "hand_in", lambda job, **_: jobs.append(job))
    return jobs


def run(line: str) -> Result:
    """Run a command as a shell would."""
    return CliRunner().invoke(main, shlex.split(line), catch_exceptions=False)


@pytest.mark.parametrize(("line", "said"), COMMANDS)
def test_a_command_says_what_its_options_say(handed_in: list[Asked], line: str, said: dict[str, Any]) -> None:
    """Each option is in the job that is handed in, and nothing else is."""
    assert run(line).exit_code == 0
    assert [job.wire() for job in handed_in] == [{**said, "form": 2}]


def test_a_file_is_kept_before_its_job_is_handed_in(
    handed_in: list[Asked], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The job of an upload names the file's content by size and hash, and the file by its own name."""

    class Keeper:
        """A client that keeps a file."""

        def keep(self, path: Path) -> Source:
            """Its size, and a hash."""
            return Source(size=path.stat().st_size, sha256="0" * 64)

    monkeypatch.setattr(change_commands, "new_client", Keeper)
    path = tmp_path / "picture.jpg"
    path.write_bytes(b"bytes")
    assert run(f"upload StockItem {shlex.quote(str(path))} --key AALEGO500 --comment new").exit_code == 0
    [job] = handed_in
    assert job.wire() == {
        "kind": "upload",
        "form": 2,
        "entity": "StockItem",
        "keys": ["AALEGO500"],
        "name": "picture.jpg",
        "source": {"size": 5, "sha256": "0" * 64},
        "comment": "new",
    }


def test_the_lines_of_the_guide_are_commands(handed_in: list[Asked]) -> None:
    """Every line under By hand in docs/changes.md hands in one job."""
    [block] = re.findall(r"^```\n(acuworker .*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    lines = block.splitlines()
    assert [run(line.removeprefix("acuworker ")).exit_code for line in lines] == [0] * len(lines)
    assert [job.kind for job in handed_in] == ["action", "upsert", "delete", "inquiry"]

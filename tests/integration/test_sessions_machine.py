"""A few runs of the state machine that ``make chaos`` plays 500 of: the real pools against the real sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos.model.stage import staged
from tests.chaos.modelled import SANDBOX, how, play_runs
from tests.sandbox_process import start_sandbox


def test_whatever_happens_no_session_is_one_too_many(store_url: str, tmp_path: Path) -> None:
    """Kills, losses, faults and hours in any order: never a session too many, none left, and always one in time."""
    events = tmp_path / "events.ndjson"
    told: list[Mapping[str, Any]] = []
    with (
        start_sandbox("--control", "--events", str(events), *SANDBOX) as sandbox,
        staged(sandbox, store_url, events) as stage,
    ):
        play_runs(stage, told.append, how(15, 30, at_random=False))
    runs = [line for line in told if line["what"] == "run"]
    done = sum((Counter(run["acts"]) for run in runs), Counter())
    assert len(runs) >= 15
    assert sum(number for act, number in done.items() if act.endswith("killed")) > 0

"""What the players of ``make chaos`` decide before they play: which guards there are, and who is killed where."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.chaos import seats
from tests.chaos.checks import CHECKS
from tests.chaos.judge import seats as seats_judge
from tests.chaos.judge.__main__ import JUDGES
from tests.chaos.killpoints import POINTS

ROOT = Path(__file__).resolve().parents[2]


def test_each_check_has_its_judge_and_a_control() -> None:
    """Nothing is played that nobody judges, and nothing is judged that has not been seen to fail."""
    assert CHECKS.keys() <= JUDGES.keys()
    assert all(check.controls for check in CHECKS.values())


def test_every_guard_is_where_the_sabotage_takes_it_out() -> None:
    """A guard that has moved is noticed here, not after a control that passed."""
    code = (
        "from tests.chaos.sabotage import GUARDS; [take_out() for take_out in GUARDS.values()];"
        "from worker.erp import license, slots; license.source('waiters.lua'); slots.render()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_judge_asks_for_every_point_that_there_is() -> None:
    """The judge has a list of its own of where a worker can be killed, and it is the same."""
    assert set(seats_judge.POINTS) == set(POINTS)
    assert set(POINTS) >= seats.CUT_OFF


def test_every_point_is_dealt_to_a_scene_where_it_happens() -> None:
    """Each point is hit so often in all, by scenes that come to it, and no scene has much more to do than another."""
    parts = seats.dealt(seats.FULL, random.Random(3))
    hits = Counter(point for part in parts for point in part.points)
    assert hits == dict.fromkeys(POINTS, seats.FULL.rounds)
    assert sum(hits.values()) + len(parts) >= seats_judge.FEWEST_KILLS
    for part in parts:
        assert all(part.renews for point in part.points if point.startswith("refresh"))
        assert not any(part.renews for point in part.points if point.startswith("sign"))
    assert max(len(part.points) for part in parts) <= 2 * min(len(part.points) for part in parts)

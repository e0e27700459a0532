"""When a consumer is taken to be deaf: from what is seen of it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from worker.watchdog import TURN_SECONDS, Doubt, Sight, doubt_about


def seen(at: float, **other: Any) -> Sight:
    """A consumer that is well: it turned just now, has received two messages, has room, and none waits."""
    usual: dict[str, Any] = {"turned_at": at, "received": 2, "room": True, "waiting": 0}
    return Sight(at=at, **(usual | other))


STUCK = {"turned_at": 100.0 - TURN_SECONDS - 0.1}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({}, None),
        ({"turned_at": 100.0 - TURN_SECONDS}, None),
        (STUCK, "its loop stands still"),
        ({**STUCK, "waiting": None}, None),
        ({"waiting": 3}, "messages wait and it is given none"),
        ({"waiting": 3, "room": False}, None),
        ({"waiting": None}, None),
    ],
)
def test_what_gives_rise_to_doubt(other: dict[str, Any], why: str | None) -> None:
    """A loop that stands still, or messages that wait while there is room; never while the broker is away."""
    doubt = doubt_about(seen(100.0, **other), None)
    assert (doubt and doubt.why) == why


def test_a_doubt_grows_while_nothing_is_received() -> None:
    """Looks in a row are counted, until a message comes or all is well; how much time passed does not matter."""
    why = "messages wait and it is given none"
    first = doubt_about(seen(100.0, waiting=1), None)
    assert first == Doubt(why, 2)
    assert doubt_about(seen(9000.0, waiting=5), first) == Doubt(why, 2, looks=2)
    assert doubt_about(seen(102.0, waiting=5, received=3), first) == Doubt(why, 3)
    assert doubt_about(seen(102.0), first) is None


def test_another_doubt_begins_anew() -> None:
    """A loop that stands still is not as deaf as long as messages have waited before."""
    before = Doubt("messages wait and it is given none", 2, looks=5)
    assert doubt_about(seen(100.0, **STUCK), before) == Doubt("its loop stands still", 2)

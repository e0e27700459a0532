"""What stands in the way of a session, as the store has it, is the error that jobs wait with."""

from __future__ import annotations

from typing import Any

import pytest

from worker.erp.barred import JITTER_SECONDS, stopped_by
from worker.errors import (
    ConnectionPaused,
    ErpAway,
    LoginLimit,
    LoginNeeded,
    SignInRefused,
    TenantMismatch,
    UserLoginLimit,
    Waiting,
    WorkerError,
)

NOON = 1_700_049_600_000


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ({"answer": "refused", "message": "wrong"}, SignInRefused, "wrong; no other sign-in is tried until"),
        (
            {"answer": "refused", "message": "elsewhere", "code": "TenantMismatch"},
            TenantMismatch,
            "elsewhere; no",
        ),
        ({"answer": "full", "of": "license", "message": "full", "left": 10}, LoginLimit, "full"),
        ({"answer": "full", "of": "user", "message": "full", "left": 10}, UserLoginLimit, "full"),
        ({"answer": "login"}, LoginNeeded, "acuworker login shop"),
        (
            {"answer": "paused", "message": "upgrade", "halts": True},
            ConnectionPaused,
            "is paused (upgrade): acuworker resume shop",
        ),
        (
            {"answer": "away", "message": "down (503)", "left": 2000, "over": NOON, "halts": True},
            ErpAway,
            "down (503): connection 'shop' pauses by itself until 12:00:00 UTC; acuworker resume shop tries at once",
        ),
    ],
)
def test_what_stands_in_the_way_is_an_error(
    answer: dict[str, Any], kind: type[WorkerError], words: str
) -> None:
    """Each answer of the store is one error that is waited with, in words that tell the way out."""
    error = stopped_by(answer, "shop")
    assert type(error) is kind
    assert isinstance(error, Waiting)
    assert words in error.message


def test_jobs_come_back_when_the_pause_is_over() -> None:
    """A job is left for as long as the pause is, and not all jobs come in the same second."""
    answer = {"answer": "away", "message": "down", "left": 2000, "over": NOON}
    errors = [stopped_by(answer, "shop") for _ in range(50)]
    seconds = {error.seconds for error in errors if isinstance(error, ErpAway)}
    assert all(2.0 <= each <= 2.0 + JITTER_SECONDS for each in seconds)
    assert len(seconds) > 1
    assert {error.state for error in errors if isinstance(error, ErpAway)} == {"waiting_for_erp"}

"""An operator's commands: which sessions may be signed out, and what the others are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.test_fleet import slot
from worker.erp.slots import State
from worker.errors import Misconfigured, SessionsBusy
from worker.operate import TOKEN_FILE_LENGTH, require_closable, token_in


@pytest.mark.parametrize("state", [State.OPEN, State.CLOSING])
def test_a_session_that_nobody_uses_may_be_closed(state: State) -> None:
    """One that is open and idle, or half closed, is signed out."""
    require_closable(slot(state), "default#1")


@pytest.mark.parametrize(
    ("facts", "way_out"),
    [
        (
            {"state": State.OPEN, "lent": True, "holder": "a@h/7"},
            "slot 2 of license 'default' is lent to a@h/7: acuworker pause default has it signed out",
        ),
        (
            {"state": State.INTENT, "holder": "a@h/7"},
            "is being signed in by a@h/7: try again in a few seconds",
        ),
        (
            {"state": State.QUARANTINE},
            "nobody has its token: it is over in 1 min 0 s; or acuworker sessions release default 2",
        ),
        (
            {"state": State.OPEN, "mark": "default#2"},
            "is another user's, as the connection has changed: it is over in 1 min 0 s; or acuworker sessions release",
        ),
    ],
)
def test_another_is_refused_with_the_way_out(facts: dict[str, Any], way_out: str) -> None:
    """One that is lent, being opened, unknown or somebody else's is left alone, and what to do is said."""
    with pytest.raises(SessionsBusy) as refused:
        require_closable(replace(slot(State.OPEN), **facts), "default#1")
    assert way_out in refused.value.line


@pytest.mark.parametrize("content", [b"to-ken_1", b"  to-ken_1\r\n", b"\nto-ken_1"])
def test_a_token_is_read_from_a_file(content: bytes) -> None:
    """Blanks and line ends around a token are not part of it."""
    assert token_in(content).get_secret_value() == "to-ken_1"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"Bearer canary", "as a header does"),
        (b"Authorization: Bearer canary", "as a header does"),
        (b"canary\nother", "more than one word or line"),
        (b'{"access_token":"canary"}', "holds no access token"),
        (b"\xff\xd8canary", "holds no access token"),
        (b"canary" * TOKEN_FILE_LENGTH, "holds no access token"),
    ],
)
def test_a_file_without_a_token_is_refused(content: bytes, what: str) -> None:
    """What a file holds in place of a token is said, and what would be right, and nothing of it is shown."""
    with pytest.raises(Misconfigured) as refused:
        token_in(content)
    assert what in refused.value.line
    assert "write the bare access_token" in refused.value.line
    assert "canary" not in refused.value.line

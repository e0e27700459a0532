"""Jobs that change something are a stranger's data too: what cannot be sent is refused, naming the field."""

from __future__ import annotations

from typing import Any

import pytest

from worker import kinds
from worker.errors import JobRefused

UPLOAD: dict[str, Any] = {
    "kind": "upload",
    "entity": "StockItem",
    "keys": ["AALEGO500"],
    "name": "a.bin",
    "source": {"size": 1, "sha256": "0" * 64},
}


def nested(levels: int) -> dict[str, Any]:
    """An object with so many levels within each other."""
    body: dict[str, Any] = {"Description": "x"}
    for _ in range(levels):
        body = {"Linked": body}
    return body


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (UPLOAD | {"name": ".."}, "name", "a dot or a blank at its end"),
    (UPLOAD | {"name": "a "}, "name", "a dot or a blank at its end"),
    (UPLOAD | {"name": "../a"}, "name", "without any of /"),
    (UPLOAD | {"name": "a\x7fb"}, "name", "without any of /"),
    (UPLOAD | {"name": ""}, "name", "at most 200"),
    (UPLOAD | {"comment": " by a job"}, "comment", "without blanks around"),
    (UPLOAD | {"comment": "a\r\nX-Evil: 1"}, "comment", "printable ASCII"),
    (UPLOAD | {"source": {"sha256": "0" * 64}}, "source.size", "is missing: source must be an object"),
    ({"kind": "upsert", "entity": "SalesOrder", "record": nested(300)}, "job", "more levels"),
]


@pytest.mark.parametrize(("body", "field", "words"), REFUSED, ids=lambda value: str(value)[-40:])
def test_what_cannot_be_sent(body: dict[str, Any], field: str, words: str) -> None:
    """What no header, no path and no parser would take is refused in our words, before anything is asked."""
    with pytest.raises(JobRefused, match=words) as caught:
        kinds.parse(body)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "more", [{"comment": ""}, {"comment": "by a job"}, {"name": ".x"}, {"name": "é b.c"}]
)
def test_what_can_be_sent(more: dict[str, Any]) -> None:
    """Ordinary names and comments are taken."""
    assert kinds.parse(UPLOAD | more).wire() == {"form": 2, **UPLOAD, **more}

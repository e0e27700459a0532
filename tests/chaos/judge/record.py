"""What a check left behind, as the judge reads it: the sandbox's event log, the facts of its setting, the results.

Times are monotonic nanoseconds of one machine. A file that is missing or broken raises Unreadable: nothing is judged
that cannot be seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

SECOND = 10**9
MINUTE = 60 * SECOND

Line = Mapping[str, Any]


class Unreadable(Exception):
    """What a check should have left is not there."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """All that a verdict rests on."""

    events: Sequence[Line]
    facts: Mapping[str, Any]
    results: Sequence[Line]
    oracle: Mapping[str, Sequence[Line]]
    store: Mapping[str, Any] = field(default_factory=dict)
    """The value of every key of the store at the end."""

    @property
    def limits(self) -> Mapping[str, Any]:
        """The limits that held."""
        found: Mapping[str, Any] = self.facts["limits"]
        return found

    @property
    def is_small(self) -> bool:
        """Whether this is the small version, which the tests run beside much else on the same cores."""
        return bool(self.facts.get("size") == "small")

    def mark(self, name: str) -> int:
        """When something was begun or ended. Raises Unreadable where it never was."""
        found = self.marks(name)
        if not found:
            raise Unreadable(f"the mark {name!r} is missing: the check did not get so far")
        return found[0]

    def marks(self, name: str) -> Sequence[int]:
        """Each time that it was."""
        return [int(mark["at"]) for mark in self.facts["marks"] if mark["name"] == name]


def read(directory: Path) -> Record:
    """The record in a directory. Raises Unreadable."""
    if not (directory / "store.json").exists():
        raise Unreadable(f"{directory / 'store.json'} is missing: the check did not get to its end")
    oracle = directory / "oracle.json"
    return Record(
        events=tuple(_lines(directory / "events.ndjson")),
        facts=_json(directory / "facts.json"),
        results=tuple(_lines(directory / "results.ndjson")),
        oracle=_json(oracle) if oracle.exists() else {},
        store={key: told["value"] for key, told in _json(directory / "store.json").items()},
    )


def read_scenes(directory: Path) -> Sequence[Record]:
    """The records of a check of several scenes, each in a directory of its own. Raises Unreadable."""
    scenes = (
        [read(path) for path in sorted(directory.iterdir()) if path.is_dir()] if directory.is_dir() else []
    )
    if not scenes:
        raise Unreadable(f"{directory} holds no scene: the check has not begun")
    return scenes


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path} cannot be read: {error}") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path), parse_float=Decimal)
    except ValueError as error:
        raise Unreadable(f"{path} is not JSON: {error}") from None


def _lines(path: Path) -> Iterator[Line]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        try:
            yield json.loads(line, parse_float=Decimal)
        except ValueError:
            raise Unreadable(f"line {number} of {path} is not JSON") from None

"""What a contender says to the bench by its pipes, so that what is timed is its work alone.

It says ``ready`` once it is signed in, waits for a line, works, says ``done``, and at last ``saved``. What it is told
comes as JSON by its standard input, so that no secret is on a command line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TextIO


def told() -> dict[str, Any]:
    """What the bench tells a contender first."""
    read: dict[str, Any] = json.loads(sys.stdin.readline())
    return read


def begin() -> None:
    """Be ready, and wait for the start."""
    _say("ready")
    sys.stdin.readline()


def done(**facts: object) -> None:
    """The work is done; what is timed ends here. Waits until it was looked at."""
    _say(json.dumps(facts))
    sys.stdin.readline()


def saved() -> None:
    """The records are in their file."""
    _say("saved")


def records_file(path: str) -> TextIO:
    """Where a contender writes its records, a line of JSON each."""
    return Path(path).open("w", encoding="utf-8")


def _say(line: str) -> None:
    # What a library prints must not come between.
    print(line, file=sys.__stdout__, flush=True)

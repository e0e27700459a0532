"""A worker that is told to stop while a write is in flight gets the time for it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from worker import unfinished
from worker.supervisor import Program
from worker.unfinished import Word

WRITES = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
word = os.path.join(sys.argv[1], f"writing-{os.getpid()}")
for _ in range(8):
    open(word, "w").close()
    time.sleep(0.1)
"""


def test_a_word_stands_while_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands from when it is said, until it is taken back, or nobody has said it again."""
    word = Word(tmp_path, 1)
    stood = [Word(tmp_path, 1).stands]
    word.say()
    stood.append(Word(tmp_path, 1).stands)
    monkeypatch.setattr(unfinished, "FRESH_SECONDS", 0.0)
    stood.append(Word(tmp_path, 1).stands)
    monkeypatch.undo()
    word.take_back()
    stood.append(Word(tmp_path, 1).stands)
    assert stood == [False, True, False, False]
    Word(tmp_path / "nowhere", 1).say()


def test_a_worker_that_writes_is_not_killed(tmp_path: Path) -> None:
    """The supervisor's patience is over before the write is; it waits, and the worker ends by itself."""
    program = Program(
        "writer", lambda: [sys.executable, "-c", WRITES, str(tmp_path)], os.environ, [], tmp_path
    )
    program.start()
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    program.await_end(0.05)
    assert program.ending() == "with status 0"
    assert list(tmp_path.iterdir()) == []

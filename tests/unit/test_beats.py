"""What a probe sees of this machine's workers, by the files that they hold."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from worker.beats import STALE_SECONDS, Beat, living

HOLD = "import sys; from pathlib import Path; from worker.beats import Beat\n"
HOLD += "Beat(Path(sys.argv[1]), 'bulk-1@here').begin(); print('held', flush=True); sys.stdin.read()"


def held(var: Path) -> subprocess.Popen[str]:
    """Another process that holds the file of a worker."""
    command = [sys.executable, "-c", HOLD, str(var)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def age(var: Path) -> None:
    """Let the file of the worker be older than a worker's that is well."""
    before = time.time() - STALE_SECONDS - 1
    os.utime(var / "workers" / "bulk-1@here", (before, before))


def test_a_worker_that_beats_is_well(tmp_path: Path) -> None:
    """A worker is seen while it lives, and is not well when it has not beaten for a while."""
    with held(tmp_path) as process:
        (one,) = living(tmp_path)
        assert (one.node, one.is_well) == ("bulk-1@here", True)
        age(tmp_path)
        (one,) = living(tmp_path)
        assert not one.is_well
        process.kill()


def test_a_killed_worker_is_seen_no_more(tmp_path: Path) -> None:
    """What a kill leaves behind is no worker, and is taken away once it is old."""
    with held(tmp_path) as process:
        process.kill()
    assert living(tmp_path) == []
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["bulk-1@here"]
    age(tmp_path)
    assert living(tmp_path) == []
    assert list((tmp_path / "workers").iterdir()) == []


def test_an_end_leaves_nothing(tmp_path: Path) -> None:
    """A worker that ends takes its file away; where nothing ever ran, nobody is seen."""
    assert living(tmp_path) == []
    beat = Beat(tmp_path, "bulk-1@here")
    beat.begin()
    beat.tell()
    beat.end()
    assert list((tmp_path / "workers").iterdir()) == []


def test_a_file_that_cannot_be_kept_stops_nobody(tmp_path: Path) -> None:
    """A worker goes on where it cannot keep its file."""
    (tmp_path / "var").write_text("a file")
    beat = Beat(tmp_path / "var", "bulk-1@here")
    beat.begin()
    beat.tell()
    beat.end()

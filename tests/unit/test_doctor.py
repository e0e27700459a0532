"""doctor's decisions: private files, a writable place for blobs, whose sessions there are."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from worker.doctor import Findings, require_private, require_writable, taken
from worker.erp.sessions import SlotView
from worker.errors import BlobsUnavailable, ErpUnreachable, Misconfigured


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_found(tmp_path: Path, mode: int) -> None:
    """A file with rights for others is refused, with the command that mends it."""
    path = tmp_path / "store.key"
    path.touch()
    path.chmod(mode)
    with pytest.raises(Misconfigured, match=f"chmod 600 {path}"):
        require_private(path)
    path.chmod(0o600)
    require_private(path)


def test_a_directory_is_private_at_700(tmp_path: Path) -> None:
    """A directory is to be 700; one that is not there yet is no fault."""
    tmp_path.chmod(0o755)
    with pytest.raises(Misconfigured, match="chmod 700"):
        require_private(tmp_path)
    require_private(tmp_path / "none")


def test_blobs_need_a_directory_that_can_be_made(tmp_path: Path) -> None:
    """A place for blobs may be missing, but not lie below a file."""
    require_writable(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(BlobsUnavailable, match="set ACUWORKER_BLOBS"):
        require_writable(tmp_path / "file" / "blobs")


def test_what_may_be_open_counts_as_taken() -> None:
    """Every slot of the connection that is not free counts, and no slot of another."""
    states = ["free", "open", "intent", "closing", "quarantine"]
    slots = [
        SlotView(connection=name, slot=at, state=state, generation=1, seconds=0, lent=False)
        for name in ("a", "b")
        for at, state in enumerate(states)
    ]
    assert taken(slots, "a") == 4
    assert taken(slots, "c") == 0


def test_each_check_is_one_line() -> None:
    """A check that went well says what it found, a failed one why, in one line each however long."""
    page = StringIO()
    findings = Findings(Console(file=page, width=40))
    with findings.of("store") as say:
        say("version 9")
        say("no hints")
    well_so_far = findings.all_well
    with pytest.raises(ErpUnreachable), findings.of("default: instance"):
        raise ErpUnreachable("no way\nto [bold]it[/bold], " + "at all, " * 20)
    assert (well_so_far, findings.all_well) == (True, False)
    first, second = page.getvalue().splitlines()
    assert first.split() == ["store", "ok", "version", "9;", "no", "hints"]
    assert second.startswith("default: instance         FAILED no way to [bold]it[/bold], at all,")

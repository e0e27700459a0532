"""doctor's decisions: private files, a writable place for blobs, a store that lasts, and how it says so."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.unit.test_fleet import LICENSE, slot
from worker.doctor import Findings, require_a_prospect, require_lasting, require_private
from worker.erp.slots import State
from worker.errors import ErpUnreachable, Misconfigured, SessionsBusy, StoreUnavailable
from worker.settings import License


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


@pytest.mark.parametrize(
    ("says", "wrong"),
    [
        ({}, None),
        (
            {
                "aof_last_write_status": "ok",
                "aof_last_bgrewrite_status": "ok",
                "rdb_last_bgsave_status": "ok",
            },
            None,
        ),
        ({"aof_last_write_status": "err"}, "append-only file"),
        ({"aof_last_bgrewrite_status": "err"}, "append-only file anew"),
        ({"rdb_last_bgsave_status": "err"}, "snapshot"),
    ],
)
def test_a_store_that_cannot_write_is_found(says: dict[str, str], wrong: str | None) -> None:
    """A store that failed to write down what it was told is refused, with what it could not write."""
    if wrong is None:
        require_lasting(says)
    else:
        with pytest.raises(StoreUnavailable, match=f"cannot write its {wrong}: look for room"):
            require_lasting(says)


@pytest.mark.parametrize(
    ("states", "seconds", "hopeless"),
    [
        ([], 0, False),
        ([State.QUARANTINE], 3600, True),
        ([State.QUARANTINE], 30, False),
        ([State.QUARANTINE, State.OPEN], 3600, False),
    ],
)
def test_a_license_without_a_prospect_is_found(states: list[State], seconds: float, hopeless: bool) -> None:
    """Only where no slot can come free in time there is nothing to wait for."""
    slots = [replace(slot(state), seconds=seconds) for state in states]
    filed = License(name="default", max_sessions=max(1, len(states)))
    view = replace(LICENSE, filed=filed, in_force=filed, slots=slots)
    if hopeless:
        with pytest.raises(SessionsBusy, match="1 h 0 min more: acuworker sessions release default 2"):
            require_a_prospect(view)
    else:
        require_a_prospect(view)


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
    findings.skip("default: session", "no store")
    first, second, third = page.getvalue().splitlines()
    assert third.split() == ["default:", "session", "skipped", "no", "store"]
    assert first.split() == ["store", "ok", "version", "9;", "no", "hints"]
    assert second.startswith("default: instance              FAILED  no way to [bold]it[/bold], at all,")

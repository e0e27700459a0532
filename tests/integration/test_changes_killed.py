"""Changes whose worker dies, or loses the store, at any of their steps: sent once, and never called what they
are not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors
from tests.runner_bench import Killed
from tests.sandbox_process import Sandbox, start_sandbox
from worker.blobs.names import file_key
from worker.errors import OperationFailed, OutcomeUnknown, StoreUnavailable
from worker.jobstore import LEASE_SECONDS
from worker.runner import Done, Failed

BYTES = b"a file"
CHANGES: tuple[dict[str, Any], ...] = (
    {
        "kind": "upsert",
        "entity": "SalesOrder",
        "mode": "insert",
        "record": {"OrderType": "SO", "CustomerID": "C000000003"},
    },
    {"kind": "delete", "entity": "Case"},
    {"kind": "action", "entity": "Case", "action": "Close", "custom": {"FilterPreview.Reason": "Abandoned"}},
    {
        "kind": "upload",
        "entity": "Case",
        "name": "a.txt",
        "source": {"size": len(BYTES), "sha256": hashlib.sha256(BYTES).hexdigest()},
    },
)
STEPS = (("checkpoint", 1), ("checkpoint", 2), ("finish", 1))
CASES = [(change, step) for change in CHANGES for step in STEPS] + [(CHANGES[2], ("put_off", 1))]
METHODS = {"upsert": "PUT", "delete": "DELETE", "action": "POST", "upload": "PUT"}


@pytest.fixture(scope="module")
def erp() -> Iterator[Sandbox]:
    """A newer build, on which closing a case is a long operation."""
    with start_sandbox("--control", "--build", "2025R1", "--operation-seconds", "0.1") as running:
        running.control("operations", {"long": ["Case/Close"]}, "PATCH")
        yield running


@pytest.fixture
def bench(erp: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> ErpBench:
    """A worker of that ERP, with a file in its blob store."""
    erp.control("close-sessions")
    made = ErpBench(erp, store_url, floors, tmp_path, version="24.200.001")
    spool = made.blobs.spool()
    spool.write(BYTES)
    made.blobs.share(file_key(hashlib.sha256(BYTES).hexdigest()), spool)
    spool.close()
    return made


def dying(
    step: Callable[..., Any], error: Callable[[], BaseException], number: int, *, after: bool
) -> Callable[..., Any]:
    """A step of the store that fails the so-many-th time, before or after the store has taken it."""
    left = [number]

    def fails(*args: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and not after:
            raise error()
        told = step(*args)
        if left[0] == 0:
            raise error()
        return told

    return fails


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [Killed, partial(StoreUnavailable, "away")], ids=["killed", "away"])
@pytest.mark.parametrize(
    ("change", "step"), CASES, ids=lambda each: each["kind"] if "kind" in each else str(each)
)
def test_sent_once_whatever_dies(
    bench: ErpBench,
    change: dict[str, Any],
    error: Callable[[], BaseException],
    step: tuple[str, int],
    after: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A change is made once or, where it says that nobody knows, once at most; what says that it is done has been."""
    monkeypatch.setattr("worker.runner.RETRY_PAUSE", 0.0)
    if change["entity"] == "Case":
        made = {"kind": "upsert", "entity": "Case", "record": {"Subject": "A leak"}}
        change = {**change, "id": bench.records(made, "case")[0]["id"]}
    bench.sandbox.control("events", method="DELETE")
    with monkeypatch.context() as patch:
        name, number = step
        patch.setattr(bench.jobs, name, dying(getattr(bench.jobs, name), error, number, after=after))
        with suppress(Killed):
            bench.take("j", change)
    bench.later(LEASE_SECONDS + 1)
    bench.swept()
    outcome = bench.outcome(change)
    sent = len(bench.sent(METHODS[change["kind"]]))
    if isinstance(outcome, Failed):
        assert isinstance(outcome.error, OutcomeUnknown)
        assert sent <= 1
    else:
        assert isinstance(outcome, Done)
        assert sent == 1


@pytest.mark.parametrize("error", [Killed, partial(StoreUnavailable, "away")], ids=["killed", "away"])
@pytest.mark.parametrize(("step", "number"), [("finish", 1), ("checkpoint", 3)])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("words", [None, "The case is locked."], ids=["done", "failed"])
def test_an_operation_that_is_over_is_told_as_it_was(
    bench: ErpBench,
    error: Callable[[], BaseException],
    step: str,
    number: int,
    after: bool,
    words: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job knows how its long operation ended, though a worker dies, or loses the store, as it hears of that."""
    monkeypatch.setattr("worker.runner.RETRY_PAUSE", 0.0)
    made = {"kind": "upsert", "entity": "Case", "record": {"Subject": "A leak"}}
    change = {**CHANGES[2], "id": bench.records(made, "case")[0]["id"]}
    bench.sandbox.control("events", method="DELETE")
    if words:
        bench.sandbox.control("fail-operation", {"words": words})
    with monkeypatch.context() as patch:
        patch.setattr(bench.jobs, step, dying(getattr(bench.jobs, step), error, number, after=after))
        with suppress(Killed):
            bench.outcome(change)
    bench.later(LEASE_SECONDS + 1)
    bench.swept()
    outcome = bench.outcome(change)
    if words:
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, OperationFailed)
        assert words in outcome.error.message
    else:
        assert isinstance(outcome, Done)
    assert len(bench.sent("POST")) == 1

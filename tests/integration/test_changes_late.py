"""Changes of which a word comes late: of an attempt whose job has gone to another worker, of a slow store, of another
version, or when the job's time has passed. Each is sent once, and what its job says of it is true."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors
from tests.runner_bench import Killed
from tests.sandbox_process import Sandbox, start_sandbox
from worker.erp.caller import Caller, Use
from worker.erp.deadline import Deadline
from worker.errors import JobCancelled, OutcomeUnknown, StoreUnavailable
from worker.job import Lane
from worker.jobstore import LEASE_SECONDS
from worker.runner import Done, Failed, Outcome, Parked
from worker.sending import Sender

CLOSE = "/MyStoreInstance/entity/Default/24.200.001/Case/Close"
INSERT = {"kind": "upsert", "entity": "Case", "record": {"Subject": "A leak"}}


@pytest.fixture(scope="module")
def erp() -> Iterator[Sandbox]:
    """A newer build, on which closing a case is a long operation."""
    with start_sandbox("--control", "--build", "2025R1", "--operation-seconds", "2") as running:
        yield running


@pytest.fixture
def bench(erp: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> ErpBench:
    """A worker of that ERP with two sessions, whose log is empty but for what a test does."""
    erp.control("faults", method="DELETE")
    erp.control("operations", {"long": ["Case/Close"]}, "PATCH")
    erp.control("close-sessions")
    erp.control("events", method="DELETE")
    return ErpBench(erp, store_url, floors, tmp_path, version="24.200.001", max_sessions=2)


def closing(bench: ErpBench) -> dict[str, Any]:
    """A job that closes a case of its own, which takes the ERP a while."""
    (made,) = bench.records(INSERT, "case")
    return {
        "kind": "action",
        "entity": "Case",
        "action": "Close",
        "id": made["id"],
        "custom": {"FilterPreview.Reason": "Abandoned"},
    }


def claims(bench: ErpBench) -> int:
    """How many sessions are kept for a long operation."""
    return sum(bench.client.hlen(key) for key in bench.client.keys("*long_operations"))


def end(bench: ErpBench, body: dict[str, Any]) -> Done | Failed:
    """How a job ends, which is delivered when its time has come, and its operations have theirs too."""
    for _ in range(40):
        ended: Outcome = bench.take("j", body)
        if isinstance(ended, (Done, Failed)):
            return ended
        time.sleep(0.2)
        bench.later(60.0)
        bench.swept(*Lane)
    raise AssertionError("the job does not end")


def go_to_another(bench: ErpBench) -> None:
    """Let the job's worker be taken for dead, and another begin."""
    bench.later(LEASE_SECONDS + 1)
    bench.swept(*Lane)
    bench.another()


class Held:
    """Holds a function's calls up, until they may go on."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._met, self._free = threading.Event(), threading.Event()

    def __call__(self, *args: Any, **named: Any) -> Any:
        self._met.set()
        assert self._free.wait(60)
        return self._function(*args, **named)

    def until_met(self) -> None:
        """Until somebody has called it."""
        assert self._met.wait(20)

    def free(self) -> None:
        """Let all go on."""
        self._free.set()


def test_a_late_attempt_leaves_the_session_kept(bench: ErpBench) -> None:
    """An attempt that comes to send when its job is another's sends nothing, and gives up no session that is kept."""
    body = closing(bench)
    held = Held(bench.gateway.schema)
    bench.gateway.schema = held  # type: ignore[method-assign]
    late = threading.Thread(target=bench.take, args=("j", body))
    late.start()
    held.until_met()
    go_to_another(bench)
    assert isinstance(bench.take("j", body), Parked)
    # With the session in use that is kept, the late one gets the other.
    somebody = Caller(lane=Lane.INTERACTIVE, deadline=Deadline(60), job_id="other")
    with bench.gateway.way("default").pool.lease(somebody, Use(what="SalesOrder")):
        held.free()
        late.join()
    assert claims(bench) == 1
    assert isinstance(end(bench, body), Done)
    assert len(bench.sent("POST")) == 1


def test_a_late_attempt_claims_nothing(bench: ErpBench) -> None:
    """An attempt that waited for the store, while another began the operation, claims no session besides."""
    body = closing(bench)
    budget = bench.gateway.way("default").budget
    asking, back, met = budget._ask, threading.Event(), threading.Event()

    def away(*args: Any, **named: Any) -> Any:
        if not back.is_set():
            met.set()
            raise StoreUnavailable("away")
        return asking(*args, **named)

    budget._ask = away  # type: ignore[method-assign]
    late = threading.Thread(target=bench.take, args=("j", body))
    late.start()
    assert met.wait(20)
    go_to_another(bench)
    assert isinstance(bench.take("j", body), Parked)
    back.set()
    late.join()
    assert claims(bench) == 1
    assert isinstance(end(bench, body), Done)
    assert len(bench.sent("POST")) == 1


def test_another_versions_word_is_not_overheard(bench: ErpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can read how far a change was, it is not sent again, unless it is idempotent."""
    with monkeypatch.context() as patch:
        patch.setattr(bench.jobs, "finish", dies)
        with pytest.raises(Killed):
            bench.take("j", INSERT)
    checkpoint = json.loads(str(bench.row("checkpoint")))
    checkpoint["cursor"]["sending"]["stage"] = "as another version says it"
    bench.store.hset("acuworker:job:j", "checkpoint", json.dumps(checkpoint))
    bench.later(LEASE_SECONDS + 1)
    bench.swept(*Lane)
    ended = end(bench, INSERT)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, OutcomeUnknown)
    assert "another version" in ended.error.message
    assert len(bench.sent("PUT")) == 1


def dies(*_: object) -> None:
    """As a worker that is killed."""
    raise Killed


@pytest.mark.parametrize(
    ("keeps", "words"),
    [("sent", "it may have been sent, and the 20 s"), ("done", "the ERP has done it, and the 20 s")],
)
def test_a_deadline_hides_nothing(
    bench: ErpBench, keeps: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job whose time passes when it has been sent says so: that nobody knows, or that it was done."""
    body = {**INSERT, "deadline_seconds": 20}
    is_at = Sender.is_at
    with monkeypatch.context() as patch:

        def dies_after(sender: Sender, sending: Any) -> None:
            is_at(sender, sending)
            if sending.stage == keeps:
                raise Killed

        patch.setattr(Sender, "is_at", dies_after)
        with pytest.raises(Killed):
            bench.take("j", body)
    bench.later(21.0)
    bench.swept(*Lane)
    ended = end(bench, body)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, OutcomeUnknown)
    assert ended.error.message.startswith(words)


def test_a_deadline_of_an_operation(bench: ErpBench) -> None:
    """A job whose time passes while its operation is at work says that the ERP was at work, and where to look."""
    body = {**closing(bench), "deadline_seconds": 20}
    assert isinstance(bench.take("j", body), Parked)
    bench.later(21.0)
    bench.swept(*Lane)
    ended = end(bench, body)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, OutcomeUnknown)
    assert ended.error.message.startswith("the ERP was at work on it, and the 20 s")
    assert ended.error.message.endswith(f": look at Case {body['id']}")


def test_a_cancelled_action_that_was_declined(bench: ErpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An action that the license declined, and that is cancelled just then, keeps no session."""
    body = closing(bench)
    bench.sandbox.control("faults", {"kind": "status", "status": 429, "body": "{}", "path": CLOSE})
    not_done = Sender.not_done

    def cancelled(sender: Sender) -> None:
        bench.jobs.cancel("j")
        not_done(sender)

    monkeypatch.setattr(Sender, "not_done", cancelled)
    ended = bench.take("j", body)
    assert isinstance(ended, Failed)
    assert isinstance(ended.error, JobCancelled)
    assert claims(bench) == 0


def test_a_slow_store_is_no_doubt(bench: ErpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not sent, as the store took too long for the word before it, is known not to be, and sent anew."""
    body = closing(bench)
    is_at, slow = Sender.is_at, [0.5]

    def slowly(sender: Sender, sending: Any) -> None:
        is_at(sender, sending)
        if sending.stage == "sent" and slow:
            time.sleep(slow.pop())

    monkeypatch.setattr(Sender, "is_at", slowly)
    monkeypatch.setattr("worker.erp.sessions.USE_SECONDS", 0.4)
    assert isinstance(end(bench, body), Done)
    assert len(bench.sent("POST")) == 1

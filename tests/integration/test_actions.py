"""Actions as jobs, over real sockets: each status that the ERP may answer has its outcome, and each is sent once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors
from tests.runner_bench import Killed
from tests.sandbox_process import Sandbox, start_sandbox
from worker.errors import (
    ActionUnknown,
    DataRefused,
    EntityUnknown,
    JobInvalid,
    OperationFailed,
    OutcomeUnknown,
    RecordNotFound,
    RightsMissing,
    WorkerError,
)
from worker.jobstore import LEASE_SECONDS
from worker.runner import Done, Failed, Parked

CLOSE = {
    "kind": "action",
    "entity": "Case",
    "action": "Close",
    "custom": {"FilterPreview.Reason": "Abandoned"},
}
"""The vendor's example of a custom action (Execute a Custom Action)."""

RELEASE = {"kind": "action", "entity": "Payment", "action": "ReleasePayment"}


def dies(*_: object) -> None:
    """As a worker that is killed."""
    raise Killed


PATH = "/MyStoreInstance/entity/Default/24.200.001/Case/Close"


@pytest.fixture(scope="module")
def erp() -> Iterator[Sandbox]:
    """A newer build, whose long operations take a moment."""
    with start_sandbox("--control", "--build", "2025R1", "--operation-seconds", "0.3") as running:
        yield running


@pytest.fixture
def bench(erp: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> Iterator[ErpBench]:
    """A worker of that ERP, whose log is empty but for what a test does."""
    erp.control("faults", method="DELETE")
    erp.control("operations", {"seconds": 0.3, "long": []}, "PATCH")
    erp.control("close-sessions")
    erp.control("events", method="DELETE")
    yield ErpBench(erp, store_url, floors, tmp_path, version="24.200.001")
    erp.control("rights", {"Case": True}, "PATCH")


def case(bench: ErpBench) -> dict[str, Any]:
    """The action on a case of its own, that is open, by its id."""
    made = bench.records({"kind": "upsert", "entity": "Case", "record": {"Subject": "A leak"}}, "case")
    return {**CLOSE, "id": made[0]["id"]}


def executed(bench: ErpBench) -> int:
    """How many actions the ERP has executed."""
    return sum(event["kind"] == "action" for event in bench.sandbox.events())


def test_204_is_done(bench: ErpBench) -> None:
    """An action that is done at once is told so, and has done what it is for."""
    asked = case(bench)
    assert bench.records(asked) == [{"action": "Close", "outcome": "done", "looks": 0}]
    [found] = bench.records({"entity": "Case", "keys": [asked["id"]], "select": ["Status"]}, "after")
    assert (found["Status"], executed(bench), bench.sent("POST")) == ("Closed", 1, ["Case/Close"])


def test_202_is_waited_for(bench: ErpBench) -> None:
    """A long operation is looked at, uncounted, until it is done; the job waits between, and says so."""
    bench.sandbox.control("operations", {"seconds": 0.5, "long": ["Case/Close"]}, "PATCH")
    asked = case(bench)
    states = []
    while isinstance(outcome := bench.take("j", asked), Parked):
        states.append(bench.state().waiting_state)
        time.sleep(0.2)
        bench.later(60.0)
        bench.swept()
    assert isinstance(outcome, Done)
    assert set(states) == {"operation_running"}
    assert (executed(bench), bench.sent("POST")) == (1, ["Case/Close"])
    looks = [event for event in bench.sandbox.events() if event["kind"] == "poll"]
    assert (looks[-1]["state"], len(looks)) == ("done", len(states))


REFUSALS: tuple[tuple[int, str, type[WorkerError]], ...] = (
    (400, '{"message": "The request is invalid."}', DataRefused),
    (404, '{"message": "No HTTP resource was found."}', ActionUnknown),
    (500, '{"message": "An error has occurred.", "exceptionMessage": "It broke."}', OperationFailed),
)


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
def test_a_refusal_is_named_and_not_sent_again(
    bench: ErpBench, status: int, body: str, kind: type[WorkerError]
) -> None:
    """Invalid data, no such action, and an error inside the ERP each end the job with their own error."""
    asked = case(bench)
    bench.sandbox.control("faults", {"kind": "status", "status": status, "body": body, "path": PATH})
    outcome = bench.outcome(asked)
    assert isinstance(outcome, Failed)
    assert (type(outcome.error), len(bench.sent("POST")), executed(bench)) == (kind, 1, 0)


@pytest.mark.parametrize("status", [401, 429])
def test_what_was_not_done_is_sent_again(bench: ErpBench, status: int) -> None:
    """Not signed in any more, or declined by the license: nothing was done, so the action is sent once more."""
    asked = case(bench)
    bench.sandbox.control("faults", {"kind": "status", "status": status, "body": "{}", "path": PATH})
    assert isinstance(bench.outcome(asked), Done)
    assert (len(bench.sent("POST")), executed(bench)) == (2, 1)


def test_403_is_the_erps_words(bench: ErpBench) -> None:
    """Without rights to the form the job ends with the ERP's words."""
    asked = case(bench)
    bench.sandbox.control("rights", {"Case": False}, "PATCH")
    with pytest.raises(RightsMissing, match=r"insufficient rights to access the Case \(CR306000\) form"):
        bench.result(asked)


def test_404_of_a_custom_action(bench: ErpBench) -> None:
    """An action that the form does not have is named."""
    with pytest.raises(ActionUnknown, match="Case has no action 'Clsoe'"):
        bench.result({**case(bench), "action": "Clsoe"})


def test_422_is_a_table(bench: ErpBench) -> None:
    """What the ERP does not take is told field by field: its name, the value, and the ERP's words."""
    asked = {**case(bench), "custom": {"FilterPreview.Reason": "Boredom"}}
    with pytest.raises(DataRefused) as caught:
        bench.result(asked)
    [row] = caught.value.errors
    assert (row["field"].rpartition(".")[2], row["value"]) == ("Reason", "Boredom")
    assert "not allowed" in row["error"]
    assert bench.state().error.args == caught.value.args  # type: ignore[union-attr]


def test_a_missing_record(bench: ErpBench) -> None:
    """An action on a record that is not there ends as a reading of it does."""
    with pytest.raises(RecordNotFound):
        bench.result({**CLOSE, "id": "00000000-0000-0000-0000-00000000dead"})


def test_an_operation_that_fails(bench: ErpBench) -> None:
    """A long operation that fails at its end fails the job, in the ERP's words."""
    bench.sandbox.control("operations", {"seconds": 0.1, "long": ["Case/Close"]}, "PATCH")
    asked = case(bench)
    bench.sandbox.control("fail-operation", {"words": "The case is locked."})
    assert isinstance(bench.take("j", asked), Parked)
    time.sleep(0.3)
    with pytest.raises(OperationFailed, match="The case is locked"):
        bench.result(asked)


AMBIGUOUS: tuple[Mapping[str, Any], ...] = (
    {"kind": "reset", "when": "after"},
    {"kind": "status", "status": 503, "when": "after", "body": ""},
    {"kind": "status", "status": 504, "when": "after", "body": ""},
    {"kind": "html", "status": 200, "when": "after"},
)


@pytest.mark.parametrize("fault", AMBIGUOUS, ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}")
def test_an_ambiguous_failure_is_not_sent_again(bench: ErpBench, fault: Mapping[str, Any]) -> None:
    """Where the answer is lost nobody knows what was done: the job says so, and where to look."""
    asked = case(bench)
    bench.sandbox.control("faults", {**fault, "path": PATH})
    outcome = bench.outcome(asked)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, OutcomeUnknown)
    assert f"look at Case {asked['id']}" in outcome.error.message
    assert (len(bench.sent("POST")), executed(bench)) == (1, 1)


def test_an_idempotent_one_is_sent_again(bench: ErpBench) -> None:
    """A job that says that twice is as good as once goes on where another would not know."""
    asked = {**case(bench), "idempotent": True}
    bench.sandbox.control("faults", {"kind": "reset", "path": PATH})
    assert isinstance(bench.outcome(asked), Done)
    assert len(bench.sent("POST")) == 2


def test_what_the_schema_knows_is_refused_before(bench: ErpBench) -> None:
    """A parameter that the action does not have, or of another type, costs no request but that for the schema."""
    body = {
        "kind": "action",
        "entity": "SalesOrder",
        "action": "SalesOrderCreateShipment",
        "keys": ["SO", "000001"],
    }
    with pytest.raises(JobInvalid, match="did you mean ShipmentDate"):
        bench.result({**body, "parameters": {"ShipmentDat": "2026-01-01"}}, "a")
    with pytest.raises(JobInvalid, match="must be a date"):
        bench.result({**body, "parameters": {"ShipmentDate": "soon"}}, "b")
    with pytest.raises(JobInvalid, match="given as custom"):
        bench.result({**body, "action": "Nonsense", "parameters": {"A": 1}}, "c")
    with pytest.raises(WorkerError, match="OrderType, OrderNbr"):
        bench.result({**body, "keys": ["SO"]}, "d")
    assert bench.sent("POST") == []


def test_a_killed_worker_leaves_the_outcome_unknown(bench: ErpBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose worker died when it had sent it says that nobody knows; it is not sent again."""
    asked = case(bench)
    with monkeypatch.context() as patch:
        patch.setattr(bench.jobs, "finish", dies)
        with pytest.raises(Killed):
            bench.take("j", asked)
    bench.later(LEASE_SECONDS + 1)
    bench.swept()
    with pytest.raises(OutcomeUnknown, match="a worker died"):
        bench.result(asked)
    assert (len(bench.sent("POST")), executed(bench)) == (1, 1)


def test_an_endpoint_of_ones_own(erp: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> None:
    """An entity that is known from a custom endpoint's swagger.json alone is written, acted on and deleted."""
    bench = ErpBench(erp, store_url, floors, tmp_path, endpoint="MyStoreExt", version="1.0")
    made = {"kind": "upsert", "entity": "MyStoreWidget", "record": {"Colour": "red"}, "mode": "insert"}
    [widget] = bench.records({**made, "record": {"WidgetCD": "W1", "Colour": "red"}}, "a")
    act = {"kind": "action", "entity": "MyStoreWidget", "id": widget["id"], "action": "PaintWidget"}
    assert bench.records({**act, "parameters": {"Colour": "blue"}}, "b")[0]["outcome"] == "done"
    [painted] = bench.records({"entity": "MyStoreWidget", "keys": [widget["id"]]}, "c")
    assert painted["Colour"] == "blue"
    assert bench.records({"kind": "delete", "entity": "MyStoreWidget", "id": widget["id"]}, "d")
    with pytest.raises(EntityUnknown, match="did you mean MyStoreWidget"):
        bench.result({**act, "entity": "MyStoreWidgets", "deadline_seconds": 1}, "e")

"""Changes whose answers are odd: what is not surely done is never called done, and what is done is never sent again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.erp_bench import ErpBench
from tests.erp_floor import Floors
from tests.sandbox_process import Sandbox, start_sandbox
from worker.blobs.names import file_key
from worker.erp.network import Network
from worker.erp.writing import Writer
from worker.errors import BlobsUnavailable, OperationLost, OutcomeUnknown, SessionsBusy, StoreUnavailable
from worker.jobstate import Dropped
from worker.runner import Done, Failed, Parked

ORDER = {"kind": "upsert", "entity": "SalesOrder", "keys": ["SO", "000004"], "record": {"Description": "x"}}
DELETE = {"kind": "delete", "entity": "SalesOrder", "keys": ["SO", "000012"]}
UPLOAD = {"kind": "upload", "entity": "StockItem", "keys": ["AALEGO500"], "name": "a"}
ENDPOINT = "/MyStoreInstance/entity/Default/24.200.001"
ORDERS, CLOSE = f"{ENDPOINT}/SalesOrder", f"{ENDPOINT}/Case/Close"
PAGE = "<html><title>The site is being updated.</title></html>"

Bench = Callable[..., ErpBench]


@pytest.fixture(scope="module")
def erp() -> Iterator[Sandbox]:
    """A newer build, on which closing a case is a long operation."""
    with start_sandbox("--control", "--build", "2025R1", "--operation-seconds", "0.1") as running:
        running.control("operations", {"long": ["Case/Close"]}, "PATCH")
        yield running


@pytest.fixture
def bench(erp: Sandbox, store_url: str, floors: Floors, tmp_path: Path) -> Bench:
    """Makes a worker of that ERP, whose log is empty but for what a test does."""
    erp.control("faults", method="DELETE")
    erp.control("close-sessions")
    erp.control("events", method="DELETE")
    return lambda **more: ErpBench(erp, store_url, floors, tmp_path, version="24.200.001", **more)


def case(bench: ErpBench) -> dict[str, Any]:
    """The action on a case of its own, by its id."""
    [made] = bench.records({"kind": "upsert", "entity": "Case", "record": {"Subject": "A leak"}}, "case")
    dialog = {"FilterPreview.Reason": "Abandoned"}
    return {"kind": "action", "entity": "Case", "action": "Close", "custom": dialog, "id": made["id"]}


def source(content: bytes) -> dict[str, Any]:
    """A file's bytes, as a job names them."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def kept(bench: ErpBench, content: bytes) -> bytes:
    """The bytes of a file, which the workers' blob store has."""
    spool = bench.blobs.spool()
    spool.write(content)
    bench.blobs.share(file_key(hashlib.sha256(content).hexdigest()), spool)
    spool.close()
    return content


def arm(bench: ErpBench, **fault: Any) -> None:
    """Have the ERP's next answer spoiled."""
    bench.sandbox.control("faults", fault)


ODD_SAVES: tuple[dict[str, Any], ...] = (
    {"kind": "html"},
    {"kind": "object"},
    {"kind": "malformed"},
    {"kind": "huge", "mebibytes": 2},
    {"kind": "status", "status": 200, "body": ""},
    {"kind": "status", "status": 200, "body": "{}"},
    {"kind": "status", "status": 200, "body": '{"id": ".."}'},
    {"kind": "status", "status": 500, "body": PAGE, "content_type": "text/html"},
    {"kind": "status", "status": 524, "body": PAGE, "content_type": "text/html"},
)


@pytest.mark.parametrize("fault", ODD_SAVES, ids=lambda fault: str(list(fault.values())))
def test_a_save_that_is_not_told(bench: Bench, fault: dict[str, Any]) -> None:
    """What is no record of the ERP leaves the outcome unknown, and nothing is sent again."""
    worker = bench(max_answer_mib=1)
    arm(worker, path=ORDERS, method="PUT", when="after", **fault)
    outcome = worker.outcome(ORDER)
    assert isinstance(outcome, Failed)
    assert (type(outcome.error), worker.sent("PUT")) == (OutcomeUnknown, ["SalesOrder"])


@pytest.mark.parametrize(("method", "path"), [("POST", CLOSE), ("DELETE", ORDERS)])
def test_a_page_is_no_success(bench: Bench, method: str, path: str) -> None:
    """A page with status 200 comes from something in front of the ERP: nobody knows what was done."""
    worker = bench()
    asked = case(worker) if method == "POST" else DELETE
    arm(worker, path=path, method=method, kind="html")
    with pytest.raises(OutcomeUnknown, match="text/html"):
        worker.result(asked)


def test_words_about_syntax_are_no_filter(bench: Bench) -> None:
    """A write has no filter that could be at fault: its data are."""
    worker = bench()
    arm(worker, path=ORDERS, method="PUT", kind="status", status=400, body='{"message": "syntax error"}')
    outcome = worker.outcome(ORDER)
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "DataRefused"


def test_an_operation_without_a_place(bench: Bench) -> None:
    """One that has begun, and cannot be asked after, is unknown."""
    worker = bench()
    asked = case(worker)
    arm(worker, path=CLOSE, kind="status", status=202, body="", when="after")
    with pytest.raises(OutcomeUnknown, match="not a path of this instance"):
        worker.result(asked)
    assert worker.sent("POST") == ["Case/Close"]


def test_a_declined_action_keeps_one_session(bench: Bench) -> None:
    """Declined, and sent again, an action is looked for where it was begun, in the one session that it needs."""
    worker = bench(max_sessions=2)
    asked = case(worker)
    arm(worker, path=CLOSE, kind="status", status=429, body="{}")
    assert isinstance(worker.outcome(asked), Done)
    assert (worker.sent("POST"), worker.sandbox.tally()["sign_ins"]) == (["Case/Close"] * 2, 1)


LOOKS: tuple[dict[str, Any], ...] = (
    {"kind": "reset"},
    {"kind": "status", "status": 524, "body": PAGE, "content_type": "text/html"},
    {"kind": "status", "status": 500, "body": PAGE, "content_type": "text/html"},
)


@pytest.mark.parametrize("fault", LOOKS, ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}")
def test_a_look_that_fails_is_made_again(
    bench: Bench, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often something else answers than the ERP, the job waits on; the operation is asked after again."""
    monkeypatch.setattr("worker.erp.exchanges.FIRST_PAUSE_SECONDS", 0.0)
    worker = bench()
    asked = case(worker)
    assert isinstance(worker.take("j", asked), Parked)
    arm(worker, path=f"{CLOSE}/status", times=5, **fault)
    assert isinstance(worker.outcome(asked), Done)


def test_a_page_is_no_end_of_an_operation(bench: Bench) -> None:
    """A page in place of the ERP's answer to a look has the job wait for the ERP."""
    worker = bench()
    asked = case(worker)
    assert isinstance(worker.take("j", asked), Parked)
    arm(worker, path=f"{CLOSE}/status", kind="html")
    worker.later(60.0)
    worker.swept()
    assert isinstance(worker.take("j", asked), Parked)
    assert worker.state().waiting_state == "waiting_for_erp"


def test_an_operation_that_is_forgotten_frees_its_form(bench: Bench) -> None:
    """Where the ERP does not know the operation any more, nothing is at work: its form waits no longer."""
    worker = bench(max_sessions=1)
    asked = case(worker)
    assert isinstance(worker.take("j", asked), Parked)
    arm(worker, path=f"{CLOSE}/status", kind="status", status=404, body="{}")
    with pytest.raises(OperationLost):
        worker.result(asked)
    assert isinstance(worker.take("next", {"entity": "Case", "keys": [asked["id"]]}), Done)


RENEWED = "api offline_access"
WAYS: tuple[dict[str, str], ...] = (
    {"scope": RENEWED},
    {"scope": f"{RENEWED} api:concurrent_access"},
    {"sign_in": "cookie"},
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: next(iter(way.values())))
def test_an_operation_outlives_its_token(bench: Bench, way: dict[str, str]) -> None:
    """However the session is known, the operation is looked at in it, also once its token had to be renewed."""
    worker = bench(max_sessions=1, **way)
    asked = case(worker)
    assert isinstance(worker.take("j", asked), Parked)
    if "scope" in way:
        worker.client.hset("acuworker:{default}:slot:1", "renew", 1)
    assert isinstance(worker.outcome(asked), Done)
    assert worker.sandbox.tally()["peak_sessions"] == 1
    assert worker.sent("POST") == ["Case/Close"]


def test_a_session_that_was_closed(bench: Bench) -> None:
    """Where somebody has signed the session out nobody knows how the operation ended; it is not begun again."""
    worker = bench(max_sessions=1)
    asked = case(worker)
    assert isinstance(worker.take("j", asked), Parked)
    worker.sandbox.control("close-sessions")
    with pytest.raises(OperationLost):
        worker.result(asked)
    assert worker.sent("POST") == ["Case/Close"]


def test_a_paused_connection(bench: Bench) -> None:
    """An operation that is at work when its connection is paused is looked at again when that goes on."""
    worker = bench(max_sessions=1)
    asked = case(worker)
    pool = worker.gateway.way("default").pool
    assert isinstance(worker.take("j", asked), Parked)
    pool.member.script("pause", name="default", message="maintenance", reasoned=1)
    pool.tidy()
    worker.later(60.0)
    worker.swept()
    assert isinstance(worker.take("j", asked), Parked)
    assert worker.state().waiting_state == "waiting_for_resume"
    pool.member.script("resume", name="default", connection=pool.member.mark)
    assert isinstance(worker.outcome(asked), Done)


def test_an_idempotent_deletion_is_done_twice(bench: Bench) -> None:
    """Its answer lost, it is sent again, and that the record is gone is what was wanted."""
    worker = bench()
    arm(worker, path=ORDERS, method="DELETE", kind="reset", when="after")
    assert isinstance(worker.outcome({**DELETE, "idempotent": True}), Done)
    assert len(worker.sent("DELETE")) == 2


def test_what_cannot_be_read_back_is_unknown(bench: Bench) -> None:
    """A save that was answered is not to be tried again because it cannot be read."""
    worker = bench()
    arm(worker, path=ORDERS, method="GET", kind="status", status=404, body="{}")
    with pytest.raises(OutcomeUnknown, match="cannot be read again"):
        worker.result({**ORDER, "read_back": True})
    assert worker.sent("PUT") == ["SalesOrder"]


def test_what_is_done_is_not_cancelled(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is cancelled while the ERP saves ends as what it is: done."""
    worker = bench()

    def cancelled(put: Callable[..., Any]) -> Callable[..., Any]:
        def with_cancel(*args: Any) -> Any:
            record = put(*args)
            worker.jobs.cancel("j")
            return record

        return with_cancel

    monkeypatch.setattr(Writer, "put", cancelled(Writer.put))
    assert isinstance(worker.take("j", ORDER), Done)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), SessionsBusy("lent on")])
def test_what_is_not_claimed_is_not_sent(
    bench: Bench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no session can be kept for an action nothing is sent; it is sent once as soon as one can."""
    worker = bench()
    asked = case(worker)
    pool = worker.gateway.way("default").pool
    real, failures = pool.claim, [error]

    def claim(*args: Any) -> None:
        if failures:
            raise failures.pop()
        real(*args)

    monkeypatch.setattr(pool, "claim", claim)
    assert isinstance(worker.outcome(asked), Done)
    assert worker.sent("POST") == ["Case/Close"]


def test_a_blob_that_vanishes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read to its end once it is being sent leaves the outcome unknown."""
    worker = bench()
    content = b"some bytes"
    read: list[str] = []

    def chunks(url: str) -> Iterator[bytes]:
        yield content[:5]
        if read:
            raise BlobsUnavailable("it is gone")
        read.append(url)
        yield content[5:]

    monkeypatch.setattr(worker.blobs, "chunks", chunks)
    with pytest.raises(OutcomeUnknown, match="it is gone"):
        worker.result({**UPLOAD, "source": source(content)})


def test_an_empty_file(bench: Bench) -> None:
    """A file without a byte is attached as any other."""
    worker = bench()
    [told] = worker.records({**UPLOAD, "source": source(kept(worker, b""))})
    assert (told["outcome"], len(worker.sent("PUT"))) == ("uploaded", 1)


def test_two_deliveries_at_once(bench: Bench) -> None:
    """Of two deliveries of one job at once the second is of no use, and it is sent once."""
    worker = bench()
    arm(worker, path=ORDERS, method="PUT", kind="delay", seconds=0.5)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(worker.take, "j", ORDER)
        while not worker.gateway.is_writing:
            time.sleep(0.01)
        assert isinstance(worker.take("j", ORDER), Dropped)
        assert isinstance(first.result(), Done)
    assert worker.sent("PUT") == ["SalesOrder"]


def test_a_long_body_is_sent_to_its_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that was begun in time is sent to its end, though that takes longer than a lease lasts unheard of."""
    worker = bench()
    content = kept(worker, b"some bytes")
    given: list[bool] = []
    shorten = Network.shorten

    def watched(network: Network, timeout: float | None) -> float:
        given.append(network.send_by is network.deadline)
        return shorten(network, timeout)

    monkeypatch.setattr(Network, "shorten", watched)
    assert isinstance(worker.outcome({**UPLOAD, "source": source(content)}), Done)
    assert given[-1]
    assert isinstance(worker.outcome(ORDER, "another"), Done)
    assert not given[-1]

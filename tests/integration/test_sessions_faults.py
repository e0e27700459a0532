"""The session pool when something fails between two of its steps; what is claimed is read from the sandbox's log."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox, start_sandbox
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.license import LimitsInForce, sessions_script
from worker.erp.store import Script
from worker.erp.wire import Request, Wires
from worker.errors import DeadlineExceeded, SignInRefused, Stopping, StoreUnavailable, WorkerError
from worker.page import Query, Record
from worker.settings import License

ORDERS = Query(entity="SalesOrder", filter="CustomerID eq 'C000000003'", select=("OrderNbr",))
TOKEN = "/MyStoreInstance/identity/connect/token"
ENTITY = "/MyStoreInstance/entity/Default"
LOGOUT = "/MyStoreInstance/entity/auth/logout"
WORKER = {
    "owner": "worker",
    "alive_ms": 4000,
    "closing_ms": 15_000,
    "drain_ms": 60_000,
    "connection": "default#1",
}
ASKER = {
    "rank": 0,
    "what": "SalesOrder",
    "name": "default",
    "fingerprint": "print",
    "known": {"default#1": True},
}
OPENED = {
    "name": "opened", "grant": "token", "expires_ms": 3_600_000, "renew_ms": 3_500_000, "gone_ms": 3_600_000,
    "stays_ms": 0, "renewable": 0, "long": 0, "connection": "default#1", "busy_ms": 60_000,
}  # fmt: skip


def _orders(erp: Erp) -> list[Record]:
    return erp.list(ORDERS)


def _until_requested(sandbox: Sandbox, path: str) -> None:
    while not any(event.get("path", "").startswith(path) for event in sandbox.events()):
        threading.Event().wait(0.01)


def _silent(store_url: str) -> str:
    """The store's URL for a client that takes two seconds of silence for its end."""
    return f"{store_url}?socket_timeout=2"


class Slots:
    """The slots of a license of one session, asked without a pool."""

    def __init__(self, store_url: str) -> None:
        store = redis.Redis.from_url(store_url)
        limits = LimitsInForce(store, License(name="default", max_sessions=1), 3600)
        limits.join()
        self._epoch = limits.epoch
        self._script: Script = sessions_script(store, "default")

    def ask(self, lease: str) -> dict[str, Any]:
        """Ask for a session."""
        who = {"waiter": lease, "lease": lease, "job": lease, "epoch": self._epoch}
        times = {"lease_ms": 15_000, "busy_ms": 60_000}
        return dict(self._script("lease", **who, **times, **ASKER, **WORKER))

    def tell(self, operation: str, **named: Any) -> Any:
        """Tell something of the slot."""
        return self._script(operation, slot=1, **(WORKER | named))

    def send(self, generation: int) -> bool:
        """Whether a sign-in may be sent."""
        times = {"lease_ms": 15_000, "send_ms": 5_000, "unknown_ms": 3_600_000}
        return bool(self.tell("step", name="send", by="default", generation=generation, **times))


def test_session_is_signed_out_when_the_store_went_away(store_url: str, floors: Floors) -> None:
    """A token that can no longer be written down is signed out again, though its requests cannot be counted."""
    with start_sandbox("--control", "--seat-at", "token") as sandbox:
        sandbox.control("faults", {"kind": "delay", "path": TOKEN, "seconds": 0.5})
        gateway = floors.start(settings_for(connection_to(sandbox, max_per_minute=50), store_url))
        with ThreadPoolExecutor(1) as threads:
            job = threads.submit(_orders, erp_of(gateway, seconds=3))
            _until_requested(sandbox, TOKEN)
            redis.Redis.from_url(store_url).shutdown(nosave=True)
            with pytest.raises((DeadlineExceeded, StoreUnavailable)):
                job.result()
        assert (sandbox.tally()["sign_ins"], sandbox.tally()["open_sessions"]) == (1, 0)


def test_silent_store_costs_no_slot(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A store that was silent while a sign-in ended gives the slot back as soon as it answers."""
    sandbox.control("faults", {"kind": "delay", "path": TOKEN, "seconds": 0.5})
    gateway = floors.start(settings_for(connection_to(sandbox), _silent(store_url)))
    store = redis.Redis.from_url(store_url)
    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(_orders, erp_of(gateway, seconds=15))
        _until_requested(sandbox, TOKEN)
        store.client_pause(60_000, all=False)
        _until_requested(sandbox, LOGOUT)
        store.client_unpause()
        assert len(job.result()) == 9
    assert sandbox.tally()["peak_sessions"] == 1


def test_own_session_outlasts_the_login_limit(store_url: str, floors: Floors) -> None:
    """Where other software has taken one of our two seats, the exchanges share the one that is left."""
    with start_sandbox("--control", "--max-sessions", "1", "--latency", "50,0,0") as sandbox:
        gateway = floors.start(settings_for(connection_to(sandbox, max_sessions=2), store_url))
        with ThreadPoolExecutor(6) as threads:
            pages = list(threads.map(lambda _: _orders(erp_of(gateway)), range(24)))
        assert {len(page) for page in pages} == {9}


def test_exchange_may_outlive_its_token(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A session whose token expires during an exchange is not replaced before that has ended."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    _orders(erp_of(gateway))
    sandbox.control("faults", {"kind": "delay", "path": ENTITY, "seconds": 1.0})
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(_orders, erp_of(gateway))
        while sandbox.tally()["requests"] < 3:
            pass
        redis.Redis.from_url(store_url).hset("acuworker:{default}:slot:1", "gone", 1)
        second = threads.submit(_orders, erp_of(gateway))
        wait([first])
        assert sandbox.tally()["sign_ins"] == 1
        assert len(second.result()) == 9


def test_dead_waiter_keeps_no_session_open(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A worker that was killed while it waited does not keep an idle session from being signed out."""
    gateway = floors.start(settings_for(connection_to(sandbox, idle_seconds=0), store_url))
    _orders(erp_of(gateway))
    store = redis.Redis.from_url(store_url)
    dead = f"000000000001|1|dead|0|{gateway.way('default').pool.member.mark}"
    store.zadd("acuworker:{default}:waiters", {dead: 1})
    store.zadd("acuworker:{default}:seen", {dead: 1})
    pause = threading.Event()
    for _ in range(100):
        gateway.beat()
        if sandbox.tally()["open_sessions"] == 0:
            break
        pause.wait(0.02)
    assert sandbox.tally()["open_sessions"] == 0


def test_failing_sign_out_is_not_hammered(
    sandbox: Sandbox, store_url: str, floors: Floors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stops while the ERP is down tries to sign out a few times, not hundreds."""
    monkeypatch.setattr("worker.erp.sessions.CLOSE_SECONDS", 2.0)
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    _orders(erp_of(gateway))
    sandbox.control("faults", {"kind": "status", "path": LOGOUT, "status": 503, "times": 10_000})
    gateway.close()
    tried = [
        event for event in sandbox.events() if event.get("path") == LOGOUT and event["kind"] == "arrival"
    ]
    assert 2 <= len(tried) <= 8


def test_sign_in_finds_room_in_the_minute(store_url: str, floors: Floors) -> None:
    """However many exchanges have leave to be made and wait for a session, the sign-in still gets its own."""
    with start_sandbox("--control") as sandbox:
        gateway = floors.start(settings_for(connection_to(sandbox, max_per_minute=10), store_url))
        store = redis.Redis.from_url(store_url)
        slot = "acuworker:{default}:slot:1"
        store.hset(slot, mapping={"state": "quarantine", "until": 1 << 50})
        with ThreadPoolExecutor(14) as threads:
            jobs = [threads.submit(_orders, erp_of(gateway)) for _ in range(14)]
            while store.zcard("acuworker:{default}:flying") < 9:
                pass
            threading.Event().wait(0.3)  # for those that may not be in flight, and would be
            store.delete(slot)
            try:
                served = wait(jobs, timeout=10, return_when=FIRST_COMPLETED).done
            finally:
                gateway.stop()
        assert served
        assert sandbox.tally()["most_in_a_minute"] <= 10


def test_waiting_permit_stays_counted(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A request that has leave to be made, and waits for a session, counts for as long as it waits."""
    gateway = floors.start(settings_for(connection_to(sandbox, max_per_minute=10), store_url))
    store = redis.Redis.from_url(store_url)

    def until() -> object:
        return store.zrange("acuworker:{default}:flying", 0, 0, withscores=True)

    with gateway._budgets["default"].permit(erp_of(gateway)._caller, 1.0):
        before = until()
        threading.Event().wait(0.01)
        gateway.beat()
        assert until() != before
    assert store.zcard("acuworker:{default}:flying") == 0


def test_wrong_password_is_tried_once(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """With many sessions allowed, wrong credentials are still refused once, before an account is locked."""
    sandbox.control("faults", {"kind": "delay", "path": TOKEN, "seconds": 0.3, "times": 9})
    connection = connection_to(sandbox, max_sessions=5, password=SecretStr("canary-wrong"))
    gateway = floors.start(settings_for(connection, store_url))
    with ThreadPoolExecutor(8) as threads:
        errors = [threads.submit(_orders, erp_of(gateway)).exception for _ in range(8)]
        assert all(isinstance(error(), SignInRefused) for error in errors)
    assert sandbox.tally()["refused_sign_ins"] == 1


def test_lost_answers_of_the_store_cost_nothing(store_url: str) -> None:
    """What the store gave and could not say, it gives again when asked again: an intent, a token, a loan."""
    slots = Slots(store_url)
    first = slots.ask("a")
    assert first == slots.ask("a")
    assert first["answer"] == "sign_in"
    generation = first["generation"]
    assert slots.send(generation)
    assert slots.send(generation)
    for _ in range(2):
        told = slots.tell("opened", generation=generation, lease="a", lease_ms=15_000, **OPENED)
        assert told == {"answer": "use"}
    slots.tell("release", lease="a", outcome="release", what="SalesOrder")
    assert slots.ask("b") == slots.ask("b")
    assert slots.ask("b")["grant"] == "token"


def test_what_a_lease_leaves_at_work(store_url: str) -> None:
    """A lease that sent nothing leaves what is at work as it was, be it ended or withdrawn; an unknown one does not."""
    slots = Slots(store_url)
    slots.tell("opened", generation=_sent(slots), lease="a", lease_ms=15_000, **OPENED)
    slots.tell("release", lease="a", outcome="release", what="")
    for lease, told in (
        ("b", {"outcome": "untouched"}),
        ("c", {"outcome": "let_go"}),
        ("d", {"outcome": "untouched"}),
    ):
        assert slots.ask(lease)["answer"] == "use"
        slots.tell("release", lease=lease, what="", **told)
    before = _at_work(store_url)
    assert slots.ask("e")["answer"] == "use"
    slots.tell("withdraw", waiter="e", lease="e")
    assert _at_work(store_url) == before > 0


def test_nothing_is_at_work_after_a_lease_that_sent_nothing(store_url: str) -> None:
    """The slot of a session that nothing was sent in can be closed, and be free, at once."""
    slots = Slots(store_url)
    slots.tell("opened", generation=_sent(slots), lease="a", lease_ms=15_000, **OPENED)
    slots.tell("release", lease="a", outcome="release", what="")
    slots.ask("b")
    slots.tell("release", lease="b", outcome="untouched", what="")
    assert _at_work(store_url) == 0


def test_who_waits_looks_when_a_lease_ends(store_url: str) -> None:
    """One who waits is told in how long a lease ends that nobody renews, and not to look before a second is over."""
    slots = Slots(store_url)
    slots.tell("opened", generation=_sent(slots), lease="a", lease_ms=300, **OPENED)
    told = slots.ask("b")
    assert told["answer"] == "wait"
    assert told["left"] <= 300


def test_a_sign_in_of_a_living_worker_is_waited_for(store_url: str) -> None:
    """A heartbeat keeps the slot of a sign-in that was sent, however slow the ERP; without one its worker is dead."""
    slots = Slots(store_url)
    generation = slots.ask("a")["generation"]
    slots.tell(
        "step", name="send", by="", generation=generation, lease_ms=1, send_ms=5_000, unknown_ms=3_600_000
    )
    store = redis.Redis.from_url(store_url, decode_responses=True)
    until = float(str(store.hget("acuworker:{default}:slot:1", "until")))
    held = [{"slot": 1, "generation": generation, "lease": "a"}]
    slots.tell("beat", held=held, at_work=[], lease_ms=15_000)
    assert float(str(store.hget("acuworker:{default}:slot:1", "until"))) >= until + 14_000


def _sent(slots: Slots) -> int:
    """The generation of a sign-in that was sent."""
    generation = int(slots.ask("a")["generation"])
    assert slots.send(generation)
    return generation


def _at_work(store_url: str) -> float:
    """Until when a request may be at work in the slot's session, by the store's clock."""
    return float(
        str(redis.Redis.from_url(store_url, decode_responses=True).hget("acuworker:{default}:slot:1", "busy"))
    )


def test_answer_that_never_came_is_withdrawn(store_url: str) -> None:
    """An intent or a loan that nobody heard of is free again at once."""
    slots = Slots(store_url)
    first = slots.ask("a")
    assert slots.ask("b")["answer"] == "wait"
    slots.tell("withdraw", waiter="a", lease="a")
    second = slots.ask("b")
    assert (second["answer"], second["slot"]) == ("sign_in", 1)
    assert second["generation"] > first["generation"]
    assert not slots.send(first["generation"])


def test_only_its_holder_loses_a_session(store_url: str) -> None:
    """A holder whose loan has expired cannot close the session under the next one."""
    slots = Slots(store_url)
    generation = slots.ask("a")["generation"]
    slots.send(generation)
    slots.tell("opened", generation=generation, lease="a", lease_ms=1, **OPENED)
    threading.Event().wait(0.01)
    assert slots.ask("b")["answer"] == "use"
    assert slots.tell("lost", lease="a") == {"answer": "late"}
    assert slots.tell("lost", lease="b")["answer"] == "close"


def test_stopping_during_a_sign_in(store_url: str, floors: Floors) -> None:
    """A worker told to stop while it signs in makes no request with the new session, and closes it."""
    with start_sandbox("--control", "--seat-at", "token") as sandbox:
        sandbox.control("faults", {"kind": "delay", "path": TOKEN, "seconds": 0.5})
        gateway = floors.start(settings_for(connection_to(sandbox), store_url))
        with ThreadPoolExecutor(1) as threads:
            job = threads.submit(_orders, erp_of(gateway))
            _until_requested(sandbox, TOKEN)
            gateway.stop()
            with pytest.raises(Stopping):
                job.result()
        gateway.close()
        paths = {event.get("path", "") for event in sandbox.events()}
        assert not any(path.startswith(ENTITY) for path in paths)
        assert (sandbox.tally()["sign_ins"], sandbox.tally()["open_sessions"]) == (1, 0)


def test_newcomer_is_present_at_once(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A worker that leaves does not close the session that a worker without a heartbeat yet is using."""
    settings = settings_for(connection_to(sandbox), store_url)
    newcomer, leaver = floors.start(settings, "newcomer"), floors.start(settings, "leaver")
    leaver.beat()
    busy = threading.Event()

    def work() -> None:
        while not busy.is_set():
            _orders(erp_of(newcomer))

    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(work)
        while sandbox.tally()["requests"] < 2:
            pass
        leaver.close()
        closed = sandbox.tally()["sign_outs"]
        busy.set()
        job.result()
    assert closed == 0


def test_waiting_uses_up_no_attempts(
    sandbox: Sandbox, store_url: str, floors: Floors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was declined many times has all its attempts left for what comes then."""
    monkeypatch.setattr("worker.erp.exchanges.FIRST_PAUSE_SECONDS", 0.001)
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    _orders(erp_of(gateway))
    for status, times in ((429, 6), (500, 4)):
        sandbox.control("faults", {"kind": "status", "path": ENTITY, "status": status, "times": times})
    assert len(_orders(erp_of(gateway))) == 9


def test_changed_client_secret_frees_the_slot(sandbox: Sandbox, store_url: str, floors: Floors) -> None:
    """A session that was signed out is closed, though the ERP would not revoke its token."""
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    _orders(erp_of(gateway))
    sandbox.control("client", {"secret": "another"}, method="PATCH")
    gateway.close()
    assert sandbox.tally()["open_sessions"] == 0
    assert not redis.Redis.from_url(store_url).exists("acuworker:{default}:slot:1")


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 504, "when": "after"}, {"kind": "cut", "bytes": 10}]
)
def test_sign_in_of_unknown_outcome(
    sandbox: Sandbox, store_url: str, floors: Floors, fault: dict[str, Any]
) -> None:
    """A sign-in that the ERP may have granted, though nobody heard of it, takes its slot out of use."""
    sandbox.control("faults", {"path": TOKEN, **fault})
    gateway = floors.start(settings_for(connection_to(sandbox), store_url))
    with pytest.raises(WorkerError):
        _orders(erp_of(gateway, seconds=2))
    assert redis.Redis.from_url(store_url).hget("acuworker:{default}:slot:1", "state") == b"quarantine"


def test_one_broken_connection_does_not_save_the_others(sandbox: Sandbox) -> None:
    """Every exchange in flight is cut, whatever state its connection is in."""
    with start_sandbox("--control") as other:
        wires = Wires(connection_to(sandbox))
        with wires.borrow() as wire:
            wire.send(Request(method="GET", path="/entity"), Deadline(5))
            sandbox.process.kill()
            sandbox.process.wait()
            wires.cut()
            wires.cut()
        wires.close()
        assert other.tally()["requests"] == 0


def test_connection_given_back_late_is_closed(sandbox: Sandbox) -> None:
    """A connection that was in use when the others were closed is closed when it is given back."""
    wires = Wires(connection_to(sandbox))
    with wires.borrow() as wire:
        wire.send(Request(method="GET", path="/entity"), Deadline(5))
        wires.close()
    assert wire._client.is_closed

"""What people see of a license, in a real store: the truth about slots, waiters and what bars a connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tests.erp_floor import Floors, connection_to, erp_of, settings_for
from tests.sandbox_process import Sandbox
from tests.store_process import contents
from worker.erp.caller import ANY_USE, Caller
from worker.erp.control import Control
from worker.erp.deadline import Deadline
from worker.erp.gateway import Gateway
from worker.erp.logins import Logins
from worker.erp.overview import LicenseView, Overview
from worker.erp.signin import Grant
from worker.erp.slots import State
from worker.errors import ConnectionPaused, LoginLimit, LoginNeeded, SignInRefused
from worker.job import Lane
from worker.page import Query
from worker.settings import Settings

CUSTOMER = Query(entity="Customer")
SLOT = "acuworker:{default}:slot:1"


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """A client of an empty store."""
    with redis.Redis.from_url(store_url) as client:
        yield client


@pytest.fixture
def settings(sandbox: Sandbox, store_url: str) -> Settings:
    """Settings with a license of one session."""
    return settings_for(connection_to(sandbox), store_url)


@pytest.fixture
def gateway(settings: Settings, floors: Floors) -> Gateway:
    """A worker's ERP floor."""
    return floors.start(settings, "host/1")


def look(store: redis.Redis, settings: Settings) -> LicenseView:
    """The license of the connection ``default``."""
    connection = settings.connection("default")
    return Overview(store, settings, settings.license_of(connection)).look()


def caller(lane: Lane = Lane.BULK) -> Caller:
    """A job of a worker."""
    return Caller(lane=lane, deadline=Deadline(30), job_id="job-1")


def test_nothing_is_seen_of_an_empty_store(store: redis.Redis, settings: Settings) -> None:
    """Before any worker ran there are no limits in force and no slots, and looking leaves the store empty."""
    view = look(store, settings)
    assert (view.in_force, list(view.slots), list(view.waiters), view.bars) == (None, [], [], {})
    assert contents(store) == {}


def test_a_lent_session_is_seen_with_its_holder(
    store: redis.Redis, settings: Settings, gateway: Gateway
) -> None:
    """A slot says whether it is lent and to whom, since when it is open, and when the ERP ends its session."""
    with gateway.way("default").pool.lease(caller()):
        [slot] = look(store, settings).slots
        assert (slot.state, slot.lent, slot.holder, slot.connection) == (
            State.OPEN,
            True,
            "host/1",
            "default",
        )
    [slot] = look(store, settings).slots
    assert (slot.lent, slot.holder) == (False, "")
    assert slot.open_seconds is not None
    assert slot.seconds is not None
    assert 0 <= slot.open_seconds < 60
    assert 3500 < slot.seconds < 3700


def test_waiters_are_seen_by_lane(store: redis.Redis, settings: Settings, gateway: Gateway) -> None:
    """An exchange that waits for a session is seen while it lives, with its lane; one that died is not."""
    pool = gateway.way("default").pool
    with pool.lease(caller()):
        for lane, waiter in ((Lane.BULK, "w1"), (Lane.INTERACTIVE, "w2")):
            pool._look(pool._asked(caller(lane), waiter, ANY_USE))
        assert {(waiter.connection, waiter.lane) for waiter in look(store, settings).waiters} == {
            ("default", Lane.BULK),
            ("default", Lane.INTERACTIVE),
        }
        seen = "acuworker:{default}:seen"
        for member, _ in store.zscan_iter(seen):
            store.zincrby(seen, -60_000, member)
        assert list(look(store, settings).waiters) == []


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"gone": 1, "busy": 0}, State.FREE),
        ({"state": "intent", "sent": 1, "until": 1, "gone": 1e15}, State.QUARANTINE),
        ({"state": "quarantine", "until": 1}, State.FREE),
    ],
)
def test_what_time_has_done_is_seen_and_not_written(
    store: redis.Redis, settings: Settings, gateway: Gateway, facts: dict[Any, Any], state: State
) -> None:
    """A slot is shown as it is by now, though nobody has written that down; and looking does not either."""
    erp_of(gateway).list(CUSTOMER, top=1)
    store.hset(SLOT, mapping=facts)
    before = contents(store)
    assert [slot.state for slot in look(store, settings).slots] == [state]
    assert contents(store) == before


def test_looking_changes_nothing(store: redis.Redis, settings: Settings, gateway: Gateway) -> None:
    """With waiters dead and alive, a lease that lapsed and a limit that was met, no key is written or removed."""
    pool = gateway.way("default").pool
    with pool.lease(caller()) as lease:
        for waiter in ("w1", "w2"):
            pool._look(pool._asked(caller(), waiter, ANY_USE))
        store.hset(SLOT, "lease_until", 1)
        pool.lost(lease, LoginLimit("full"))
        before = contents(store)
        look(store, settings)
        assert contents(store) == before


def test_what_bars_a_connection_is_seen(
    sandbox: Sandbox, store: redis.Redis, store_url: str, floors: Floors
) -> None:
    """Wrong credentials, a pause, a missing login: each is told as the error that jobs wait with."""
    wrong = settings_for(connection_to(sandbox, password=SecretStr("wrong")), store_url)
    with pytest.raises(SignInRefused):
        erp_of(floors.start(wrong)).list(CUSTOMER, top=1)
    assert isinstance(look(store, wrong).bars["default"], SignInRefused)
    control = Control(store, wrong, wrong.connection("default"), "host/operator")
    control.pause("until noon")
    paused = look(store, wrong).bars["default"]
    assert isinstance(paused, ConnectionPaused)
    assert "is paused (until noon): acuworker resume default" in paused.message
    control.resume()
    assert isinstance(look(store, wrong).bars["default"], SignInRefused)


def test_changed_credentials_bar_nothing(
    sandbox: Sandbox, store: redis.Redis, store_url: str, floors: Floors
) -> None:
    """What was refused with other credentials says nothing of those that there are now."""
    key = Fernet.generate_key()
    wrong = settings_for(connection_to(sandbox, password=SecretStr("wrong")), store_url, key)
    with pytest.raises(SignInRefused):
        erp_of(floors.start(wrong)).list(CUSTOMER, top=1)
    mended = settings_for(connection_to(sandbox), store_url, key)
    assert look(store, mended).bars == {}


def test_logins_are_seen(sandbox: Sandbox, store: redis.Redis, store_url: str) -> None:
    """A connection that nobody has signed in is barred; with a login it is not, and looking changes nothing."""
    settings = settings_for(connection_to(sandbox, sign_in="login"), store_url)
    assert isinstance(look(store, settings).bars["default"], LoginNeeded)
    logins = Logins(store, settings, settings.connection("default"))
    logins.add(Grant(token=SecretStr("t"), refresh=SecretStr("r"), expires_in=60))
    before = contents(store)
    [login] = logins.list()
    assert (29 < login.days_left <= 30, login.used) == (True, False)
    assert look(store, settings).bars == {}
    assert contents(store) == before

"""What the ERP could not optimize, remembered in the store for all that share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from tests.erp_floor import connection_to_nowhere
from tests.store_process import start_store
from worker.erp.optimizer import KEPT_SECONDS, Optimizer, narrowed
from worker.errors import NotOptimizable, StoreUnavailable
from worker.page import Query
from worker.settings import Connection

PAYMENTS = Query(
    entity="Payment",
    select=("ReferenceNbr", "ApplicationHistory/DisplayRefNbr"),
    expand=("ApplicationHistory",),
    filter="CustomerID eq 'C1'",
)
HISTORY = "ApplicationHistory.DisplayRefNbr"
NAMED = NotOptimizable(f"{HISTORY}: View ARPost has BQL delegate", fields=(HISTORY,))
UNNAMED = NotOptimizable("Optimization cannot be performed.")


@pytest.fixture
def store() -> Iterator[redis.Redis]:
    """A store of the test's own."""
    with start_store() as url, redis.Redis.from_url(url) as client:
        yield client


def connection(**changes: str) -> Connection:
    """A connection by its name, endpoint and version."""
    return connection_to_nowhere().model_copy(update=changes)


@pytest.fixture
def optimizer(store: redis.Redis) -> Optimizer:
    """The memory of the connection ``default``."""
    return Optimizer(store, connection())


def fails(optimizer: Optimizer, query: Query) -> NotOptimizable | None:
    """The error that a list is known to fail with."""
    try:
        optimizer.check(query)
    except NotOptimizable as error:
        return error
    return None


@pytest.mark.parametrize(
    ("changes", "is_known"),
    [
        ({}, True),
        ({"filter": None}, True),
        ({"filter": "CustomerID eq 'C2' and Status eq 'Open'"}, True),
        ({"select": ()}, True),
        ({"select": ("ReferenceNbr", "ApplicationHistory")}, True),
        ({"select": ("ReferenceNbr",), "expand": ()}, False),
        ({"select": ("ReferenceNbr", "ApplicationHistory/Balance")}, False),
        ({"entity": "Check"}, False),
    ],
)
def test_a_field_that_fails_fails_in_every_list_that_asks_for_it(
    optimizer: Optimizer, changes: dict[str, object], is_known: bool
) -> None:
    """Whatever the filter and the other fields; a list that does without it is asked for as ever."""
    optimizer.learn(PAYMENTS, NAMED)
    error = fails(optimizer, replace(PAYMENTS, **changes))  # type: ignore[arg-type]
    assert (error is not None) is is_known
    assert error is None or (error.message, error.fields) == (NAMED.message, (HISTORY,))


@pytest.mark.parametrize(
    ("changes", "is_known"),
    [
        ({"filter": "CustomerID eq 'another'"}, True),
        ({"filter": "Status eq 'Open'"}, False),
        ({"filter": None}, False),
        ({"select": ("ReferenceNbr",)}, False),
    ],
)
def test_where_no_field_is_named_the_question_fails(
    optimizer: Optimizer, changes: dict[str, object], is_known: bool
) -> None:
    """The same fields by a filter over the same fields: whatever the values are, nobody asks that again."""
    optimizer.learn(PAYMENTS, UNNAMED)
    error = fails(optimizer, replace(PAYMENTS, **changes))  # type: ignore[arg-type]
    assert (error is not None) is is_known
    assert error is None or (error.message, error.fields) == (UNNAMED.message, ())


@pytest.mark.parametrize("select", [(), ("ShipmentNbr", "Status")])
def test_a_filter_that_fails_does_not_fail_lists_without_it(
    optimizer: Optimizer, select: tuple[str, ...]
) -> None:
    """Shipments cannot be listed by their status, and can without it, with all of their fields."""
    error = NotOptimizable("Status: Field Status is marked as non-optimizable", fields=("Status",))
    by_status = Query(entity="Shipment", select=select, filter="Status eq 'Open'")
    optimizer.learn(by_status, error)
    assert fails(optimizer, by_status) is not None
    assert fails(optimizer, replace(by_status, filter="ShipmentNbr eq '1'")) is None


def test_all_that_share_a_store_know_it(store: redis.Redis, optimizer: Optimizer) -> None:
    """One worker learns it for all; another connection, endpoint or version may do better."""
    optimizer.learn(PAYMENTS, NAMED)
    assert fails(Optimizer(store, connection()), PAYMENTS) is not None
    for changes in ({"name": "other"}, {"endpoint": "Mine"}, {"version": "24.200.001"}):
        assert fails(Optimizer(store, connection(**changes)), PAYMENTS) is None


def test_a_question_is_looked_up_once(store: redis.Redis, optimizer: Optimizer) -> None:
    """A job of a thousand pages asks the store once; what itself learns counts all the same."""
    assert fails(optimizer, PAYMENTS) is None
    Optimizer(store, connection()).learn(PAYMENTS, NAMED)
    assert fails(optimizer, PAYMENTS) is None
    optimizer.learn(PAYMENTS, NAMED)
    assert fails(optimizer, PAYMENTS) is not None


def test_it_is_kept_for_a_week(store: redis.Redis, optimizer: Optimizer) -> None:
    """Nothing that is remembered stays for ever."""
    optimizer.learn(PAYMENTS, NAMED)
    (key,) = store.scan_iter()
    assert KEPT_SECONDS - 60 < store.ttl(key) <= KEPT_SECONDS


def test_nothing_is_known_of_a_store_that_is_away() -> None:
    """Then no list is asked for either."""
    with redis.Redis.from_url("unix:///nonexistent/store") as away, pytest.raises(StoreUnavailable):
        Optimizer(away, connection()).check(PAYMENTS)


@pytest.mark.parametrize(
    ("query", "fields", "select", "expand"),
    [
        (PAYMENTS, (HISTORY,), ("ReferenceNbr",), ()),
        (
            replace(
                PAYMENTS, select=("ReferenceNbr", HISTORY.replace(".", "/"), "ApplicationHistory/Balance")
            ),
            (HISTORY,),
            ("ReferenceNbr", "ApplicationHistory/Balance"),
            ("ApplicationHistory",),
        ),
        (replace(PAYMENTS, select=()), (HISTORY,), (), ()),
        (replace(PAYMENTS, select=("ReferenceNbr", "Hold")), ("Payment.Hold",), ("ReferenceNbr",), ()),
        (replace(PAYMENTS, select=("ReferenceNbr", "Hold")), ("Hold",), ("ReferenceNbr",), ()),
    ],
)
def test_a_query_without_the_fields_that_fail(
    query: Query, fields: tuple[str, ...], select: tuple[str, ...], expand: tuple[str, ...]
) -> None:
    """All that can be listed is kept; what is expanded goes when nothing of it is left."""
    less = narrowed(query, fields)
    assert less is not None
    assert (less.select, less.expand if fields == (HISTORY,) else ()) == (select, expand)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        (PAYMENTS, ()),
        (replace(PAYMENTS, select=()), ("Payment.Hold",)),
        (PAYMENTS, ("CustomerID",)),
        (replace(PAYMENTS, filter="ApplicationHistory/DisplayRefNbr eq '1'"), (HISTORY,)),
    ],
)
def test_what_cannot_be_left_out(query: Query, fields: tuple[str, ...]) -> None:
    """Nothing is proposed where no field is named, all are wanted, or the filter is over the one that fails."""
    assert narrowed(query, fields) is None

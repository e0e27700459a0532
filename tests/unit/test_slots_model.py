"""The model of the table of slots: its two readings, its search, and that it misses what is taken out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.model import erp, replay
from tests.chaos.model.catalogue import SEATS, Variant
from tests.chaos.model.promises import Promise
from tests.chaos.model.rules import Chances, Habits, Said
from tests.chaos.model.search import beginning, search, walked
from tests.chaos.model.table import FIELDS, PLACE, Spans, of_no_account, take, without
from tests.chaos.model.waiting import kept_back
from tests.chaos.model.world import IDLE, Request, Session, Worker, World
from worker.erp.slots import TRANSITIONS, State

SHORT = Variant(spans=Spans(life=2))
RENEWING = Variant(spans=Spans(life=2), chances=Chances(renews=True))
CLOSING = Variant(spans=Spans(life=2), chances=Chances(closes=True))

VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "state": st.sampled_from([str(state) for state in State]),
    "sent": st.integers(0, 1),
    "opened": st.integers(0, 1),
    **dict.fromkeys(("generation", "lease", "grant", "stays"), st.integers(0, 2)),
}


@given(
    values=st.tuples(*(VALUES.get(name, st.integers(-2, 4)) for name in FIELDS)),
    step=st.sampled_from(TRANSITIONS),
    said=st.builds(Said, st.just(""), st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), st.booleans()),
)
@settings(max_examples=150, deadline=None)
def test_two_readings_of_the_table_agree(values: tuple[Any, ...], step: Any, said: Said) -> None:
    """A step does to a row of the search what it does to the whole row under the store's clock."""
    spans = Spans(life=2, stays=2)
    rules = Variant(spans=spans).rules(TRANSITIONS)
    world = World(values, (), (), (IDLE, IDLE))
    short = rules.take(world, said._replace(name=step.name))
    whole = take(step, replay.absolute(values), replay.arguments(spans, said), replay.BEGAN)
    assert (short is None) == (whole is None)
    if short is not None and whole is not None:
        assert replay.seen(spans, short.row) == replay.relative(spans, whole, replay.BEGAN)


def test_nothing_breaks_in_a_short_world() -> None:
    """In every world that can come about, with tokens that soon expire, every promise holds."""
    found = search(SHORT.rules(TRANSITIONS))
    assert (found.promise, found.worlds > 10_000) == (None, True)


@pytest.mark.parametrize(
    ("variant", "step", "guard", "promise"),
    [
        (SHORT, "lend", "nobody's", Promise.ONE),
        (SHORT, "over", "out of time", Promise.FREE),
        (SHORT, "abandoned", "not sent", Promise.FREE),
        (SHORT, "lapsed", "out of time", Promise.ROBBED),
        (SHORT, "renew", "mine", Promise.PROLONGED),
        (SHORT, "lend", "fresh enough", Promise.OLD),
        (SHORT, "outlived", "nothing at work", Promise.FREE),
        (RENEWING, "refresh", "nobody's", Promise.ROBBED),
        (CLOSING, "given_up", "same generation", Promise.FREE),
    ],
)
def test_a_guard_is_missed(variant: Variant, step: str, guard: str, promise: Promise) -> None:
    """Without a guard the promise breaks that it is there for, and the way there can be walked."""
    rules = variant.rules(without(TRANSITIONS, step, guard))
    found = search(rules)
    assert found.promise == promise
    assert any(said.name == step for _, move in walked(rules, found.way) for said in move.steps)


@pytest.mark.parametrize(
    ("habit", "promise"),
    [
        ("intends_first", Promise.FREE),
        ("asks_in_time", Promise.FREE),
        ("sends_in_time", Promise.FREE),
        ("drains", Promise.FREE),
        ("revokes", Promise.TOKENS),
    ],
)
def test_a_habit_is_missed(habit: str, promise: Promise) -> None:
    """Without any of the workers' habits a seat is taken that should not be, whatever the table says."""
    rules = SHORT.rules(TRANSITIONS, Habits(**{habit: False}))
    assert search(rules, SEATS).promise == promise


def test_a_signed_out_token_used_again_opens_a_session_again() -> None:
    """The ERP is modelled as it is: what was sent before a sign-out and is worked on after it takes the seat again."""
    spans = Spans()
    open_ = Session(1, open=True, running=False, end=3, tokens=(3,), queue=(Request(1, 1),))
    world = beginning(SHORT.rules(TRANSITIONS)).with_session(open_)
    out = erp.signed_out(world, 5, spans)
    assert out is not None
    assert [session.open for session in out.sessions] == [False]
    begun = [after for told, after in erp.moves(out, spans, Chances()) if told == "begins a request"]
    assert [session.open for after in begun for session in after.sessions] == [True]


def test_names_do_not_matter() -> None:
    """Worlds that differ in nothing but names, or in which worker is which, are one."""
    rules = SHORT.rules(TRANSITIONS)
    row = list(beginning(rules).row)
    row[PLACE["state"]] = "intent"
    one, other = Worker("signing in", 7, 0, 3, 1), Worker("late", 4, 9)
    session = Session(2, open=True, running=False, end=1, tokens=(1,), queue=())
    renamed = Session(8, open=True, running=False, end=1, tokens=(1,), queue=())
    row[PLACE["generation"]], row[PLACE["lease"]] = 7, 3
    first = World(tuple(row), (session,), (), (one, other))
    row[PLACE["generation"]], row[PLACE["lease"]] = 5, 6
    workers = (Worker("late", 2, 33), Worker("signing in", 5, 0, 6, 1))
    assert rules.same(first) == rules.same(World(tuple(row), (renamed,), (), workers))


def test_what_nobody_reads_is_blanked() -> None:
    """Of a session that is open, it is of no account when its sign-in would have been out of time."""
    blanks = of_no_account(TRANSITIONS)
    assert PLACE["until"] in blanks["open"]
    assert PLACE["busy"] not in blanks["open"]
    assert PLACE["until"] not in blanks["quarantine"]


def test_a_slot_that_time_does_not_free_is_found() -> None:
    """Where a step of time is missing, a slot is kept back from those who wait for it."""
    rules = SHORT.rules(tuple(step for step in TRANSITIONS if step.name != "over"))
    row = list(beginning(rules).row)
    row[PLACE["state"]], row[PLACE["until"]] = "quarantine", 3
    assert kept_back(rules, tuple(row)) is Promise.STUCK
    assert kept_back(SHORT.rules(TRANSITIONS), tuple(row)) is None

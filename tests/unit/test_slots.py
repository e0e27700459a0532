"""The table of slots: its words, its sanity, and the Lua that it becomes."""

from __future__ import annotations

import re

import pytest

from worker.erp import slots
from worker.erp.slots import FREE, INTENT, NUMBERS, OPEN, TEXTS, TRANSITIONS, State, Transition, render, words

ARGUMENTS = {
    "generation": "the number of what is begun",
    "lease": "whose it is to be",
    "grant": "what the sign-in yielded, encrypted",
    "owner": "the worker",
    "connection": "whose session",
    "chain": "the login that it lives on",
    "long": "whether the exchange is a long one",
    "renewable": "whether there is a refresh token",
    "lease_ms": "how long a lease lasts",
    "send_ms": "how soon a sign-in is sent, or not any more",
    "unknown_ms": "how long a session may last of which nothing was heard",
    "forgotten_ms": "how long one may last that the store has forgotten",
    "busy_ms": "how long a request may be at work that is sent on a lease",
    "drain_ms": "how long one may be that waits for others at a sign-out",
    "closing_ms": "how long a try to close may take",
    "expires_ms": "how long the token is good",
    "renew_ms": "after which exchanges are not begun with it",
    "gone_ms": "after which the ERP has closed the session",
    "stays_ms": "how long it keeps one after a request",
}
"""Everything that a step may be given."""


def texts(transition: Transition) -> list[str]:
    """Its guards and its writes."""
    return [*transition.guards.values(), *transition.writes.values()]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("generation == $generation", ["generation", "==", "$generation"]),
        ("lease == ''", ["lease", "==", "''"]),
        ("until <= now", ["until", "<=", "now"]),
        ("max(gone, now + $send_ms)", ["max", "(", "gone", ",", "now", "+", "$send_ms", ")"]),
        ("busy + stays <= now", ["busy", "+", "stays", "<=", "now"]),
        ("0", ["0"]),
    ],
)
def test_words_of_a_guard(text: str, found: list[str]) -> None:
    """A text falls into fields, arguments, numbers and signs."""
    assert words(text) == found


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda each: each.name)
def test_every_word_is_declared(transition: Transition) -> None:
    """Guards and writes speak of fields of a slot, of known arguments, of now and of numbers, and of nothing else."""
    known = {*NUMBERS, *TEXTS, *(f"${name}" for name in ARGUMENTS), "now", "max", "''", "0", "1"}
    signs = {"==", "<=", ">=", "<", ">", "+", "(", ")", ","}
    for text in texts(transition):
        assert set(words(text)) <= known | signs, text
        assert "".join(words(text)) == text.replace(" ", ""), f"a part of {text!r} is no word"


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda each: each.name)
def test_a_step_writes_declared_fields(transition: Transition) -> None:
    """What is written is a field, of its own kind; and a slot that is freed keeps nothing."""
    assert transition.writes.keys() <= NUMBERS.keys() | TEXTS.keys()
    assert transition.after is not FREE or not transition.writes
    for name, text in transition.writes.items():
        is_text = text == "''" or words(text)[0].removeprefix("$") in TEXTS
        assert is_text == (name in TEXTS), f"{name} is written {text!r}"


def test_every_argument_is_asked_for() -> None:
    """No argument is told of that no step takes."""
    asked = {
        word[1:] for each in TRANSITIONS for text in texts(each) for word in words(text) if word[0] == "$"
    }
    assert asked == ARGUMENTS.keys()


def test_every_field_is_written() -> None:
    """No field is declared that no step writes."""
    assert {name for each in TRANSITIONS for name in each.writes} == NUMBERS.keys() | TEXTS.keys()


def test_names_are_given_once() -> None:
    """A step's name says which it is."""
    names = [transition.name for transition in TRANSITIONS]
    assert len(names) == len(set(names))


def test_every_state_is_entered_and_left() -> None:
    """From each state there is a way out, and into each there is one."""
    assert {state for each in TRANSITIONS for state in each.before if each.after is not None} == set(State)
    assert {each.after for each in TRANSITIONS} - {None} == set(State)


def test_what_begins_anew_is_told_apart() -> None:
    """Whatever several workers may be at, one after the other, is begun with a number of its own."""
    begun = {each.name for each in TRANSITIONS if each.writes.get("generation") == "$generation"}
    assert begun == {"intend", "refresh", "again", "mourn"}


def function(lua: str, name: str) -> str:
    """A step's function in the Lua."""
    found = re.search(rf"^function steps\.{name}\(row, args\)\n.*?^end$", lua, re.MULTILINE | re.DOTALL)
    assert found, f"the Lua has no step {name}"
    return found[0]


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda each: each.name)
def test_a_step_in_lua(transition: Transition) -> None:
    """Each step is a function that refuses any other state, refuses by each of its guards, and writes all it says."""
    lua = function(render(), transition.name)
    refusals = re.findall(r"if not \((.*)\) then return false end", lua)
    assert len(refusals) == 1 + len(transition.guards)
    assert set(re.findall(r"row\.state == '(\w+)'", refusals[0])) == set(transition.before)
    written = re.search(r"become\(row, (.+?), \{(.*)\}\)\n    return true", lua)
    assert written
    assert written[1] == (f"'{transition.after}'" if transition.after else "row.state")
    assert set(re.findall(r"\['(\w+)'\] = ", written[2])) == transition.writes.keys()


def test_a_step_word_for_word() -> None:
    """A guard and a write become what one would have written by hand."""
    step = Transition(
        name="try",
        before=frozenset({INTENT}),
        after=OPEN,
        guards={"mine": "lease == $lease", "in time": "until > now"},
        writes={"gone": "max(gone, now + $gone_ms)", "lease": "''"},
    )
    assert function(render((step,)), "try").splitlines()[1:5] == [
        "    if not (row.state == 'intent') then return false end",
        "    if not (row['lease'] == args['lease']) then return false end",
        "    if not (row['until'] > now) then return false end",
        "    become(row, 'open', {['gone'] = math.max ( row['gone'] , now + args['gone_ms'] ), ['lease'] = ''})",
    ]


def test_the_lua_declares_the_fields() -> None:
    """The Lua knows which fields are numbers and which are texts."""
    lua = slots.render()
    for name, fields in (("NUMBERS", NUMBERS), ("TEXTS", TEXTS)):
        declared = re.search(rf"^local {name} = \{{(.*)\}}$", lua, re.MULTILINE)
        assert declared
        assert re.findall(r"'(\w+)'", declared[1]) == list(fields)

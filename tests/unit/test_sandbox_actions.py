"""The sandbox's actions: what their bodies say, and that every action of every endpoint can be executed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.asked import BadBody, echo, read_body, read_record
from deploy.sandbox.builds import BUILDS
from deploy.sandbox.effects import effect_of
from deploy.sandbox.instance import Instance
from deploy.sandbox.outcomes import Refused, check, perform

NAMES = st.from_regex(r"[A-Z][A-Za-z]{0,8}", fullmatch=True).filter(lambda name: name != "Entity")
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@given(
    st.dictionaries(NAMES, VALUES, min_size=1), st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES)
)
def test_what_is_sent_is_read(fields: dict[str, Any], typed: dict[str, Any], dialog: dict[str, Any]) -> None:
    """Fields, typed parameters and those of a dialog, each without its wrapping."""
    body = {
        "entity": {name: {"value": value} for name, value in fields.items()},
        "parameters": {
            **{name: {"value": value} for name, value in typed.items()},
            "custom": {
                "View": {
                    name: {"type": "CustomStringField", "value": value} for name, value in dialog.items()
                }
            },
        },
    }
    asked = read_body(json.dumps(body).encode())
    assert asked.fields == fields
    assert asked.parameters == {**typed, **{f"View.{name}": value for name, value in dialog.items()}}


@given(JSON, st.binary(max_size=20))
def test_any_other_body_is_refused_or_read(document: Any, octets: bytes) -> None:
    """Nothing else can come of it, whatever its form."""
    bodies = [document, {"entity": document}, {"entity": {"id": "x"}, "parameters": document}]
    for body in (*(json.dumps(body).encode() for body in bodies), octets):
        for read in (read_body, read_record):
            try:
                read(body)
            except BadBody as why:
                assert str(why)


def test_errors_stand_at_their_fields() -> None:
    """Of a field, of a typed parameter and of a dialog's; what was sent beside them is as it was."""
    body = b'{"entity":{"id":"x","A":{"value":1}},"parameters":{"B":{"value":2},"custom":{"V":{"C":{"value":3}}}}}'
    found = echo(read_body(body), {"A": "a", "B": "b", "V.C": "c", "V.D": "d"})
    assert found == {
        "id": "x",
        "A": {"value": 1, "error": "a"},
        "B": {"value": 2, "error": "b"},
        "custom": {
            "V": {
                "C": {"type": "CustomStringField", "value": 3, "error": "c"},
                "D": {"type": "CustomStringField", "value": None, "error": "d"},
            }
        },
    }


@pytest.mark.parametrize("build", sorted(BUILDS))
def test_every_action_of_every_endpoint_is_executed_or_disabled(build: str) -> None:
    """On each of the entity's records; a record is changed by what is executed, and by nothing else."""
    instance, executed = Instance(BUILDS[build], "x"), set[tuple[str, str]]()
    for contract in instance.contracts:
        for name, definition in contract.entities.items():
            for action, parameters in definition.actions.items():
                effect = effect_of(name, action, parameters)
                assert effect is not None
                wanted = {key: value(kind) for key, kind in parameters.items()} | {"WarehouseID": "MAIN"}
                body = {"parameters": {key: {"value": text} for key, text in wanted.items()}}
                for row in list(instance.rows(name)):
                    asked = read_body(json.dumps({"entity": {"id": row.id}, **body}).encode())
                    try:
                        perform(instance, check(instance, contract, name, effect, asked))
                        executed.add((name, action))
                    except Refused as refusal:
                        assert (
                            b"button is disabled" in refusal.reply.body
                            or b"already used" in refusal.reply.body
                        )
    assert len(executed) > 100


def value(kind: str) -> object:
    """A value that a parameter of this type takes."""
    examples: dict[str, object] = {"DateTime": "2026-10-01", "Boolean": True, "Int": 2, "Decimal": 1.5}
    return examples.get(kind, "NEWKEY")


def test_an_action_that_is_neither_known_nor_typed_is_none() -> None:
    """A custom one is there in any endpoint; a typed one only where the endpoint has it."""
    assert effect_of("Case", "Close", None) is not None
    assert effect_of("Case", "Shut", None) is None
    assert effect_of("Payment", "ReleasePayment", None) is None
    assert effect_of("Payment", "ReleasePayment", {}) is not None

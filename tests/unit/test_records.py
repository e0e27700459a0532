"""A list's records, taken out of the answer one at a time: the same as all at once, and malformed ones by name."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.erp_floor import connection_to_nowhere
from worker.erp import answers
from worker.erp.caller import Caller
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.direct import _OneSession
from worker.erp.exchanges import Exchanges
from worker.erp.records import Records
from worker.erp.sessions import Lease
from worker.erp.signin import Grant
from worker.erp.wire import Answer, Wires
from worker.errors import AnswerMalformed
from worker.job import Lane
from worker.page import Query

ORDERS = Query(entity="SalesOrder", key_fields=("OrderType", "OrderNbr"))

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
records = st.lists(st.dictionaries(st.sampled_from(["id", "A", "B", "class", "x y"]) | st.text(), values))


def answer(body: bytes) -> Answer:
    """A list as the ERP answers it."""
    return Answer(status=200, content_type="application/json", location="", body=body)


@given(records, st.integers(-3, 3), st.integers(-3, 3))
def test_one_at_a_time_they_are_the_same(rows: list[dict[str, Any]], first: int, last: int) -> None:
    """However they are looked at, the records are those that the whole answer decodes to."""
    sent = answer(json.dumps(rows).encode())
    whole, found = answers.records(sent), Records.of(sent)
    assert list(found) == whole
    assert [found[place] for place in range(len(found))] == whole
    assert list(found[first:last]) == whole[first:last]


@given(records, st.lists(st.sampled_from(["id", "A", "B", "class", "x y"]), unique=True))
def test_members_that_are_named(rows: list[dict[str, Any]], fields: list[str]) -> None:
    """Of each record only these members, where it has them: as they are, whatever they are called."""
    sent = answer(json.dumps(rows).encode())
    told = [
        {name: row[name] for name in fields if row.get(name) is not None} for row in answers.records(sent)
    ]
    assert Records.of(sent).named(fields) == told


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[{]",
        b'{"an": "object"}',
        b'[{"a": 1}',
        b'[{"a": 1}]]',
        b'[{"a": 1}] x',
        b'[{"a": NaN}]',
        b"[" * 100_000,
        b'[{"a": "\\ud800"}]',
        b"[1, 2]",
        b'[{"id": "1"}, null]',
    ],
)
def test_a_list_that_cannot_be_read(body: bytes) -> None:
    """It is malformed as it is opened: cut, padded, no list, or a list of something else than records."""
    with pytest.raises(AnswerMalformed):
        Records.of(answer(body)).named(["id"])


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"a": {"value": 1, "value": 2}}',
        '{"a": ' + "[" * 300 + "]" * 300 + "}",
    ],
)
def test_a_record_that_cannot_be_read(text: str) -> None:
    """One that has two members of a name, or no bottom, is malformed when it is looked at."""
    found = Records.of(answer(f'[{{"id": "1"}}, {text}]'.encode()))
    assert found[0] == {"id": "1"}
    with pytest.raises(AnswerMalformed):
        found[1]


class Scripted:
    """A wire, and whoever lends it, that answers with these bodies in turn."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)

    @contextmanager
    def borrow(self, *, writes: bool) -> Iterator[Scripted]:
        """Itself."""
        yield self

    def send(self, *_: object) -> Answer:
        """The next body."""
        return answer(self.bodies.pop(0))


def erp_over(wires: Scripted) -> Erp:
    """An ERP that is this wire, and whose every pause is over at once."""
    one = _OneSession(
        Lease(
            slot=0,
            generation=0,
            id="-",
            grant=Grant(token=SecretStr("-"), expires_in=60.0),
            send_by=Deadline(60),
            fresh=False,
        )
    )
    caller = Caller(lane=Lane.BULK, deadline=Deadline(60), job_id="-")
    exchanges = Exchanges(connection_to_nowhere(), caller, one, one, cast(Wires, wires), threading.Event())
    return Erp(exchanges, one)


def test_a_list_that_cannot_be_opened_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came cut is found out when it is opened, and then asked for anew: the job goes on."""
    monkeypatch.setattr("worker.erp.exchanges.FIRST_PAUSE_SECONDS", 0)
    wires = Scripted(b'[{"id": "1"}', b'[{"id": ', b'[{"id": "1"}, {"id": "2"}]')
    found = erp_over(wires).ask(ORDERS, top=2, skip=0).open()
    assert ([row["id"] for row in found.named], wires.bodies) == (["1", "2"], [])

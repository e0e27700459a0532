"""The builder of filters: what it writes, what it turns round, and what it refuses with which way out."""

# ruff: noqa: SIM300, PLW0177 - what looks like a constant here is a field

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.erp.query import bind
from worker.errors import FilterInvalid
from worker.filters import Condition, F
from worker.job import Job

GUID = UUID("6b29fc40-ca47-1067-b31d-00dd010662da")


class Status(StrEnum):
    """As programs name them."""

    OPEN = "Open"


WRITTEN: list[tuple[Condition, str]] = [
    (F.Status == "Open", "Status eq 'Open'"),
    (F.Status == Status.OPEN, "Status eq 'Open'"),
    (F.Status != "O'Hara", "Status ne 'O''Hara'"),
    (F["Status"] == "", "Status eq ''"),
    (F.OrderTotal < 10, "OrderTotal lt 10"),
    (10 < F.OrderTotal, "OrderTotal gt 10"),
    (F.OrderTotal <= Decimal("10.50"), "OrderTotal le 10.50"),
    (F.OrderTotal > 10.5, "OrderTotal gt 10.5"),
    (F.OrderTotal >= -1, "OrderTotal ge -1"),
    (F.Hold == True, "Hold eq true"),  # noqa: E712
    (F.Hold.is_(False), "Hold eq false"),
    (F.CustomerOrder == None, "CustomerOrder eq null"),  # noqa: E711
    (F.CustomerOrder != None, "CustomerOrder ne null"),  # noqa: E711
    (F.CustomerOrder.is_(None), "CustomerOrder eq null"),
    (F.NoteID == GUID, f"NoteID eq guid'{GUID}'"),
    (F.Date >= date(2022, 12, 31), "Date ge datetimeoffset'2022-12-31T00:00:00'"),
    (F.Date < datetime(2024, 8, 18, 23, 59, 59, 999000, timezone(timedelta(hours=4))),
     "Date lt datetimeoffset'2024-08-18T23:59:59.999000+04:00'"),
    (F.MainContact.Email == "a@b.example", "MainContact/Email eq 'a@b.example'"),
    (F.MainContact.Address.City == "Oslo", "MainContact/Address/City eq 'Oslo'"),
    (F["MainContact/Email"] == "a", "MainContact/Email eq 'a'"),
    (F.custom("Document.AttributeCOLOR", str) == "red", "cf.String(f='Document.AttributeCOLOR') eq 'red'"),
    (F.custom("Document.UsrRate", Decimal) > 0, "cf.Decimal(f='Document.UsrRate') gt 0"),
    (F.custom("Document.UsrNumber", "Long") > 0, "cf.Long(f='Document.UsrNumber') gt 0"),
    (F.InventoryID.startswith("AA"), "startswith(InventoryID,'AA')"),
    (F.InventoryID.endswith("1"), "endswith(InventoryID,'1')"),
    (F.InventoryID.contains("LEGO"), "substringof('LEGO',InventoryID)"),
    (F.Status.in_(["Open", "Hold"]), "Status eq 'Open' or Status eq 'Hold'"),
    (F.Status.in_({"Open": 1}.keys()), "Status eq 'Open'"),
    ((F.A == 1) & (F.B == 2) & (F.C == 3), "A eq 1 and B eq 2 and C eq 3"),
    ((F.A == 1) | (F.B == 2) | (F.C == 3), "A eq 1 or B eq 2 or C eq 3"),
    ((F.A == 1) & ((F.B == 2) | (F.C == 3)), "A eq 1 and (B eq 2 or C eq 3)"),
    ((F.A == 1) & (F.B == 2) | (F.C == 3), "A eq 1 and B eq 2 or C eq 3"),
    (F.Status.in_(["Open", "Hold"]) & (F.A == 1), "(Status eq 'Open' or Status eq 'Hold') and A eq 1"),
    (~(F.A == 1), "A ne 1"),
    (~(F.A < 1), "A ge 1"),
    (~((F.A <= 1) & (F.B > 2)), "A gt 1 or B le 2"),
    (~((F.A >= 1) | (F.B != 2)), "A lt 1 and B eq 2"),
    (~F.Status.in_(["Open", None]), "Status ne 'Open' and Status ne null"),
    (~~(F.A == 1), "A eq 1"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "text"), WRITTEN, ids=[text for _, text in WRITTEN])
def test_what_is_written(condition: Condition, text: str) -> None:
    """A job takes the text with its parameters, or the text that has them in it; both come to the same for the ERP."""
    assert bind(condition.text, condition.params) == text
    assert str(condition) == text
    job = Job.parse(Job(entity="A", filter=condition.text, params=condition.params).wire())
    assert bind(str(job.filter), job.params) == text
    assert bind(str(Job(entity="A", filter=str(condition)).filter), {}) == text


def test_a_text_and_its_parameters() -> None:
    """The text names its values in their order."""
    condition = (F.A == "x") & (F.B.contains("x") | (F.C > 1))
    assert condition.text == "A eq :v1 and (substringof(:v2,B) or C gt :v3)"
    assert condition.params == {"v1": "x", "v2": "x", "v3": 1}


TRAPS: list[tuple[str, Callable[[], object], str]] = [
    ("and", lambda: F.A == 1 and F.B == 2, "by & and |"),
    ("or", lambda: F.A == 1 or F.B == 2, "by & and |"),
    ("not", lambda: not (F.A == 1), "by ~ in place of not"),  # noqa: SIM201
    ("chained", lambda: 1 < F.A < 3, r"\(F.A > 1\) & \(F.A < 3\)"),
    ("if", lambda: 1 if F.Hold else 2, "compare it"),
    ("in", lambda: F.A in [1, 2], "by & and |"),
    ("precedence", lambda: F.A == 1 & F.B == 2, r"\(F.A == 1\) & \(F.B == 2\)"),  # type: ignore[operator]
    ("precedence of fields", lambda: F.A & F.B, r"\(F.A == 1\) & \(F.B == 2\)"),  # type: ignore[operator]
    ("precedence of or", lambda: F.A == "x" | F.B == "y", r"\(F.A == 1\) & \(F.B == 2\)"),  # type: ignore[operator]
    ("a condition", lambda: F.A == (F.B == 1), r"\(F.A == 1\) & \(F.B == 2\)"),
    ("two fields", lambda: F.A == F.B, "never with another field"),  # type: ignore[operator]
    ("a list", lambda: F.A == [1, 2], r"by \.in_\("),
    ("an object", lambda: F.A == object(), "and not a object"),
    ("bytes", lambda: F.A < b"x", "and not a bytes"),  # type: ignore[operator]
    ("in a text", lambda: F.A.in_("Open"), "takes a list of values"),
    ("looking for a number", lambda: F.A.contains(1), "a text can be looked for"),  # type: ignore[arg-type]
    ("a type of no field", lambda: F.custom("A.B", list), "of no type"),  # type: ignore[arg-type]
    ("half a condition", lambda: (F.A == 1) & True, "unsupported operand"),  # type: ignore[operator]
    ("a set of fields", lambda: {F.A}, "unhashable"),
]  # fmt: skip


@pytest.mark.parametrize(("use", "words"), [trap[1:] for trap in TRAPS], ids=[trap[0] for trap in TRAPS])
def test_what_python_would_misread(use: Callable[[], object], words: str) -> None:
    """A wrong use of Python is a TypeError that says the way out, and never a filter that means something else."""
    with pytest.raises(TypeError, match=words):
        use()


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: ~F.A.contains("x"), "never what it does not find"),
    (lambda: ~((F.B == 1) & F.A.startswith("x")), "never what it does not find"),
    (lambda: F.Hold < True, "has no order"),
    (lambda: F.A < None, "has no order"),  # type: ignore[operator]
    (lambda: F.A == 10**28, "at most 28 digits"),
    (lambda: F.A < float("nan"), "nothing is compared with NaN"),
    (lambda: F.A < Decimal("Infinity"), "nothing is compared with Infinity"),
    (lambda: F.A == 1e300, "at most 28 digits"),
    (lambda: F.A < datetime(2022, 1, 1, tzinfo=timezone(timedelta(seconds=1))), "no such datetimeoffset"),
    (lambda: F.A.in_([]), "nothing to ask"),
    (lambda: F["not"] == 1, "does not answer not"),
    (lambda: F["A eq 1 or B"], "no name of a field"),
    (lambda: F.A["B eq 1 or C"], "no name of a field"),
    (lambda: F[""], "no name of a field"),
    (lambda: F["A\n"], "no name of a field"),
    (lambda: F["Straße"], "no name of a field"),
    (lambda: F.custom("Color", str), "no name of a custom field"),
    (lambda: F.custom("A.B') eq 'x' or cf.String(f='C.D", str), "no name of a custom field"),
]  # fmt: skip


@pytest.mark.parametrize(("use", "words"), REFUSED)
def test_what_the_erp_cannot_answer(use: Callable[[], object], words: str) -> None:
    """It is refused where it is written, by the error that a job with such a filter would get."""
    with pytest.raises(FilterInvalid, match=words):
        use()


def test_fields_behave_as_python_expects() -> None:
    """What Python asks of any object is no field, and a field can be copied and shown."""
    with pytest.raises(AttributeError):
        F.__wrapped__  # noqa: B018
    with pytest.raises(AttributeError):
        F.A.__wrapped__  # noqa: B018
    assert repr(copy.deepcopy(F.MainContact.Email)) == "<field MainContact/Email>"
    assert (F["_Own"] == 1).text == "_Own eq :v1"


PARTS = st.sampled_from([F.A == 1, F.B < 2, F.C == "x", F.D != None])  # noqa: E711
TREES: st.SearchStrategy[Condition] = st.recursive(
    PARTS,
    lambda part: (
        st.builds(operator.and_, part, part) | st.builds(operator.or_, part, part) | part.map(operator.inv)
    ),
    max_leaves=20,
)


@given(tree=TREES)
def test_turned_round_twice_is_what_it_was(tree: Condition) -> None:
    """The opposite of the opposite is the same text with the same values."""
    assert (~~tree).text == tree.text
    assert (~~tree).params == tree.params


@given(
    value=st.text()
    | st.integers(-(10**27), 10**27)
    | st.decimals(-(10**9), 10**9, places=4)
    | st.dates()
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids()
    | st.booleans()
    | st.none()
)
def test_no_value_is_in_the_text(value: Any) -> None:
    """Whatever the value is, the text names it and does not hold it."""
    assert (F.A == value).text == "A eq :v1"
    assert list((F.A == value).params) == ["v1"]

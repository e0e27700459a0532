"""What each answer of the ERP means, as a table: statuses and bodies recorded, documented or reported."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.erp import answers
from worker.erp.wire import Answer
from worker.errors import (
    AnswerMalformed,
    DataRefused,
    ErpBusy,
    ErpFault,
    ErpRestarting,
    ExchangeTimeout,
    FieldUnknown,
    FilterRefused,
    LoginLimit,
    NotInEndpoint,
    NotOptimizable,
    PreconditionFailed,
    RecordNotFound,
    RequestRefused,
    RightsMissing,
    SessionLost,
    UserLoginLimit,
    WorkerError,
)

JSON = "application/json; charset=utf-8"
STACK = "   at PX.Api.Canary.Frame()\r\n   at System.Canary"


def _answer(status: int, body: object = b"", content_type: str = JSON, location: str = "") -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, content_type=content_type, location=location, body=content)


def _exception(kind: str, message: str) -> dict[str, str]:
    return {
        "message": "An error has occurred.",
        "exceptionMessage": message,
        "exceptionType": kind,
        "stackTrace": STACK,
    }


OPTIMIZATION = (
    "Optimization cannot be performed.The following fields cause the error:\r\n"
    "ApplicationHistory.DisplayDocType: View ARPost has BQL delegate\r\n"
)
LIMIT_PAGE = b"<!DOCTYPE html><html><head><title>API Login Limit</title></head><body></body></html>"
CAP = "/Frames/Error.aspx?code=1&message=The+number+of+concurrent+API+logins+has+been+reached."
CASES: list[tuple[Answer, type[WorkerError], str]] = [
    (
        _answer(
            500, _exception("PX.Api.ContractBased.OptimizedExport.CannotOptimizeException", OPTIMIZATION)
        ),
        NotOptimizable,
        "ApplicationHistory.DisplayDocType: View ARPost has BQL delegate",
    ),
    (
        _answer(
            500,
            _exception("PX.Api.ContractBased.NoEntitySatisfiesTheConditionException", "No entity satisfies"),
        ),
        RecordNotFound,
        "no record",
    ),
    (
        _answer(
            500,
            _exception("System.Collections.Generic.KeyNotFoundException", "The given key was not present"),
        ),
        FieldUnknown,
        "given key",
    ),
    (
        _answer(
            500, _exception("Microsoft.Data.OData.ODataException", "An unknown function with name 'contains'")
        ),
        FilterRefused,
        "contains",
    ),
    (
        _answer(
            500, _exception("System.Exception", "A binary operator with incompatible types was detected.")
        ),
        FilterRefused,
        "binary operator",
    ),
    (
        _answer(
            500, _exception("PX.Data.PXSetupNotEnteredException`1[[X]]", "The required data is not entered")
        ),
        RequestRefused,
        "not set up",
    ),
    (
        _answer(500, _exception("PX.Data.PXInvalidOperationException", "Operation failed")),
        ErpFault,
        "Operation failed",
    ),
    (_answer(500, b"<html><title>Runtime Error</title></html>", "text/html"), ErpFault, "Runtime Error"),
    (_answer(500, b"", ""), ErpFault, "no message"),
    (_answer(500, b"{not json"), ErpFault, "not JSON"),
    (_answer(500, ["a", "list"]), ErpFault, "without a message"),
    (_answer(500, LIMIT_PAGE, "text/html"), LoginLimit, "API Login Limit"),
    (_answer(429, b"API Login Limit", "text/plain"), LoginLimit, "API Login Limit"),
    (_answer(302, b"", "text/html", CAP), UserLoginLimit, "SM201010"),
    (_answer(302, b"", "text/html", "https://elsewhere.invalid/"), ErpRestarting, "not followed"),
    (_answer(302, b"", "text/html", "https://[elsewhere/"), ErpRestarting, "not followed"),
    (
        _answer(302, b"", "text/html", "/MyStoreInstance/ui/error?message=No+such+screen"),
        ErpFault,
        "No such screen",
    ),
    (
        _answer(429, b"The custom error module does not recognize this error.", "text/plain"),
        ErpBusy,
        "custom error",
    ),
    (_answer(401, {"message": "You are not logged in."}), SessionLost, "not logged in"),
    (
        _answer(403, {"message": "You have insufficient rights to access the Payment (AR302000) form."}),
        RightsMissing,
        "AR302000",
    ),
    (
        _answer(403, {"message": "You have insufficient rights to access the Payment (AR302000) form."}),
        RightsMissing,
        "give a role of the API user access rights to that form",
    ),
    *(
        (
            _answer(status, _exception("PX.Data.PXException", said)),
            RequestRefused,
            f"({said}): name one that the API user may work in",
        )
        for status in (400, 404, 500)
        for said in (
            "Branch 'NOWHERE' cannot be found in the system.",
            "The branch NOWHERE was not found.",
            "Invalid branch NOWHERE",
        )
    ),
    (_answer(404, b"<html><title>404</title></html>", "text/html"), NotInEndpoint, "404"),
    (_answer(400, {"message": "Bad"}), RequestRefused, "Bad"),
    (
        _answer(400, b"<html>A <b>potentially dangerous</b> path</html>", "text/html"),
        RequestRefused,
        "potentially",
    ),
    (
        _answer(411, b"<html><title>Length Required</title></html>", "text/html"),
        RequestRefused,
        "Length Required",
    ),
    (_answer(422, {"message": "no"}), DataRefused, "no"),
    (_answer(412, {"message": "it exists"}), PreconditionFailed, "it exists"),
    (_answer(408, b"", "text/html"), ExchangeTimeout, "408"),
    (_answer(502, b"", "text/html"), ErpRestarting, "502"),
    (
        _answer(503, b"<html><title>Service Unavailable</title></html>", "text/html"),
        ErpRestarting,
        "Unavailable",
    ),
    (_answer(504, b"", "text/html"), ExchangeTimeout, "504"),
    (_answer(507, b"", "text/html"), ErpFault, "507"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), CASES, ids=lambda case: getattr(case, "__name__", None))
def test_error(answer: Answer, kind: type[WorkerError], words: str) -> None:
    """An answer is one named error, with the ERP's own words in one line and never its stack trace."""
    error = answers.error(answer)
    assert type(error) is kind
    assert words in error.message
    assert "Canary" not in error.message
    assert "\n" not in error.message


def test_an_unknown_branch_is_the_jobs_field() -> None:
    """A branch that is not there is a refusal of the job's field, not a failure that may pass."""
    error = answers.error(_answer(500, _exception("PX.Data.PXException", "Branch 'X' cannot be found.")))
    assert error is not None
    assert error.line.startswith("branch: the ERP has no such branch (Branch 'X' cannot be found.)")
    other = answers.error(_answer(500, _exception("X", "Branch accounting failed: no row cannot be saved")))
    assert type(other) is ErpFault


def test_a_long_optimization_error_is_told_short() -> None:
    """Of the fields that an optimization error lists the first few are told, and how many more there are."""
    fields = "".join(f"ApplicationHistory.F{n}: View ARPost has BQL delegate\r\n" for n in range(12))
    message = f"Optimization cannot be performed.The following fields cause the error:\r\n{fields}"
    error = answers.error(_answer(500, _exception("X.CannotOptimizeException", message)))
    assert isinstance(error, NotOptimizable)
    assert "ApplicationHistory.F2: View ARPost has BQL delegate; and 9 fields more" in error.message


def test_success_is_no_error() -> None:
    """A 200 and a 204 stand for no error."""
    assert answers.error(_answer(200, [])) is None
    assert answers.error(_answer(204)) is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (_answer(200, b"<html><title>Sign In</title></html>", "text/html"), ErpRestarting),
        (_answer(200, b"[]", ""), ErpRestarting),
        (_answer(200, b"[{]"), AnswerMalformed),
        (_answer(200, b""), AnswerMalformed),
        (_answer(200, {"an": "object"}), AnswerMalformed),
        (_answer(200, [1, 2]), AnswerMalformed),
        (_answer(200, b'[{"a": NaN}]'), AnswerMalformed),
        (_answer(200, b"[" * 100_000), AnswerMalformed),
        (_answer(200, b'[{"a": "\xff"}]'), AnswerMalformed),
        (_answer(200, b'[{"a": "\\ud800"}]'), AnswerMalformed),
        (_answer(200, b'[{"a": 1, "b": 2, "a": 1}]'), AnswerMalformed),
        (_answer(200, b'[{"a": {"value": 1, "value": 2}}]'), AnswerMalformed),
        (_answer(200, b'[{"a": -Infinity}]'), AnswerMalformed),
        (_answer(200, b'[{"a": 1e}]'), AnswerMalformed),
        (_answer(200, b"[" + b'{"a":' * 200 + b"1" + b"}" * 200 + b"]"), AnswerMalformed),
        (_answer(200, b"[" + b"1" * 10_000_000 + b"]"), AnswerMalformed),
    ],
)
def test_not_a_list(answer: Answer, kind: type[WorkerError]) -> None:
    """What is not a list of records is refused: it is never taken for an empty page, which would be the end."""
    with pytest.raises(kind):
        answers.records(answer)


def test_one_record_is_an_object() -> None:
    """A GET of one record takes an object and nothing else."""
    assert answers.record(_answer(200, {"id": "x"})) == {"id": "x"}
    with pytest.raises(AnswerMalformed):
        answers.record(_answer(200, []))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**15), max_value=10**15))
def test_numbers_are_exact(number: Decimal) -> None:
    """A number with a fraction keeps every digit that the ERP sent, trailing zeros among them."""
    (row,) = answers.records(_answer(200, b'[{"a": {"value": %s}}]' % format(number, "f").encode()))
    assert str(row["a"]["value"]) == str(number)


@given(st.binary(max_size=2000), st.sampled_from([JSON, "text/html", ""]), st.integers(300, 599))
def test_any_answer_is_understood(body: bytes, content_type: str, status: int) -> None:
    """Whatever comes from the network is an error of the tree with a short message, never another exception."""
    error = answers.error(_answer(status, body, content_type))
    assert isinstance(error, WorkerError)
    assert len(error.message) < 1000


BAD_FIELDS: list[tuple[dict[str, Any], int, list[tuple[str, str, str]]]] = [
    (
        {"CustomerID": {"value": "ABARTENDE1", "error": "'Customer' cannot be found in the system."}},
        422,
        [("CustomerID", "ABARTENDE1", "'Customer' cannot be found in the system.")],
    ),
    (
        {"id": "1", "Details": [{"Qty": {"value": 1}}, {"Qty": {"value": -2, "error": "Too\r\nfew"}}]},
        422,
        [("Details[1].Qty", "-2", "Too few")],
    ),
    (
        {
            "message": "An error has occurred.",
            "exceptionMessage": "raised at least one error",
            "entity": {"Type": {"value": "X", "error": "No such type"}},
            "parameters": {"custom": {"FilterPreview": {"Reason": {"value": "Why", "error": "Not allowed"}}}},
        },
        422,
        [("Type", "X", "No such type"), ("custom.FilterPreview.Reason", "Why", "Not allowed")],
    ),
    ({"error": "The record is locked.", "Note": {"value": "x"}}, 422, [("", "", "The record is locked.")]),
    (
        {
            "message": "An error has occurred.",
            "exceptionType": "PX.Api.ContractBased.OutcomeEntityHasErrorsException",
            "exceptionMessage": "Inserting  'Sales Order Adjust' record raised at least one error. Please review the "
            "errors.\nAdjdOrderNbr: 'Order Nbr.' cannot be empty.",
        },
        500,
        [("AdjdOrderNbr", "", "'Order Nbr.' cannot be empty.")],
    ),
]
"""Shapes of the vendor's guide, and of a recording of 2021 R2 (the last)."""


@pytest.mark.parametrize(("body", "status", "rows"), BAD_FIELDS)
def test_refused_data_is_a_table(body: dict[str, Any], status: int, rows: list[tuple[str, str, str]]) -> None:
    """Each field that the ERP does not take has a row: where it is, the value that it was given, and why."""
    error = answers.error(_answer(status, body))
    assert isinstance(error, DataRefused)
    assert [(row["field"], row["value"], row["error"]) for row in error.errors] == rows
    assert rows[0][2] in error.message

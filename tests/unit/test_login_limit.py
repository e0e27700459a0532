"""The login limit is known by the ERP's words, wherever in its answer they stand."""

from __future__ import annotations

import pytest

from worker.erp import answers
from worker.erp.wire import Answer
from worker.errors import LoginLimit, UserLoginLimit

STYLE = f"<html><head><title>Error</title><style>{'.a {{}} ' * 400}</style></head>"


@pytest.mark.parametrize(
    "words", ["API Login Limit", "The number of Concurrent API Logins has been reached."]
)
@pytest.mark.parametrize("status", [429, 500])
def test_login_limit_below_a_long_head(words: str, status: int) -> None:
    """A page that says it only in its body, below its styles, is the login limit all the same."""
    page = f"{STYLE}<body><h1>{words}</h1></body></html>".encode()
    answer = Answer(status=status, content_type="text/html", location="", body=page)
    error = answers.error(answer)
    assert isinstance(error, LoginLimit)
    assert ("SM201010" in error.message) == ("oncurrent" in words)


@pytest.mark.parametrize(
    ("answer", "kind", "seconds"),
    [
        (Answer(status=500, content_type="text/html", location="", body=b"API Login Limit"), LoginLimit, 10),
        (
            Answer(
                status=302,
                content_type="text/html",
                location="/Site/Frames/Error.aspx?x=1&message=The+number+of+concurrent+API+logins+(1)+has+been+reached.",
                body=b"",
            ),
            UserLoginLimit,
            3600,
        ),
        (
            Answer(
                status=500,
                content_type="application/json",
                location="",
                body=b'{"message":"An error has occurred.","exceptionMessage":"The number of concurrent API '
                b'logins is reached. See Users (SM201010).","exceptionType":"PX.Data.PXException"}',
            ),
            UserLoginLimit,
            3600,
        ),
    ],
)
def test_whose_limit_it_is(answer: Answer, kind: type[LoginLimit], seconds: float) -> None:
    """A user's own limit is told from the license's: only a setting ends it, so nobody asks within the hour."""
    error = answers.error(answer)
    assert type(error) is kind
    assert error.seconds == seconds
    assert error.state == "waiting_for_session"

"""The login limit is known by the ERP's words, wherever in its answer they stand."""

from __future__ import annotations

import pytest

from worker.erp import answers
from worker.erp.wire import Answer
from worker.errors import LoginLimit

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

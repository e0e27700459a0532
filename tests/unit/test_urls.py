"""The one builder of URLs: what a job's text can and cannot become in a request line."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.erp_floor import connection_to_nowhere
from worker.erp import urls
from worker.errors import AnswerMalformed
from worker.page import Query

CONNECTION = connection_to_nowhere("https://erp.example.com/MyStoreInstance")
FILE = "/MyStoreInstance/entity/Default/20.200.001/files/9be45eb7-f97d-400b-96a5-1c4cf82faa96"


ODD_CHARACTERS = ["1/2-ELBOW", "#10-SCREW", "50%-OFF", "A?B", "a+b", "a|b", "a\\b", "é\u202e"]
ODD_FORMS = ["A.", " A", "$adHocSchema", "ä" * 40]


@pytest.mark.parametrize("key", [*ODD_CHARACTERS, *ODD_FORMS])
def test_keys_that_no_path_carries(key: str) -> None:
    """What IIS refuses or reads otherwise in a path is not put into one."""
    assert not urls.fits_a_path([key])


def test_a_key_like_an_id_is_not_put_in_a_path() -> None:
    """One key that looks like a record's id would be taken for it."""
    assert not urls.fits_a_path(["9be45eb7-f97d-400b-96a5-1c4cf82faa96"])


@pytest.mark.parametrize("keys", [["SO", "000001"], ["Credit Memo", "000068"], ["AAMACHINE1"], ["Ärger"]])
def test_ordinary_keys_fit(keys: list[str]) -> None:
    """Ordinary keys, with spaces and letters of any alphabet, go into the path."""
    assert urls.fits_a_path(keys)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_segments_stay_segments(keys: list[str]) -> None:
    """However keys are made, a path has as many segments as it was given, and they read as they were."""
    if not urls.fits_a_path(keys):
        return
    path = urls.entity_path(CONNECTION, "SalesOrder", *keys)
    assert [unquote(part) for part in path.split("/")[5:]] == keys
    assert path.isascii()


@given(st.text(), st.text())
def test_options_stay_options(filter_: str, select: str) -> None:
    """Whatever a filter holds, the query string has the options that were asked and no others."""
    text = urls.options(Query(entity="X", filter=filter_, select=(select,)), top=5)
    expected = [("$select", select), ("$filter", filter_), ("$top", "5")]
    assert parse_qsl(text, keep_blank_values=True) == [(name, value) for name, value in expected if value]


def test_href_of_this_instance() -> None:
    """A file's own path below this instance is followed."""
    assert urls.file_path(CONNECTION, "/MyStoreInstance", FILE) == FILE.removeprefix("/MyStoreInstance")


@pytest.mark.parametrize(
    "href",
    [
        "https://evil.test" + FILE,
        "//evil.test" + FILE,
        FILE + "/..",
        FILE + "?x=1",
        FILE.replace("/files/", "/files/../"),
        FILE.replace("/MyStoreInstance", "/Other"),
        FILE.replace("20.200.001", "18.200.001"),
        FILE.replace("9be45eb7", "..%2f..%2f"),
        "/MyStoreInstance/identity/connect/token",
        "",
    ],
)
def test_other_hrefs_are_refused(href: str) -> None:
    """Any other address is not followed, whoever put it into a record."""
    with pytest.raises(AnswerMalformed):
        urls.file_path(CONNECTION, "/MyStoreInstance", href)


RUNNING = "/MyStoreInstance/entity/Default/20.200.001/Case/Close/status/9be45eb7-f97d-400b-96a5-1c4cf82faa96"


def test_where_an_operation_is_asked_after() -> None:
    """The place of a long operation is one below this instance's endpoint, and no other."""
    assert urls.operation_path(CONNECTION, RUNNING) == RUNNING.removeprefix("/MyStoreInstance")


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.test" + RUNNING,
        RUNNING.replace("Case/Close", "../.."),
        RUNNING.replace("Case", "%2e%2e"),
        RUNNING.replace("Case/", ""),
        RUNNING.replace("status", "files"),
        RUNNING + "?x=1",
        RUNNING.replace("20.200.001", "18.200.001"),
        "",
    ],
)
def test_other_places_are_refused(location: str) -> None:
    """Any other address is not followed, whoever has sent it."""
    with pytest.raises(AnswerMalformed):
        urls.operation_path(CONNECTION, location)

"""What a handler makes of a job: the one GET that goes to the ERP."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.erp.client import Erp
from worker.errors import KeysInvalid
from worker.handler import Endpoint, Handler
from worker.job import FileChoice, Job, OnOptimizationError
from worker.page import Cursor, Page, Query

ENDPOINT = Endpoint("Default", "20.200.001")
ERP = cast(Erp, SimpleNamespace(download=print, seats=1))
NAMES = st.sampled_from(["Details", "MainContact", "Address", "Status", "files"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


class Orders(Handler):
    """Stands for any plugin."""

    entity = "Orders"
    keys: ClassVar[tuple[str, ...]] = ("Type", "Number")
    expand = ("Details",)

    def pages(self, erp: Erp, query: Query) -> Iterator[Page]:
        """One page with one record that has a file."""
        record = {"id": "r1", "files": [{"id": "f1", "filename": "a.txt", "href": "/files/f1"}]}
        yield Page(records=[record], cursor=Cursor(strategy="one", passed=1, over=True))


class Narrow(Orders):
    """A plugin with fields of its own choice."""

    select = ("Number", "MainContact/Email")


def query_of(body: dict[str, Any], handler: Handler | None = None) -> Query:
    """The query of a job for Orders."""
    return (handler or Orders()).query(Job.parse({"entity": "Orders", **body}), None, ENDPOINT)


@pytest.mark.parametrize(
    ("body", "select", "expand"),
    [
        ({}, (), ("Details",)),
        ({"select": []}, (), ("Details",)),
        ({"select": ["Number"]}, ("Number",), ()),
        ({"select": ["Number", "Lines/Item"]}, ("Number", "Lines/Item"), ("Lines",)),
        ({"select": ["A/B/C"]}, ("A/B/C",), ("A", "A/B")),
        ({"expand": []}, (), ()),
        ({"expand": ["A/B"]}, (), ("A", "A/B")),
        ({"select": ["A/X"], "expand": ["A"]}, ("A/X",), ("A",)),
        ({"select": ["Number"], "expand": ["Lines"]}, ("Number", "Lines"), ("Lines",)),
        ({"select": ["LinesTotal"], "expand": ["Lines"]}, ("LinesTotal", "Lines"), ("Lines",)),
        ({"custom": ["Document.UsrX"]}, (), ("Details",)),
        ({"custom": ["Lines/Document.UsrX"]}, (), ("Lines", "Details")),
        ({"select": ["Number"], "custom": ["Lines/T.UsrX"]}, ("Number", "Lines"), ("Lines",)),
        ({"attachments": True}, (), ("Details", "files")),
        ({"attachments": True, "select": ["Number"]}, ("Number", "files"), ("files",)),
        ({"attachments": True, "select": ["files"]}, ("files",), ("files",)),
        ({"attachments": True, "expand": ["files"]}, (), ("files",)),
        ({"attachments": {"details": ["Details"]}}, (), ("Details", "files", "Details/files")),
        ({"attachments": {"include": ["*"]}, "expand": []}, (), ("files",)),
    ],
)
def test_select_and_expand_of_a_job(
    body: dict[str, Any], select: tuple[str, ...], expand: tuple[str, ...]
) -> None:
    """A job's fields bring the details that they lie in; neither what is expanded nor the keys are ever left out."""
    query = query_of(body)
    with_keys = tuple(dict.fromkeys((*Orders.keys, *select))) if select else ()
    assert (query.select, query.expand) == (with_keys, expand)


def test_a_handlers_own_fields_stand_for_a_job_that_names_none() -> None:
    """A plugin may narrow the fields; a job that asks for all of them, or for others, gets those."""
    own = query_of({}, Narrow())
    assert own.select == ("Type", "Number", "MainContact/Email", "Details")
    assert own.expand == ("MainContact", "Details")
    assert query_of({"select": []}, Narrow()).select == ()
    assert query_of({"select": ["Total"]}, Narrow()).select == ("Type", "Number", "Total")


@given(
    select=st.none() | st.lists(PATHS, max_size=5),
    expand=st.none() | st.lists(PATHS, max_size=5),
    files=st.booleans(),
)
def test_whatever_is_expanded_comes_back(
    select: list[str] | None, expand: list[str] | None, files: bool
) -> None:
    """Every level above an expanded path is expanded, and has a member in a select that there is."""
    body: dict[str, Any] = {"select": select, "expand": expand, "attachments": files}
    query = query_of({name: value for name, value in body.items() if value is not None})
    assert len(set(query.expand)) == len(query.expand)
    for path in query.expand:
        assert path.rpartition("/")[0] in ("", *query.expand)
        if query.select:
            assert any((name + "/").startswith(path + "/") for name in query.select)
    assert set(select or []) <= set(query.select)
    if files:
        assert "files" in query.expand


def test_the_rest_of_a_job_goes_on_as_it_is() -> None:
    """Keys, the bound filter, custom fields, page size, limit and entity are in the query unchanged."""
    job = Job.parse(
        {
            "entity": "Orders",
            "filter": "Number eq :n",
            "params": {"n": "1"},
            "custom": ["A.B"],
            "page_size": 7,
            "limit": 9,
            "on_optimization_error": "drop",
        }
    )
    query = Orders().query(job, "Number eq '1'", ENDPOINT)
    assert query == Query(
        entity="Orders",
        key_fields=("Type", "Number"),
        filter="Number eq '1'",
        expand=("Details",),
        custom=("A.B",),
        page_size=7,
        limit=9,
        on_optimization_error=OnOptimizationError.DROP,
    )
    assert query_of({"consistency": "fresh"}).fresh
    assert query_of({"keys": ["SO", "1"]}).keys == ("SO", "1")


@pytest.mark.parametrize("keys", [["SO"], ["SO", "1", "2"]])
def test_a_wrong_number_of_keys_is_refused(keys: list[str]) -> None:
    """Too few or too many keys are refused with the names of the key fields in their order."""
    with pytest.raises(KeysInvalid, match=r"named by Type, Number in this order; [13] given") as caught:
        query_of({"keys": keys})
    assert caught.value.field == "keys"


def test_keys_are_taken_as_they_are_where_the_key_fields_are_unknown() -> None:
    """Where nobody knows the key fields, the ERP decides about the keys."""

    class Unknown(Orders):
        keys = ()

    assert query_of({"keys": ["a", "b", "c"]}, Unknown()).keys == ("a", "b", "c")


@pytest.mark.parametrize("wanted", [True, False])
def test_every_handler_gives_attachments_to_a_job_that_wants_them(wanted: bool) -> None:
    """A plugin need not think of attachments: its pages carry them if, and only if, the job wants them."""
    (page,) = Orders().retrieve(ERP, Query(entity="Orders", files=FileChoice() if wanted else None))
    assert len(page.attachments) == wanted

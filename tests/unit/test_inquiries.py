"""What an inquiry may say, and what is asked of whom for it."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import kinds
from worker.erp.exchanges import Exchanges
from worker.erp.odata import Feed, find
from worker.erp.odata_text import Dialect
from worker.erp.schema import Schema
from worker.errors import JobInvalid, JobRefused
from worker.inquiries import detail_of, question_of, require_inquiry
from worker.kinds import Inquiry

SCHEMA = Schema(
    types={
        "StockInquiry": {"Item": "String", "Results": "Row[]"},
        "Balances": {"Period": "String", "Rows": "Row[]", "Totals": "Row[]"},
        "SalesOrder": {"OrderNbr": "String", "Details": "Row[]"},
        "Row": {"Qty": "Decimal"},
    },
    top={"StockInquiry": {}, "Balances": {}, "SalesOrder": {}},
    unlisted=frozenset({"Balances"}),
)
FEED = Feed(
    kind="gi",
    root=("t", "My Tenant", "api", "odata", "gi"),
    name="Stock's",
    dialect=Dialect.V4,
    keys=("Item",),
    columns={"Item": "Edm.String", "Qty": "Edm.Decimal"},
    parameters={"Site": "Edm.String"},
)


def inquiry(**said: Any) -> Inquiry:
    """An inquiry as a message has it."""
    job = kinds.parse({"kind": "inquiry", "entity": "StockInquiry", **said})
    assert isinstance(job, Inquiry)
    return job


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"filter": "Qty gt 1"}, "filter"),
        ({"page_size": 5}, "page_size"),
        ({"entity": "BI-Customers"}, "entity"),
        ({"interface": "gi", "results": "Results"}, "results"),
        ({"interface": "gi", "params": {"a": 1}}, "params"),
        ({"interface": "soap"}, "interface"),
        ({"interface": "gi", "entity": "a/b"}, "entity"),
        ({"interface": "gi", "entity": "a\\b"}, "entity"),
        ({"interface": "gi", "entity": "a\nb"}, "entity"),
        ({"parameters": ["AALEGO500"]}, "parameters"),
        ({"results": "Not a name"}, "results"),
        ({"keys": ["SO"]}, "keys"),
    ],
)
def test_what_an_interface_does_not_have_is_refused(said: dict[str, Any], field: str) -> None:
    """Each field that is wrong, or belongs to the other interface, is named."""
    with pytest.raises(JobRefused) as caught:
        inquiry(**said)
    assert caught.value.field == field


def test_an_inquiry_travels_as_it_is() -> None:
    """What a job says is what it said, on its way."""
    job = inquiry(
        interface="gi", entity="Stock's", parameters={"Site": "A"}, filter="Qty gt :q", params={"q": 1}
    )
    assert kinds.parse(job.wire()).wire() == job.wire()


@pytest.mark.parametrize("entity", ["StockInquiry", "Balances", "CompaniesStructure"])
def test_inquiries_are_known(entity: str) -> None:
    """By the endpoint's description, by the vendor's list, or by their name where there is no description."""
    require_inquiry(SCHEMA, entity)
    if entity != "Balances":
        require_inquiry(None, entity)


@pytest.mark.parametrize("schema", [SCHEMA, None])
@pytest.mark.parametrize("entity", ["SalesOrder", "Unheard", "InquiryOrder"])
def test_what_may_keep_records_is_no_inquiry(schema: Schema | None, entity: str) -> None:
    """A PUT would write a record there, so it is refused."""
    with pytest.raises(JobInvalid, match="would write a record"):
        require_inquiry(schema, entity)


def test_the_detail_with_the_rows() -> None:
    """It is the only one that there is, or the one that the job names; the usual one where nobody tells."""
    assert detail_of(SCHEMA, inquiry()) == "Results"
    assert detail_of(None, inquiry()) == "Results"
    assert detail_of(None, inquiry(results="Rows")) == "Rows"
    assert detail_of(SCHEMA, inquiry(entity="Balances", results="Totals")) == "Totals"


@pytest.mark.parametrize("results", [None, "Period", "Sums"])
def test_a_detail_that_must_be_named(results: str | None) -> None:
    """Among several, or in place of one that is none, the job must say which."""
    with pytest.raises(JobInvalid, match="has the rows: Rows, Totals"):
        detail_of(SCHEMA, inquiry(entity="Balances", results=results))


def test_what_is_asked_of_a_feed() -> None:
    """The rows in the order of the keys, by a filter in the feed's dialect; parameters are in the path."""
    asked = question_of(
        inquiry(interface="gi", entity="x", filter="Qty gt :q", params={"q": 1}, select=["Qty"]), FEED
    )
    assert asked.path == "/t/My%20Tenant/api/odata/gi/Stock%27s"
    assert asked.options(top=10, skip=0) == "$filter=Qty%20gt%201&$select=Qty&$orderby=Item&$top=10"
    assert asked.options(top=10, skip=10).endswith("&$top=10&$skip=10")
    by_site = question_of(inquiry(interface="gi", entity="x", parameters={"Site": "A B"}), FEED)
    assert unquote(by_site.path) == "/t/My Tenant/api/odata/gi/Stock's_WithParameters(Site='A B')"


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.lists(
    st.sampled_from(
        ["'", "/", "..", "?", "&$filter=", "#", "%2f", "\\", "a", "(", ")", ",", "\r\n", "Qty", " eq "]
    ),
    max_size=6,
).map("".join)


@given(value=TEXTS, site=TEXTS, column=TEXTS)
def test_nothing_leaves_the_feeds_path(value: str, site: str, column: str) -> None:
    """Whatever a job holds, one path below the service is asked with options of ours; or the job is refused."""
    said = {"interface": "gi", "entity": "x", "filter": "Item eq :v", "params": {"v": value}}
    try:
        asked = question_of(inquiry(**said, parameters={"Site": site}, select=[column]), FEED)
    except JobRefused:
        asked = question_of(inquiry(**said), FEED)
    head, _, segment = asked.path.rpartition("/")
    assert head == "/t/My%20Tenant/api/odata/gi"
    assert unquote(segment).startswith("Stock's")
    names = [option.partition("=")[0] for option in asked.options(top=1, skip=1).split("&")]
    assert set(names) <= {"$filter", "$select", "$orderby", "$top", "$skip"}
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "name",
    [
        "Stock (old)",
        "a:b",
        "50%",
        "A&B",
        "x.",
        " x",
        "$batch",
        "a" * 201,
        "tab\u00a0",
        "*",
        "a?b",
        "a#b",
        "a+b",
    ],
)
def test_names_that_no_url_carries(name: str) -> None:
    """Such a feed is refused before anything is asked."""
    with pytest.raises(JobInvalid, match="no URL"):
        find(cast(Exchanges, None), "gi", name)

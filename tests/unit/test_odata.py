"""What OData services tell of themselves, where their lists go on, and what their values are."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.odata_feeds import CLASSES, INQUIRIES
from deploy.sandbox.odata_v3 import metadata as metadata_v3
from deploy.sandbox.odata_v4 import metadata as metadata_v4
from tests.erp_floor import connection_to_nowhere
from worker.erp import answers, urls
from worker.erp.csdl import Service
from worker.erp.odata import plain
from worker.erp.wire import Answer
from worker.errors import AnswerMalformed, FieldUnknown, FilterRefused, RequestRefused, WorkerError

CONNECTION = connection_to_nowhere("https://erp.example.com/My Site".replace(" ", "%20"))
PATH = urls.path("t", "T", "api", "odata", "gi", "Customer's Payments")
EDMX = '<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>{}</edmx:DataServices></edmx:Edmx>'


def document(inside: str) -> bytes:
    """A ``$metadata`` with this inside."""
    return EDMX.format(inside).encode()


SMALL = document('<EntityContainer><EntitySet Name="S" EntityType="A.T"/></EntityContainer>')


def test_services_of_both_versions_are_read() -> None:
    """Sets, columns with their types, keys and the parameters of functions, as CSDL 3 and 4 have them."""
    shown = [feed for feed in INQUIRIES if feed.exposed]
    v3, v4 = Service(metadata_v3(shown)), Service(metadata_v4([(feed.name, feed) for feed in shown]))
    assert v3.sets == v4.sets == tuple(feed.name for feed in shown)
    for feed in shown:
        for service in (v3, v4):
            type_ = service.type_of(feed.name)
            assert list(type_.columns) == [column.name for column in feed.columns]
            assert type_.keys == feed.keys
    assert v3.type_of("BI-Inventory").columns["LastModified"] == "Edm.DateTime"
    assert v4.parameters("Items by Warehouse_WithParameters") == {"Item": "Edm.String", "Site": "Edm.String"}
    assert v4.parameters("BI-Inventory_WithParameters") is None


def test_types_that_are_made_of_others() -> None:
    """The columns and keys of a type's base are its own too."""
    service = Service(
        document(
            '<Schema Namespace="A"><EntityType Name="Base"><Key><PropertyRef Name="Id"/></Key>'
            '<Property Name="Id" Type="Edm.Guid"/></EntityType></Schema>'
            '<Schema Namespace="B"><EntityType Name="Order" BaseType="A.Base"><Property Name="Nbr" Type="Edm.String"/>'
            '</EntityType><ComplexType Name="Base"><Property Name="No" Type="Edm.String"/></ComplexType>'
            '<EntityContainer Name="C"><EntitySet Name="Orders" EntityType="B.Order"/></EntityContainer></Schema>'
        )
    )
    type_ = service.type_of("Orders")
    assert (dict(type_.columns), type_.keys) == ({"Id": "Edm.Guid", "Nbr": "Edm.String"}, ("Id",))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<html>",
        b"<edmx/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + SMALL,
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + SMALL,
        document('<Schema Namespace="A"></Schema>'),
        b"<" * 100_000,
        b'<?xml version="1.0" encoding="nobody-knows"?>' + SMALL,
        b'<?xml version="1.0" encoding="gb18030"?>' + SMALL,
        b'<?xml version="1.0" encoding="idna"?>' + SMALL,
    ],
)
def test_what_is_no_metadata_is_malformed(body: bytes) -> None:
    """Pages, other documents, and anything that declares entities are refused, and nothing is opened for them."""
    with pytest.raises(AnswerMalformed):
        Service(body)


@pytest.mark.parametrize("base", ["", ' BaseType="A.T"', ' BaseType="A.Gone"'])
def test_types_that_lead_nowhere(base: str) -> None:
    """A set whose type is not there, or is made of itself, is malformed."""
    kind = "A.T" if base else "A.None"
    service = Service(
        document(
            f'<Schema Namespace="A"><EntityType Name="T"{base}/>'
            f'<EntityContainer><EntitySet Name="S" EntityType="{kind}"/></EntityContainer></Schema>'
        )
    )
    with pytest.raises(AnswerMalformed, match="what S consists of"):
        service.type_of("S")


def test_the_classes_of_the_sandbox() -> None:
    """A service of classes has each by its name, with its keys."""
    service = Service(metadata_v4([(feed.long_name, feed) for feed in CLASSES]))
    assert service.type_of("PX_Objects_SO_SOLine").keys == ("OrderType", "OrderNbr", "LineNbr")


OPTIONS = st.lists(
    st.tuples(st.sampled_from(["$skip", "$skiptoken", "$filter", "$top"]), st.text()), min_size=1
)


@given(options=OPTIONS)
def test_a_links_options_are_quoted_anew(options: list[tuple[str, str]]) -> None:
    """The query of a link to the same path says what the link said, whatever is in it, and is plain ASCII."""
    link = f"https://erp.example.com/My%20Site{quote(unquote(PATH))}?{urlencode(options)}"
    told = urls.next_query(CONNECTION, PATH, link)
    assert told.isascii()
    assert not set(told) & set(" \r\n#")
    parts = [pair.partition("=") for pair in told.split("&")]
    assert [(unquote(name), unquote(value)) for name, _, value in parts] == options


@pytest.mark.parametrize(
    "link",
    [
        "Customer's%20Payments?$skip=4",
        "/My%20Site/t/T/api/odata/gi/Customer%27s%20Payments?$skip=4",
        "http://inside.local/My%20Site/t/T/api/odata/gi/Customer%27s%20Payments?$skip=4",
        "?$skip=4",
    ],
)
def test_links_to_the_same_path(link: str) -> None:
    """A link may be relative, and name the host as something in front of the ERP knows it: its query alone is used."""
    assert urls.next_query(CONNECTION, PATH, link) == "$skip=4"


HOSTILE = st.sampled_from(
    [
        "https:",
        "//",
        "example.com",
        "/",
        "..",
        "/entity/auth/logout",
        "?",
        "$skip=4",
        "#",
        "[",
        "%2e%2e/",
        "\\",
        "@",
        "\n",
    ]
)


@given(link=st.lists(HOSTILE, max_size=7).map("".join) | st.text())
def test_a_link_is_followed_to_the_same_path_or_not_at_all(link: str) -> None:
    """Whatever a link says, what comes of it is a query for the path that was asked, or AnswerMalformed."""
    try:
        told = urls.next_query(CONNECTION, PATH, link)
    except AnswerMalformed:
        return
    assert told.isascii()
    assert not set(told) & set(" \r\n#?")
    assert len(told) <= urls.LONGEST_QUERY


def test_a_link_without_end_is_not_followed() -> None:
    """A query longer than any server takes is refused."""
    with pytest.raises(AnswerMalformed):
        urls.next_query(CONNECTION, PATH, "?$skiptoken=" + "a" * urls.LONGEST_QUERY)


@pytest.mark.parametrize(
    ("value", "type_", "told"),
    [
        ("1000.000000", "Edm.Decimal", Decimal("1000.000000")),
        ("-9007199254740993", "Edm.Int64", -9007199254740993),
        ("AALEGO500      ", "Edm.String", "AALEGO500"),
        ("AALEGO500 ", "", "AALEGO500"),
        ("  a\t", "Edm.String", "  a\t"),
        ("2022-09-14T21:26:36.33", "Edm.DateTime", "2022-09-14T21:26:36.33"),
        (Decimal("1.50"), "Edm.Decimal", Decimal("1.50")),
        (None, "Edm.Decimal", None),
        (True, "Edm.Boolean", True),
    ],
)
def test_values_are_as_the_other_interface_has_them(value: Any, type_: str, told: Any) -> None:
    """Texts that are numbers become numbers with their scale, and texts lose the blanks behind them alone."""
    assert plain({"F": value, "F@odata.type": "#x", "odata.id": "y"}, {"F": type_}) == {"F": told}


@pytest.mark.parametrize("value", ["many", "NaN", "Infinity", "", "1,5"])
def test_nonsense_in_a_column_of_numbers(value: str) -> None:
    """A text that is no number in such a column is malformed, and not passed on."""
    with pytest.raises(AnswerMalformed, match="column of numbers"):
        plain({"F": value}, {"F": "Edm.Decimal"})


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Could not find a property named 'Nope' on type 'PX.Data.BI'.", FieldUnknown),
        ("An unknown function with name 'substringof' was found.", FilterRefused),
        ("A binary operator with incompatible types was detected.", FilterRefused),
        ("The parameter Item is wrong.", RequestRefused),
    ],
)
@pytest.mark.parametrize("form", ["v3", "v4"])
def test_a_400_of_odata_is_named(message: str, kind: type[WorkerError], form: str) -> None:
    """OData's words are passed on from the form of either version, and decide what is wrong."""
    told: dict[str, Any] = {"error": {"code": "", "message": message}}
    if form == "v3":
        told = {"odata.error": {"code": "", "message": {"lang": "en-US", "value": message}}}
    answer = Answer(status=400, content_type="application/json", location="", body=json.dumps(told).encode())
    error = answers.error(answer)
    assert type(error) is kind
    assert message in str(error)

"""OData v4, of generic inquiries and of data access classes: JSON with numbers as numbers and moments in UTC. Pure."""

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from xml.sax.saxutils import quoteattr

from deploy.sandbox.odata_model import Column, Feed, Line
from deploy.sandbox.odata_query import Page
from deploy.sandbox.odata_v3 import EDM, padded
from deploy.sandbox.rows import Scalar

JSON = "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"
XML = "application/xml"

_EDM_NS = "http://docs.oasis-open.org/odata/ns/edm"
_EDMX_NS = "http://docs.oasis-open.org/odata/ns/edmx"
_NAMESPACE = "PX.Data"


def page(root: str, name: str, found: Page, next_link: str) -> bytes:
    """A page of an entity set, with where the next one is, if there is one."""
    head = [_member("@odata.context", f"{root}/$metadata#{name}")]
    if found.count is not None:
        head.append(f'"@odata.count":{found.count}')
    rows = ",".join(_object(found.columns, line) for line in found.lines)
    tail = [_member("@odata.nextLink", next_link)] if next_link else []
    return ("{" + ",".join([*head, f'"value":[{rows}]', *tail]) + "}").encode()


def entity(root: str, name: str, columns: Iterable[Column], line: Line) -> bytes:
    """One row, by its key."""
    context = _member("@odata.context", f"{root}/$metadata#{name}/$entity")
    return ("{" + context + "," + _object(columns, line)[1:]).encode()


def service(root: str, names: Iterable[tuple[str, str]]) -> bytes:
    """The service document: each set, or function of an inquiry with parameters, by name and kind."""
    sets = [{"name": name, "kind": kind, "url": name} for name, kind in names]
    return json.dumps({"@odata.context": f"{root}/$metadata", "value": sets}, separators=(",", ":")).encode()


def error(words: str) -> bytes:
    """The body of a refusal."""
    return json.dumps({"error": {"code": "", "message": words}}, separators=(",", ":")).encode()


def metadata(feeds: Iterable[tuple[str, Feed]]) -> bytes:
    """The metadata document, CSDL of version 4, with the functions of inquiries that have parameters."""
    given = tuple(feeds)
    types = "".join(_type(name, feed) for name, feed in given)
    functions = "".join(_function(name, feed) for name, feed in given if feed.parameters)
    sets = "".join(_in_container(name, feed) for name, feed in given)
    container = f'<EntityContainer Name="Default">{sets}</EntityContainer>'
    schema = f'<Schema Namespace="{_NAMESPACE}" xmlns="{_EDM_NS}">{types}{functions}{container}</Schema>'
    services = f"<edmx:DataServices>{schema}</edmx:DataServices>"
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return f'{head}<edmx:Edmx Version="4.0" xmlns:edmx="{_EDMX_NS}">{services}</edmx:Edmx>'.encode()


def _type(name: str, feed: Feed) -> str:
    keys = "".join(f'<PropertyRef Name="{key}" />' for key in feed.keys)
    properties = "".join(
        f'<Property Name="{column.name}" Type="{_edm(column.kind)}"'
        + (' Nullable="false" />' if column.name in feed.keys else " />")
        for column in feed.columns
    )
    return f"<EntityType Name={quoteattr(name)}><Key>{keys}</Key>{properties}</EntityType>"


def _function(name: str, feed: Feed) -> str:
    kinds = {column.name: column.kind for column in feed.columns}
    parameters = "".join(
        f'<Parameter Name="{parameter}" Type="{_edm(kinds[column])}" />'
        for parameter, column in feed.parameters.items()
    )
    returned = f"<ReturnType Type={quoteattr(f'Collection({_NAMESPACE}.{name})')} />"
    return f"<Function Name={quoteattr(f'{name}_WithParameters')}>{parameters}{returned}</Function>"


def _in_container(name: str, feed: Feed) -> str:
    found = f"<EntitySet Name={quoteattr(name)} EntityType={quoteattr(f'{_NAMESPACE}.{name}')} />"
    if not feed.parameters:
        return found
    own, function = quoteattr(f"{name}_WithParameters"), quoteattr(f"{_NAMESPACE}.{name}_WithParameters")
    return f"{found}<FunctionImport Name={own} Function={function} EntitySet={quoteattr(name)} />"


def _edm(kind: str) -> str:
    return "Edm.DateTimeOffset" if kind == "DateTime" else EDM[kind]


def _member(name: str, text: str) -> str:
    return f'"{name}":{_text(text)}'


def _object(columns: Iterable[Column], line: Line) -> str:
    members = [f'"{column.name}":{_in_json(column, line[column.name])}' for column in columns]
    return "{" + ",".join(members) + "}"


def _in_json(column: Column, value: Scalar | None) -> str:
    match value:
        case str():
            return _text(padded(column, value))
        case datetime():
            return _text(_stamp(value))
        case Decimal():
            return f"{value.normalize():f}"
    return json.dumps(value)


def _stamp(moment: datetime) -> str:
    text = moment.replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0') if moment.microsecond else text}Z"


_text = json.JSONEncoder(ensure_ascii=False).encode

"""The older OData of generic inquiries, v3: Atom by default, JSON on request, decimals as strings. Pure."""

import json
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from xml.sax.saxutils import escape, quoteattr

from deploy.sandbox.odata_model import Column, Feed
from deploy.sandbox.odata_query import Page
from deploy.sandbox.rows import Scalar

ATOM = "application/atom+xml;type=feed;charset=utf-8"
JSON = "application/json;odata=minimalmetadata;streaming=true;charset=utf-8"
SERVICE = "application/atomsvc+xml;charset=utf-8"
XML = "application/xml;charset=utf-8"

_ATOM_NS = "http://www.w3.org/2005/Atom"
_DATA_NS = "http://schemas.microsoft.com/ado/2007/08/dataservices"
_META_NS = f"{_DATA_NS}/metadata"
_EDM_NS = "http://schemas.microsoft.com/ado/2009/11/edm"
_HEAD = '<?xml version="1.0" encoding="utf-8"?>'
EDM = {
    "String": "Edm.String",
    "Decimal": "Edm.Decimal",
    "DateTime": "Edm.DateTime",
    "Boolean": "Edm.Boolean",
    "Int": "Edm.Int32",
    "Guid": "Edm.Guid",
}


def json_page(root: str, feed: Feed, page: Page) -> bytes:
    """A page as JSON. `root` is the service's address."""
    head: dict[str, object] = {"odata.metadata": f"{root}/$metadata#{feed.name}"}
    if page.count is not None:
        head["odata.count"] = str(page.count)
    rows = [
        {column.name: _in_json(column, line[column.name]) for column in page.columns} for line in page.lines
    ]
    return json.dumps({**head, "value": rows}, ensure_ascii=False, separators=(",", ":")).encode()


def atom_page(root: str, feed: Feed, page: Page, updated: str) -> bytes:
    """A page as an Atom feed."""
    names = f'xmlns="{_ATOM_NS}" xmlns:d="{_DATA_NS}" xmlns:m="{_META_NS}"'
    count = "" if page.count is None else f"<m:count>{page.count}</m:count>"
    name, address = escape(feed.name), escape(f"{root}/{feed.name}")
    head = f'<id>{address}</id><title type="text">{name}</title>'
    kind = quoteattr(f"ODataService.{feed.name}")
    term = f'<category term={kind} scheme="{_DATA_NS}/scheme" />'
    about = f"<id />{term}<title /><updated>{updated}</updated><author><name /></author>"
    entries = "".join(
        f'<entry>{about}<content type="application/xml"><m:properties>'
        + "".join(_in_atom(column, line[column.name]) for column in page.columns)
        + "</m:properties></content></entry>"
        for line in page.lines
    )
    base = quoteattr(f"{root}/")
    text = f"{_HEAD}<feed xml:base={base} {names}>{count}{head}<updated>{updated}</updated>{entries}</feed>"
    return text.encode()


def service(root: str, feeds: Iterable[Feed]) -> bytes:
    """The service document: the inquiries that are exposed."""
    sets = "".join(
        f"<collection href={quoteattr(feed.name)}><atom:title>{escape(feed.name)}</atom:title></collection>"
        for feed in feeds
    )
    names = f'xmlns="http://www.w3.org/2007/app" xmlns:atom="{_ATOM_NS}"'
    inner = f"<workspace><atom:title>Default</atom:title>{sets}</workspace>"
    return f"{_HEAD}<service xml:base={quoteattr(f'{root}/')} {names}>{inner}</service>".encode()


def metadata(feeds: Iterable[Feed]) -> bytes:
    """The metadata document, CSDL of version 3."""
    given = tuple(feeds)
    types = "".join(_type(feed) for feed in given)
    sets = "".join(
        f"<EntitySet Name={quoteattr(feed.name)} EntityType={quoteattr(f'ODataService.{feed.name}')} />"
        for feed in given
    )
    container = (
        f'<EntityContainer Name="Container" m:IsDefaultEntityContainer="true">{sets}</EntityContainer>'
    )
    schema = f'<Schema Namespace="ODataService" xmlns="{_EDM_NS}">{types}{container}</Schema>'
    service_ = (
        f'<edmx:DataServices m:DataServiceVersion="3.0" xmlns:m="{_META_NS}">{schema}</edmx:DataServices>'
    )
    edmx = 'xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"'
    return f'{_HEAD}<edmx:Edmx Version="1.0" {edmx}>{service_}</edmx:Edmx>'.encode()


def _type(feed: Feed) -> str:
    keys = "".join(f'<PropertyRef Name="{name}" />' for name in feed.keys)
    properties = "".join(
        f'<Property Name="{column.name}" Type="{EDM[column.kind]}"'
        + (' Nullable="false" />' if column.name in feed.keys else " />")
        for column in feed.columns
    )
    return f"<EntityType Name={quoteattr(feed.name)}><Key>{keys}</Key>{properties}</EntityType>"


def padded(column: Column, value: str) -> str:
    """A text with the blanks that the database keeps behind it (recorded)."""
    return value.ljust(column.length)


def _in_json(column: Column, value: Scalar | None) -> object:
    match value:
        case str():
            return padded(column, value)
        case datetime():
            return _stamp(value)
        case Decimal():
            return f"{value:f}"
    return value


def _in_atom(column: Column, value: Scalar | None) -> str:
    name = f"d:{column.name}"
    kind = "" if column.kind == "String" else f' m:type="{EDM[column.kind]}"'
    if value is None:
        return f'<{name}{kind} m:null="true" />'
    shown = _in_json(column, value)
    return f"<{name}{kind}>{escape(str(shown).lower() if isinstance(shown, bool) else str(shown))}</{name}>"


def _stamp(moment: datetime) -> str:
    """Without an offset; zeros at the end of the fraction are dropped (recorded)."""
    text = moment.replace(tzinfo=None).isoformat()
    return text.rstrip("0") if moment.microsecond else text

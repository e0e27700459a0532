"""The one builder of URLs: paths below the instance's site, every segment quoted, and query strings.

A job's text ends up in a URL only through here: a key as one path segment or not at all, everything else as the
value of a query option. ``href``s of the ERP are taken only when they are this instance's own file paths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

from worker.errors import AnswerMalformed
from worker.page import Query
from worker.settings import Connection

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GRAPH = re.compile(r"[A-Za-z_][\w.]*")
_NOT_IN_A_PATH = frozenset("/\\%:*&<>?#+|")
"""IIS and ASP.NET refuse these in a path however they are quoted, or read them as something else; ``|`` parts keys."""

LONGEST_SEGMENT = 200
"""Bytes of a quoted key; IIS refuses a segment of over 260 in its default setting."""

LONGEST_QUERY = 16_384
"""Bytes of a query in a link of the ERP's that is followed."""


def entity_path(connection: Connection, entity: str, *segments: str) -> str:
    """The path of an entity, or of one of its records by keys or by id."""
    return endpoint_path(connection, entity, *segments)


def endpoint_path(connection: Connection, *segments: str) -> str:
    """The path of what an endpoint has beside its entities."""
    return path("entity", connection.endpoint, connection.version, *segments)


def path(*segments: str) -> str:
    """The path of these segments below the site, each quoted."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def fits_a_path(keys: Sequence[str]) -> bool:
    """Whether the ERP would take these keys in a URL for what they are (vendor's guide, Retrieve a Record by Key).

    One key that looks like a record's id would be read as that, and ``$adHocSchema`` as a question.
    """
    return not (len(keys) == 1 and is_id(keys[0])) and all(map(fits_a_segment, keys))


def fits_a_segment(key: str) -> bool:
    """Whether the ERP would take this text as one segment of a path for what it is."""
    odd_end = key != key.strip() or key.endswith(".") or key.startswith("$")
    return (
        key.isprintable()
        and not odd_end
        and not _NOT_IN_A_PATH & set(key)
        and len(quote(key)) <= LONGEST_SEGMENT
    )


def is_id(text: str) -> bool:
    """Whether it has the form of a record's id."""
    return _GUID.fullmatch(text) is not None


def options(query: Query, *, top: int | None = None, skip: int = 0) -> str:
    """The query string of a GET."""
    values = {
        "$select": ",".join(query.select),
        "$filter": query.filter or "",
        "$expand": ",".join(query.expand),
        "$custom": ",".join(query.custom),
        "$top": "" if top is None else str(top),
        "$skip": str(skip) if skip else "",
    }
    return query_string(values)


def query_string(values: Mapping[str, str]) -> str:
    """A query string with those of the options that have a value."""
    return "&".join(f"{name}={quote(value, safe=',/')}" for name, value in values.items() if value)


def file_path(connection: Connection, site: str, href: str) -> str:
    """The path of a file from a record's ``href``. Raises AnswerMalformed for any address but such a one."""
    base = f"/entity/{connection.endpoint}/{connection.version}/files/"
    prefix, _, file_id = href.rpartition("/")
    if f"{prefix}/" != site + base or not is_id(file_id):
        raise AnswerMalformed("a file's address is not a path of this instance; it is not followed")
    return base + file_id


def operation_path(connection: Connection, location: str) -> str:
    """The path at which a long operation is asked after, from the ``Location`` that the ERP gave.

    Raises AnswerMalformed for any address but such a one of this instance.
    """
    base = f"{_site(connection)}/entity/{connection.endpoint}/{connection.version}/"
    parts = location.removeprefix(base).split("/")
    is_known = location.startswith(base) and len(parts) == 4 and all(map(_GRAPH.fullmatch, parts[:3]))
    if not (is_known and parts[2] == "status" and is_id(parts[3])):
        raise AnswerMalformed("an operation's address is not a path of this instance; it is not followed")
    return endpoint_path(connection, *parts)


def upload_path(connection: Connection, template: str, name: str) -> str:
    """The path to put a file of this name at, from a record's ``_links.files:put``. Raises AnswerMalformed as above."""
    base = f"{_site(connection)}/entity/{connection.endpoint}/{connection.version}/files/"
    graph, _, rest = template.removeprefix(base).partition("/")
    view, _, last = rest.partition("/")
    record_id, _, place = last.partition("/")
    is_known = template.startswith(base) and _GRAPH.fullmatch(graph) and _GRAPH.fullmatch(view)
    if not (is_known and is_id(record_id) and place == "{filename}"):
        raise AnswerMalformed("the address for a record's files is not a path of this instance")
    return endpoint_path(connection, "files", graph, view, record_id, name)


def _site(connection: Connection) -> str:
    return urlsplit(connection.url).path.rstrip("/")


def next_query(connection: Connection, asked: str, link: str) -> str:
    """The query of a list's next page, out of the link that the ERP gave with this one, its options quoted anew.

    Raises AnswerMalformed for a link to anything but the path that was asked; nothing but its query is ever used.
    """
    base = connection.url + asked
    try:
        parts = urlsplit(urljoin(base, link))
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True, errors="strict")
        told = "&".join(f"{quote(name, safe='$')}={quote(value, safe=',/')}" for name, value in options)
    except ValueError:
        raise AnswerMalformed("the link to a list's next page is no address; it is not followed") from None
    if unquote(parts.path) != unquote(urlsplit(base).path) or len(told) > LONGEST_QUERY:
        raise AnswerMalformed("the link to a list's next page leads elsewhere; it is not followed")
    return told

"""The one builder of URLs: paths below the instance's site, every segment quoted, and query strings.

A job's text ends up in a URL only through here: a key as one path segment or not at all, everything else as the
value of a query option. ``href``s of the ERP are taken only when they are this instance's own file paths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from worker.errors import AnswerMalformed
from worker.page import Query
from worker.settings import Connection

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NOT_IN_A_PATH = frozenset("/\\%:*&<>?#+|")
"""IIS and ASP.NET refuse these in a path however they are quoted, or read them as something else; ``|`` parts keys."""

LONGEST_SEGMENT = 200
"""Bytes of a quoted key; IIS refuses a segment of over 260 in its default setting."""


def entity_path(connection: Connection, entity: str, *segments: str) -> str:
    """The path of an entity, or of one of its records by keys or by id."""
    parts = ("entity", connection.endpoint, connection.version, entity, *segments)
    return "/" + "/".join(quote(part, safe="") for part in parts)


def fits_a_path(keys: Sequence[str]) -> bool:
    """Whether the ERP would take these keys in a URL for what they are (vendor's guide, Retrieve a Record by Key).

    One key that looks like a record's id would be read as that, and ``$adHocSchema`` as a question.
    """
    return not (len(keys) == 1 and is_id(keys[0])) and all(map(_fits_a_segment, keys))


def _fits_a_segment(key: str) -> bool:
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
    return "&".join(f"{name}={quote(value, safe=',/')}" for name, value in values.items() if value)


def file_path(connection: Connection, site: str, href: str) -> str:
    """The path of a file from a record's ``href``. Raises AnswerMalformed for any address but such a one."""
    base = f"/entity/{connection.endpoint}/{connection.version}/files/"
    prefix, _, file_id = href.rpartition("/")
    if f"{prefix}/" != site + base or not is_id(file_id):
        raise AnswerMalformed("a file's address is not a path of this instance; it is not followed")
    return base + file_id

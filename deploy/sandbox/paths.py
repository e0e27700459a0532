"""Which resource a request's path names, after IIS and ASP.NET have had their say about it.

Works on the path as it came over the wire, because what is refused and what becomes a further segment is
decided by its decoded characters. Fails with DangerousPath.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote

_DANGEROUS = re.compile(r"[%:*&<>?#\\]")


class DangerousPath(Exception):
    """ASP.NET refuses the path for a character, the only argument."""


def segments(raw_path: bytes) -> list[str]:
    """The decoded segments of a path, without empty ones.

    An encoded slash separates as a plain one does, and dot segments are resolved (both: HTTP.sys, before any
    routing). Raises DangerousPath for what ASP.NET's request validation refuses in a path.
    """
    path = unquote(raw_path.decode("latin-1"), errors="replace")
    found = _DANGEROUS.search(path)
    if found:
        raise DangerousPath(found.group())
    resolved: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del resolved[-1:]
        elif segment not in ("", "."):
            resolved.append(segment)
    return resolved


def within_site(path: Sequence[str], site: str) -> list[str] | None:
    """The segments below the site (a virtual directory of IIS; empty for the root), or None if outside."""
    if not site:
        return list(path)
    if not path or path[0].casefold() != site.casefold():
        return None
    return list(path[1:])

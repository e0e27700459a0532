"""Custom fields that were asked for and do not come: the ERP leaves them out without a word.

It does so where the entity has no such field, and is said to where too many are asked for (reported by integrators).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from worker.page import Page, Record


def told_of_missing(paths: Sequence[str], pages: Iterator[Page]) -> Iterator[Page]:
    """The pages, each with a note for every custom field that none of its records has."""
    for page in pages:
        missing = _missing(paths, page.records) if paths else []
        told = (f"CustomFieldMissing: {path} was asked for, and records came without it" for path in missing)
        yield replace(page, notes=(*page.notes, *told)) if missing else page


def _missing(paths: Sequence[str], records: Sequence[Record]) -> list[str]:
    """The paths that no row has which could; one whose detail has no rows is not missed."""
    left = dict.fromkeys(paths, False)
    for record in records:
        for path, could in list(left.items()):
            rows = list(_rows(record, path.split("/")[:-1]))
            if any(_has(row, path.rpartition("/")[2]) for row in rows):
                del left[path]
            else:
                left[path] = could or bool(rows)
        if not left:
            break
    return [path for path, could in left.items() if could]


def _rows(record: Record, levels: Sequence[str]) -> Iterator[Record]:
    """What lies at a path of linked entities and details: the record itself where it is empty."""
    if not levels:
        yield record
        return
    member: Any = record.get(levels[0])
    for row in member if isinstance(member, list) else [member]:
        if isinstance(row, dict) and row:
            yield from _rows(row, levels[1:])


def _has(row: Record, name: str) -> bool:
    """Whether a row has a custom field, named ``View.Field``."""
    view, _, field = name.partition(".")
    custom = row.get("custom")
    views = custom.get(view) if isinstance(custom, dict) else None
    return isinstance(views, dict) and field in views

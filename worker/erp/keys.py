"""Filters over a record's key fields: one record, the records from one on, those up to one, those of no known group.

Two keys are never compared here, only by the ERP, in its own order (its database's collation). A combo field is shown
by its label and may be ordered by its code, so it is only ever compared by ``eq`` and ``ne``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Key = str | int
"""The value of a key field, as the ERP writes it."""


def equal(fields: Sequence[str], values: Sequence[Key]) -> str:
    """The records whose fields have exactly these values."""
    return " and ".join(f"{field} eq {literal(value)}" for field, value in zip(fields, values, strict=True))


def from_on(fields: Sequence[str], values: Sequence[Key]) -> str:
    """The records from this key on, in the order of the first field, then of the second, and so on.

    The vendor's guide (Parameters for Retrieving Records) gives texts ``gt``, ``ge``, ``lt`` and ``le``.
    """
    return _on_one_side(fields, values, "gt", "ge")


def up_to(fields: Sequence[str], values: Sequence[Key]) -> str:
    """The records up to this key, in the same order."""
    return _on_one_side(fields, values, "lt", "le")


def of_none(fields: Sequence[str], groups: Iterable[Sequence[Key]]) -> str:
    """The records whose fields have none of these values."""
    return both(*(_other_than(fields, group) for group in groups))


def both(*filters: str | None) -> str:
    """The records that match every one of these filters; without any, the empty text, which is no filter."""
    given = [each for each in filters if each]
    return given[0] if len(given) == 1 else " and ".join(f"({each})" for each in given)


def literal(value: Key) -> str:
    """The value as a filter has it."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _on_one_side(fields: Sequence[str], values: Sequence[Key], beyond: str, reached: str) -> str:
    last = len(fields) - 1
    cases = [
        [*map(_same, fields[:depth], values), f"{fields[depth]} {beyond if depth < last else reached} "
         f"{literal(values[depth])}"]
        for depth in range(last, -1, -1)
    ]  # fmt: skip
    return " or ".join(_grouped(" and ".join(case), len(cases)) for case in cases)


def _same(field: str, value: Key) -> str:
    return f"{field} eq {literal(value)}"


def _grouped(case: str, cases: int) -> str:
    return f"({case})" if cases > 1 and " and " in case else case


def _other_than(fields: Sequence[str], group: Sequence[Key]) -> str:
    return " or ".join(f"{field} ne {literal(value)}" for field, value in zip(fields, group, strict=True))

"""The records of the ERP as values: a row is its fields' values in contract order, with its id and its files."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from deploy.sandbox.content import Content

SERVER_ZONE = timezone(timedelta(hours=3))
"""The time zone of the recorded instances: every date on the wire carries its offset."""

Scalar = str | bool | int | Decimal | datetime
NO_CUSTOM_VALUES: Mapping[str, Scalar] = MappingProxyType({})


class File(NamedTuple):
    """An attached file; `filename` is the ERP's: screen name, keys, backslash, name."""

    id: str
    filename: str
    content: Content
    comment: str = ""


class Row(NamedTuple):
    """One record or one nested row; `None` among the values is an empty field."""

    id: str
    values: "tuple[Value, ...]"
    files: tuple[File, ...] = ()
    custom: Mapping[str, Scalar] = NO_CUSTOM_VALUES
    """Values of user-defined fields, by `View.Field`."""
    note: str | None = ""
    """The text of the note; None for that of a record which has just been inserted (recorded)."""


Value = Scalar | Row | tuple[Row, ...] | None

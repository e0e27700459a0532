"""The names of attached files, for people to read, which are never part of a path; and the keys that are."""

from __future__ import annotations

import unicodedata

NAME_LENGTH = 255
BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They make a name read otherwise than it is, as in a .exe that shows as .jpg."""


def display_name(name: str) -> str:
    """A file's name for people to read: no folders before it, nothing that hides what it is, not too long.

    The ERP puts the record's name before it: ``Stock Items (AAMACHINE1)\\T2MCRO.jpg`` (recorded 2024 R1).
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = (
        char
        for char in last
        if char not in BIDI_CONTROLS and unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
    )
    return "".join(shown)[:NAME_LENGTH]


def file_key(sha256: str) -> str:
    """The key of a file's blob: there is one for a content."""
    return f"files/{sha256[:2]}/{sha256}"

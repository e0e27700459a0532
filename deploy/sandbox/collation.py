"""How the database compares strings, in one of several ways.

What is equal and what comes first are the server's choices, not facts of the API; a client that compares keys itself
is wrong on some server. Trailing blanks never count.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Collation:
    """Two strings are equal exactly when `fold` makes them so; then, and only then, `key` sorts them alike."""

    fold: Callable[[str], str]
    key: Callable[[str], str]


def fold(text: str) -> str:
    """The form in which two strings are equal, case apart."""
    return text.rstrip().casefold()


def _exactly(text: str) -> str:
    """The form of a binary collation: every character counts, in the order of its number."""
    return text.rstrip()


def _decomposed(text: str) -> str:
    """Without case, and with each accent on its own, however it was written."""
    folded = fold(text)
    return folded if folded.isascii() else unicodedata.normalize("NFD", folded)


def _unaccented(text: str) -> str:
    """Without case and accents."""
    folded = _decomposed(text)
    return folded if folded.isascii() else "".join(c for c in folded if not unicodedata.combining(c))


def _accents_last(text: str) -> str:
    """Letters first: accents count only between strings that are otherwise the same."""
    return f"{_unaccented(text)}\0{_decomposed(text)}"


def _words_first(text: str) -> str:
    """A word sort: hyphens and apostrophes count only between strings that are otherwise the same."""
    folded = fold(text)
    return folded.replace("-", "").replace("'", "") + "\0" + folded


def _letters_first(text: str) -> str:
    """Letters before digits, as in EBCDIC-ordered collations."""
    return "".join("\U0010ffff" + char if char.isdigit() else char for char in fold(text))


COLLATIONS: Mapping[str, Collation] = MappingProxyType(
    {
        "sql": Collation(fold, fold),
        "word": Collation(fold, _words_first),
        "letters-first": Collation(fold, _letters_first),
        "accents": Collation(_decomposed, _accents_last),
        "accents-ignored": Collation(_unaccented, _unaccented),
        "binary": Collation(_exactly, _exactly),
    }
)

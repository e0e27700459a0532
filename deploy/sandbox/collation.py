"""How the database compares strings: without case, and in one of several orders.

The order of the keys is the server's choice, not a fact of the API; a client that compares keys itself is wrong on
some server. Trailing blanks never count.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

Collate = Callable[[str], str]


def fold(text: str) -> str:
    """The form in which two strings are equal when the database calls them equal."""
    return text.rstrip().casefold()


def _words_first(text: str) -> str:
    """A word sort: hyphens and apostrophes count only between strings that are otherwise the same."""
    folded = fold(text)
    return folded.replace("-", "").replace("'", "") + "\0" + folded


def _letters_first(text: str) -> str:
    """Letters before digits, as in EBCDIC-ordered collations."""
    return "".join("\U0010ffff" + char if char.isdigit() else char for char in fold(text))


COLLATIONS: Mapping[str, Collate] = MappingProxyType(
    {"sql": fold, "word": _words_first, "letters-first": _letters_first}
)
"""Each maps a string to its sort key; two strings have the same key exactly when `fold` makes them equal."""

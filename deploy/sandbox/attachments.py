"""The files of generated records, thousands of them: which there are, and their bytes, follow from numbers alone.

A file's id says whose it is, so that none needs to be kept. Some have the content of others, under an id of their own;
some are attached, under one id, to two stock items.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from deploy.sandbox.content import Drawn
from deploy.sandbox.rows import File

Owner = Literal["item", "line"]

_KINDS: dict[str, Owner] = {"a000": "item", "b000": "line"}
_ID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-4([0-9a-f]{3})-([0-9a-f]{4})-([0-9a-f]{12})")
_TYPES = ("jpg", "pdf", "txt")
_SHARED_EVERY = 10
_ALIKE_EVERY = 5
_EMPTY_EVERY = 50
_CONTENTS = 7
_LEAST = 200  # bytes
_SPREAD = 1000
BIG_FILE_ID = "b16f11e0-0000-4000-8000-00000000b16f"


class Place(NamedTuple):
    """Whose a file is: the number of the record, the number of the line in it (0: the record's own), its own number."""

    owner: Owner
    record: int
    line: int
    number: int


@dataclass(frozen=True)
class Attachments:
    """`each` files for every generated stock item and every line of a generated order."""

    each: int = 0
    seed: int = 0

    def of_item(self, index: int, prefix: str) -> tuple[File, ...]:
        """The files of a stock item. The first of each tenth is also its neighbour's: one file, attached twice."""
        owner = index - 1 if index % _SHARED_EVERY == _SHARED_EVERY - 1 else index
        places = (Place("item", index if number else owner, 0, number) for number in range(self.each))
        return tuple(self._file(place, prefix) for place in places)

    def of_line(self, index: int, line: int, prefix: str) -> tuple[File, ...]:
        """The files of a line of an order."""
        places = (Place("line", index, line, number) for number in range(self.each))
        return tuple(self._file(place, prefix) for place in places)

    def place(self, file_id: str) -> Place | None:
        """Whose the file with this id is; None for an id that is no generated file's."""
        match = _ID.fullmatch(file_id)
        if match is None or match[4] not in _KINDS:
            return None
        index, line, number = (int(match[group], 16) for group in (1, 2, 3))
        place = Place(_KINDS[match[4]], index, line, number)
        return place if number < self.each and self._id(place) == file_id else None

    def _id(self, place: Place) -> str:
        kind = next(code for code, owner in _KINDS.items() if owner == place.owner)
        head = f"{place.record:08x}-{place.line:04x}-4{place.number:03x}-{kind}"
        return f"{head}-{self._draw(head):012x}"

    def _draw(self, text: str) -> int:
        return int.from_bytes(hashlib.blake2b(f"{self.seed} {text}".encode(), digest_size=6).digest())

    def _file(self, place: Place, prefix: str) -> File:
        file_id = self._id(place)
        kind = _TYPES[place.number % len(_TYPES)]
        name = (
            f"{prefix}line {place.line}, {place.number}.{kind}"
            if place.line
            else f"{prefix}{place.number}.{kind}"
        )
        return File(file_id, name, self._content(file_id))

    def _content(self, file_id: str) -> Drawn:
        """From 200 bytes to 200 KB, small ones as often as big ones; a few are empty."""
        draw = self._draw(file_id)
        seed = f"common {draw // _ALIKE_EVERY % _CONTENTS}" if draw % _ALIKE_EVERY == 0 else file_id
        size = self._draw(f"size of {seed}")
        share = size / 2**48
        return Drawn(seed, 0 if size % _EMPTY_EVERY == 0 else int(_LEAST * _SPREAD**share))

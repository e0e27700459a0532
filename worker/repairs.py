"""Repairs: records that were read again take the place of those with their id, in whatever part these are.

Of the repaired records, memory holds an index of 16 bytes and a place each; parts that they do not change are left
alone. What the store cannot do raises BlobsUnavailable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from worker.blobs.stage import Stage
from worker.job import Compression
from worker.parts import PART_BYTES, OpenPart, lines_of, part_of, text_of
from worker.result import Part


class _Identified(msgspec.Struct):
    """A record, as far as it has to be known here."""

    id: str


IDENTIFIED = msgspec.json.Decoder(_Identified)


class Repairs:
    """The latest line of each repaired record, kept in a file."""

    def __init__(self, file: BinaryIO, lines: Iterable[bytes]) -> None:
        self.changed = 0
        self._file = file
        self._places: dict[bytes, int] = {}
        self._met: set[bytes] = set()
        place = file.tell()
        for line in lines:
            self._places[_mark(line)] = place
            place += file.write(line)

    def edits(self, lines: Iterable[bytes]) -> dict[int, bytes]:
        """Which of these lines are to be others, by their number; none is to be where a record comes again.

        A record comes twice where its keys changed while they were listed.
        """
        edits: dict[int, bytes] = {}
        for number, line in enumerate(lines):
            mark = _mark(line)
            place = self._places.get(mark)
            if place is None:
                continue
            if mark in self._met:
                edits[number] = b""
            elif (latest := self._line(place)) != line:
                edits[number] = latest
                self.changed += 1
            self._met.add(mark)
        return edits

    def rest(self) -> Iterator[bytes]:
        """The repaired records that no line had: they appeared meanwhile."""
        for mark, place in self._places.items():
            if mark not in self._met:
                yield self._line(place)

    def _line(self, place: int) -> bytes:
        self._file.seek(place)
        return self._file.readline()


def edited(lines: Iterable[bytes], edits: dict[int, bytes]) -> Iterator[bytes]:
    """The lines as they are to be."""
    for number, line in enumerate(lines):
        if text := edits.get(number, line):
            yield text


def _mark(line: bytes) -> bytes:
    return hashlib.blake2b(IDENTIFIED.decode(line).id.encode(), digest_size=16).digest()


@dataclass(frozen=True, kw_only=True)
class Mended:
    """Parts in which every repair is made."""

    parts: tuple[Part, ...]
    sha256: str
    appeared: int
    changed: int


class Mending:
    """Makes repairs in parts, one after the other."""

    def __init__(self, stage: Stage, encoding: Compression) -> None:
        self._stage = stage
        self._encoding = encoding
        self._digest = hashlib.sha256()
        self._parts: list[Part] = []

    def mend(self, parts: Sequence[Part], repairs: Repairs) -> Mended:
        """These parts with the repairs made, and with new ones for the records that appeared."""
        for part in parts:
            self._mend_part(part, repairs)
        known = sum(part.records for part in self._parts)
        self._write(repairs.rest())
        return Mended(
            parts=tuple(self._parts),
            sha256=self._digest.hexdigest(),
            appeared=sum(part.records for part in self._parts) - known,
            changed=repairs.changed,
        )

    def _mend_part(self, part: Part, repairs: Repairs) -> None:
        digest = self._digest.copy()
        edits = repairs.edits(lines_of(_digested(text_of(self._stage.blobs, part), digest)))
        if edits:
            self._write(edited(lines_of(text_of(self._stage.blobs, part)), edits))
        else:
            self._digest = digest
            self._parts.append(part)

    def _write(self, lines: Iterator[bytes]) -> None:
        """Write these lines in a part of their own; none where there are none."""
        part: OpenPart | None = None
        for line in lines:
            if part is None or part.size >= PART_BYTES:
                self._seal(part)
                name = f"mended-{len(self._parts) + 1:05}"
                part = OpenPart(self._stage, name, self._encoding, ())
            part.write(line, 1)
            self._digest.update(line)
        self._seal(part)

    def _seal(self, part: OpenPart | None) -> None:
        if part:
            self._parts.append(part_of(part.seal(), self._stage.blobs, self._encoding))


def _digested(chunks: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk

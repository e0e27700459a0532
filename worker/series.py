"""A series: NDJSON of one kind, held in memory while it is little, then written in parts.

What a checkpoint has of it is in the checkpoint itself or in the blob store, never on this machine alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from worker.blobs.stage import Stage, Staged
from worker.job import Compression
from worker.parts import PART_BYTES, OpenPart, part_of, text_of
from worker.result import Part

HELD_BYTES = 64 * 1024
"""How much may be held in memory, and travel in a checkpoint, before it is written."""

ENCODER = msgspec.json.Encoder(decimal_format="number")
"""Writes a Decimal digit for digit: 2200.0000 stays 2200.0000."""


@dataclass(frozen=True, kw_only=True)
class Heap:
    """What a checkpoint has of a series: its sealed parts, the tails of the open one, and what is not written yet."""

    parts: tuple[Staged, ...] = ()
    tails: tuple[Staged, ...] = ()
    held: str = ""
    held_lines: int = 0

    @property
    def staged(self) -> tuple[Staged, ...]:
        """All of it that is in the store."""
        return (*self.parts, *self.tails)


class Series:
    """NDJSON of one kind."""

    def __init__(self, stage: Stage, name: str, encoding: Compression, before: Heap) -> None:
        """Raises StageLost."""
        self.held = bytearray(before.held, "utf-8")
        self.lines = before.held_lines + sum(each.records for each in before.staged)
        self.size = len(self.held) + sum(each.text_size for each in before.staged)
        self.encoding = encoding
        self._stage = stage
        self._name = name
        self._parts = list(before.parts)
        self._held_lines = before.held_lines
        self._part = self._begin_part(before.tails) if before.tails else None
        self._digest = None if before.staged else hashlib.sha256()

    @property
    def is_held(self) -> bool:
        """Whether nothing was written yet."""
        return not self._parts and self._part is None

    def add(self, objects: Sequence[object]) -> None:
        """Encode some objects, a line each."""
        text = ENCODER.encode_lines(objects)
        self.held += text
        self.size += len(text)
        self.lines += len(objects)
        self._held_lines += len(objects)
        if len(self.held) > HELD_BYTES:
            self.spill()

    def spill(self) -> None:
        """Write what is held."""
        if not self.held:
            return
        self._part = part = self._part or self._begin_part(())
        part.write(self.held, self._held_lines)
        if self._digest:
            self._digest.update(self.held)
        self.held.clear()
        self._held_lines = 0
        if part.size >= PART_BYTES:
            self._end_part()

    def sealed(self) -> tuple[Part, ...]:
        """All parts, the last one ended."""
        self.spill()
        if self._part:
            self._end_part()
        return tuple(part_of(each, self._stage.blobs, self.encoding) for each in self._parts)

    def sha256(self) -> str:
        """Of all its text, which is sealed; that of another attempt has to be read for it."""
        if self._digest is None:
            self._digest = hashlib.sha256()
            for chunk in self.text():
                self._digest.update(chunk)
        return self._digest.hexdigest()

    def text(self) -> Iterator[bytes]:
        """All of its text so far."""
        for each in self._parts:
            yield from text_of(self._stage.blobs, part_of(each, self._stage.blobs, self.encoding))
        if self._part:
            yield from self._part.text()
        yield bytes(self.held)

    def heap(self) -> Heap:
        """What there is so far, in the store but for what is held."""
        return Heap(
            parts=tuple(self._parts),
            tails=self._part.tails() if self._part else (),
            held=self.held.decode(),
            held_lines=self._held_lines,
        )

    def _begin_part(self, tails: tuple[Staged, ...]) -> OpenPart:
        return OpenPart(self._stage, f"{self._name}-{len(self._parts) + 1:05}", self.encoding, tails)

    def _end_part(self) -> None:
        if self._part:
            self._parts.append(self._part.seal())
            self._part = None

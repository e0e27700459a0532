"""The bytes of a generated file: as many as wanted, the same from the same seed, made as they are sent."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_PIECE = 262_144  # bytes


@dataclass(frozen=True)
class Drawn:
    """`size` bytes that follow from `seed`; no two pieces of them are alike."""

    seed: str
    size: int

    def __len__(self) -> int:
        return self.size

    def pieces(self) -> Iterator[bytes]:
        """The bytes in pieces, none of which is kept."""
        block = hashlib.shake_128(self.seed.encode()).digest(min(self.size, _PIECE))
        for start in range(0, self.size, _PIECE):
            piece = start.to_bytes(8) + block[8:] if start else block
            yield piece[: self.size - start]


Content = bytes | Drawn


def whole(content: Content) -> bytes:
    """All bytes at once."""
    return content if isinstance(content, bytes) else b"".join(content.pieces())

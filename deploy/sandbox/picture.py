"""A picture of our own in place of the vendor's T2MCRO.jpg: a valid baseline JPEG, made of blocks of one grey each."""

import struct
from collections.abc import Iterator
from functools import cache

WIDTH = 1024
HEIGHT = 768
_BLOCK = 8

_DC_LENGTHS = (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)
_DC_CATEGORIES = bytes(range(12))
_AC_LENGTHS = (1, *[0] * 15)
_END_OF_BLOCK = "0"


@cache
def picture() -> bytes:
    """The bytes of a grey JPEG of 1024 x 768; the same on every call."""
    header = b"\xff\xd8" + _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    quantization = _segment(0xDB, b"\0" + b"\x08" * 64)
    frame = _segment(0xC0, struct.pack(">BHHB", 8, HEIGHT, WIDTH, 1) + b"\1\x11\0")
    tables = _segment(0xC4, b"\0" + bytes(_DC_LENGTHS) + _DC_CATEGORIES) + _segment(
        0xC4, b"\x10" + bytes(_AC_LENGTHS) + b"\0"
    )
    scan = _segment(0xDA, b"\1\1\0\0\x3f\0")
    return header + quantization + frame + tables + scan + _entropy_coded() + b"\xff\xd9"


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _shades() -> Iterator[int]:
    """The brightness of each block, in steps of the quantized scale: rings around the middle."""
    columns, rows = WIDTH // _BLOCK, HEIGHT // _BLOCK
    for y in range(rows):
        for x in range(columns):
            distance = (2 * x - columns) ** 2 + (2 * y - rows) ** 2
            yield distance // 64 % 200 - 100


def _entropy_coded() -> bytes:
    """Per block the difference from the last shade, coded by category, and no further coefficients.

    A byte of ones would need a zero after it; the differences of this picture are too small to make one.
    """
    codes = _codes(_DC_LENGTHS)
    bits = []
    last = 0
    for shade in _shades():
        difference, last = shade - last, shade
        category = abs(difference).bit_length()
        magnitude = difference if difference >= 0 else difference + (1 << category) - 1
        bits.append(codes[category] + (f"{magnitude:0{category}b}" if category else "") + _END_OF_BLOCK)
    text = "".join(bits)
    padded = text + "1" * (-len(text) % 8)
    return int(padded, 2).to_bytes(len(padded) // 8, "big")


def _codes(lengths: tuple[int, ...]) -> list[str]:
    """The Huffman codes of the symbols, as the standard derives them from the number of codes of each length."""
    codes, code = [], 0
    for length, count in enumerate(lengths, 1):
        for _ in range(count):
            codes.append(f"{code:0{length}b}")
            code += 1
        code <<= 1
    return codes

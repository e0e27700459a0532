"""Compression of parts: gzip members and zstd frames, which may follow one another within a part.

What is no such text raises ValueError, as far as a decompressor can tell.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import zstandard

from worker.job import Compression

PIECE_BYTES = 64 * 1024
"""How much text is decompressed at a time."""

GZIP_HEADER = 31
"""zlib's word for a gzip member with its header and checksum."""

SUFFIXES = {Compression.NONE: "", Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}


class Compressor(Protocol):
    """One member in the making."""

    def compress(self, data: bytes | bytearray, /) -> bytes | bytearray: ...
    def flush(self) -> bytes: ...


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Plain:
    """No compression."""

    def compress(self, data: bytes | bytearray, /) -> bytes | bytearray:
        return data

    def flush(self) -> bytes:
        return b""


def compressor(encoding: Compression) -> Compressor:
    """A new member."""
    match encoding:
        case Compression.GZIP:
            return zlib.compressobj(wbits=GZIP_HEADER)
        case Compression.ZSTD:
            return zstandard.ZstdCompressor().compressobj()
        case Compression.NONE:
            return _Plain()


def decompressed(chunks: Iterator[bytes], encoding: Compression) -> Iterator[bytes]:
    """The text of members that follow one another, in small pieces however well it is compressed. Raises ValueError."""
    match encoding:
        case Compression.GZIP:
            return _pieces(gzip.GzipFile(fileobj=_file(chunks)))
        case Compression.ZSTD:
            reader = zstandard.ZstdDecompressor().stream_reader(_file(chunks), read_across_frames=True)
            return _pieces(reader)
        case Compression.NONE:
            return chunks


def _pieces(text: _Readable) -> Iterator[bytes]:
    try:
        while piece := text.read(PIECE_BYTES):
            yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(str(error)) from None


def _file(chunks: Iterator[bytes]) -> io.BufferedReader:
    return io.BufferedReader(_Chunks(chunks))


class _Chunks(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._chunks, b"")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size

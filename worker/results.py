"""Reading a result: its records as NDJSON, wherever they are, and a summary for people.

Parts are checked against the size and SHA-256 that the manifest gives; one that cannot be read, or is not what was
written, raises BlobsUnavailable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError
from rich.filesize import decimal

from worker.errors import BlobsUnavailable
from worker.result import Blob, File, Manifest, Result

CHUNK_BYTES = 1024 * 1024
FILES_SHOWN = 20
LEAST_WAIT_SECONDS = 0.1


def records(result: Result) -> Iterator[bytes]:
    """The records as NDJSON, in chunks of at most a MiB."""
    if result.records is not None:
        yield result.records.encode()
    elif result.manifest is not None:
        for part in manifest(result.manifest).records:
            yield from _checked(part)


def files(result: Result) -> Iterator[File]:
    """The attached files that the result or its manifest lists."""
    if result.files is not None:
        yield from result.files
    elif result.manifest is not None:
        for part in manifest(result.manifest).files:
            for line in b"".join(_checked(part)).splitlines():
                yield File.model_validate_json(line)


def manifest(blob: Blob) -> Manifest:
    """The manifest in a blob."""
    try:
        return Manifest.model_validate_json(b"".join(_checked(blob)))
    except ValidationError:
        raise BlobsUnavailable(f"{blob.url} is not a manifest that this version can read") from None


def _checked(blob: Blob) -> Iterator[bytes]:
    path = path_of(blob.url)
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
    except OSError as error:
        raise BlobsUnavailable(f"{path} cannot be read: {error.strerror}") from None
    if (size, digest.hexdigest()) != (blob.size, blob.sha256):
        raise BlobsUnavailable(f"{path} is not what the worker wrote: its size or its SHA-256 differs")


def path_of(url: str) -> Path:
    """The path of a file:// URL. Raises BlobsUnavailable for a URL of another kind, or of another host."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise BlobsUnavailable(f"{url} is not a file of this machine")
    return Path(unquote(parts.path))


def write(result: Result, path: Path) -> None:
    """Write the records to a file, which appears whole or not at all. Raises BlobsUnavailable."""
    if path.exists() and not path.is_file():
        # A pipe or a device cannot be renamed over; what it was given, it has.
        return _fill(path, result)
    staged = path.with_name(f"{path.name}.part")
    try:
        _fill(staged, result)
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def _fill(path: Path, result: Result) -> None:
    try:
        with path.open("wb") as file:
            for chunk in records(result):
                file.write(chunk)
    except OSError as error:
        raise BlobsUnavailable(f"{path} cannot be written: {error.strerror}") from None


def summary(result: Result) -> str:
    """What the job came to and what it cost, for a terminal: a fact a line."""
    return "\n".join(f"{name:<10}{fact}" for name, fact in _facts(result))


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    yield "job", result.job_id
    yield (
        "records",
        f"{result.count:,} {result.entity} in {result.pages:,} page{'' if result.pages == 1 else 's'}",
    )
    yield "strategy", result.strategy
    requests = result.cost.requests
    yield "cost", f"{requests:,} request{'' if requests == 1 else 's'}, {result.cost.seconds:.1f} s"
    for what, seconds in sorted(result.cost.waits.items()):
        if seconds >= LEAST_WAIT_SECONDS:
            yield "waited", f"{seconds:.1f} s for {what}"
    for note in result.notes:
        yield "note", note
    for file in islice(files(result), FILES_SHOWN):
        yield "file", f"{file.name}, {decimal(file.size)}, SHA-256 {file.sha256}"
        yield "", file.url
    if result.file_count > FILES_SHOWN:
        yield "", f"and {result.file_count - FILES_SHOWN:,} files more"
    if result.manifest:
        yield "manifest", result.manifest.url

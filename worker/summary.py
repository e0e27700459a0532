"""What a job came to and what it cost, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from rich.filesize import decimal

from worker.reader import Reader
from worker.result import Result

FILES_SHOWN = 20
LEAST_WAIT_SECONDS = 0.1


def summary(reader: Reader, result: Result) -> str:
    """A fact a line. Raises BlobsUnavailable where the list of files cannot be read."""
    return "\n".join(f"{name:<10}{fact}" for name, fact in _facts(reader, result))


def _facts(reader: Reader, result: Result) -> Iterator[tuple[str, str]]:
    yield "job", result.job_id
    yield (
        "records",
        f"{result.count:,} {result.entity} in {result.pages:,} page{'' if result.pages == 1 else 's'}",
    )
    yield "strategy", result.strategy
    yield from _seen(result)
    requests = result.cost.requests
    yield "cost", f"{requests:,} request{'' if requests == 1 else 's'}, {result.cost.seconds:.1f} s"
    for what, seconds in sorted(result.cost.waits.items()):
        if seconds >= LEAST_WAIT_SECONDS:
            yield "waited", f"{seconds:.1f} s for {what}"
    for note in result.notes:
        yield "note", note
    for file in islice(reader.files(result), FILES_SHOWN):
        yield "file", f"{file.name}, {decimal(file.size)}, SHA-256 {file.sha256}"
        yield "", file.url
    if result.file_count > FILES_SHOWN:
        yield "", f"and {result.file_count - FILES_SHOWN:,} files more"
    if result.manifest:
        yield "manifest", result.manifest.url


def _seen(result: Result) -> Iterator[tuple[str, str]]:
    seen = result.consistency
    told = {"appeared": seen.appeared, "changed": seen.changed, "vanished": seen.vanished}
    facts = [f"{number:,} {name}" for name, number in told.items() if number]
    if seen.promised or facts:
        yield "promised", ", ".join([seen.promised or "nothing", *facts])

"""Sweeping: what belongs to jobs that are no longer known goes, and files that no job can name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from worker.blobs.store import BlobStore, Entry

STALE_SECONDS = 3600
"""Age from which what belongs to no job is removed."""

FILE_SECONDS = 40 * 86_400
"""Age from which an attached file is removed: longer than a job may take, and is known after its end."""

ASKED_AT_ONCE = 500
"""Jobs that the job store is asked about at once."""

Known = Callable[[Sequence[str]], Collection[str]]


@dataclass(frozen=True)
class Leftover:
    """What nobody needs any more: where it is, its size in bytes, and its keys."""

    place: str
    size: int
    keys: tuple[str, ...]


def sweep(
    blobs: BlobStore,
    known: Known,
    tell: Callable[[Leftover], object] = lambda leftover: None,
    *,
    dry_run: bool = False,
) -> int:
    """Remove what belongs to jobs that are no longer ``known``, and files that no job can name; how many.

    What is younger than an hour stays: a job is known only after its first step. Each is told of before it goes.
    """
    count = 0
    for leftover in _leftovers(blobs, known):
        tell(leftover)
        count += 1
        if not dry_run:
            blobs.remove(leftover.keys)
    return count


def _leftovers(blobs: BlobStore, known: Known) -> Iterator[Leftover]:
    old = (job for job in _jobs(blobs) if min(entry.age for entry in job[1]) > STALE_SECONDS)
    while some := list(islice(old, ASKED_AT_ONCE)):
        kept = known([job_id for job_id, _ in some])
        for job_id, entries in some:
            if job_id not in kept:
                yield _leftover(blobs.url(f"jobs/{job_id}"), entries)
    for prefix, seconds in (("staging/", STALE_SECONDS), ("files/", FILE_SECONDS)):
        for entry in blobs.entries(prefix):
            if entry.age > seconds:
                yield _leftover(blobs.url(entry.key), [entry])


def _jobs(blobs: BlobStore) -> Iterator[tuple[str, list[Entry]]]:
    for job_id, entries in groupby(blobs.entries("jobs/"), lambda entry: entry.key.split("/")[1]):
        yield job_id, list(entries)


def _leftover(place: str, entries: Sequence[Entry]) -> Leftover:
    return Leftover(place, sum(entry.size for entry in entries), tuple(entry.key for entry in entries))

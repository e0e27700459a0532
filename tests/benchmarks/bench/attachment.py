"""A file of a gigabyte: its speed beside ``curl -o``, the memory that it takes, and whether it is the same."""

from __future__ import annotations

import hashlib
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tests.benchmarks.bench.bars import FILE_MB, FILE_SPEED, Bar, at_least, at_most
from tests.benchmarks.bench.fleet import fleet
from tests.benchmarks.bench.measure import Spread, held_bytes, peak_bytes
from tests.benchmarks.bench.process import contender
from tests.benchmarks.bench.progress import under_way
from tests.benchmarks.bench.report import Report
from tests.benchmarks.bench.site import ENDPOINT, NONE, Site, site

SIZE = 1_000_000_000
ROUNDS = 3
FILE_ID = "b16f11e0-0000-4000-8000-00000000b16f"
JOB = {"entity": "StockItem", "select": ["InventoryID"], "attachments": True, "lane": "bulk"}
SMALL = JOB | {"keys": ["AAMACHINE1"]}
LARGE = JOB | {"keys": ["AACOMPUT01"], "deadline_seconds": 600}


@dataclass(frozen=True)
class Read:
    """How the file was read: its content as it is in the blob store and as the result says."""

    seconds: float
    more_mb: float
    told: str
    kept: str


def attachment() -> Report:
    """One session, no latency; each round with workers of its own."""
    reads: list[Read] = []
    curls: list[float] = []
    with site(NONE, "--big-file", str(SIZE)) as sandbox, TemporaryDirectory() as directory:
        to = Path(directory) / "file"
        for number in range(1, ROUNDS + 1):
            with under_way(f"attachment: round {number} of {ROUNDS}"):
                curls.append(_curl(sandbox, to))
                reads.append(_read(sandbox))
        expected = _sha256(to)
    return _report(reads, curls, expected)


def _report(reads: list[Read], curls: list[float], expected: str) -> Report:
    mine, theirs = Spread.of([read.seconds for read in reads]), Spread.of(curls)
    more = max(read.more_mb for read in reads)
    same = all(read.told == read.kept == expected for read in reads)
    note = (
        f"{SIZE / 1e6 / mine.median:.0f} MB/s ({mine.median:.2f} s, {mine.least:.2f}–{mine.greatest:.2f}); curl -o "
        f"{SIZE / 1e6 / theirs.median:.0f} MB/s ({theirs.median:.2f} s, {theirs.least:.2f}–{theirs.greatest:.2f})"
    )
    found = [
        at_most("attachment-rss", more, FILE_MB, " MB more"),
        at_least("attachment-speed", theirs.median / mine.median, FILE_SPEED, " of curl's"),
        Bar("attachment-hash", f"SHA-256 {'verified' if same else 'differs'}, {len(reads)} times", same),
    ]
    return Report("attachment", {}, {}, found, (note,))


def _read(sandbox: Site) -> Read:
    with fleet(sandbox.sandbox) as workers:
        told = {"before": [SMALL], "job": LARGE, "to": None}
        with contender("job", told, workers.environment) as one:
            held = held_bytes(workers.bulk)
            seconds, facts = one.work()
            more = peak_bytes(workers.bulk) - held
            one.save()
        (file,) = facts["result"]["files"]
        kept = _sha256(Path(url2pathname(urlsplit(file["url"]).path)))
        return Read(seconds, more / 1e6, file["sha256"], kept)


def _curl(sandbox: Site, to: Path) -> float:
    """The seconds that curl takes for the file."""
    url = f"{sandbox.sandbox.url}/{ENDPOINT}/files/{FILE_ID}"
    trusted = ("--cacert", sandbox.sandbox.ca_file)
    command = ("curl", "--silent", "--fail", "--noproxy", "*", *trusted, "--config", "-", "-o", str(to), url)
    with sandbox.signed_in() as headers:
        # The token comes by standard input: a command line is for everybody to see.
        told = f'header = "Authorization: {headers["Authorization"]}"\n'
        began = time.perf_counter()
        subprocess.run(command, input=told, text=True, check=True)
        return time.perf_counter() - began


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

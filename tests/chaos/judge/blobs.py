"""The verdict on ``blobs``: every file of every job is there and is what the ERP has, and nobody ever saw another."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import zstandard

from tests.chaos.judge.figures import Figure, at_least, at_most, told
from tests.chaos.judge.record import Line, Record

FEWEST_FILES = 400
SPOILT_SHARE = 0.2


def judge(directory: Path, scenes: Sequence[Record]) -> list[Figure]:
    """Every figure of the check."""
    places = [path for path in sorted(directory.iterdir()) if path.is_dir()]
    return [figure for path, record in zip(places, scenes, strict=True) for figure in _judge(path, record)]


def _judge(directory: Path, record: Record) -> list[Figure]:
    where = directory.name
    root = next(path for path in (directory / "blobs", directory / "s3") if path.exists())
    truth = {file["id"]: file["sha256"] for file in record.oracle["files"]}
    sent = [line for line in record.results if line["kind"] == "job"]
    done = [line for line in sent if line["state"] == "SUCCESS"]
    files = [file for line in done for file in _files(root, line["result"])]
    looks = next(line for line in record.results if line["kind"] == "looks")
    waited = next(line for line in record.results if line["kind"] == "waited")
    fewest = record.facts["plan"]["items"] * 2 if record.is_small else FEWEST_FILES
    spoilt = sum(event["kind"] == "fault" for event in record.events)
    wrong = [file for file in files if not _is_right(root, file, truth)]
    figures = [
        at_least("files named", len(files), fewest),
        at_most("files that are not what the ERP has", len(wrong), 0),
        at_most("files without their record's keys", sum(not file.get("keys") for file in files), 0),
        at_most("jobs not done", len(sent) - len(done), 0),
        at_least("downloads spoilt, of those named", round(spoilt / max(1, len(files)), 3), SPOILT_SHARE),
        at_least("jobs that waited for the place for blobs", len(waited["jobs"]), 1),
        at_least("looks", looks["looks"], 20),
        at_least("manifests that a reader found", looks["manifests"], len(done)),
        at_most("blobs that a reader found wrong", looks["wrong"], 0),
        told(
            "kept, MB", round(sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / 1e6, 1)
        ),
    ]
    return [Figure(f"{where}: {each.name}", each.value, each.bar, each.ok) for each in figures]


def _files(root: Path, result: Line) -> Iterator[Any]:
    for part in _manifest(root, result["manifest"])["files"]:
        stored = _content(root, part)
        match part["encoding"]:
            case "gzip":
                stored = gzip.decompress(stored)
            case "zstd":
                frames = zstandard.ZstdDecompressor().stream_reader(
                    io.BytesIO(stored), read_across_frames=True
                )
                stored = frames.read()
        yield from map(json.loads, stored.splitlines())


def _manifest(root: Path, blob: Line) -> Any:
    try:
        return json.loads(_content(root, blob))
    except ValueError:
        return {"files": []}


def _is_right(root: Path, file: Line, truth: Line) -> bool:
    digest = hashlib.sha256(_content(root, file)).hexdigest()
    return bool(digest == file["sha256"] == truth.get(file["file_id"]))


def _content(root: Path, blob: Line) -> bytes:
    url = str(blob["url"])
    below = "jobs" if "/jobs/" in url else "files"
    path = root / below / url.rpartition(f"/{below}/")[2]
    return path.read_bytes() if path.exists() else b""

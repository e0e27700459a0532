"""The onlooker and the judge of ``blobs``: what they read right and wrong in."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.handmade import failed, record_of
from tests.chaos.judge import blobs
from tests.chaos.onlooker import Onlooker, Tree


def put(root: Path, key: str, content: bytes) -> dict[str, Any]:
    """A blob, described."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"url": path.as_uri(), "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def file(root: Path, content: bytes) -> dict[str, Any]:
    """An attached file under its hash."""
    digest = hashlib.sha256(content).hexdigest()
    return put(root, f"files/{digest[:2]}/{digest}", content)


def result_in(directory: Path) -> dict[str, Any]:
    """A job's result with two files, of which the list is compressed."""
    root = directory / "blobs"
    listed = [
        {**file(root, b"file %s" % id_), "file_id": id_.decode(), "keys": ["A"]} for id_ in (b"1", b"2")
    ]
    lines = gzip.compress(b"".join(json.dumps(each).encode() + b"\n" for each in listed))
    part = {**put(root, "jobs/j/m/files-00001.ndjson.gz", lines), "encoding": "gzip"}
    told = json.dumps({"records": [], "files": [part], "tombstones": []}).encode()
    return {"manifest": put(root, "jobs/j/manifest.json", told)}


def judged(directory: Path, state: str = "SUCCESS", spoilt: str = "", **looks: int) -> set[str]:
    """The figures that fail, where these blobs have lost their last byte."""
    truth = [{"id": id_, "sha256": hashlib.sha256(b"file " + id_.encode()).hexdigest()} for id_ in ("1", "2")]
    job = {"kind": "job", "state": state, "result": result_in(directory)}
    for path in directory.rglob(spoilt) if spoilt else ():
        path.write_bytes(path.read_bytes()[:-1])
    seen = {"kind": "looks", "looks": 20, "blobs": 3, "manifests": 1, "wrong": 0, **looks}
    results: list[dict[str, Any]] = [job, seen, {"kind": "waited", "jobs": ["j"]}]
    facts = {"oracle": {"files": truth}, "size": "small", "plan": {"items": 1}}
    return failed(blobs.judge(directory.parent, [record_of([{"kind": "fault"}], results, **facts)]))


def test_blobs_wants_every_file_as_the_erp_has_it(tmp_path: Path) -> None:
    """All is well with two files that are what the ERP has."""
    assert judged(tmp_path / "directory") == set()


@pytest.mark.parametrize(
    ("told", "failing"),
    [
        ({"wrong": 1}, "directory: blobs that a reader found wrong"),
        ({"manifests": 0}, "directory: manifests that a reader found"),
        ({"looks": 3}, "directory: looks"),
        ({"state": "FAILURE"}, "directory: jobs not done"),
        ({"spoilt": "files/*/*"}, "directory: files that are not what the ERP has"),
        ({"spoilt": "manifest.json"}, "directory: files named"),
    ],
)
def test_blobs_notices_what_a_reader_found(tmp_path: Path, told: dict[str, Any], failing: str) -> None:
    """A blob that was ever wrong or is so now, a reader who saw too little, and a job that failed, fail the check."""
    assert failing in judged(tmp_path / "directory", **told)


def test_an_onlooker_sees_a_part_of_a_file(tmp_path: Path) -> None:
    """A file that is not what its name says is wrong, and so is a manifest whose part is not there."""
    result_in(tmp_path)
    with Onlooker(Tree(tmp_path / "blobs")) as onlooker:
        pass
    assert (onlooker.told()["wrong"], onlooker.told()["blobs"]) == (0, 3)
    for spoilt in (*(tmp_path / "blobs" / "files").rglob("*"), *(tmp_path / "blobs").rglob("*.gz")):
        if spoilt.is_file():
            spoilt.write_bytes(spoilt.read_bytes()[:-1])
    with Onlooker(Tree(tmp_path / "blobs")) as onlooker:
        pass
    assert onlooker.told()["blobs"] == 0
    assert len(set(onlooker.told()["examples"])) == 3

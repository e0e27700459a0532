"""``blobs``: 400 files, a quarter of which comes cut, reset or slowly, while the place for blobs fails.

It is played on a directory whose disk fills up for a while, and on an S3 that refuses a fifth of its requests and all
of them for a while. Somebody who shares no code with the worker reads what can be seen all the while.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.errands import Errands, errands
from tests.chaos.onlooker import Bucket, Onlooker, Place, Tree
from tests.chaos.scene import Scene, Setting, play
from tests.s3_process import BUCKET, start_s3

ENTITY = "entity/Default/20.200.001"
PER_JOB = 25
DISK_BYTES = 48 * 1024
"""The largest file that a full disk takes here: workers' logs are smaller, most attached files are not."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many stock items with two files each; from when to when the place for blobs fails; how long all may take."""

    items: int = 200
    fails: tuple[float, float] = (2.0, 14.0)
    patience: float = 240.0
    places: tuple[str, ...] = ("directory", "s3")
    size: str = "full"


FULL = Plan()
CONTROL = Plan(items=50, fails=(60.0, 61.0), patience=60.0, places=("directory",), size="small")
SMALL = Plan(items=50, fails=(1.0, 11.0), patience=90.0, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    for place in plan.places:
        {"directory": _on_a_directory, "s3": _on_s3}[place](directory / place, plan, guard)


def _on_a_directory(directory: Path, plan: Plan, guard: str | None) -> None:
    with play(_setting(directory, plan, guard)) as scene:

        def fail(failing: bool) -> None:
            size = DISK_BYTES if failing else resource.RLIM_INFINITY
            for pid in scene.worker_pids:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        _play(scene, plan, Tree(directory / "blobs"), fail)


def _on_s3(directory: Path, plan: Plan, guard: str | None) -> None:
    with start_s3() as s3:
        s3.fault = _fifth
        environment = {**s3.environment, "ACUWORKER_BLOBS": f"s3://{BUCKET}/results"}

        def fail(failing: bool) -> None:
            s3.fault = (lambda method, target: "500") if failing else _fifth

        with play(_setting(directory, plan, guard, environment)) as scene:
            bucket = Bucket(s3.direct, BUCKET)
            _play(scene, plan, bucket, fail)
            bucket.copy(directory / "s3")


_requests = count(1)


def _fifth(method: str, target: str) -> Any:
    return (None, "500", None, None, None, None, None, None, "reset", None)[next(_requests) % 10]


def _setting(
    directory: Path, plan: Plan, guard: str | None, environment: Mapping[str, str] | None = None
) -> Setting:
    data = ("--items", str(plan.items), "--files-each", "2", "--seed", "5")
    return Setting(
        check="blobs",
        directory=directory,
        sandbox=(*data, "--max-sessions", "0", "--latency", "30,0,0"),
        connections={"default": {"max_sessions": 4, "max_per_minute": 0}},
        guard=guard,
        size=plan.size,
        environment=environment or {},
        facts={"plan": asdict(plan)},
        keeps_blobs=environment is None,
    )


def _play(scene: Scene, plan: Plan, place: Place, fail: Callable[[bool], None]) -> None:
    truth = _truth(scene)
    (scene.directory / "oracle.json").write_text(json.dumps({"files": truth}))
    for file, fault in zip(truth[::4], cycle(SPOILT), strict=False):
        path = httpx.URL(scene.sandbox.url).path + f"/{ENTITY}/files/{file['id']}"
        scene.sandbox.control("faults", {**fault, "path": path})
    scene.start_workers(2, "-c", "2")
    with errands(scene) as jobs, _watched(scene, place):
        for low in range(1, plan.items + 1, PER_JOB):
            jobs.send(_pictures(low, low + PER_JOB - 1))
        _wait(scene, plan, jobs, fail)
    scene.stop_workers()


SPOILT: Sequence[Mapping[str, Any]] = (
    {"kind": "cut", "bytes": 500},
    {"kind": "reset", "bytes": 700},
    {"kind": "delay", "seconds": 0.5},
)
"""What becomes of a quarter of the files when they are first asked for."""


def _truth(scene: Scene) -> list[Mapping[str, str]]:
    """The hash of each file, by its id, as the ERP gives it before anything is made to fail."""
    sandbox = scene.sandbox
    headers = {"Authorization": f"Bearer {sandbox.token()}"}
    url = f"{sandbox.url}/{ENTITY}/StockItem?$expand=files&$filter=InventoryID ge 'PART'"
    truth = {}
    for item in sandbox.http.get(url, headers=headers).json():
        for file in item["files"]:
            body = sandbox.http.get(httpx.URL(sandbox.url).join(file["href"]), headers=headers).content
            truth[file["id"]] = hashlib.sha256(body).hexdigest()
    return [{"id": id_, "sha256": digest} for id_, digest in truth.items()]


def _pictures(first: int, last: int) -> Mapping[str, Any]:
    return {
        "entity": "StockItem",
        "filter": "InventoryID ge :low and InventoryID le :high",
        "params": {"low": f"PART{first:06}", "high": f"PART{last:06}"},
        "attachments": True,
        "page_size": 5,
        "compression": "zstd" if first % 2 else "gzip",
    }


@contextmanager
def _watched(scene: Scene, place: Place) -> Iterator[None]:
    """Somebody reads all that can be seen, again and again."""
    with Onlooker(place) as onlooker:
        yield
    scene.tell({"kind": "looks", **onlooker.told()})


def _wait(scene: Scene, plan: Plan, jobs: Errands, fail: Callable[[bool], None]) -> None:
    began, failing, waited = time.monotonic(), False, set[str]()
    while jobs.under_way and time.monotonic() < began + plan.patience:
        time.sleep(0.1)
        wanted = plan.fails[0] <= time.monotonic() - began < plan.fails[1]
        if wanted != failing:
            failing = wanted
            with contextlib.suppress(ProcessLookupError):
                fail(failing)
            scene.mark("fails" if failing else "recovers")
        waited |= _waiting_for_blobs(scene)
        scene.tell(*jobs.ended())
    scene.tell(*jobs.all_ended(0.0), {"kind": "waited", "jobs": sorted(waited)})


def _waiting_for_blobs(scene: Scene) -> set[str]:
    found = set()
    for key in scene.store.scan_iter("acuworker:job:*"):
        if b"blobs" in (scene.store.hget(key, "waiting_for") or b""):
            found.add(key.decode())
    return found

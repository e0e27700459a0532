"""``slices``: one job of forty slices whose worker dies twice, as it looks to those who watch Celery."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from tests.chaos import oracle
from tests.chaos.errands import ENDED, errands
from tests.chaos.fleet import Fleet, forked
from tests.chaos.killpoints import Orders
from tests.chaos.load import finish
from tests.chaos.scene import Scene, Setting, play
from tests.installation import eventually
from tests.web_page import PASSWORD, Page, answers, free_port

JOB = "sliced"
LOOK_SECONDS = 0.01
KILLED_AT = ("checkpoint: before", "continue: after")
AFTERWARDS_SECONDS = 40.0
"""A message that a dead worker had in hand comes back 30 s later: by then the job may have ended."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many pages, each of them a slice; after how many slices a worker is killed; and how long all may take."""

    pages: int = 44
    killed_after: tuple[int, ...] = (12, 30)
    patience: float = 120.0
    afterwards: float = AFTERWARDS_SECONDS
    size: str = "full"


FULL = Plan()
CONTROL = Plan(pages=10, killed_after=(), patience=30.0, afterwards=3.0, size="small")
SMALL = Plan(pages=12, killed_after=(4,), afterwards=5.0, size="small")


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play it, and leave in ``directory`` what the judge needs."""
    setting = Setting(
        check="slices",
        directory=directory,
        sandbox=(*oracle.DATA, "--max-sessions", "0", "--latency", "100,0,0"),
        connections={"default": {"max_sessions": 4, "max_per_minute": 0}},
        guard=guard,
        size=plan.size,
        environment={"ACUWORKER_SLICE_SECONDS": "0.01"},
        facts={"plan": asdict(plan), "job": JOB},
    )
    with play(setting) as scene, forked(scene, "-c", "2") as fleet, errands(scene) as jobs:
        oracle.write(directory / "oracle.json")
        fleet.keep_up(2)
        with _watching(scene), _flower(scene) as flower:
            last = oracle.FIRST_NUMBER + 2 * plan.pages - 1
            jobs.send(oracle.orders(oracle.FIRST_NUMBER, last, page_size=2), id_=JOB)
            _watch(scene, fleet, plan)
            finish(scene, jobs, time.monotonic() + 1.0)
            scene.tell(*({"kind": "flower", "uuid": id_, **told} for id_, told in flower.tasks().items()))
        fleet.stop(25.0)


def _watch(scene: Scene, fleet: Fleet, plan: Plan) -> None:
    """Have workers killed when their turn comes, and write down each state that the job shows."""
    orders = Orders(Path(scene.environment["ACUWORKER_VAR"]), scene.directory / "results.ndjson")
    due = list(zip(plan.killed_after, KILLED_AT, strict=False))
    until = time.monotonic() + plan.patience
    shown, ended = "", False
    while time.monotonic() < until:
        fleet.keep_up(2)
        if due and _slices(scene) >= due[0][0]:
            orders.give(due.pop(0)[1])
        state = _state(scene)
        if state != shown:
            shown = state
            scene.tell({"kind": "state", "state": state, "at": time.monotonic_ns()})
        if state in ENDED and not ended:
            ended, until = True, time.monotonic() + plan.afterwards
        time.sleep(LOOK_SECONDS)


def _slices(scene: Scene) -> int:
    found: Any = scene.store.hget(f"acuworker:job:{JOB}", "slices")
    return int(found or 0)


def _state(scene: Scene) -> str:
    """As ``AsyncResult`` has it."""
    text: Any = scene.store.get(f"celery-task-meta-{JOB}")
    return str(json.loads(text)["status"]) if text else "PENDING"


@contextmanager
def _flower(scene: Scene) -> Iterator[Page]:
    """Flower, when it has heard of a worker."""
    page = Page(free_port())
    command = ("env", f"ACUWORKER_FLOWER_PASSWORD={PASSWORD}", sys.executable, "-m", "worker", "flower")
    process = scene.spawn((*command, "--port", str(page.port)), scene.directory / "flower.log")
    try:
        eventually(lambda: answers(page, "/healthcheck"), OSError, AssertionError)
        eventually(lambda: _has_heard(page), AssertionError)
        yield page
    finally:
        process.kill()
        process.wait()


def _has_heard(page: Page) -> None:
    assert json.loads(page.ask("/workers?json=1")[1])["data"], "Flower has heard of no worker"


@contextmanager
def _watching(scene: Scene) -> Iterator[None]:
    """Write down every event of a task that workers send, as ``celery events`` and Flower see them."""
    address = f"redis+socket://{scene.environment['ACUWORKER_VAR']}/valkey.sock"
    app = Celery("watcher", broker=address, set_as_current=False)
    over, heard = threading.Event(), threading.Event()

    def hear(event: Mapping[str, Any]) -> None:
        heard.set()
        if str(event["type"]).startswith("task-"):
            told = {"type": event["type"], "uuid": event["uuid"], "at": time.monotonic_ns()}
            scene.tell({"kind": "event", **told})

    def listen() -> None:
        with app.connection() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": hear})
            while not over.is_set():
                try:
                    receiver.capture(limit=None, timeout=0.5, wakeup=False)
                except TimeoutError:
                    continue

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    # A worker's heartbeat, every two seconds, shows that events arrive.
    assert heard.wait(30.0), "no event of a worker was heard"
    try:
        yield
    finally:
        over.set()
        thread.join(5.0)
        app.close()

"""Jobs of a check, sent and waited for as another service would: by the task's name, with nothing of ours.

A job that fails is a result like any other; a store that is away raises what redis-py raises.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import redis
from celery import Celery

from tests.chaos.scene import Scene

LOOK_SECONDS = 0.005
ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


class Errands:
    """The jobs that were sent, and what became of them."""

    def __init__(self, app: Celery, store: redis.Redis) -> None:
        self._app = app
        self._store = store
        self._under_way: dict[str, dict[str, Any]] = {}

    def send(self, job: Mapping[str, Any], lane: str = "bulk", id_: str | None = None, **told: Any) -> str:
        """Put a job on the queue of a lane; what is ``told`` of it is in its line of results."""
        line = {"kind": "job", "job": dict(job), "lane": lane, **told, "sent": time.monotonic_ns()}
        place = self._place(f"acumatica.{lane}")
        sent = self._app.send_task("acumatica.retrieve", args=[line["job"]], task_id=id_, **place)
        self._under_way[sent.id] = line | {"id": sent.id}
        return str(sent.id)

    def _place(self, queue: str) -> Mapping[str, str]:
        if self._app.connection().transport_cls == "amqp":
            # By its exchange alone: of what kind the queue is, is the workers' to say.
            return {"exchange": queue, "routing_key": queue}
        return {"queue": queue}

    def expect(self, id_: str, line: Mapping[str, Any]) -> None:
        """Wait for a job too that somebody else has sent."""
        self._under_way[id_] = {**line, "id": id_}

    @property
    def under_way(self) -> int:
        """How many have not ended."""
        return len(self._under_way)

    def queued(self, lane: str) -> int:
        """How many wait on the queue of a lane."""
        return self._store.llen(f"acumatica.{lane}")

    def ended(self) -> list[Mapping[str, Any]]:
        """Those that have ended since the last look."""
        now = time.monotonic_ns()
        ids = list(self._under_way)
        found = (
            cast("list[bytes | None]", self._store.mget([f"celery-task-meta-{id_}" for id_ in ids]))
            if ids
            else []
        )
        lines: list[Mapping[str, Any]] = []
        for id_, text in zip(ids, found, strict=True):
            told = json.loads(text) if text else {}
            if told.get("status") in ENDED:
                line = self._under_way.pop(id_)
                lines.append(line | {"ended": now, "state": told["status"], "result": told["result"]})
        return lines

    def all_ended(self, seconds: float) -> list[Mapping[str, Any]]:
        """Wait for so long until all have ended; those that have not are among the lines, as UNDER_WAY."""
        until = time.monotonic() + seconds
        lines = self.ended()
        while self._under_way and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            lines += self.ended()
        return lines + [line | {"state": "UNDER_WAY", "result": None} for line in self._under_way.values()]


@contextmanager
def errands(scene: Scene) -> Iterator[Errands]:
    """Another service beside a scene's workers."""
    address = f"redis+socket://{scene.environment['ACUWORKER_VAR']}/valkey.sock"
    broker = scene.environment.get("ACUWORKER_BROKER_URL", address)
    app = Celery("service", broker=broker, backend=address, set_as_current=False)
    if broker.startswith("amqp"):
        # What RabbitMQ has not confirmed may be lost, and is sent again.
        app.conf.broker_transport_options = {"confirm_publish": True}
    try:
        yield Errands(app, scene.store)
    finally:
        app.close()

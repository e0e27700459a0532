"""``broker``: the broker killed and started again, stopped for a while, and emptied, all while jobs come and go.

One scene with the store as the broker, which is then away as a whole, and one with RabbitMQ.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from kombu.connection import Connection
from kombu.entity import Queue

from tests.chaos import oracle
from tests.chaos.errands import Errands, errands
from tests.chaos.fleet import Fleet, forked, is_alive
from tests.chaos.load import Load, Tail, finish, look, mixed
from tests.chaos.scene import Scene, Setting, Valkey, play
from tests.rabbitmq_process import RabbitMq, start_rabbitmq

LOOK_SECONDS = 0.1
AWAY_SECONDS, BACK_SECONDS = 1.0, 4.0
QUEUES = ("acumatica.interactive", "acumatica.bulk")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which brokers; how often each is killed, and for how many seconds stopped; how many jobs are on its queues when
    it is emptied; a job every how many seconds beside; and how long all are waited for."""

    brokers: tuple[str, ...] = ("valkey", "rabbitmq")
    restarts: int = 10
    stopped: float = 20.0
    crowd: int = 40
    every: float = 0.7
    workers: int = 3
    patience: float = 150.0
    size: str = "full"


FULL = Plan()
CONTROL = Plan(brokers=("valkey",), restarts=0, stopped=0.0, every=2.0, patience=45.0, size="small")
SMALL = Plan(brokers=("valkey",), restarts=1, stopped=1.0, crowd=20, every=1.5, workers=2, size="small")


class Broker(Protocol):
    """A broker that can be hurt."""

    def kill(self) -> None:
        """End it at once."""

    def start(self) -> None:
        """Start it again, with what it had on its disk."""

    def signal(self, how: signal.Signals) -> None:
        """Stop it, or let it go on."""

    def empty(self) -> int:
        """Take every message away, those too that workers have in hand; how many there were."""


class _Valkey:
    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self.start, self.signal = valkey.start, valkey.signal

    def kill(self) -> None:
        self._valkey.signal(signal.SIGKILL)

    def empty(self) -> int:
        store = self._valkey.client
        with store.pipeline() as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            pipe.hlen("unacked")
            pipe.delete(*QUEUES, "unacked", "unacked_index")
            *counts, _ = pipe.execute()
        return sum(counts)


class _RabbitMq:
    def __init__(self, rabbitmq: RabbitMq) -> None:
        self._rabbitmq = rabbitmq
        self.start, self.signal = rabbitmq.start, rabbitmq.send

    def kill(self) -> None:
        self._rabbitmq.end(signal.SIGKILL)

    def empty(self) -> int:
        with Connection(self._rabbitmq.url) as connection, connection.channel() as channel:
            return sum(Queue(name, channel=channel).purge() for name in QUEUES)


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play both scenes side by side, and leave in ``directory`` what the judge needs."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    oracle.write(directory / "oracle.json")
    with ThreadPoolExecutor(len(plan.brokers)) as side_by_side:
        playing = [side_by_side.submit(_play, directory, broker, plan, guard) for broker in plan.brokers]
    for each in playing:
        each.result()


def _play(directory: Path, name: str, plan: Plan, guard: str | None) -> None:
    with ExitStack() as stack:
        rabbitmq = stack.enter_context(start_rabbitmq()) if name == "rabbitmq" else None
        setting = Setting(
            check="broker",
            directory=directory / name,
            sandbox=(*oracle.DATA, "--max-sessions", "0", "--latency", "100,0,0"),
            connections={"default": {"max_sessions": 6, "max_per_minute": 0}},
            guard=guard,
            size=plan.size,
            keeps_blobs=True,
            environment={"ACUWORKER_BROKER_URL": rabbitmq.url} if rabbitmq else {},
            facts={"broker": name, "plan": asdict(plan)},
        )
        scene = stack.enter_context(play(setting))
        shutil.copy(directory / "oracle.json", setting.directory / "oracle.json")
        fleet = stack.enter_context(forked(scene, "-c", "4"))
        broker: Broker = _RabbitMq(rabbitmq) if rabbitmq else _Valkey(scene.valkey)
        fleet.started()
        storm = _Storm(scene, fleet, broker, plan)
        with Load(scene, plan.every) as load:
            storm.rage()
            load.enough(plan.patience)
            storm.calm(plan.patience, lambda: load.is_over)
        with errands(scene) as crowd:
            storm.empty(crowd)
            until = time.monotonic() + plan.patience
            while crowd.under_way and time.monotonic() < until:
                storm.calm(LOOK_SECONDS)
                look(scene, crowd)
            finish(scene, crowd, until)
        fleet.stop(25.0)


class _Storm:
    """What befalls a broker."""

    def __init__(self, scene: Scene, fleet: Fleet, broker: Broker, plan: Plan) -> None:
        self._scene = scene
        self._fleet = fleet
        self._broker = broker
        self._plan = plan

    def rage(self) -> None:
        """It is killed and started again, and at last stopped for a while, with some calm in between."""
        self.calm(BACK_SECONDS)
        for _ in range(self._plan.restarts):
            self._broker.kill()
            self._scene.mark("killed")
            self.calm(AWAY_SECONDS)
            self._broker.start()
            self._scene.mark("started")
            self.calm(BACK_SECONDS)
        if self._plan.stopped:
            self._broker.signal(signal.SIGSTOP)
            self._scene.mark("stopped")
            self.calm(self._plan.stopped)
            self._broker.signal(signal.SIGCONT)
            self._scene.mark("continued")
            self.calm(BACK_SECONDS)

    def empty(self, crowd: Errands) -> None:
        """It loses every message. Of a job that was sent by its name it alone knows, so these are handed in."""
        jobs = Path(self._scene.environment["ACUWORKER_VAR"]) / "jobs.ndjson"
        bodies = (
            {**mixed(number), "lane": "bulk", "idempotency_key": f"crowd-{number}"}
            for number in range(self._plan.crowd)
        )
        jobs.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
        handed = Tail(self._scene.directory / "results.ndjson", "handed")
        pid, _ = self._fleet.fork("submitter", "submit", str(jobs), "0", str(self._plan.crowd))
        self.calm(AWAY_SECONDS * 30, lambda: not is_alive(pid))
        for line in handed:
            crowd.expect(
                line["id"], {"kind": "job", "key": line["key"], "job": line["job"], "sent": line["at"]}
            )
        self._scene.mark("emptied", messages=self._broker.empty())

    def calm(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Keep the workers up for so long, or until it is over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not is_over():
            self._fleet.keep_up(self._plan.workers)
            time.sleep(LOOK_SECONDS)

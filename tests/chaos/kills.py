"""``kills``: workers killed at every step of a job's life, and each job done once, with every record once.

Several scenes at once, each with its own sandbox, store and fleet; the broker of one is RabbitMQ, of others the store.
In each, somebody hands in jobs one after the other; every few seconds a worker is killed at the point that is its turn,
or whoever hands them in. A worker is spared while it has a job that has lost two in a row, which the third would end.
At last all jobs are waited for.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos import oracle
from tests.chaos.errands import Errands, errands
from tests.chaos.fleet import Fleet, forked, is_alive
from tests.chaos.jobpoints import OF_A_LEASE, OF_AN_EXCHANGE
from tests.chaos.jobpoints import POINTS as OF_A_JOB
from tests.chaos.killpoints import Orders
from tests.chaos.load import Tail, finish, look, mixed
from tests.chaos.scene import Scene, Setting, play

POINTS = (*OF_A_JOB, *OF_A_LEASE, *OF_AN_EXCHANGE)
SESSIONS = 24
"""More than ever work at once: a killed worker's are not lent on for the length of its lease."""

LATENCY_MS = 100
SLICE_SECONDS = 0.3
"""Short, so that many a job goes on in another: the shortest of them takes longer when it reads its pages at once."""
HIT_SECONDS = 25.0
LOOK_SECONDS = 0.05
FOLLOWED = 10
"""Each job of so many is sent once more by its name, with the same idempotency key: then it waits for the first."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The brokers of the scenes; how many jobs are handed in at least; whom to kill, how often, and every how many
    seconds; and for how long all jobs are waited for at last."""

    brokers: tuple[str, ...] = ("valkey", "valkey", "rabbitmq")
    jobs: int = 200
    points: tuple[str, ...] = POINTS
    rounds: int = 3
    every: float = 3.0
    workers: int = 4
    patience: float = 150.0
    size: str = "full"


FULL = Plan()
CONTROL = Plan(
    brokers=("valkey",),
    jobs=20,
    points=("continue: after", "submit: row after"),
    rounds=1,
    patience=45.0,
    size="small",
)
SMALL = Plan(
    brokers=("valkey",),
    jobs=12,
    points=("checkpoint: after", "continue: after", "finish: before"),
    rounds=1,
    every=1.0,
    workers=2,
    patience=60.0,
    size="small",
)


def run(directory: Path, plan: Plan = FULL, guard: str | None = None) -> None:
    """Play all scenes side by side, and leave in ``directory`` what the judge needs."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    expected = directory / "oracle.json"
    oracle.write(expected)
    with ThreadPoolExecutor(len(plan.brokers)) as side_by_side:
        playing = [
            side_by_side.submit(
                _play, directory / f"{number}-{broker}", broker, number, plan, expected, guard
            )
            for number, broker in enumerate(plan.brokers)
        ]
    for each in playing:
        each.result()


def _play(directory: Path, broker: str, number: int, plan: Plan, expected: Path, guard: str | None) -> None:
    dice = random.Random(number)
    points = list(plan.points) * plan.rounds
    dice.shuffle(points)
    with ExitStack() as stack:
        setting = Setting(
            check="kills",
            directory=directory,
            sandbox=(*oracle.DATA, "--max-sessions", "0", "--latency", f"{LATENCY_MS},0,0"),
            connections={"default": {"max_sessions": SESSIONS, "max_per_minute": 0}},
            guard=guard,
            size=plan.size,
            keeps_blobs=True,
            environment={"ACUWORKER_SLICE_SECONDS": str(SLICE_SECONDS), **_broker(broker, stack)},
            facts={"broker": broker, "plan": asdict(plan), "planned": sorted(set(plan.points))},
        )
        scene = stack.enter_context(play(setting))
        shutil.copy(expected, directory / "oracle.json")
        fleet = stack.enter_context(forked(scene, "-c", "4"))
        jobs = stack.enter_context(errands(scene))
        killer = _Killer(scene, fleet, jobs, plan, dice)
        killer.kill_all(points)
        killer.finish()


def _broker(name: str, stack: ExitStack) -> dict[str, str]:
    if name == "valkey":
        return {}
    from tests.rabbitmq_process import start_rabbitmq

    return {"ACUWORKER_BROKER_URL": stack.enter_context(start_rabbitmq()).url}


class _Killer:
    """Has one process after the other killed, while it sees to it that jobs are handed in and their ends noted."""

    def __init__(self, scene: Scene, fleet: Fleet, jobs: Errands, plan: Plan, dice: random.Random) -> None:
        self._scene = scene
        self._fleet = fleet
        self._jobs = jobs
        self._plan = plan
        self._dice = dice
        results = scene.directory / "results.ndjson"
        self._orders = Orders(Path(scene.environment["ACUWORKER_VAR"]), results)
        self._handing_lines, self._handed_lines = Tail(results, "handing"), Tail(results, "handed")
        self._begun: set[str] = set()
        self._list = Path(scene.environment["ACUWORKER_VAR"]) / "jobs.ndjson"
        self._submitter: int | None = None
        self._handed = 0
        kills = len(plan.points) * plan.rounds
        most = 3 * plan.jobs + 20 * kills
        bodies = (
            {**mixed(number), "idempotency_key": f"key-{number:05}", "lane": "bulk"} for number in range(most)
        )
        self._list.write_text("".join(json.dumps(body) + "\n" for body in bodies), encoding="utf-8")
        self._pace = min(1.5, 1.2 * kills * plan.every / plan.jobs)

    def kill_all(self, points: list[str]) -> None:
        """Kill at each point in turn; where nobody came to it, once more at the end."""
        self._until(lambda: self._handed > 0, HIT_SECONDS)
        missed = [point for point in points if not self._kill(point)]
        for point in missed:
            self._kill(point)

    def finish(self) -> None:
        """Have no more handed in, and wait for all that were."""
        self._list.with_suffix(".enough").touch()
        self._until(lambda: self._submitter is None, 120.0)
        self._scene.mark("handed in")
        until = time.monotonic() + self._plan.patience
        self._until(lambda: not self._jobs.under_way, self._plan.patience)
        finish(self._scene, self._jobs, until)
        self._fleet.stop(25.0)

    def _kill(self, point: str) -> bool:
        """Have the next that comes to this point killed, and leave them some time; whether anybody came."""
        began = time.monotonic()
        self._orders.give(point)
        while not self._until(lambda: not self._orders.stands, HIT_SECONDS / 8):
            if time.monotonic() > began + HIT_SECONDS:
                if self._orders.take_back():
                    self._scene.mark("missed", point=point)
                return False
            if point.startswith(("release", "requeue")) and self._fleet.pids:
                # Only one that is asked to end gives a job back.
                os.kill(self._dice.choice(self._fleet.pids), signal.SIGTERM)
        self._until(lambda: False, max(0.2, began + self._plan.every - time.monotonic()))
        return True

    def _until(self, is_so: object, seconds: float) -> bool:
        """Keep everything going until that is so, or for so long; whether it was."""
        assert callable(is_so)
        until = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() >= until:
                return False
            self._keep_up()
            time.sleep(LOOK_SECONDS)
        return True

    def _keep_up(self) -> None:
        self._fleet.keep_up(self._plan.workers)
        for line in self._handed_lines:
            told = {"kind": "job", "key": line["key"], "job": line["job"], "sent": line["at"]}
            self._jobs.expect(line["id"], told)
            if self._handed % FOLLOWED == 0:
                self._jobs.send(line["job"], follows=line["id"])
            self._handed += 1
        look(self._scene, self._jobs)
        if self._submitter is None or not is_alive(self._submitter):
            self._hand_in()

    def _hand_in(self) -> None:
        """Somebody hands in jobs, unless all were."""
        self._begun |= {line["key"] for line in self._handing_lines}
        enough = self._list.with_suffix(".enough").exists()
        if enough and self._handed >= max(self._plan.jobs, len(self._begun)):
            self._submitter = None
            return
        pace = str(self._pace)
        self._submitter, _ = self._fleet.fork(
            "submitter", "submit", str(self._list), pace, str(self._plan.jobs)
        )

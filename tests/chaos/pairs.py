"""``python -m tests.chaos.pairs RESULTS PLAN [GUARD]``: a process that leases and releases, and writes down when.

The pool and the store are the real ones; the ERP is not there: signing in gives a token at once. ``PLAN`` is JSON. The
settings are those of the environment: a connection ``five`` with five sessions and one, ``one``, with one.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from pydantic import SecretStr

from tests.chaos import sabotage
from worker.bootsteps import SESSION_BEAT_SECONDS, Heartbeat
from worker.erp import signin
from worker.erp.caller import Caller
from worker.erp.closing import Closer
from worker.erp.deadline import Deadline
from worker.erp.gateway import Gateway
from worker.erp.sessions import SessionPool
from worker.job import Lane
from worker.settings import Settings
from worker.storage import open_store

Line = Mapping[str, Any]


def main(results: Path, plan: Mapping[str, float], guard: str | None) -> None:
    """Measure all three, and write down each lease."""
    if guard:
        sabotage.GUARDS[guard]()
    with _gateway() as (gateway, store):
        five, one = gateway.way("five").pool, gateway.way("one").pool
        lines = [
            *offered(five, plan["a_second"], plan["seconds"], int(plan["threads"])),
            *hammered(five, plan["hammered_seconds"], int(plan["hammering"])),
            *in_order(one, store, int(plan["waiters"])),
        ]
    with results.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@contextmanager
def _gateway() -> Iterator[tuple[Gateway, redis.Redis]]:
    """The ERP floor of this process, with an ERP that agrees to everything."""
    grant = signin.Grant(token=SecretStr("a-token"), expires_in=3600.0)
    agreed: Any = {"discover": None, "sign_in": grant, "sign_out": None, "revoke": None}
    for name, answer in agreed.items():
        _replace(signin, name, _always(answer))
    _replace(Closer, "discovered", _always(None))
    store = open_store(Settings.load())
    gateway = Gateway(Settings.load(), store, "pairs")
    heartbeat = Heartbeat("sessions", SESSION_BEAT_SECONDS, gateway.beat)
    heartbeat.start()
    yield gateway, store
    heartbeat.stop()
    gateway.close()


def offered(pool: SessionPool, a_second: float, seconds: float, threads: int) -> list[Line]:
    """Leases that are asked for when they are due, however long those before them take: an open loop."""
    lines: list[Line] = []
    begin = time.monotonic() + 0.5

    def work(number: int) -> None:
        caller = _caller(number)
        for turn in range(number, int(seconds * a_second), threads):
            due = begin + turn / a_second
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic_ns()
            with pool.lease(caller):
                leased = time.monotonic_ns()
            times = {"due": int(due * 1e9), "began": began, "leased": leased, "released": time.monotonic_ns()}
            lines.append({"kind": "offered", **times})

    _all_at_once(work, threads)
    return lines


def hammered(pool: SessionPool, seconds: float, threads: int) -> list[Line]:
    """As many leases as this process can make."""
    pairs = [0] * threads
    began = time.monotonic_ns()
    until = time.monotonic() + seconds

    def work(number: int) -> None:
        caller = _caller(number)
        while time.monotonic() < until:
            with pool.lease(caller):
                pairs[number] += 1

    _all_at_once(work, threads)
    times = {"began": began, "ended": time.monotonic_ns()}
    return [{"kind": "hammered", "pairs": sum(pairs), "threads": threads, **times}]


def in_order(pool: SessionPool, store: redis.Redis, waiters: int) -> list[Line]:
    """Waiters for the only session, each asking when the one before it is known to wait."""
    lines: list[Line] = []
    queue = "acuworker:{one}:waiters"

    def wait(number: int) -> None:
        asked = time.monotonic_ns()
        with pool.lease(_caller(number)):
            lines.append({"kind": "waiter", "place": number, "asked": asked, "served": time.monotonic_ns()})

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(waiters)]
    with pool.lease(_caller(-1)):
        for place, thread in enumerate(threads, 1):
            thread.start()
            until = time.monotonic() + 10
            while store.zcard(queue) < place and time.monotonic() < until:
                time.sleep(0.0005)
    for thread in threads:
        thread.join()
    return lines


def _all_at_once(work: Callable[[int], None], threads: int) -> None:
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _caller(number: int) -> Caller:
    return Caller(lane=Lane.BULK, deadline=Deadline(600), job_id=f"job-{number}")


def _always(answer: Any) -> Callable[..., Any]:
    return lambda *_, **__: answer


def _replace(owner: Any, name: str, with_this: Any) -> None:
    setattr(owner, name, with_this)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)

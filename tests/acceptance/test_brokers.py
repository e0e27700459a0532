"""Real workers on a RabbitMQ and on a Valkey of their own: what they refuse, what they survive, when they give up."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Producer

import celeryconfig
from tests.erp_floor import connection_to
from tests.installation import Installation, eventually, install
from tests.rabbitmq_process import RabbitMq, start_rabbitmq
from tests.sandbox_process import Sandbox
from worker.job import DEAD_LETTERS, TASK, Lane
from worker.jobstate import State

ORDERS = {"entity": "SalesOrder", "filter": "CustomerID eq :customer", "params": {"customer": "C000000003"}}
RECORDS = "/MyStoreInstance/entity/"


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMq]:
    """A RabbitMQ for all these tests."""
    with start_rabbitmq() as broker:
        yield broker


@pytest.fixture
def broker(rabbitmq: RabbitMq) -> RabbitMq:
    """The same, with nothing on its queues."""
    with Connection(rabbitmq.url) as connection:
        for queue in [*(lane.queue for lane in Lane), DEAD_LETTERS]:
            with connection.channel() as channel, suppress(connection.channel_errors):
                channel.queue_purge(queue)
    return rabbitmq


@pytest.fixture
def installation(sandbox: Sandbox) -> Iterator[Installation]:
    """An installation whose connection is the sandbox."""
    with install(default=connection_to(sandbox)) as installation:
        yield installation


@contextmanager
def service_by(url: str) -> Iterator[Celery]:
    """Another service, whose jobs go by this broker."""
    with closing(Celery("service", broker=url, set_as_current=False)) as app:
        if url.startswith("amqp"):
            app.conf.broker_transport_options = {"confirm_publish": True}
        yield app


def go_by(installation: Installation, broker: RabbitMq) -> str:
    """Let the workers that start from now on take their jobs from a RabbitMQ; its address."""
    installation.environment["ACUWORKER_BROKER_URL"] = broker.url
    return broker.url


def send(app: Celery, lane: Lane = Lane.BULK, **job: Any) -> str:
    """Put a job on a lane's queue, as docs/operations.md says it is done."""
    queue = Queue(lane.queue, no_declare=True)
    return str(app.send_task(TASK, args=[ORDERS | job], queue=queue, ignore_result=True).id)


def counted(broker: RabbitMq, queue: str) -> int:
    """How many messages are on a queue."""
    with Connection(broker.url) as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).message_count)


def all_done(installation: Installation, job_ids: list[str]) -> None:
    """Every job is done, with all its records."""
    jobs = installation.jobs()
    states = [jobs.get(job_id) for job_id in job_ids]
    assert {(state.state, state.records) if state else None for state in states} == {(State.DONE, 9)}


def test_jobs_go_by_rabbitmq(sandbox: Sandbox, installation: Installation, broker: RabbitMq) -> None:
    """Jobs of both lanes come by quorum queues and are done; nothing is left on them, and the worker ends with 0."""
    url = go_by(installation, broker)
    worker = installation.start_worker()
    with service_by(url) as service:
        results = [send(service, lane) for lane in Lane for _ in range(5)]
        eventually(lambda: all_done(installation, results), AssertionError)
    with Connection(broker.url) as connection, connection.channel() as channel:
        lane: Any = next(queue for queue in celeryconfig.task_queues if queue.name == Lane.BULK.queue)
        assert lane(channel).queue_declare()
        other = Queue(lane.name, queue_arguments={**lane.queue_arguments, "x-queue-type": "classic"})
        with pytest.raises(connection.channel_errors, match="inequivalent arg 'x-queue-type'"):
            other(channel).queue_declare()
    assert worker.stop() == 0
    eventually(lambda: nothing_is_left(broker), AssertionError)


def nothing_is_left(broker: RabbitMq) -> None:
    """There is no message on any queue; RabbitMQ counts a little later."""
    assert [counted(broker, queue) for queue in (*(lane.queue for lane in Lane), DEAD_LETTERS)] == [0, 0, 0]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
def test_rabbitmq_may_be_started_anew(
    sandbox: Sandbox, installation: Installation, broker: RabbitMq, how: signal.Signals
) -> None:
    """After an end of RabbitMQ under load the same worker goes on, and every job is done once."""
    url = go_by(installation, broker)
    worker = installation.start_worker()
    with service_by(url) as service:
        sandbox.control("faults", {"kind": "delay", "path": RECORDS, "seconds": 0.3, "times": 20})
        results = [send(service) for _ in range(20)]
        broker.until_kept(Lane.BULK.queue)
        broker.end(how)
        broker.start()
        back = time.monotonic()
        results += [send(service) for _ in range(5)]
        eventually(lambda: all_done(installation, results), AssertionError, seconds=60)
        print(f"all done {time.monotonic() - back:.1f} s after RabbitMQ was back")
    assert worker.process.poll() is None


def test_a_dead_letter_of_a_live_job_is_sent_again(
    sandbox: Sandbox, installation: Installation, broker: RabbitMq
) -> None:
    """A message that RabbitMQ has given out too often goes back to its queue, if its job has not been done."""
    with service_by(go_by(installation, broker)) as service:
        installation.start_worker().stop()
        result = send(service)
        give_out(broker, Lane.BULK.queue, times=101)
        eventually(lambda: on_queues(broker, 0, buried=1), AssertionError)
        worker = installation.start_worker()
        eventually(lambda: all_done(installation, [result]), AssertionError)
        requests = sandbox.tally()["requests"]
        bury(broker, result)
        bury(broker, result, task="celery.ping")
        eventually(lambda: on_queues(broker, 0, buried=0), AssertionError)
    again = [line["job_id"] for line in worker.lines() if line["event"] == "a dead letter was sent again"]
    assert again == [result]
    assert sandbox.tally()["requests"] == requests


def give_out(broker: RabbitMq, queue: str, times: int) -> None:
    """Take the one message of a queue and give it back, so many times."""
    with Connection(broker.url) as connection, connection.channel() as channel:
        for _ in range(times):
            eventually(lambda: take_and_return(channel, queue), AssertionError)


def take_and_return(channel: Any, queue: str) -> None:
    """Take a message of a queue, which must be there, and give it back."""
    message = channel.basic_get(queue)
    assert message
    channel.basic_reject(message.delivery_tag, requeue=True)


def bury(broker: RabbitMq, job_id: str, task: str = TASK) -> None:
    """Put a message on the queue of dead letters, as RabbitMQ would."""
    with Connection(broker.url) as connection, connection.channel() as channel:
        headers = {"id": job_id, "task": task, "x-first-death-queue": Lane.BULK.queue}
        Producer(channel).publish({}, routing_key=DEAD_LETTERS, headers=headers)


def on_queues(broker: RabbitMq, waiting: int, buried: int) -> None:
    """So many messages are on the lane's queue and on that of dead letters; RabbitMQ counts a little later."""
    assert (counted(broker, Lane.BULK.queue), counted(broker, DEAD_LETTERS)) == (waiting, buried)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"appendonly": "no"}, "it forgets jobs when it is killed: set appendonly yes"),
        ({"maxmemory-policy": "allkeys-lru"}, "allkeys-lru): set maxmemory-policy noeviction"),
    ],
)
@pytest.mark.parametrize("by_rabbitmq", [False, True], ids=["valkey", "rabbitmq"])
def test_a_worker_refuses_a_valkey_that_forgets(
    installation: Installation, broker: RabbitMq, settings: dict[str, str], words: str, by_rabbitmq: bool
) -> None:
    """A worker ends with status 1 and one line that says what to set; also beside a RabbitMQ."""
    with redis.Redis.from_url(installation.settings.store) as store:
        store.config_set(*next(iter(settings.items())))
    if by_rabbitmq:
        go_by(installation, broker)
    worker = installation.start_worker_unready()
    assert worker.process.wait(timeout=30) == 1
    (line,) = [line for line in worker.lines() if line["level"] == "critical"]
    assert line["reason"].startswith("the store: " if by_rabbitmq else "the broker: ")
    assert words in line["reason"]
    assert "Traceback" not in worker.said()


DEAF = """
import time
from celery import signals

@signals.worker_ready.connect(weak=False)
def go_deaf(sender, **_):
    how = {how!r}
    if how == "stuck":
        sender.hub.timer.call_after(0.5, time.sleep, (300,))
    elif how == "unpolled":
        sender.task_consumer.channel.qos.can_consume = lambda: False
    else:
        sender.task_consumer.cancel()
"""


@pytest.mark.parametrize("how", ["stuck", "unpolled", "cancelled"])
def test_a_deaf_worker_ends(
    sandbox: Sandbox, installation: Installation, broker: RabbitMq, tmp_path: Path, how: str
) -> None:
    """A worker whose loop stands still, or that is given no message that waits, ends with 1 within 30 s."""
    (tmp_path / "sitecustomize.py").write_text(DEAF.format(how=how))
    url = go_by(installation, broker) if how == "cancelled" else installation.settings.broker
    worker = installation.start_worker(PYTHONPATH=str(tmp_path))
    with service_by(url) as service:
        result = send(service)
    began = time.monotonic()
    assert worker.process.wait(timeout=30) == 1
    print(f"ended {time.monotonic() - began:.1f} s later")
    assert "the consumer is deaf" in worker.said()
    successor = installation.start_worker()
    eventually(lambda: all_done(installation, [result]), AssertionError, seconds=60)
    assert successor.stop() == 0


@pytest.mark.parametrize("by_rabbitmq", [False, True], ids=["valkey", "rabbitmq"])
def test_a_stop_waits_for_no_hanging_exchange(
    sandbox: Sandbox, installation: Installation, broker: RabbitMq, by_rabbitmq: bool
) -> None:
    """SIGTERM ends a worker with 0 within 25 s though an exchange hangs; its job goes on elsewhere at its page."""
    url = go_by(installation, broker) if by_rabbitmq else installation.settings.broker
    sandbox.control("faults", {"kind": "delay", "path": RECORDS, "seconds": 300, "after": 1})
    worker = installation.start_worker()
    with service_by(url) as service:
        result = send(service, page_size=5)
        eventually(lambda: on_its_second_page(installation, result), AssertionError)
        began = time.monotonic()
        assert worker.stop(timeout=25) == 0
        print(f"ended after {time.monotonic() - began:.1f} s")
        sandbox.control("faults", method="DELETE")
        requests = sandbox.tally()["requests"]
        installation.start_worker()
        eventually(lambda: all_done(installation, [result]), AssertionError)
    state = installation.jobs().get(result)
    assert state is not None
    assert (state.attempts, state.crashes) == (2, 0)
    print(requests, sandbox.tally()["requests"])


def on_its_second_page(installation: Installation, result: str) -> None:
    """The job has kept its first page, and goes on."""
    state = installation.jobs().get(result)
    assert state is not None
    assert state.pages == 1

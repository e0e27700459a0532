"""acuworker doctor: looks at the settings, the store and each connection, and says in a line each what is wrong.

It leaves no session open that it opened. Where the workers hold every session of the license it reads through one of
theirs; an operator who has mended the credentials runs it to let the waiting jobs go on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import redis
from kombu.connection import Connection as Broker
from kombu.exceptions import OperationalError
from rich.console import Console
from rich.text import Text

from worker import connect, embedded
from worker.erp import signin
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.direct import direct
from worker.erp.gateway import Gateway
from worker.erp.sessions import SlotView
from worker.erp.wire import Wire
from worker.errors import BlobsUnavailable, Misconfigured, StoreUnavailable, WorkerError
from worker.job import Lane, Query, Spent
from worker.settings import Connection, Settings, connections_path

DISCOVERY_SECONDS = 30.0
TRY_SECONDS = 60.0
STORE_SECONDS = 5.0

Say = Callable[[str], None]


class Findings:
    """Prints a line for each check, and remembers whether every one went well."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.all_well = True

    @contextmanager
    def of(self, what: str) -> Iterator[Say]:
        """Around one check, which says what it found; a WorkerError is its failure, and goes on up."""
        said: list[str] = []
        try:
            yield said.append
        except WorkerError as error:
            self.all_well = False
            self._print(what, "FAILED", "bold red", error.line)
            raise
        self._print(what, "ok", "green", "; ".join(said))

    def _print(self, what: str, verdict: str, style: str, detail: str) -> None:
        line = Text.assemble(f"{what:<26}", (f"{verdict:<7}", style), detail)
        self._console.print(line, soft_wrap=True)


def examine(names: Sequence[str], entity: str, console: Console) -> bool:
    """Check the settings, the store, and the connections of these names, or all; whether all is well."""
    findings = Findings(console)
    with suppress(WorkerError):
        settings = _settings(findings, names)
        store = _store(findings, settings)
        for name in names or settings.connections:
            with suppress(WorkerError):
                _connection(findings, settings, settings.connection(name), store, entity)
    return findings.all_well


def _settings(findings: Findings, names: Sequence[str]) -> Settings:
    with findings.of("settings") as say:
        settings = Settings.load()
        if not settings.connections:
            raise Misconfigured(f"{connections_path()} names no connection: run acuworker connect")
        for name in names:
            settings.connection(name)
        say(f"connections: {', '.join(settings.connections)}")
    with suppress(WorkerError), findings.of("files and keys") as say:
        key = settings.var / "store.key"
        for path in (connections_path(), settings.var, key):
            require_private(path)
        # A key that is missing is made by acuworker up.
        if settings.store_keys or key.exists():
            settings.cipher()
        require_writable(settings.blob_directory)
        say(f"blobs go to {settings.blob_directory}")
    return settings


def require_private(path: Path) -> None:
    """Raise Misconfigured where a file or directory can be read by others than its owner."""
    with suppress(FileNotFoundError):
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            wanted = "700" if stat.S_ISDIR(mode) else "600"
            raise Misconfigured(f"others may read it: chmod {wanted} {path}", str(path))


def require_writable(directory: Path) -> None:
    """Raise BlobsUnavailable where blobs cannot be written to a directory, or it cannot be made."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise BlobsUnavailable(f"{existing} cannot be written to: change its owner, or set ACUWORKER_BLOBS")


def _store(findings: Findings, settings: Settings) -> redis.Redis | None:
    """The store, if it answers; our own may rest until ``acuworker up`` starts it."""
    store: redis.Redis = redis.Redis.from_url(settings.store, socket_timeout=STORE_SECONDS)
    with suppress(WorkerError), findings.of("store") as say:
        try:
            say(f"version {store.info('server')['redis_version']}")
            for hint in embedded.check(store):
                say(hint)
        except (redis.RedisError, OSError) as error:
            if settings.store_url or not isinstance(error, redis.ConnectionError):
                raise StoreUnavailable(f"it does not answer ({error}): see ACUWORKER_STORE_URL") from None
            say(f"does not run ({error}); acuworker up starts it")
            return None
        if settings.broker_url:
            _require_broker(settings.broker)
        return store
    return None


def _require_broker(url: str) -> None:
    try:
        with Broker(url, connect_timeout=STORE_SECONDS) as broker:
            broker.ensure_connection(max_retries=1)
    except (OperationalError, OSError):
        raise StoreUnavailable("the broker does not answer: see ACUWORKER_BROKER_URL") from None


def _connection(
    findings: Findings, settings: Settings, connection: Connection, store: redis.Redis | None, entity: str
) -> None:
    """One connection, from its certificate to the end of its session."""
    name = connection.name
    with findings.of(f"{name}: instance") as say, closing(Wire(connection)) as wire:
        listed = connect.listed(wire)
        connect.require_listed(listed, connection.endpoint, connection.version)
        say(f"{connection.url} is trusted and has {connection.endpoint}/{connection.version}")
    with findings.of(f"{name}: discovery") as say, closing(Wire(connection)) as wire:
        say(f"tokens at {signin.discover(wire, Deadline(DISCOVERY_SECONDS)).token}")
    gateway = Gateway(settings, store, f"doctor-{uuid4()}") if store else None
    if gateway and taken(gateway.sessions(), name) >= connection.max_sessions:
        return _through_a_worker(findings, gateway, name, entity)
    _alone(findings, connection, entity)
    if gateway:
        with findings.of(f"{name}: waiting jobs") as say:
            gateway.restore(name)
            say("go on")
    return None


def taken(slots: Sequence[SlotView], name: str) -> int:
    """How many sessions of a connection the workers have, or may have, open."""
    return sum(slot.connection == name and slot.state != "free" for slot in slots)


def _alone(findings: Findings, connection: Connection, entity: str) -> None:
    name = connection.name
    with ExitStack() as session:
        with findings.of(f"{name}: sign-in") as say:
            erp = session.enter_context(direct(connection, Deadline(TRY_SECONDS), "doctor"))
            say(f"as {connection.username} in tenant {connection.tenant}")
        _read(findings, name, erp, entity)
        with findings.of(f"{name}: sign-out") as say:
            session.close()
            say("no session is left open")


def _through_a_worker(findings: Findings, gateway: Gateway, name: str, entity: str) -> None:
    with closing(gateway):
        with findings.of(f"{name}: session") as say:
            gateway.restore(name)
            say("the workers hold every one that the license allows; one of theirs is used, and left to them")
        erp = gateway.erp(name, Lane.INTERACTIVE, "doctor", Deadline(TRY_SECONDS), Spent())
        _read(findings, name, erp, entity)


def _read(findings: Findings, name: str, erp: Erp, entity: str) -> None:
    with findings.of(f"{name}: read") as say:
        found = erp.list(Query(entity=entity), top=1)
        say(f"{len(found)} {entity} record{'' if len(found) == 1 else 's'}")

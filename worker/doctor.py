"""acuworker doctor: looks at the settings, the store and each connection, and says in a line each what is wrong.

While a store runs it takes part in the sessions as any worker does, so it opens none too many, and leaves none behind
that nobody uses; before, it forgets what stood in the way of signing in, for an operator who has mended it. Without a
store it signs in by itself, and out.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
from rich.console import Console
from rich.text import Text

from worker import connect
from worker.blobs.opened import open_blobs
from worker.bootsteps import Heartbeat
from worker.celery import app
from worker.doorbell import Doorbell
from worker.erp import signin
from worker.erp.caller import Caller, Use
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.direct import direct
from worker.erp.exchanges import Exchanges
from worker.erp.gateway import Gateway
from worker.erp.logins import Logins
from worker.erp.optimizer import Optimizer
from worker.erp.overview import LicenseView, Overview
from worker.erp.sessions import Lease, SessionPool
from worker.erp.slots import State
from worker.erp.wire import Wire
from worker.errors import (
    DeadlineExceeded,
    ErpFault,
    ErpRestarting,
    LoginNeeded,
    Misconfigured,
    SessionsBusy,
    StoreUnavailable,
    Waiting,
    WorkerError,
)
from worker.job import Lane
from worker.page import Query
from worker.settings import Connection, Settings, connections_path
from worker.status import span
from worker.storage import COMMAND_SECONDS, open_store, require_safe

DISCOVERY_SECONDS = 30.0
TRY_SECONDS = 60.0
BEAT_SECONDS = 1.0

WRITES = {
    "aof_last_write_status": "append-only file",
    "aof_last_bgrewrite_status": "append-only file anew",
    "rdb_last_bgsave_status": "snapshot",
}
"""What a store says of its last attempt to write, and to write what."""

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
        self._print(what, "ok", "green", "; ".join(filter(None, said)))

    def skip(self, what: str, why: str) -> None:
        """Say that a check is not made."""
        self._print(what, "skipped", "yellow", why)

    def _print(self, what: str, verdict: str, style: str, detail: str) -> None:
        line = Text.assemble(f"{what:<30} ", (f"{verdict:<8}", style), detail)
        self._console.print(line, soft_wrap=True)


def examine(names: Sequence[str], entities: Sequence[str], console: Console) -> bool:
    """Check the settings, the store, and the connections of these names, or all; whether all is well.

    Of each connection a record of each of these entities is read.
    """
    findings = Findings(console)
    with suppress(WorkerError):
        settings = _settings(findings, names)
        connections = [settings.connection(name) for name in names or settings.connections]
        try:
            store = _store(findings, settings)
        except WorkerError:
            _without_sign_in(findings, connections)
            raise
        _broker(findings, settings)
        if store is None:
            _alone(findings, connections, entities)
        else:
            with closing(store):
                _limits(findings, settings, store, connections)
                _as_a_worker(findings, settings, store, connections, entities)
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
        open_blobs(settings).require_usable()
        say(f"blobs go to {settings.blob_place}")
    return settings


def require_private(path: Path) -> None:
    """Raise Misconfigured where a file or directory can be read by others than its owner."""
    with suppress(FileNotFoundError):
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            wanted = "700" if stat.S_ISDIR(mode) else "600"
            raise Misconfigured(f"others may read it: chmod {wanted} {path}", str(path))


def _store(findings: Findings, settings: Settings) -> redis.Redis | None:
    """The store, if it runs; our own may rest until ``acuworker up`` starts it. Raises what is wrong with it."""
    with findings.of("store") as say:
        store = open_store(settings, COMMAND_SECONDS)
        try:
            say(f"version {store.info('server')['redis_version']}")
            require_lasting(store.info("persistence"))
            say(require_safe(store))
        except (redis.RedisError, OSError) as error:
            store.close()
            rests = isinstance(error, redis.ConnectionError) and not isinstance(error, redis.BusyLoadingError)
            if settings.store_url or not rests:
                raise StoreUnavailable(f"it does not answer ({error}): see ACUWORKER_STORE_URL") from None
            say(f"does not run ({error}); acuworker up starts it")
            return None
        settings.cipher()  # who works with a store has its key
        return store


def require_lasting(persistence: Mapping[str, Any]) -> None:
    """Raise StoreUnavailable where a store cannot write down what it is told, by what it says of itself."""
    for field, what in WRITES.items():
        if persistence.get(field, "ok") != "ok":
            raise StoreUnavailable(
                f"it cannot write its {what}: look for room and rights on its disk, and in its log"
            )


def _broker(findings: Findings, settings: Settings) -> None:
    """The broker, where it is not the store."""
    if settings.broker_url:
        with suppress(WorkerError), findings.of("broker") as say:
            say(Doorbell(app, settings.broker).look())


def _limits(
    findings: Findings, settings: Settings, store: redis.Redis, connections: Sequence[Connection]
) -> None:
    """The limits that the fleet holds to, and where the file has others."""
    spent = {connection.license_name for connection in connections}
    for filed in settings.spent_licenses():
        if filed.name in spent:
            with suppress(WorkerError), findings.of(f"license {filed.name}") as say:
                view = Overview(store, settings, filed).look()
                limits = view.in_force or filed
                per_minute = limits.max_per_minute or "no limit"
                say(f"sessions: {limits.max_sessions}, requests a minute: {per_minute}")
                for difference in view.differences:
                    say(str(difference))


def _reach(findings: Findings, connection: Connection) -> None:
    """What can be seen of an instance without signing in."""
    name = connection.name
    with findings.of(f"{name}: instance") as say, closing(Wire(connection)) as wire:
        listed = connect.listed(wire)
        connect.require_listed(listed, connection.endpoint, connection.version)
        say(f"{connection.url} is trusted and has {connection.endpoint}/{connection.version}")
    if connection.sign_in != "cookie":
        with findings.of(f"{name}: discovery") as say, closing(Wire(connection)) as wire:
            say(f"tokens at {signin.discover(wire, Deadline(DISCOVERY_SECONDS)).token}")


def _without_sign_in(findings: Findings, connections: Sequence[Connection]) -> None:
    """What can be checked while it is not known which sessions the workers have."""
    for connection in connections:
        with suppress(WorkerError):
            _reach(findings, connection)
            findings.skip(
                f"{connection.name}: session", "without the store, it could be one session too many"
            )


def _alone(findings: Findings, connections: Sequence[Connection], entities: Sequence[str]) -> None:
    """Sign in, read and sign out, without a store."""
    for connection in connections:
        name = connection.name
        with suppress(WorkerError), ExitStack() as session:
            _reach(findings, connection)
            with findings.of(f"{name}: sign-in") as say:
                erp = session.enter_context(direct(connection, Deadline(TRY_SECONDS), "doctor"))
                say(_as_whom(connection))
            _read_each(findings, name, erp, entities)
            with findings.of(f"{name}: sign-out") as say:
                session.close()
                say("no session is left open")


def _as_a_worker(
    findings: Findings,
    settings: Settings,
    store: redis.Redis,
    connections: Sequence[Connection],
    entities: Sequence[str],
) -> None:
    """Read through the sessions that the workers share; the last to leave signs out."""
    gateway = Gateway(settings, store, f"doctor/{uuid4().hex[:8]}")
    heartbeat = Heartbeat("doctor", BEAT_SECONDS, gateway.beat)
    heartbeat.start()
    try:
        for connection in connections:
            with suppress(WorkerError):
                _reach(findings, connection)
                if connection.sign_in == "login":
                    _logins(findings, settings, store, connection)
                _shared(findings, settings, store, gateway, connection, entities)
    finally:
        heartbeat.stop()
        gateway.close()
    for connection in connections:
        with suppress(WorkerError), findings.of(f"{connection.name}: sign-out") as say:
            say(_left(settings, store, connection))


def _logins(findings: Findings, settings: Settings, store: redis.Redis, connection: Connection) -> None:
    """The logins of a connection that a person signs in."""
    name = connection.name
    with findings.of(f"{name}: logins") as say:
        logins = Logins(store, settings, connection).list()
        if not logins:
            raise LoginNeeded(f"nobody is signed in: acuworker login {name}", "connection")
        say(
            f"{len(logins)}, and the first to end has {min(login.days_left for login in logins):.0f} days left"
        )
        if any(login.is_ending for login in logins):
            say(f"acuworker login {name} begins another")


def _shared(
    findings: Findings,
    settings: Settings,
    store: redis.Redis,
    gateway: Gateway,
    connection: Connection,
    entities: Sequence[str],
) -> None:
    """Read through the sessions that the workers share, as one of them."""
    name = connection.name
    way = gateway.way(name)
    sessions = _Noted(way.pool)
    caller = Caller(lane=Lane.INTERACTIVE, deadline=Deadline(TRY_SECONDS), job_id="doctor")
    exchanges = Exchanges(connection, caller, sessions, way.budget, way.wires, threading.Event())
    erp = Erp(exchanges, Optimizer(store, connection))
    with gateway.job(name):
        with findings.of(f"{name}: session") as say:
            way.pool.restore()
            overview = Overview(store, settings, settings.license_of(connection))
            require_a_prospect(overview.look())
            first = _read(erp, entities[0])
            if isinstance(first, DeadlineExceeded):
                states = _in_use(overview.look()) or "every slot is free"
                raise DeadlineExceeded(f"none within {TRY_SECONDS:.0f} s ({first.message}): {states}")
            if isinstance(first, WorkerError) and (sessions.fresh is None or isinstance(first, Waiting)):
                raise first
            say(_as_whom(connection) if sessions.fresh else "one that the workers have open")
            say("jobs that waited for it go on")
        _tell_read(findings, name, entities[0], first)
        _read_each(findings, name, erp, entities[1:])


class _Noted:
    """The sessions of a pool; notes whether the first that was lent was ``fresh``, None as long as none was."""

    seats = 1

    def __init__(self, pool: SessionPool) -> None:
        self._pool = pool
        self.fresh: bool | None = None

    @contextmanager
    def lease(self, caller: Caller, use: Use) -> Iterator[Lease]:
        """A session of the pool."""
        with self._pool.lease(caller, use) as lease:
            self.fresh = lease.fresh if self.fresh is None else self.fresh
            yield lease

    def lost(self, lease: Lease, error: WorkerError) -> None:
        """What the pool is to know of a session."""
        self._pool.lost(lease, error)

    def away(self, error: ErpRestarting) -> WorkerError:
        """What the pool is to know of the ERP."""
        return self._pool.away(error)


def require_a_prospect(view: LicenseView) -> None:
    """Raise SessionsBusy where every slot is in quarantine for longer than anybody would wait here."""
    slots = view.slots[: (view.in_force or view.filed).max_sessions]
    lost = [slot.seconds or 0.0 for slot in slots if slot.state is State.QUARANTINE]
    if slots and len(lost) == len(slots) and min(lost) > TRY_SECONDS:
        release = f"acuworker sessions release {view.name} {slots[0].slot}, where the ERP has closed it"
        raise SessionsBusy(f"{_in_use(view)}, for {span(min(lost))} more: {release}")


def _in_use(view: LicenseView) -> str:
    """The slots of a license that are not free, in words."""
    return ", ".join(
        f"slot {slot.slot} is {slot.state}" for slot in view.slots if slot.state is not State.FREE
    )


def _as_whom(connection: Connection) -> str:
    who = f"as {connection.username}" if connection.username else "by a login"
    return f"signed in {who} in tenant {connection.tenant}"


def _read_each(findings: Findings, name: str, erp: Erp, entities: Sequence[str]) -> None:
    """Read a record of each entity; only what would keep the others from being read ends it."""
    for entity in entities:
        outcome = _read(erp, entity)
        _tell_read(findings, name, entity, outcome)
        if isinstance(outcome, Waiting | DeadlineExceeded):
            return


def _read(erp: Erp, entity: str) -> int | WorkerError:
    """How many records came when one was asked for, or why none did."""
    try:
        return len(erp.list(Query(entity=entity), top=1))
    except WorkerError as error:
        return error


def _tell_read(findings: Findings, name: str, entity: str, outcome: int | WorkerError) -> None:
    with suppress(WorkerError), findings.of(f"{name}: read {entity}") as say:
        if isinstance(outcome, WorkerError):
            raise outcome
        say(f"{outcome} record{'' if outcome == 1 else 's'}")


def _left(settings: Settings, store: redis.Redis, connection: Connection) -> str:
    """What became of a connection's sessions. Raises ErpFault where nobody is left to close one."""
    view = Overview(store, settings, settings.license_of(connection)).look()
    own = [slot for slot in view.slots if slot.connection == connection.name]
    states = _in_use(replace(view, slots=own))
    if not states:
        return "no session is left open"
    if not view.present:
        raise ErpFault(f"{states}: see acuworker sessions list, and acuworker sessions sign-out")
    return f"{states}, for the workers to go on with"

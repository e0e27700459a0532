"""Secrets as canaries: after jobs that went well and badly in every way, no sink holds one of them."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
import redis

from tests.erp_floor import connection_to
from tests.installation import Installation, Service, eventually, install
from tests.sandbox_process import Sandbox
from tests.web_page import PASSWORD, Page, answers, free_port
from worker.erp.signin import Grant
from worker.errors import WorkerError

ENTITY = "/MyStoreInstance/entity/Default"
GOOD = [
    {"entity": "SalesOrder", "page_size": 2},
    {"entity": "Payment"},
    {"entity": "StockItem", "keys": ["AAMACHINE1"], "attachments": True},
    {"entity": "Customer", "values": "wire"},
]
BAD = [
    {"entity": "Nonsense", "deadline_seconds": 1},
    {"entity": "SalesOrder", "filter": "Nope eq 1"},
    {"entity": "SalesOrder", "select": ["Nope"]},
    {"entity": "SalesOrder", "keys": ["SO", "none"]},
]
FAULTS: list[dict[str, object]] = [
    {"kind": "status", "status": 403, "body": '{"message": "You have insufficient rights."}'},
    {"kind": "status", "status": 500, "body": '{"message": "An error", "stackTrace": "at X"}', "times": 5},
    {"kind": "html"},
    {"kind": "cut", "bytes": 50},
    {"kind": "redirect", "location": "https://elsewhere.invalid/"},
    {"kind": "malformed"},
]


def _secrets_of_the_session(installation: Installation) -> set[str]:
    """The tokens and the cookie in the store, decrypted with the installation's key."""
    with redis.Redis.from_url(installation.settings.store) as store:
        kept = cast(bytes | None, store.hget("acuworker:{default}:slot:1", "grant"))
    assert kept is not None
    grant = Grant.loads(installation.settings.cipher().decrypt(kept).decode())
    secrets = [secret.get_secret_value() for secret in (grant.token, grant.refresh, grant.cookies) if secret]
    cookie = re.search(r"ASP.NET_SessionId=([^;]+)", secrets.pop())
    assert cookie is not None
    return {*secrets, cookie[1]}


def _everything_in(store_url: str) -> bytes:
    with redis.Redis.from_url(store_url) as store:
        dumps = [cast(bytes | None, store.dump(key)) for key in cast(list[bytes], store.keys("*"))]
    return b"\n".join(dump for dump in dumps if dump is not None)  # None: its time came since it was listed


def _command_lines() -> bytes:
    """The commands of all processes, as anyone on this machine may list them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            lines.append(path.read_bytes())
    return b"\n".join(lines)


def _ends(service: Service, job: object) -> str:
    """What Celery tells a caller of a job's end: its result, or its error with everything around it."""
    result = service.send(job, lane="bulk")
    result.get(timeout=60, propagate=False)
    return f"{result.result!r} {result.traceback} {result._get_task_meta()}"


def _watchers(installation: Installation) -> tuple[Page, Page]:
    """Flower and the figures, beside the workers."""
    flower, figures = Page(free_port()), Page(free_port(), None)
    installation.start("flower", "--port", str(flower.port), ACUWORKER_FLOWER_PASSWORD=PASSWORD)
    installation.start("metrics", "--port", str(figures.port))
    eventually(lambda: answers(flower, "/healthcheck"), OSError, AssertionError)
    eventually(lambda: answers(figures, "/metrics"), OSError, AssertionError)
    return flower, figures


def _shown(flower: Page, figures: Page) -> dict[str, bytes]:
    """All that those who watch are shown, by its path."""
    paths = ["/api/tasks", "/api/workers?refresh=1", "/tasks", "/workers?json=1", "/broker", "/metrics"]
    pages = {path: flower.ask(path)[1] for path in paths + [f"/task/{job_id}" for job_id in flower.tasks()]}
    return {path: text.encode() for path, text in {**pages, "figures": figures.ask("/metrics")[1]}.items()}


def test_no_sink_holds_a_secret(sandbox: Sandbox) -> None:
    """Password, client secret, tokens, cookies: in no log, result, store, file, process list, page or error."""
    connection = connection_to(sandbox, scope="api offline_access api:concurrent_access", restart_seconds=1)
    with install(default=connection) as installation, installation.service() as service:
        worker = installation.start_worker()
        flower, figures = _watchers(installation)
        told = [_ends(service, job) for job in [*GOOD, *BAD]]
        secrets = _secrets_of_the_session(installation)
        processes = _command_lines()
        sandbox.control("revoke-tokens")
        told += [_ends(service, GOOD[0])]
        secrets |= _secrets_of_the_session(installation)
        for fault in FAULTS:
            sandbox.control("faults", {"path": ENTITY, **fault})
            told.append(_ends(service, GOOD[0]))
        stored = _everything_in(installation.settings.store)
        shown = _shown(flower, figures)
        worker.stop()
        assert len(secrets) == 6
        canaries = {sandbox.password, sandbox.client_secret, PASSWORD, *secrets}
        sinks = {"results": "".join(told).encode(), "processes": processes, "store": stored, **shown}
        for path in installation.directory.rglob("*"):
            if path.is_file() and path.name != "connections.toml":
                sinks[str(path)] = path.read_bytes()
        assert b"exchange" in sinks[str(worker._log)]
        assert b"celery" in processes
        assert b"RecordNotFound" in shown["/api/tasks"]
        assert b"acumatica.bulk" in shown["/api/workers?refresh=1"]
        found = [
            (name, canary) for name, sink in sinks.items() for canary in canaries if canary.encode() in sink
        ]
        assert found == []


def test_a_refused_sign_in_tells_no_secret(sandbox: Sandbox) -> None:
    """What a caller reads of a refused sign-in names neither the password nor the client's secret."""
    sandbox.control("account", {"locked": True}, method="PATCH")
    with install(default=connection_to(sandbox)) as installation, installation.service() as service:
        installation.start_worker()
        result = service.send({"entity": "SalesOrder", "deadline_seconds": 3})
        with pytest.raises(WorkerError) as raised:
            result.get(timeout=30)
        assert sandbox.password not in f"{raised.value!r}{result.traceback}"
        assert sandbox.client_secret not in f"{raised.value!r}{result.traceback}"


def test_rows_of_the_store_are_there_to_search(sandbox: Sandbox, tmp_path: Path) -> None:
    """The search above would find a secret: what the store holds of a job is seen by it."""
    with install(default=connection_to(sandbox)) as installation, installation.service() as service:
        installation.start_worker()
        job = {
            "entity": "SalesOrder",
            "filter": "OrderNbr eq :canary",
            "params": {"canary": "seen-in-the-store"},
        }
        service.send(job).get(timeout=30)

        def seen() -> None:
            assert b"seen-in-the-store" in _everything_in(installation.settings.store)

        eventually(seen, AssertionError)

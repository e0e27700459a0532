"""Builds the ERP floor for a test: settings that point at a sandbox and a store, gateways, callers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tests.sandbox_process import Sandbox
from worker.erp.caller import Caller
from worker.erp.client import Erp
from worker.erp.deadline import Deadline
from worker.erp.gateway import Gateway
from worker.job import Lane
from worker.settings import Connection, Settings


def connection_to(sandbox: Sandbox, **changes: Any) -> Connection:
    """A connection to a sandbox of the build 2022R1, without a limit per minute unless told otherwise."""
    given: dict[str, Any] = {
        "url": sandbox.url,
        "version": "20.200.001",
        "tenant": sandbox.tenant,
        "username": sandbox.username,
        "password": SecretStr(sandbox.password),
        "client_id": sandbox.client_id,
        "client_secret": SecretStr(sandbox.client_secret),
        "ca_file": Path(sandbox.ca_file),
        "max_per_minute": 0,
    }
    return Connection(**(given | changes))


def connection_to_nowhere(url: str = "https://erp.example.com/Site") -> Connection:
    """A connection for decisions that ask no ERP."""
    return Connection(
        url=url,
        version="20.200.001",
        tenant="T",
        username="u",
        password=SecretStr("-"),
        client_id="A@T",
        client_secret=SecretStr("-"),
    )


def settings_for(connection: Connection, store_url: str, key: bytes | None = None) -> Settings:
    """Settings with one connection and a store of the test's own."""
    return Settings(
        connections={connection.name: connection},
        store_url=SecretStr(store_url),
        store_keys=SecretStr((key or Fernet.generate_key()).decode()),
    )


class Floors:
    """The ERP floors of a test's processes; ``kill`` does to them what the kernel does to a killed process."""

    def __init__(self) -> None:
        self._gateways: list[Gateway] = []
        self._stores: list[redis.Redis] = []

    def start(self, settings: Settings, owner: str = "worker-1") -> Gateway:
        """The ERP floor of a process called ``owner``."""
        store = redis.Redis.from_url(settings.store)
        gateway = Gateway(settings, store, owner)
        self._gateways.append(gateway)
        self._stores.append(store)
        return gateway

    def kill(self) -> None:
        """Close every socket, and say goodbye to nobody."""
        for gateway in self._gateways:
            for way in gateway._all():
                way.close()
        for store in self._stores:
            store.close()


def erp_of(
    gateway: Gateway, lane: Lane = Lane.INTERACTIVE, seconds: float = 30, job_id: str = "job-1"
) -> Erp:
    """A job's way to the ERP on the connection ``default``."""
    return gateway.erp("default", Caller(lane=lane, deadline=Deadline(seconds), job_id=job_id))

"""What people see of one license: its limits, its slots, who waits for one, and what stands in a connection's way.

Looking asks nothing of the ERP and changes nothing in the store. Raises StoreUnavailable where the store does not
answer, Misconfigured where the key is missing by which connections are told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from worker.erp import slots
from worker.erp.barred import stopped_by
from worker.erp.license import Difference, differences, prefix
from worker.erp.membership import Member
from worker.erp.slots import State
from worker.erp.store import Script, source
from worker.errors import WorkerError
from worker.job import Lane
from worker.settings import Connection, License, Settings


@dataclass(frozen=True, kw_only=True)
class SlotView:
    """A slot as people see it. ``seconds`` are left until its state ends by itself; None when it does not.

    ``holder`` is who is at it: the worker that it is lent to, or that opens or closes its session. ``mark`` tells
    whose session it is; ``connection`` is the part of it that people know. For ``busy_seconds`` more a request that
    was sent in it may be at work, be it lent or not.
    """

    license: str
    slot: int
    generation: int
    state: State
    mark: str
    holder: str
    lent: bool
    open_seconds: float | None
    seconds: float | None
    busy_seconds: float

    @property
    def connection(self) -> str:
        """The connection that it is a session of."""
        return self.mark.partition("#")[0]


@dataclass(frozen=True, kw_only=True)
class Waiter:
    """An exchange that waits for a session."""

    connection: str
    lane: Lane
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LicenseView:
    """A license at one moment; ``in_force`` is None before any process has brought its limits to the store.

    ``bars`` says for each connection that cannot have a session why. For ``blackout_seconds`` more nothing is asked
    of the ERP, as the store was emptied. ``present`` are those who take part in its sessions.
    """

    filed: License
    in_force: License | None
    slots: Sequence[SlotView]
    waiters: Sequence[Waiter]
    bars: Mapping[str, WorkerError]
    present: Sequence[str]
    blackout_seconds: float

    @property
    def name(self) -> str:
        """The license's name."""
        return self.filed.name

    @property
    def differences(self) -> Sequence[Difference]:
        """Where the file has other limits than the store."""
        return differences(self.filed, self.in_force) if self.in_force else ()


class Overview:
    """Looks at one license in the store."""

    def __init__(self, store: redis.Redis, settings: Settings, filed: License) -> None:
        files = ("license.lua", "at_work.lua", "waiters.lua", "choice.lua", "overview.lua")
        self._script = Script(store, slots.render() + "".join(map(source, files)), prefix(filed.name))
        self._settings = settings
        self._filed = filed

    def look(self) -> LicenseView:
        """The license as it is now."""
        spending = self._settings.connections.values()
        known = [
            self._known(connection) for connection in spending if connection.license_name == self._filed.name
        ]
        told = self._script("look", connections=known)
        return LicenseView(
            filed=self._filed,
            in_force=License(name=self._filed.name, **told["limits"]) if "limits" in told else None,
            slots=[slot_view(self._filed.name, row, told["now"]) for row in told["slots"]],
            waiters=[waiter(row) for row in told["waiters"]],
            bars={name: stopped_by(bar, name) for name, bar in dict(told["bars"]).items()},
            present=list(told["present"]),
            blackout_seconds=told["blackout_ms"] / 1000,
        )

    def _known(self, connection: Connection) -> dict[str, Any]:
        member = Member(self._settings, connection, self._script, "")
        return {
            "name": connection.name,
            "mark": member.mark,
            "fingerprint": member.fingerprint,
            "by_login": connection.sign_in == "login",
        }


def slot_view(license_name: str, row: Mapping[str, Any], now: float) -> SlotView:
    """A row of the store, for people."""
    state, lease = State(row["state"]), row["lease"]
    ends = {State.FREE: None, State.OPEN: row["gone"]}.get(state, row["until"])
    at_it = "" if state is State.OPEN else row["owner"]
    return SlotView(
        license=license_name,
        slot=row["slot"],
        generation=row["generation"],
        state=state,
        mark=row["connection"],
        holder=lease.rpartition("/")[0] if lease else at_it,
        lent=state is State.OPEN and lease != "",
        open_seconds=(now - row["opened"]) / 1000 if row["opened"] else None,
        seconds=None if ends is None else max(0.0, (ends - now) / 1000),
        busy_seconds=max(0.0, (row["busy"] - now) / 1000),
    )


def waiter(row: Mapping[str, Any]) -> Waiter:
    """One who waits, as the store has it."""
    lane = Lane.BULK if row["rank"] else Lane.INTERACTIVE
    return Waiter(
        connection=row["connection"].partition("#")[0], lane=lane, seconds=max(0.0, row["waited_ms"] / 1000)
    )

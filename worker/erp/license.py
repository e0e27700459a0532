"""The limits of one license as the fleet holds to them: in the store, whatever the files of its processes say.

The first process brings its file's limits; ``acuworker license set`` changes them for all that run. With them goes an
epoch: a store that was emptied has another one, and then whoever knew the old one has every slot quarantined.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import redis
import structlog
from pydantic import ValidationError

from worker.erp import slots
from worker.erp.store import Script, ms, source
from worker.errors import Misconfigured
from worker.settings import License, misconfigured

log = structlog.get_logger(__name__)

LIMITS = ("max_sessions", "max_per_minute")


def prefix(license_name: str) -> str:
    """What the keys of a license begin with; the braces keep them together in a cluster."""
    return f"acuworker:{{{license_name}}}:"


def sessions_script(store: redis.Redis, license_name: str) -> Script:
    """What the store does about the sessions of a license."""
    files = (
        "license.lua",
        "at_work.lua",
        "lending.lua",
        "waiters.lua",
        "choice.lua",
        "sessions.lua",
        "logins.lua",
        "claims.lua",
    )
    text = slots.render() + "".join(map(source, files)) + "\nreturn cjson.encode(operations[operation]())"
    return Script(store, text, prefix(license_name))


@dataclass(frozen=True)
class Difference:
    """A limit that a file has otherwise than the store."""

    license: str
    limit: str
    filed: int
    in_force: int

    def __str__(self) -> str:
        return (
            f"license {self.license!r}: {self.limit} is {self.filed} in the file and {self.in_force} in force: write "
            f"{self.limit} = {self.in_force} there, or: acuworker license set {self.license} {self.limit}={self.filed}"
        )


class LimitsInForce:
    """The limits of one license in the store, and the epoch of the store as this process knows it."""

    def __init__(self, store: redis.Redis, filed: License, forgotten_seconds: float) -> None:
        """``forgotten_seconds`` is how long a session may last that the store has forgotten."""
        self._script = sessions_script(store, filed.name)
        self._filed = filed
        self._in_force = filed
        self._forgotten = forgotten_seconds
        self.epoch = ""
        """Empty until this process has joined."""

    @property
    def name(self) -> str:
        """The license's name."""
        return self._filed.name

    @property
    def seats(self) -> int:
        """How many sessions there may be, as this process knows it."""
        return self._in_force.max_sessions

    def join(self) -> License:
        """Take part in the license under the store's present epoch; the limits in force.

        If the process knew another epoch, the store was emptied in between: every slot that is not in use is
        quarantined, and nothing is asked of the ERP for a minute. Raises StoreUnavailable.
        """
        known = self.epoch
        reply = self._script(
            "join",
            epoch=known,
            fresh=secrets.token_hex(8),
            max_sessions=self._in_force.max_sessions,
            max_per_minute=self._in_force.max_per_minute,
            forgotten_ms=ms(self._forgotten),
        )
        self.epoch = reply["epoch"]
        self._in_force = License(name=self.name, **{limit: reply[limit] for limit in LIMITS})
        if known and known != self.epoch:
            log.error("the store was emptied: its sessions are left alone until the ERP has closed them")
        if not known:
            for difference in differences(self._filed, self._in_force):
                # Of a worker's log, not of a command's: commands print it by themselves.
                log.info("the store's limit counts", difference=str(difference))
        return self._in_force

    def limits(self) -> License:
        """The limits in force now. Raises StoreUnavailable."""
        return self.join()

    def set(self, **changes: int) -> License:
        """Change limits of the running fleet. Raises Misconfigured, StoreUnavailable."""
        try:
            changed = License.model_validate(self.join().model_dump() | changes)
        except ValidationError as error:
            raise misconfigured(error) from None
        self._script("set_limits", **{limit: getattr(changed, limit) for limit in LIMITS})
        return self.join()


def differences(filed: License, in_force: License) -> list[Difference]:
    """Where a file has other limits than the store."""
    return [
        Difference(filed.name, limit, here, there)
        for limit in LIMITS
        if (here := getattr(filed, limit)) != (there := getattr(in_force, limit))
    ]


def read_changes(texts: tuple[str, ...]) -> dict[str, int]:
    """Changes as people write them: ``max_sessions=3``. Raises Misconfigured."""
    changes = {}
    for text in texts:
        limit, _, value = text.partition("=")
        if limit not in LIMITS or not value.isdecimal():
            raise Misconfigured(f"{text!r} is none of {', '.join(f'{known}=NUMBER' for known in LIMITS)}")
        changes[limit] = int(value)
    return changes

"""The sandbox that a bench reads from, and what its own log says of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.bench.bars import Latency
from tests.benchmarks.bench.measure import cpu_seconds
from tests.sandbox_process import Sandbox, start_sandbox

SPEED = Latency(80, 0.2, 0.01)
NONE = Latency(0, 0, 0)
ENDPOINT = "entity/Default/20.200.001"


@contextmanager
def site(latency: Latency, *data: str) -> Iterator[Site]:
    """A sandbox with this data, without limits of its own."""
    options = ("--control", "--max-sessions", "0", "--latency", latency.option())
    with start_sandbox(*options, *data, timeout=120) as sandbox:
        yield Site(sandbox)


@dataclass(frozen=True)
class Log:
    """What the sandbox's event log says of a run."""

    requests: int
    sessions: int


class Site:
    """A running sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._standing: dict[str, Sequence[str]] = {}
        sandbox.http.timeout = 600

    def begin(self) -> None:
        """From here on the log is a run's."""
        self.sandbox.control("events", method="DELETE")

    def log(self) -> Log:
        """What there was since it began."""
        tally: dict[str, Any] = self.sandbox.tally()
        return Log(int(tally["requests"]) - int(tally["sign_outs"]), int(tally["peak_sessions"]))

    def plan(self, *steps: dict[str, object]) -> None:
        """Have data change between requests."""
        self.sandbox.control("plan", list(steps))

    def calm(self) -> None:
        """End the changes."""
        self.sandbox.control("plan", method="DELETE")

    @property
    def cpu_seconds(self) -> float:
        """What the sandbox has spent."""
        return cpu_seconds(self.sandbox.process.pid)

    def ids(self, entity: str, field: str) -> Sequence[str]:
        """The id of every record, by one request of our own."""
        with self.signed_in() as headers:
            answer = self.sandbox.http.get(
                f"{self.sandbox.url}/{ENDPOINT}/{entity}", params={"$select": field}, headers=headers
            )
            answer.raise_for_status()
            return [str(record["id"]) for record in answer.json()]

    def standing_ids(self, entity: str, field: str) -> Sequence[str]:
        """The same of data that nothing changes: asked for once."""
        if entity not in self._standing:
            self._standing[entity] = self.ids(entity, field)
        return self._standing[entity]

    def pages(self, entity: str, expand: str, size: int) -> Iterator[bytes]:
        """The bodies of a list in pages, as they come over the wire."""
        with self.signed_in() as headers:
            for skip in range(0, 1_000_000_000, size):
                asked = {"$expand": expand, "$top": str(size), "$skip": str(skip)}
                url = f"{self.sandbox.url}/{ENDPOINT}/{entity}"
                answer = self.sandbox.http.get(url, params=asked, headers=headers)
                answer.raise_for_status()
                if answer.content == b"[]":
                    return
                yield answer.content

    @contextmanager
    def signed_in(self) -> Iterator[dict[str, str]]:
        """A session of our own; its headers."""
        headers = {"Authorization": f"Bearer {self.sandbox.token()}"}
        yield headers
        self.sandbox.http.post(f"{self.sandbox.url}/entity/auth/logout", headers=headers)

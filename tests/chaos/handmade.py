"""Event logs that are made by hand, for the judges' tests: requests, delays and sessions at chosen seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.chaos.judge.figures import Figure
from tests.chaos.judge.record import SECOND, Line, Record


class Log:
    """An event log, made by hand: requests that come at some second and end some seconds later."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._requests = 0

    def add(self, kind: str, second: float, **facts: Any) -> None:
        """An event."""
        self.events.append({"kind": kind, "at": int(second * SECOND), **facts})

    def request(self, second: float, seconds: float = 0.1, asker: str | None = "job", **facts: Any) -> int:
        """A request with its end; its number."""
        self._requests += 1
        self.add(
            "arrival",
            second,
            request=self._requests,
            request_id=asker,
            counted=True,
            **{"path": "/", **facts},
        )
        self.add("end", second + seconds, request=self._requests)
        return self._requests

    def delayed(self, second: float, imposed: float, asker: str = "job") -> None:
        """A request that the license held up."""
        self.add("delay", second, request=self.request(second, imposed, asker), seconds=imposed)

    def session(self, opened: float, closed: float | None, number: int, asker: str = "job") -> None:
        """A session, opened by a request of its own."""
        self.add("session_open", opened, session=number, request=self.request(opened, 0.0, asker))
        if closed is not None:
            self.add("session_close", closed, session=number)

    def in_order(self) -> list[dict[str, Any]]:
        """The events as they happened."""
        return sorted(self.events, key=lambda event: int(event["at"]))


def record_of(events: Iterable[Line], results: Sequence[Line] = (), **facts: Any) -> Record:
    """A record with these facts; ``marks`` gives the second of each."""
    marks = [
        {"name": name, "at": int(second * SECOND)} for name, second in dict(facts.pop("marks", {})).items()
    ]
    return Record(
        events=tuple(events),
        results=tuple(results),
        oracle=facts.pop("oracle", {}),
        facts={"size": "full", "marks": marks, **facts},
    )


def failed(figures: Sequence[Figure]) -> set[str]:
    """The figures that did not reach their bar."""
    return {figure.name for figure in figures if not figure.ok}

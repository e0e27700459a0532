"""The endpoints that an instance offers, and which version of one speaks the contract that we do.

What is not a list of endpoints raises AnswerMalformed, or the error that the answer stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.erp import answers
from worker.erp.deadline import Deadline
from worker.erp.wire import Answer, Request, Wire
from worker.errors import AnswerMalformed


@dataclass(frozen=True, kw_only=True)
class EndpointVersion:
    """An endpoint that the instance offers."""

    name: str
    version: str


def versions(wire: Wire, deadline: Deadline) -> tuple[EndpointVersion, ...]:
    """What ``GET /entity`` lists without signing in; very old builds answer with a bare array."""
    answer = wire.send(Request(method="GET", path="/entity"), deadline)
    wrong = answers.error(answer)
    if wrong is not None:
        raise wrong
    return read(answer)


def read(answer: Answer) -> tuple[EndpointVersion, ...]:
    """The endpoints in an answer to ``GET /entity``; who is signed in is told of the tenant's own too."""
    body = answers.decode(answer.body)
    listed = body.get("endpoints") if isinstance(body, dict) else body
    if not isinstance(listed, list):
        raise AnswerMalformed(
            "GET /entity did not list endpoints: is this the address of an Acumatica instance?"
        )
    return tuple(
        EndpointVersion(name=str(entry["name"]), version=str(entry["version"]))
        for entry in listed
        if isinstance(entry, dict) and {"name", "version"} <= entry.keys()
    )


def newest(listed: Sequence[EndpointVersion], name: str) -> EndpointVersion | None:
    """The newest version of an endpoint whose contract we speak.

    Contract 4 begins with 20.200 (17.200 and 18.200 speak contract 3); contract 5 with 26.200 (GET /entity).
    """
    fitting = [
        entry for entry in listed if entry.name == name and (20,) <= _number(entry.version) < (26, 200)
    ]
    return max(fitting, key=lambda entry: _number(entry.version), default=None)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())

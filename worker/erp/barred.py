"""What stands in the way of a session, as the store has it, as the error that its jobs wait with."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from worker.errors import (
    ConnectionPaused,
    ErpAway,
    FormBusy,
    LoginLimit,
    LoginNeeded,
    OperationLost,
    SessionUnsure,
    SignInRefused,
    TenantMismatch,
    UserLoginLimit,
    WorkerError,
)

JITTER_SECONDS = 1.0

UNTIL_MENDED = "no other sign-in is tried until the credentials change, or acuworker doctor signs in"


def stopped_by(answer: dict[str, Any], name: str) -> WorkerError:
    """What stands in the way of a session, as the store has it."""
    match answer:
        case {"answer": "refused", "message": message, "code": "TenantMismatch"}:
            return TenantMismatch(f"{message}; {UNTIL_MENDED}", "connection")
        case {"answer": "refused", "message": message}:
            return SignInRefused(f"{message}; {UNTIL_MENDED}", "connection")
        case {"answer": "full", "of": of, "message": message, "left": left}:
            kind = UserLoginLimit if of == "user" else LoginLimit
            return kind(message, seconds=max(1.0, left / 1000))
        case {"answer": "login", "ended": True}:
            return LoginNeeded(
                f"the login of connection {name!r} has ended, or was revoked: acuworker login {name}",
                "connection",
            )
        case {"answer": "login"}:
            return LoginNeeded(
                f"nobody is signed in to connection {name!r}: acuworker login {name}", "connection"
            )
        case {"answer": "paused", "message": message}:
            return ConnectionPaused(
                f"connection {name!r} is paused ({message}): acuworker resume {name}", "connection"
            )
        case {"answer": "away", "message": message, "left": left, "over": over}:
            until = datetime.fromtimestamp(over / 1000, UTC)
            return ErpAway(
                f"{message}: connection {name!r} pauses by itself until {until:%H:%M:%S} UTC; "
                f"acuworker resume {name} tries at once",
                # Not all of them in the same second.
                seconds=left / 1000 + random.uniform(0, JITTER_SECONDS),  # noqa: S311 spreads load, hides nothing
            )
        case {"answer": "operation", "form": form}:
            return FormBusy(f"a long operation on {form} is at work in every session of connection {name!r}")
        case {"answer": "unsure"}:
            return SessionUnsure("a request that nobody has heard of may be at work in every session")
        case {"answer": "no_operation"}:
            return OperationLost("the session that the operation was at work in is not open any more")
    raise AssertionError(f"the store answered {answer['answer']!r}")

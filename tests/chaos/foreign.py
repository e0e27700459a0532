"""``python -m tests.chaos.foreign PER_MINUTE``: other software on the same license, with a session of its own.

It asks in turn, evenly paced, and catches up when it was held up. It reads from standard input where the sandbox is,
and signs out on SIGTERM. It knows nothing of the worker.
"""

from __future__ import annotations

import json
import signal
import ssl
import sys
import time

import httpx

MARK = {"X-Request-Id": "foreign"}
PATH = "entity/Default/20.200.001/SalesOrder/SO/000101"


class Foreigner:
    """One client of the ERP, signed in."""

    def __init__(self, sandbox: dict[str, str]) -> None:
        self._url = sandbox["url"]
        trust = ssl.create_default_context(cafile=sandbox["ca_file"])
        self._http = httpx.Client(verify=trust, trust_env=False, timeout=60.0, headers=MARK)
        form = {name: sandbox[name] for name in ("client_id", "client_secret", "username", "password")}
        form |= {"grant_type": "password", "scope": "api"}
        answer = self._http.post(f"{self._url}/identity/connect/token", data=form)
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def ask(self) -> None:
        """Make one request."""
        self._http.get(f"{self._url}/{PATH}", params={"$select": "OrderNbr"}).raise_for_status()

    def leave(self) -> None:
        """Give the seat back."""
        self._http.post(f"{self._url}/entity/auth/logout").raise_for_status()


def main(per_minute: float) -> None:
    """Ask until told to leave."""
    gone: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: gone.append(number))
    foreigner = Foreigner(json.loads(sys.stdin.readline()))
    due = time.monotonic()
    while not gone:
        time.sleep(max(0.0, due - time.monotonic()))
        foreigner.ask()
        due += 60.0 / per_minute
    foreigner.leave()


if __name__ == "__main__":
    main(float(sys.argv[1]))

"""A site on this machine, as a program or a browser sees it: Flower, or the figures for Prometheus."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD = "flower-canary-4711"


@dataclass(frozen=True)
class Page:
    """A site on this machine, and who looks at it."""

    port: int
    password: str | None = PASSWORD

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        """The status and the text of an answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        if self.password:
            words = base64.b64encode(f"acuworker:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {words}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def tasks(self) -> dict[str, dict[str, Any]]:
        """What Flower's API tells of tasks, by their ids."""
        told: dict[str, dict[str, Any]] = json.loads(self.ask("/api/tasks")[1])
        return told

    def browsed(self, path: str, profile: Path) -> str:
        """What a browser makes of a page."""
        who = f"acuworker:{self.password}@" if self.password else ""
        words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        url = f"http://{who}127.0.0.1:{self.port}{path}"
        done = subprocess.run(
            ["chromium", *words, "--virtual-time-budget=10000", "--dump-dom", url],
            capture_output=True,
            check=True,
            text=True,
            timeout=90,
        )
        return done.stdout


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(page: Page, path: str) -> None:
    """Raises until the page is there."""
    assert page.ask(path)[0] == 200

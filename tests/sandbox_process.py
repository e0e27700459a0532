"""The sandbox as a process of its own, for tests: start it, look into its event log, hurt it, stop it."""

import html
import json
import os
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any

import httpx

from tests.forked import Forked, Program

issued_secrets: set[str] = set()
"""The random password and client's secret of every sandbox of this process: no test may let one of them out."""


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox. `url` ends with the site; `http` trusts its authority and has no base URL.

    `ca_file` is empty when it speaks plain HTTP. `tenants` has each with its name, client_id and user_branch.
    """

    url: str
    ca_file: str
    tenant: str
    username: str
    password: str
    client_id: str
    client_secret: str
    tenants: list[dict[str, Any]]
    process: Forked
    http: httpx.Client

    def context(self) -> ssl.SSLContext:
        """Client settings that trust the sandbox's authority and nothing else."""
        return ssl.create_default_context(cafile=self.ca_file or None)

    def control(self, path: str, body: object = None, method: str = "POST") -> Any:
        """Call the control API at `path`, below /_sandbox/; returns its JSON. Needs the option --control."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        origin = httpx.URL(self.url).join("/_sandbox/")
        response = self.http.request(method, origin.join(path), content=content)
        response.raise_for_status()
        return response.json()

    def tally(self) -> dict[str, Any]:
        """The figures by which clients are judged (deploy/sandbox/events.py)."""
        result: dict[str, Any] = self.control("tally", method="GET")
        return result

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """The events with a number above `since`."""
        result: list[dict[str, Any]] = self.control(f"events?since={since}", method="GET")
        return result

    def token(self, scope: str = "api", **changes: str) -> str:
        """A new access token by the password grant, or by a form that is changed so."""
        return str(self.tokens(scope, **changes)["access_token"])

    def tokens(self, scope: str = "api", **changes: str) -> dict[str, Any]:
        """The whole answer to a token request: the password grant, or a form that is changed so."""
        form = {
            "grant_type": "password",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "username": self.username,
            "password": self.password,
            "scope": scope,
            **changes,
        }
        response = self.http.post(f"{self.url}/identity/connect/token", data=form)
        response.raise_for_status()
        result: dict[str, Any] = response.json()
        return result

    def browse(self, url: str, answer: str = "allow", **credentials: str) -> httpx.Response:
        """Do as a person with a browser at the authorization endpoint: open the page, and send its form back.

        `credentials` are `username` and `password`, the first user's unless given. Returns the answer to the form,
        a redirect whose Location leads back to the client; or what came in place of a page to sign in on.
        """
        page = self.http.get(url)
        form = re.search(r'<form method="post" action="([^"]*)"', page.text)
        if form is None:
            return page
        given = {"username": self.username, "password": self.password, "answer": answer, **credentials}
        return self.http.post(httpx.URL(url).join(html.unescape(form[1])), data=given)


@contextmanager
def start_sandbox(*arguments: str, timeout: float = 20.0) -> Iterator[Sandbox]:
    """Run a sandbox with these arguments, as ``python -m deploy.sandbox`` does; it is stopped on leaving.

    It imitates the build 2022R1 unless told otherwise. Raises RuntimeError when it ends, or is killed after `timeout`
    seconds, before it says where it is.
    """
    build = () if "--build" in arguments else ("--build", "2022R1")
    with ExitStack() as stack:
        reading, writing = os.pipe()
        said = stack.enter_context(os.fdopen(reading, encoding="utf-8"))
        try:
            process = Forked(Program.SANDBOX, [*build, *arguments], output=writing, errors=2)
        finally:
            os.close(writing)
        stack.callback(_stop, process)
        facts = json.loads(_first_line(said, process, timeout))
        facts["ca_file"] = facts["ca_file"] or ""
        context = ssl.create_default_context(cafile=facts["ca_file"] or None)
        http = stack.enter_context(httpx.Client(verify=context, trust_env=False, timeout=30.0))
        issued_secrets.update({facts["password"], facts["client_secret"]}.difference(arguments))
        yield Sandbox(**facts, process=process, http=http)


def _first_line(said: IO[str], process: Forked, timeout: float) -> str:
    """What the process says first."""
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    try:
        line = said.readline()
    finally:
        watchdog.cancel()
    if not line:
        raise RuntimeError(f"the sandbox ended with {process.wait()} before it said where it is")
    return line


def _stop(process: Forked) -> None:
    """End the process: asked first, then killed."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()

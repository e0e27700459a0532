"""acuworker login: a person signs in with a browser, and the fleet lives on the refresh token that this yields.

For tenants that forbid the password grant: OAuth's authorization code with PKCE. The browser comes back to a listener
on this machine's loopback; on another machine its last address is pasted. What goes wrong is one WorkerError that
says the way out; code, verifier and tokens are in no message.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from urllib.parse import parse_qs, urlsplit

import click
import redis
from pydantic import SecretStr

from worker.erp import answers, signin
from worker.erp.deadline import Deadline
from worker.erp.logins import Logins
from worker.erp.signin import Endpoints, Grant
from worker.erp.store import answering
from worker.erp.wire import Wire
from worker.errors import LoginNeeded, Misconfigured, SignInRefused, StoreUnavailable, WorkerError
from worker.prompt import ask
from worker.settings import Connection, Settings
from worker.storage import open_store

WAIT_SECONDS = 300.0
"""How long a person has to sign in."""

EXCHANGE_SECONDS = 30.0
READ_SECONDS = 10.0

PASTE_PORT = 53682
"""What is registered at the ERP for a pasted address; nobody needs to listen there."""

ANSWERS = frozenset(("code", "error"))
"""What the ERP sends a browser back with, either of them."""

PAGE = b"""<!doctype html><meta charset="utf-8"><title>acuworker</title>
<p>acuworker has its answer: go back to the terminal. This page can be closed.</p>"""


def login(name: str, *, paste: bool = False, port: int | None = None) -> Grant:
    """Have a person sign the connection in, and hand what that yields to the fleet."""
    settings = Settings.load()
    connection = settings.connection(name)
    require_login(connection)
    with closing(_store(settings)) as store, closing(Wire(connection)) as wire:
        endpoints = signin.discover(wire, Deadline(EXCHANGE_SECONDS))
        grant = _sign_in(wire, connection, endpoints, paste, port)
        try:
            Logins(store, settings, connection).add(grant)
        except BaseException:
            with suppress(WorkerError):  # what is raised matters more; tokens that nobody has die of age
                _forget(wire, connection, endpoints, grant)
            raise
    click.echo(f"connection {name!r} is signed in; workers renew that for {connection.login_days} days")
    return grant


def require_login(connection: Connection) -> None:
    """Raise Misconfigured where no person signs the connection in."""
    if connection.sign_in != "login":
        message = (
            f'is "{connection.sign_in}", so workers sign in by themselves; a login needs sign_in = "login"'
        )
        raise Misconfigured(message, f"connections.{connection.name}.sign_in")


def _store(settings: Settings) -> redis.Redis:
    """The store, once it has answered: a login is kept there, and nobody is asked to sign in for nothing."""
    store = open_store(settings)
    try:
        with answering():
            store.ping()
    except StoreUnavailable as error:
        store.close()
        message = f"{error.message}; a login is kept in it: start acuworker up, then run acuworker login"
        raise StoreUnavailable(message) from None
    return store


def _forget(wire: Wire, connection: Connection, endpoints: Endpoints, grant: Grant) -> None:
    """Kill the tokens of a login that nobody will use."""
    deadline = Deadline(EXCHANGE_SECONDS)
    signin.revoke(wire, endpoints, grant, deadline)
    if grant.refresh:
        signin.revoke_refresh(wire, endpoints, grant.refresh, deadline)


def _sign_in(
    wire: Wire, connection: Connection, endpoints: Endpoints, paste: bool, port: int | None
) -> Grant:
    """The grant that a person's sign-in yields."""
    verifier, state = SecretStr(secrets.token_urlsafe(48)), secrets.token_urlsafe(16)
    with _callback(paste, port) as (redirect_uri, arrived):
        address = signin.authorize_url(connection, endpoints, redirect_uri, state, challenge(verifier))
        click.echo(f"open this address in a browser, and sign in to tenant {connection.tenant}:\n{address}")
        click.echo(f"(Connected Applications, SM303010, must have the redirect URI {redirect_uri})")
        code = code_in(_pasted() if paste else _awaited(arrived, connection.name), state, connection.name)
    click.echo("the browser came back; asking for the tokens")
    return signin.exchange_code(wire, endpoints, code, verifier, redirect_uri, Deadline(EXCHANGE_SECONDS))


def challenge(verifier: SecretStr) -> str:
    """What is told of a verifier beforehand: S256 of RFC 7636."""
    digest = hashlib.sha256(verifier.get_secret_value().encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def code_in(came_back: str, state: str, name: str) -> SecretStr:
    """The code in the address that the browser was sent to; or the code itself, where that was pasted.

    Raises SignInRefused where the ERP refused, LoginNeeded where it is no answer to this login.
    """
    text = came_back.strip()
    again = f"run acuworker login {name} again"
    if text and not any(mark in text for mark in ("?", "://", "code=", " ")):
        return SecretStr(text)
    said = _said(text)
    if not ANSWERS & said.keys():
        raise LoginNeeded(f"that is not the address that the browser was sent to: {again}", "connection")
    if not hmac.compare_digest(said.get("state", [""])[0].encode(), state.encode()):
        message = f"the browser came back from another login than this one (its state differs): {again}"
        raise LoginNeeded(message, "connection")
    if "code" not in said:
        reason = answers.clean(" ".join(said["error"] + said.get("error_description", [])))
        raise SignInRefused(f"the ERP did not let that person sign in ({reason}): {again}", "connection")
    return SecretStr(said["code"][0])


def _said(address: str) -> dict[str, list[str]]:
    """The parameters of an address; none where it is no address."""
    try:
        return parse_qs(urlsplit(address).query)
    except ValueError:
        return {}


def _pasted() -> str:
    return str(ask("a terminal, or no --paste", "then paste the address that the browser ends at"))


def _awaited(arrived: SimpleQueue[str], name: str) -> str:
    click.echo(
        f"waiting {WAIT_SECONDS / 60:.0f} minutes; where the browser is on another machine, use --paste"
    )
    try:
        return arrived.get(timeout=WAIT_SECONDS)
    except Empty:
        message = f"nobody signed in within {WAIT_SECONDS / 60:.0f} minutes: run acuworker login {name} again"
        raise LoginNeeded(message, "connection") from None


@contextmanager
def _callback(paste: bool, port: int | None) -> Iterator[tuple[str, SimpleQueue[str]]]:
    """Where the browser is sent, and what arrives there; nothing does where it is pasted."""
    arrived: SimpleQueue[str] = SimpleQueue()
    if paste:
        yield _address(port or PASTE_PORT), arrived
        return
    with _listening(port or 0, arrived) as server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        try:
            yield _address(server.server_port), arrived
        finally:
            server.shutdown()


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


def _listening(port: int, arrived: SimpleQueue[str]) -> ThreadingHTTPServer:
    class Callback(BaseHTTPRequestHandler):
        """Takes the first address that holds an answer, and lets nothing of it into a log."""

        timeout = READ_SECONDS

        def do_GET(self) -> None:
            answered = bool(ANSWERS & _said(self.path).keys())
            self.send_response(200 if answered else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(PAGE) if answered else 0))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            if answered:
                self.wfile.write(PAGE)
                arrived.put(self.path)

        def log_message(self, format: str, *args: object) -> None:
            """The request line holds the code."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Callback)
    except OSError as error:
        message = f"cannot listen on 127.0.0.1:{port} ({error.strerror}): give another --port, or use --paste"
        raise Misconfigured(message, "--port") from None

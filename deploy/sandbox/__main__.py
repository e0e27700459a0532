"""`python -m deploy.sandbox`: set the site up, say where it is, and serve until SIGTERM or SIGINT (exit 0).

Fails with one line, and status 1, when the address is not free to listen on or the file of events not to be written.
"""

import json
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TextIO

import uvicorn

from deploy.sandbox.app import App
from deploy.sandbox.certificates import Certificates, make_certificates
from deploy.sandbox.delivery import Connection
from deploy.sandbox.options import Options, read_options
from deploy.sandbox.site import Site, make_site


def main() -> None:
    """Run the sandbox as the command line says."""
    options = read_options(sys.argv[1:])
    with ExitStack() as stack:
        listener = stack.enter_context(_listener(options.host, options.port))
        port = listener.getsockname()[1]
        events = stack.enter_context(_events_file(options.events)) if options.events else None
        site = make_site(options, port, events)
        if events is not None and events.tell():
            site.log.reset()  # a judge of the whole file must know that the sandbox began anew
        certificates = None if options.plain_http else _certificates(options, stack)
        server = _server(App(site), certificates)
        _end_on_signals(server)
        _announce(options, site, certificates)
        server.run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    """A listening socket. It names its protocol, without which asyncio leaves Nagle's algorithm on (40 ms)."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as why:
        listener.close()
        sys.exit(f"the sandbox cannot listen on {host}:{port}: {why.strerror}; give another --port, or 0")
    listener.listen(1024)
    return listener


def _certificates(options: Options, stack: ExitStack) -> Certificates:
    """The certificates, in a directory that lasts or in one that goes with the sandbox."""
    directory = options.certificates or Path(stack.enter_context(tempfile.TemporaryDirectory()))
    directory.mkdir(parents=True, exist_ok=True)
    return make_certificates(directory, options.hostname)


def _events_file(path: Path) -> TextIO:
    """The file of events, to append to: each line is written when it is whole."""
    try:
        return path.open("a", buffering=1, encoding="utf-8")
    except OSError as why:
        sys.exit(f"the sandbox cannot write its events to {path}: {why.strerror}; give another --events")


def _announce(options: Options, site: Site, certificates: Certificates | None) -> None:
    """The first line of output: where the site is and how to sign in."""
    facts = {
        "url": site.url,
        "ca_file": str(certificates.ca_file.resolve()) if certificates else None,
        "tenant": options.tenant,
        "username": options.username,
        "password": options.password,
        "client_id": options.client_id,
        "client_secret": options.client_secret,
        "tenants": [
            {"name": t.name, "client_id": options.client_id_of(t.name), "user_branch": t.user_branch}
            for t in site.tenants.all
        ],
    }
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _server(app: App, certificates: Certificates | None) -> uvicorn.Server:
    """A server that adds no header but Date, and waits at most a second for answers when it is stopped.

    Without certificates it speaks plain HTTP.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        ssl_certfile=str(certificates.chain_file) if certificates else None,
        server_header=False,
        access_log=False,
        log_level="error",
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _end_on_signals(server: uvicorn.Server) -> None:
    """Have the server end on a signal, also on one that comes before it listens for them itself.

    It raises the signal again when it has ended: with this, the process then ends by itself, with 0.
    """

    def end(_signum: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, end)


if __name__ == "__main__":
    main()

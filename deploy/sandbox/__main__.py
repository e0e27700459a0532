"""`python -m deploy.sandbox`: set the site up, say where it is, and serve until SIGTERM or SIGINT (exit 0).

Fails with one line, and status 1, when the address is not free to listen on.
"""

import json
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

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
        site = make_site(options, port)
        directory = options.certificates or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.mkdir(parents=True, exist_ok=True)
        certificates = make_certificates(directory, options.hostname)
        server = _server(App(site), certificates)
        _survive_signals()
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


def _announce(options: Options, site: Site, certificates: Certificates) -> None:
    """The first line of output: where the site is and how to sign in."""
    facts = {
        "url": site.url,
        "ca_file": str(certificates.ca_file.resolve()),
        "tenant": options.tenant,
        "username": options.username,
        "password": options.password,
        "client_id": options.client_id,
        "client_secret": options.client_secret,
    }
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _server(app: App, certificates: Certificates) -> uvicorn.Server:
    """A server that adds no header but Date, and waits at most a second for answers when it is stopped."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        ssl_certfile=str(certificates.chain_file),
        server_header=False,
        access_log=False,
        log_level="error",
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def _survive_signals() -> None:
    """The server stops on a signal and then raises it again: with this, the process ends by itself, with 0."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda _signum, _frame: None)


if __name__ == "__main__":
    main()

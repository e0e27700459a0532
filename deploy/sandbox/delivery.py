"""Sending a reply, whole or as a fault would have it. A client that has gone away is no error."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from typing import cast

from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from deploy.sandbox.content import Drawn
from deploy.sandbox.faults import ALL, Manner
from deploy.sandbox.replies import Reply

_CHUNK = 65_536  # bytes
_FAREWELL = 1.0  # seconds that a client has to answer the end of TLS
_BODILESS = frozenset({204, 304})


class Connection(H11Protocol):
    """The server's side of a connection, which lets the application see the transport: a fault may break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "sandbox.transport": transport}, receive, send)

        self.app = with_transport

    def shutdown(self) -> None:
        """Leave at once when idle: a TLS farewell would wait for a client that is not reading."""
        super().shutdown()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


async def deliver(reply: Reply, manner: Manner, scope: Scope, receive: Receive, send: Send) -> None:
    """Send `reply` in this manner."""
    if manner.cut == 0 and manner.reset:
        await _break_off(manner, scope, receive)
        return
    await send(_head(reply))
    pieces = _pieces(reply, manner)
    piece = next(pieces, b"")
    for following in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(manner.seconds)
        piece = following
    await send({"type": "http.response.body", "body": piece, "more_body": manner.cut is not None})
    if manner.cut is not None:
        await _break_off(manner, scope, receive)


def _pieces(reply: Reply, manner: Manner) -> Iterator[bytes]:
    """The body as it is written: in one piece if its length is said, unless the manner wants it otherwise."""
    body, left = reply.content, ALL if manner.cut is None else manner.cut
    for part in body.pieces() if isinstance(body, Drawn) else (body,):
        kept = part[:left]
        left -= len(kept)
        step = manner.piece or (len(kept) if reply.sized else _CHUNK) or 1
        yield from (kept[start : start + step] for start in range(0, len(kept), step))
        if not left:
            return


def _head(reply: Reply) -> Message:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
    if reply.sized and reply.status not in _BODILESS:
        headers.append((b"Content-Length", str(len(reply.content) + reply.excess).encode()))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}


async def _break_off(manner: Manner, scope: Scope, receive: Receive) -> None:
    """Close the connection under the answer, gently or with a TCP reset, and wait until it is closed."""
    transport = cast(asyncio.Transport, scope["sandbox.transport"])
    if manner.reset:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    closing = asyncio.get_running_loop().call_later(_FAREWELL, transport.abort)
    while (await receive())["type"] != "http.disconnect":
        pass
    closing.cancel()

"""kombu's transport for Redis and Valkey, but for one thing: a message is never in a worker's hands alone.

kombu takes a message off its queue and writes down only then that it has it, so a worker that is killed in between has
lost it. Here taking it puts it into a list of what is being taken, in one step of the server's; who finds it there
twice, some seconds apart, puts it back. So a message may come twice, and none is lost.
"""

from __future__ import annotations

from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

_KOMBU: Any = redis  # it is typed in part, and wrongly

TAKEN = "acuworker:taken:"
"""What the list of messages begins with that are being taken off a queue."""

PUT_BACK = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 1 then redis.call('RPUSH', KEYS[2], ARGV[1]) end
"""


class QoS(_KOMBU.QoS):  # type: ignore[misc]  # kombu has no types
    """What a consumer holds; what was taken and never came to be held is put back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen: set[tuple[str, bytes]] = set()

    def append(self, message: Any, delivery_tag: str) -> None:
        """Hold a message, and then let go of it as one that is being taken."""
        super().append(message, delivery_tag)
        self.channel.held()

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Put back what others held for too long, and what somebody took and never held."""
        super().restore_visible(start, num, interval)
        found = set()
        with self.channel.conn_or_acquire() as client:
            for queue in self.channel.active_queues:
                found |= {(queue, message) for message in client.lrange(TAKEN + queue, 0, -1)}
            for queue, message in found & self._seen:
                client.eval(PUT_BACK, 2, TAKEN + queue, queue, message)
        self._seen = found


class Channel(_KOMBU.Channel):  # type: ignore[misc]
    """Takes messages so that none is lost. Of several queues each is waited at in turn."""

    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asked = ""
        self._taking: bytes | None = None

    def held(self) -> None:
        """The message that was taken last is held: it is being taken no more."""
        if self._taking is not None:
            with self.conn_or_acquire() as client:
                client.lrem(TAKEN + self._asked, 1, self._taking)
            self._taking = None

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        self._asked = queues[0]
        self._queue_cycle.rotate(self._asked)
        wait = (timeout or self.brpop_timeout) / len(queues) ** 2
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        command = ("BLMOVE", self._asked, TAKEN + self._asked, "RIGHT", "LEFT", wait)
        self.client.connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                self._taking = self.client.parse_response(self.client.connection, "BLMOVE", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            if self._taking is None:
                raise Empty
            self.connection._deliver(loads(bytes_to_str(self._taking)), self._asked)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()


class Transport(_KOMBU.Transport):  # type: ignore[misc]
    """The transport."""

    Channel = Channel


def install() -> None:
    """Have this transport used wherever a URL names Redis: kombu goes by the URL alone."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:{Transport.__name__}"))

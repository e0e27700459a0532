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

TAKE_ANY = """
for _, queue in ipairs(KEYS) do
    local message = redis.call('LMOVE', queue, ARGV[1] .. queue, 'RIGHT', 'LEFT')
    if message then return {queue, message} end
end
return nil
"""

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
    """Takes messages so that none is lost: of several queues from any that has some, else it waits at each in turn."""

    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asked = "", ""
        self._were_empty = False
        self._taking: tuple[str, bytes] | None = None
        self._kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        """A client; one is enough for all threads of a pool, and takes as long to make as a command (measured)."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()
        return self._kept

    def held(self) -> None:
        """The message that was taken last is held: it is being taken no more."""
        if self._taking is not None:
            queue, message = self._taking
            with self.conn_or_acquire() as client:
                client.lrem(TAKEN + queue, 1, message)
            self._taking = None

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        if len(queues) > 1 and not self._were_empty:
            self._asked = "EVAL", ""
            command: tuple[Any, ...] = ("EVAL", TAKE_ANY, len(queues), *queues, TAKEN)
        else:
            # The others are looked at again soon; nothing on the server waits for several and takes into a list.
            wait = (timeout or self.brpop_timeout) / len(queues) ** 2
            self._asked = "BLMOVE", queues[0]
            command = ("BLMOVE", queues[0], TAKEN + queues[0], "RIGHT", "LEFT", wait)
            self._queue_cycle.rotate(queues[0])
        self.client.connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        kind, queue = self._asked
        try:
            try:
                found = self.client.parse_response(self.client.connection, kind, **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            self._were_empty = found is None and kind == "EVAL"
            if found is None:
                raise Empty
            if kind == "EVAL":
                name, found = found
                queue = bytes_to_str(name)
                self._queue_cycle.rotate(queue)
            self._taking = queue, found
            self.connection._deliver(loads(bytes_to_str(found)), queue)
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

"""Faults that the control API arms: which requests they meet, what they answer, and how that is sent.

Arming fails with ValueError, which names what is wrong; meeting a fault never does.
"""

import gzip
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Final, Literal, get_args

from deploy.sandbox import pages, replies
from deploy.sandbox.content import whole
from deploy.sandbox.replies import Reply

Kind = Literal[
    "status", "html", "redirect", "malformed", "object", "content_type", "padded", "length",
    "huge", "gzip_bomb", "cut", "drip", "reset", "delay",
]  # fmt: skip
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Fault:
    """A fault and the requests it meets: `times` of them, after `after` that match it and are let through.

    With `every` it meets one of so many: that after `phase` others. The rest are left to the faults behind it.

    A request matches by `method` (empty: any) and the beginning of its path. What each kind does, and which of
    the other fields it reads, is in the table of the README.
    """

    kind: Kind
    method: str = ""
    path: str = "/"
    after: int = 0
    times: int = 1
    every: int = 1
    phase: int = 0
    when: Literal["before", "after"] = "before"
    status: int = 500
    body: str | None = None
    content_type: str = replies.JSON
    location: str = "https://elsewhere.invalid/"
    bytes: int = 0
    seconds: float = 0.0
    mebibytes: int = 64

    @staticmethod
    def from_json(document: object) -> "Fault":
        """Read a fault; raises ValueError for an unknown field or kind, or a value of another type."""
        if not isinstance(document, Mapping):
            raise ValueError(f"a fault is a JSON object, not {type(document).__name__}")
        if document.get("kind") not in get_args(Kind):
            raise ValueError(f"kind is one of {', '.join(get_args(Kind))}, not {document.get('kind')!r}")
        defaults = {f.name: f.default for f in fields(Fault)}
        for name, value in document.items():
            if name not in defaults:
                raise ValueError(f"a fault has no field {name!r}; it has {', '.join(defaults)}")
            if not _fits(defaults[name], value):
                raise ValueError(f"the fault's {name} is {value!r}; it is like {defaults[name]!r}")
        if document.get("when", "before") not in ("before", "after"):
            raise ValueError(f"when is before or after, not {document['when']!r}")
        if not 0 <= document.get("phase", 0) < document.get("every", 1):
            raise ValueError(
                f"every is a number from 1, and phase less than that, not {document.get('phase', 0)!r}"
            )
        return Fault(**document)

    def matches(self, method: str, path: str) -> bool:
        """Whether it would meet this request."""
        return self.method in ("", method) and path.startswith(self.path)

    @property
    def replaces_work(self) -> bool:
        """Whether the ERP never gets to work on the request: a front end answers in its place.

        A reset within the body needs a body, and so the ERP.
        """
        in_body = self.kind == "reset" and self.bytes > 0
        return self.kind in _CANNED and self.when == "before" and not in_body


def _fits(default: object, value: object) -> bool:
    """Whether a JSON value has the type of a field with this default (`kind` has none, `body` is text)."""
    if isinstance(default, float):
        return isinstance(value, int | float)
    return isinstance(value, type(default) if isinstance(default, int) else str)


@dataclass(frozen=True)
class Manner:
    """How a reply is sent: cut off after `cut` bytes of body, if not None, gently or by a `reset`; in pieces of
    `piece` bytes, if not 0, `seconds` apart."""

    cut: int | None = None
    reset: bool = False
    piece: int = 0
    seconds: float = 0.0


WHOLE: Final = Manner()
ALL: Final = sys.maxsize
"""A cut after all bytes there are: the connection is closed behind them."""


class Faults:
    """The armed faults, in order; the first that matches a request meets it."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        """Add a fault after those armed already."""
        self._armed.append(fault)

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    def armed(self) -> list[Fault]:
        """What is armed still, with what is left of `after` and `times`."""
        return list(self._armed)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, if any."""
        for index, fault in enumerate(self._armed):
            if not fault.matches(method, path):
                continue
            if fault.after > 0:
                self._armed[index] = replace(fault, after=fault.after - 1)
                return None
            if fault.phase > 0:
                self._armed[index] = replace(fault, phase=fault.phase - 1)
                continue
            self._armed[index] = replace(fault, times=fault.times - 1, phase=fault.every - 1)
            if fault.times <= 1:
                del self._armed[index]
            return fault
        return None


def spoil(fault: Fault, reply: Reply) -> Reply:
    """What is sent in place of `reply`."""
    return _REPLIES[fault.kind](fault, reply) if fault.kind in _REPLIES else reply


def manner(fault: Fault) -> Manner:
    """How the reply is sent."""
    match fault.kind:
        case "cut":
            return Manner(cut=fault.bytes)
        case "reset":
            return Manner(cut=fault.bytes, reset=True)
        case "length" if fault.bytes > 0:
            return Manner(cut=ALL)
        case "drip":
            return Manner(piece=max(1, fault.bytes), seconds=fault.seconds)
        case _:
            return WHOLE


def _status(fault: Fault, _reply: Reply) -> Reply:
    """A status with the body that the ERP or its front end sends with it, or the fault's own."""
    if fault.body is not None:
        return Reply(fault.status, (("Content-Type", fault.content_type),), fault.body.encode())
    match fault.status:
        case 401:
            return replies.not_signed_in()
        case 429:
            return replies.text(429, pages.IIS_TEXT)
        case 500:
            return replies.exception(
                500, "Operation failed", "PX.Data.PXInvalidOperationException", "PX.Data.PXGraph"
            )
        case _:
            return replies.html(
                fault.status, pages.iis_page(str(fault.status), "The service is unavailable.")
            )


def _html(fault: Fault, _reply: Reply) -> Reply:
    return replies.html(200, fault.body or pages.error_form("The site is being updated."))


def _redirect(fault: Fault, _reply: Reply) -> Reply:
    return Reply(302, (("Location", fault.location),))


def _malformed(_fault: Fault, reply: Reply) -> Reply:
    """Half of the body, said to be all of it."""
    return reply.with_body(whole(reply.content)[: len(reply.content) // 2])


def _object(_fault: Fault, reply: Reply) -> Reply:
    """An object that holds the list, where the list should be."""
    return reply.with_body(b'{"value":' + whole(reply.content) + b"}")


def _content_type(fault: Fault, reply: Reply) -> Reply:
    others = tuple(header for header in reply.headers if header[0] != "Content-Type")
    return replace(reply, headers=(*others, ("Content-Type", fault.content_type)))


def _padded(fault: Fault, reply: Reply) -> Reply:
    """The whole body and so many bytes behind it."""
    return reply.with_body(whole(reply.content) + b"\0" * fault.bytes)


def _length(fault: Fault, reply: Reply) -> Reply:
    """A Content-Length of so many bytes more than there are; of fewer, and the body is as short as it says."""
    if fault.bytes < 0:
        return replace(reply.with_body(whole(reply.content)[: fault.bytes]), sized=True)
    return replace(reply, sized=True, excess=fault.bytes)


def _huge(fault: Fault, reply: Reply) -> Reply:
    """A valid JSON list, empty but for its blanks, of unannounced length."""
    return replace(reply.with_body(b"[" + b" " * (fault.mebibytes * MEBIBYTE) + b"]"), sized=False)


def _gzip_bomb(fault: Fault, reply: Reply) -> Reply:
    headers = (*reply.headers, ("Content-Encoding", "gzip, gzip"))
    return replace(reply.with_body(bomb(fault.mebibytes)), headers=headers, sized=True)


@cache
def bomb(mebibytes: int) -> bytes:
    """So many MiB of blanks in a JSON list, compressed twice."""
    inner = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    blank = b" " * MEBIBYTE
    blanks = b"".join(inner.compress(blank) for _ in range(mebibytes))
    return gzip.compress(inner.compress(b"[") + blanks + inner.compress(b"]") + inner.flush())


_REPLIES: Final[Mapping[str, Callable[[Fault, Reply], Reply]]] = {
    "status": _status,
    "html": _html,
    "redirect": _redirect,
    "malformed": _malformed,
    "object": _object,
    "padded": _padded,
    "length": _length,
    "content_type": _content_type,
    "huge": _huge,
    "gzip_bomb": _gzip_bomb,
}
_CANNED: Final = frozenset({"status", "html", "redirect", "huge", "gzip_bomb", "reset"})

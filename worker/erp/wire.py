"""One kept-alive connection to one ERP instance: the only module that knows httpx.

The client is pinned: one origin, one site, redirects refused, no cookies but those that a request names, no proxies
from the environment, the certificate always verified, bodies bounded in bytes and in time. Plain http is spoken only
where the connection says so, and only to a machine of this network: the peer is looked at before a byte is sent.
httpx bounds each read, not the exchange, so the network stream underneath is given the exchange's deadline. What
fails here is one of CertificateUntrusted, ErpUnreachable, ExchangeTimeout, AnswerCut, AnswerMalformed,
AnswerTooLarge, Misconfigured.
"""

from __future__ import annotations

import http.cookiejar
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpcore
import httpx
import msgspec
from pydantic import SecretStr

from worker.erp.deadline import Deadline
from worker.erp.network import Network
from worker.errors import (
    AnswerCut,
    AnswerMalformed,
    AnswerTooLarge,
    CertificateUntrusted,
    ErpUnreachable,
    ExchangeTimeout,
    WorkerError,
)
from worker.settings import Connection

CONNECT_SECONDS = 10.0

KEPT_SECONDS = 30.0
"""How long a connection is kept idle. Load balancers often end one after 60 s: what is sent just then is lost."""

CHUNK_BYTES = 256 * 1024
MIB = 1024 * 1024

_JSON = msgspec.json.Encoder(decimal_format="number")
"""The ERP's decimals are numbers of JSON, with every digit."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """Bytes to be sent, of this size, read as they go; more or fewer of them cut the request."""

    chunks: Callable[[], Iterator[bytes]]
    size: int


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to the instance: ``path`` begins with ``/``, follows the site, and is quoted already.

    ``cookies`` is the value of a Cookie header; ``branch`` is where the ERP is to work, if not in the user's own.
    After ``send_by`` it is not sent any more, as the token may then be another's; a ``content`` that was begun is.
    """

    method: str
    path: str
    query: str = ""
    form: Mapping[str, str] | None = field(default=None, repr=False)
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    content: Body | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: SecretStr | None = None
    cookies: SecretStr | None = None
    branch: str | None = None
    request_id: str | None = None
    send_by: Deadline | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the ERP answered, its body complete and inflated."""

    status: int
    content_type: str
    location: str
    body: bytes = field(repr=False)
    date: str = ""
    set_cookies: Mapping[str, str] = field(default_factory=dict, repr=False)


class Wire:
    """The connection; used by one exchange at a time, and cut from any thread."""

    def __init__(self, connection: Connection) -> None:
        parts = urlsplit(connection.url)
        self.connection = connection
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self.host = (parts.hostname, parts.port or (80 if parts.scheme == "http" else 443))
        self.site = parts.path.rstrip("/")
        self._is_clear = parts.scheme == "http"
        self._backend = Network(near_only=self._is_clear)

    def send(self, request: Request, deadline: Deadline, longest: int = MIB) -> Answer:
        """The answer to a request, with at most ``longest`` bytes of body in memory."""
        with self._exchange(request, deadline, "gzip") as response:
            body = b"".join(_bounded(_inflated(response), longest))
            return Answer(
                status=response.status_code,
                content_type=response.headers.get("content-type", ""),
                location=response.headers.get("location", ""),
                body=body,
                date=response.headers.get("date", ""),
                set_cookies=cookies_set(response.headers.get_list("set-cookie")),
            )

    @contextmanager
    def stream(self, request: Request, deadline: Deadline) -> Iterator[tuple[int, str, Iterator[bytes]]]:
        """The status, content type and chunks of a body of any length; read them inside the context."""
        with self._exchange(request, deadline, "identity") as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise AnswerMalformed("the ERP compressed a file although it was asked not to")
            content_type = response.headers.get("content-type", "")
            yield response.status_code, content_type, response.iter_raw(CHUNK_BYTES)

    def cut(self) -> None:
        """End the exchange in flight, if there is one, from another thread."""
        self._backend.cut()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if "_client" in self.__dict__:
            self._client.close()

    @contextmanager
    def _exchange(self, request: Request, deadline: Deadline, encoding: str) -> Iterator[httpx.Response]:
        self._backend.deadline, self._backend.send_by = deadline, request.send_by or deadline
        self._backend.streams = request.content is not None
        with _translating(self._origin):
            response = self._client.send(self._build(request, encoding), stream=True)
            try:
                yield response
            finally:
                response.close()

    def _build(self, request: Request, encoding: str) -> httpx.Request:
        target = self.site + request.path + (f"?{request.query}" if request.query else "")
        kind, content = _content(request)
        headers: dict[str, str | None] = {
            "Accept": "application/json",
            "Accept-Encoding": encoding,
            "Authorization": f"Bearer {request.token.get_secret_value()}" if request.token else None,
            "Cookie": request.cookies.get_secret_value() if request.cookies else None,
            "Content-Type": kind,
            "Content-Length": str(request.content.size) if request.content else None,
            "PX-CbApiBranch": request.branch,
            "X-Request-Id": request.request_id,
            **request.headers,
        }
        built = self._client.build_request(
            request.method,
            self._origin + target,
            headers={name: value for name, value in headers.items() if value},
            content=content,
        )
        if built.url.raw_path != target.encode("ascii"):
            raise AssertionError("a URL changed on its way into the client")
        return built

    def _trusted(self) -> ssl.SSLContext:
        """The certificates that are trusted; those of ``ca_file`` as they are now. In the clear there is none."""
        path = None if self._is_clear else self.connection.ca_file
        try:
            return _trust(path, path and path.stat().st_mtime_ns)
        except (OSError, ssl.SSLError) as error:
            raise CertificateUntrusted(f"ca_file {path} cannot be read: {error}") from None

    @cached_property
    def _client(self) -> httpx.Client:
        trusted = self._trusted()
        transport = httpx.HTTPTransport(verify=trusted, trust_env=False)
        # httpx offers no other way to give its transport a network backend.
        transport._pool = httpcore.ConnectionPool(
            ssl_context=None if self._is_clear else trusted,
            max_connections=1,
            keepalive_expiry=KEPT_SECONDS,
            network_backend=self._backend,
        )
        no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=()))
        return httpx.Client(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            cookies=no_cookies,
            timeout=httpx.Timeout(self.connection.exchange_seconds, connect=CONNECT_SECONDS),
            headers={"User-Agent": "acumatica-worker"},
        )


def _content(request: Request) -> tuple[str | None, bytes | Iterator[bytes]]:
    """The type and the bytes of a request's body."""
    if request.content is not None:
        return "application/octet-stream", request.content.chunks()
    if request.form is not None:
        return "application/x-www-form-urlencoded", urlencode(request.form).encode()
    if request.json is not None:
        return "application/json", _JSON.encode(request.json)
    return None, b""


def cookies_set(headers: Iterable[str]) -> dict[str, str]:
    """The cookies of Set-Cookie headers, the last of each name; one that is set to nothing is taken away."""
    pairs = (header.partition(";")[0].partition("=") for header in headers)
    told = {name.strip(): value.strip() for name, _, value in pairs}
    return {name: value for name, value in told.items() if name and value and value.isascii()}


class Wires:
    """The connections of this process to one instance: as many as it has exchanges in flight, kept alive."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._idle: list[Wire] = []
        self._busy: set[Wire] = set()
        self._writing = 0
        self._closed = False
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self, *, writes: bool = False) -> Iterator[Wire]:
        """A connection for one exchange; one that writes is never cut, as nobody would know what became of it."""
        with self._lock:
            wire = self._idle.pop() if self._idle else Wire(self._connection)
            self._writing += writes
            if not writes:
                self._busy.add(wire)
        try:
            yield wire
        finally:
            with self._lock:
                self._writing -= writes
                self._busy.discard(wire)
                self._idle.append(wire)
                if self._closed:
                    self._close_idle()

    @property
    def is_writing(self) -> bool:
        """Whether an exchange is in flight that writes."""
        return self._writing > 0

    def cut(self) -> None:
        """End every exchange in flight that only reads."""
        with self._lock:
            for wire in self._busy:
                wire.cut()

    def close(self) -> None:
        """Close the connections; those in use, when they are given back."""
        with self._lock:
            self._closed = True
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


@lru_cache(maxsize=8)
def _trust(ca_file: Path | None, written_ns: int | None) -> ssl.SSLContext:
    """Kept, as it takes 20 ms to make one, and every connection to an instance needs it."""
    context = ssl.create_default_context()
    # A server's own certificate may be pinned as the ca_file, without the authority above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


@contextmanager
def _translating(origin: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise _error(origin, error) from None


def _error(origin: str, error: httpx.TransportError) -> WorkerError:
    """What a failure of the transport means to the caller."""
    cause = _root(error)
    match error:
        case httpx.ConnectError() if isinstance(cause, ssl.SSLCertVerificationError):
            return CertificateUntrusted(
                f"the certificate of {origin} cannot be verified ({cause.verify_message}); "
                "acuworker connect shows it and writes a ca_file"
            )
        case httpx.ConnectError() | httpx.ConnectTimeout():
            reason = getattr(cause, "strerror", None) or str(error) or "no answer"
            return ErpUnreachable(f"cannot connect to {origin}: {reason}")
        case httpx.TimeoutException():
            return ExchangeTimeout(f"{origin} did not answer in time")
        case _:
            return AnswerCut(f"{origin} closed the connection before its answer was complete")


def _root(error: BaseException) -> BaseException:
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error


def _inflated(response: httpx.Response) -> Iterator[bytes]:
    """The body's chunks, with at most one layer of gzip taken off, a bounded piece at a time.

    httpx would take off any number of layers in one go: 589 bytes can become 256 MiB.
    """
    match response.headers.get("content-encoding", "identity").strip().lower():
        case "identity" | "":
            yield from response.iter_raw()
        case "gzip":
            yield from _gunzip(response.iter_raw())
        case other:
            raise AnswerMalformed(f"the ERP answered in the encoding {other[:40]!r}; only gzip was offered")


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            yield inflate.decompress(chunk, CHUNK_BYTES)
            while inflate.unconsumed_tail:
                yield inflate.decompress(inflate.unconsumed_tail, CHUNK_BYTES)
    except zlib.error:
        raise AnswerMalformed("the ERP's gzip cannot be inflated") from None
    if not inflate.eof:
        raise AnswerCut("the ERP's gzip ended before it was complete")
    if inflate.unused_data:
        raise AnswerMalformed("the ERP's gzip goes on after its end")


def _bounded(chunks: Iterable[bytes], longest: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > longest:
            raise AnswerTooLarge(
                f"the answer is over {longest // MIB} MiB: ask for less with select, or page_size"
            )
        yield chunk

"""HTTP to one origin through libcurl, many transfers at once on an asyncio loop, and no word on whether to try again.

TLS, proxies and CA bundles are as users of requests know them from its environment variables. libcurl's multi
interface does the work; the loop tells it when a socket is ready or a moment has come.
"""

from __future__ import annotations

import asyncio
import math
import select
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

import pycurl
import requests

from tap_signalwire_logs.origin import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

Body: TypeAlias = "bytearray | SpooledTemporaryFile[bytes]"

# `timeout` bounds the silence; an answer may take its time on a thin line, but not for ever.
WHOLE_TIMEOUT_FACTOR = 3
MAX_IDLE_SECONDS = 60
# More than this between the clock that a machine's sleep stops and the one that it does not.
SLEEP_SECONDS = 5.0
SMALL_BODY_BYTES = 1 << 16
BUFFER_BYTES = 1 << 16
MAX_SECONDS_BETWEEN_SWEEPS = 1.0
SWEEPS_PER_TIMEOUT = 8

NO_CONNECTION = "no connection within `request_timeout`"
NO_ANSWER = "no answer within `request_timeout`"

REASONS = {
    pycurl.E_COULDNT_RESOLVE_HOST: "unknown host",
    pycurl.E_COULDNT_RESOLVE_PROXY: "unknown host of the proxy",
    pycurl.E_COULDNT_CONNECT: "connection refused",
    pycurl.E_OPERATION_TIMEDOUT: NO_CONNECTION,
    pycurl.E_GOT_NOTHING: "connection closed without an answer",
    pycurl.E_PARTIAL_FILE: "the answer was cut short",
    pycurl.E_SEND_ERROR: "connection reset",
    pycurl.E_RECV_ERROR: "connection reset",
    pycurl.E_SSL_CONNECT_ERROR: "the TLS handshake failed",
    pycurl.E_UNSUPPORTED_PROTOCOL: "the answer is not HTTP",
}

if hasattr(select, "epoll"):
    _EPOLL_EVENTS = {
        pycurl.POLL_NONE: 0,
        pycurl.POLL_IN: select.EPOLLIN,
        pycurl.POLL_OUT: select.EPOLLOUT,
        pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
    }
_CURL_EVENTS = [
    bool(events & (1 | 8 | 16)) * pycurl.CSELECT_IN | bool(events & 4) * pycurl.CSELECT_OUT for events in range(32)
]
"""By epoll's events (1: readable, 4: writable, 8: error, 16: closed)."""

TLS_REASONS = {
    pycurl.E_PEER_FAILED_VERIFICATION: "the certificate is not trusted",
    pycurl.E_SSL_CACERT_BADFILE: "the CA bundle can't be read",
    pycurl.E_SSL_CERTPROBLEM: "the certificate can't be used",
    pycurl.E_SSL_ISSUER_ERROR: "the certificate's issuer is not trusted",
}


class TransportFailure(Exception):  # noqa: N818 - what came of a request: whether it is an error, others decide
    """No answer came.

    Args:
        reason: Why, in a few words.
        kind: `network`, `timeout`, `host` or `proxy host` (the name is unknown), `tls` (who is at the other end is
            not sure) or `proxy` (the proxy refused).
        proxy_status: The proxy's answer to CONNECT, where it refused.
    """

    def __init__(self, reason: str, kind: str = "network", proxy_status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.proxy_status = proxy_status


class Response:
    """An answer, whatever its status; `head` is its status line and headers as they came, `sent` the loop's time."""

    __slots__ = ("_body", "head", "sent", "status")

    def __init__(self, status: int, head: bytearray, body: Body, sent: float) -> None:
        self.status = status
        self.head = head
        self.sent = sent
        self._body = body

    def read(self) -> bytes | bytearray:
        """Whole body, decompressed; it can be read once."""
        if isinstance(self._body, bytearray):
            body: bytes | bytearray = self._body
        else:
            with self._body as file:
                file.seek(0)
                body = file.read()
        if b"\ncontent-encoding" in self.head.lower():
            return decompress(body, self.header("content-encoding") or "")
        return body

    def close(self) -> None:
        """Let go of a body that nobody reads."""
        if not isinstance(self._body, bytearray):
            with suppress(OSError):  # what could not be written can't be now
                self._body.close()

    def header(self, name: str) -> str | None:
        """Value of a header by its lower-case name, or None."""
        for line in reversed(self.head.split(b"\r\n")):
            if line.startswith(b"HTTP/"):
                break  # what is before it is a proxy's answer, or an interim one
            found, _, value = line.decode("latin-1").partition(":")
            if found.lower() == name:
                return value.strip()
        return None


@dataclass(slots=True)
class _Transfer:
    future: asyncio.Future[Response]
    head: bytearray
    body: Body
    began: float
    moved: float
    size: int = 0
    disk: OSError | None = None


class _Sockets(Protocol):
    """Sockets that libcurl waits for, told to `act` when they are ready."""

    def watch(self, what: int, fd: int, multi: object, data: object) -> None:
        """Take note of what libcurl waits for on a socket."""

    def close(self) -> None:
        """Watch nothing any more."""


class _LoopSockets:
    """Each socket watched by the loop itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Callable[[list[tuple[int, int]]], None]) -> None:
        self._loop = loop
        self._act = act
        self._watched: set[int] = set()

    def watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        self._watched.add(fd)
        if what in {pycurl.POLL_IN, pycurl.POLL_INOUT}:
            self._loop.add_reader(fd, self._act, [(fd, pycurl.CSELECT_IN)])
        else:
            self._loop.remove_reader(fd)
        if what in {pycurl.POLL_OUT, pycurl.POLL_INOUT}:
            self._loop.add_writer(fd, self._act, [(fd, pycurl.CSELECT_OUT)])
        else:
            self._loop.remove_writer(fd)
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(fd)

    def close(self) -> None:
        for fd in self._watched:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)


class _EpollSockets:
    """Sockets in an epoll of their own, which the loop watches as one: libcurl adds and removes one for each answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Callable[[list[tuple[int, int]]], None]) -> None:
        self._loop = loop
        self._act = act
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        loop.add_reader(self._epoll.fileno(), self._on_ready)

    def watch(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(fd)
            with suppress(OSError):  # closed already
                self._epoll.unregister(fd)
            return
        if fd in self._watched:
            with suppress(FileNotFoundError):  # closed without a word, and its number is another socket's now
                self._epoll.modify(fd, _EPOLL_EVENTS[what])
                return
        self._watched.add(fd)
        self._epoll.register(fd, _EPOLL_EVENTS[what])

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _on_ready(self) -> None:
        self._act([(fd, _CURL_EVENTS[events & 0x1F]) for fd, events in self._epoll.poll(0)])


def sockets_of(loop: asyncio.AbstractEventLoop, act: Callable[[list[tuple[int, int]]], None]) -> _Sockets:
    """The cheapest way to watch sockets that this system has."""
    return _EpollSockets(loop, act) if hasattr(select, "epoll") else _LoopSockets(loop, act)


class CurlTransport:
    """Connections to one origin, kept between transfers; for the running loop, which must be one with selectors.

    Args:
        origin: Scheme, host and port. Credentials go there alone, and redirects are not followed.
        project_id: Basic user.
        api_token: Basic password.
        connections: Connections that are kept.
        timeout: Seconds for connecting and of silence; an answer may take three times as long in all.
        user_agent: The User-Agent header.
    """

    def __init__(
        self, origin: str, project_id: str, api_token: str, *, connections: int, timeout: float, user_agent: str
    ) -> None:
        self._origin = origin
        self._timeout = timeout
        self._connections = connections
        self._fresh_left = 0
        self._loop = asyncio.get_running_loop()
        self._in_flight: dict[pycurl.Curl, _Transfer] = {}
        self._idle: list[pycurl.Curl] = []
        self._fresh: set[pycurl.Curl] = set()
        self._due = math.inf
        self._is_soon = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._clocks_apart = time.time() - self._loop.time()
        self._sockets = sockets_of(self._loop, self._act)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._sockets.watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._options: dict[int, object] = {
            pycurl.USERNAME: project_id.encode(),
            pycurl.PASSWORD: api_token.encode(),
            pycurl.HTTPAUTH: pycurl.HTTPAUTH_BASIC,
            pycurl.USERAGENT: user_agent,
            # Bodies are decompressed here: libcurl is stricter than what services and gateways send.
            pycurl.HTTPHEADER: ["Accept: application/json", "Accept-Encoding: gzip, deflate"],
            pycurl.HTTP_CONTENT_DECODING: 0,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.CONNECTTIMEOUT_MS: max(1, int(timeout * 1_000)),
            pycurl.MAXAGE_CONN: MAX_IDLE_SECONDS,
            pycurl.BUFFERSIZE: BUFFER_BYTES,
            pycurl.NOSIGNAL: 1,
            **environment_options(origin),
        }

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        self.close()

    async def send(self, target: str, *, is_large: bool = False, fresh: bool = False) -> Response:
        """Answer of a GET of a path and query.

        Args:
            target: Path and query.
            is_large: Whether the body waits on disk: of many that come at once, only the one that is read is in memory.
            fresh: Whether it goes over a new connection: kept ones may have died unseen.

        Raises:
            TransportFailure: No answer came.
            OSError: A large body could not be kept.
        """
        curl = self._idle.pop() if self._idle else self._new()
        now = self._loop.time()
        body: Body = SpooledTemporaryFile(SMALL_BODY_BYTES) if is_large else bytearray()  # noqa: SIM115 - gone with the answer
        transfer = _Transfer(self._loop.create_future(), bytearray(), body, now, now)
        curl.setopt(pycurl.URL, self._origin + target)
        curl.setopt(pycurl.HEADERFUNCTION, transfer.head.extend)
        curl.setopt(
            pycurl.WRITEFUNCTION, body.extend if isinstance(body, bytearray) else partial(_keep, transfer, body)
        )
        if self._sweeper is None:
            self._sweep()
        if fresh or self._fresh_left:
            self._fresh_left = max(self._fresh_left - 1, 0)
            curl.setopt(pycurl.FRESH_CONNECT, 1)
            self._fresh.add(curl)
        elif curl in self._fresh:
            curl.setopt(pycurl.FRESH_CONNECT, 0)
            self._fresh.discard(curl)
        self._in_flight[curl] = transfer
        self._multi.add_handle(curl)
        try:
            return await transfer.future
        except asyncio.CancelledError:
            if self._in_flight.get(curl) is transfer:  # it may be another's by now
                self._drop(curl)
            future = transfer.future
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().close()
            raise

    def close(self) -> None:
        """Close every connection; who still waits for an answer is cancelled."""
        for curl, transfer in list(self._in_flight.items()):
            transfer.future.cancel()
            self._drop(curl)
        self._is_closed = True
        for curl in self._idle:
            curl.close()
        self._idle.clear()
        self._multi.close()
        self._sockets.close()
        for handle in (self._timer, self._sweeper):
            if handle:
                handle.cancel()

    def _new(self) -> pycurl.Curl:
        curl = pycurl.Curl()
        for option, value in self._options.items():
            curl.setopt(option, value)
        return curl

    def _on_timer(self, milliseconds: int) -> None:
        """Remember when libcurl wants to be called; a handle of the loop that comes too early is moved when it does."""
        if milliseconds < 0:
            self._due = math.inf
            return
        if milliseconds == 0:
            self._due = 0.0
            if not self._is_soon:
                self._is_soon = True
                self._loop.call_soon(self._on_soon)
            return
        self._due = self._loop.time() + milliseconds / 1_000
        if self._timer is None or self._timer.when() > self._due:
            self._set_timer()

    def _on_soon(self) -> None:
        self._is_soon = False
        if not self._is_closed and self._due == 0.0:
            self._on_due()

    def _on_late(self) -> None:
        self._timer = None
        if self._due <= self._loop.time():
            self._on_due()
        elif self._due < math.inf:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._on_late)

    def _on_due(self) -> None:
        self._due = math.inf
        self._act([(pycurl.SOCKET_TIMEOUT, 0)])
        # libcurl names a moment once: where its clock says that we are early, it says nothing.
        if self._due == math.inf and self._in_flight and (milliseconds := self._multi.timeout()) >= 0:
            self._on_timer(max(milliseconds, 1))

    def _act(self, ready: list[tuple[int, int]]) -> None:
        """Have libcurl move bytes on the sockets that are ready."""
        act = self._multi.socket_action
        running = 0
        for fd, events in ready:
            _, running = act(fd, events)
        if running < len(self._in_flight):
            self._collect()

    def _collect(self) -> None:
        """Hand over what has come to its end."""
        more = 1
        while more:
            more, whole, broken = self._multi.info_read()
            for curl in whole:
                self._complete(curl)
            for curl, code, _ in broken:
                transfer = self._in_flight[curl]
                if code == pycurl.E_RECV_ERROR and _ends_with_connection(transfer.head):
                    self._complete(curl)
                    continue
                outcome = transfer.disk or _failure(code, curl.getinfo(pycurl.HTTP_CONNECTCODE))
                self._drop(curl)
                if not transfer.future.done():
                    transfer.future.set_exception(outcome)

    def _complete(self, curl: pycurl.Curl) -> None:
        self._multi.remove_handle(curl)
        self._idle.append(curl)
        transfer = self._in_flight.pop(curl)
        response = Response(curl.getinfo(pycurl.RESPONSE_CODE), transfer.head, transfer.body, transfer.began)
        if transfer.future.done():
            response.close()  # nobody waits for it any more
        else:
            transfer.future.set_result(response)

    def _drop(self, curl: pycurl.Curl) -> None:
        transfer = self._in_flight.pop(curl, None)
        if transfer is None:
            return
        self._multi.remove_handle(curl)
        self._idle.append(curl)
        if not isinstance(transfer.body, bytearray):
            with suppress(OSError):  # what could not be written before can't be now
                transfer.body.close()

    def _sweep(self) -> None:
        """Break off transfers that say nothing any more, or never come to an end."""
        now = self._loop.time()
        apart = time.time() - now
        if abs(apart - self._clocks_apart) > SLEEP_SECONDS:
            self._distrust_connections()
        self._clocks_apart = apart
        for curl, transfer in list(self._in_flight.items()):
            body = transfer.body
            size = len(transfer.head) + (len(body) if isinstance(body, bytearray) else body.tell())
            if size != transfer.size:
                transfer.size, transfer.moved = size, now
            reason = None
            if now - transfer.moved > self._timeout:
                reason = NO_ANSWER
            elif now - transfer.began > self._timeout * WHOLE_TIMEOUT_FACTOR:
                reason = f"the answer took longer than {self._timeout * WHOLE_TIMEOUT_FACTOR:g} s"
            if reason:
                self._distrust_connections()
                self._drop(curl)
                if not transfer.future.done():
                    transfer.future.set_exception(TransportFailure(reason, "timeout"))
        wait = min(MAX_SECONDS_BETWEEN_SWEEPS, self._timeout / SWEEPS_PER_TIMEOUT)
        self._sweeper = self._loop.call_later(wait, self._sweep)

    def _distrust_connections(self) -> None:
        """Replace all kept connections, which may have died unseen: for each new one that is kept, the oldest goes."""
        self._fresh_left = 2 * self._connections  # as many may be in flight before the first is kept


def decompress(body: bytes | bytearray, encoding: str) -> bytes | bytearray:
    """Body without its Content-Encoding. What is not gzip or deflate, whatever the header calls it, stays as it is."""
    for name in reversed(encoding.lower().split(",")):
        with suppress(zlib.error):
            if name.strip() in {"gzip", "x-gzip"}:
                body = _members(body)
            elif name.strip() == "deflate":
                body = _inflate(body)
    return body


def _members(body: bytes | bytearray) -> bytes:
    """Every member of a gzip body, up to what is none; one that was cut gives what it has."""
    whole = b""
    rest: bytes | bytearray = body
    while rest:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            whole += member.decompress(rest)
        except zlib.error:
            if not whole:
                raise
            break
        rest = member.unused_data
    return whole


def _inflate(body: bytes | bytearray) -> bytes:
    """Deflate with zlib's head, as it should be, or without, as some send it."""
    try:
        return zlib.decompressobj().decompress(body)
    except zlib.error:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body)


def environment_options(origin: str) -> dict[int, object]:
    """Options for the proxy and the CA bundle of an origin, as requests finds them in the environment."""
    settings = requests.Session().merge_environment_settings(origin, {}, False, None, None)
    proxy = requests.utils.select_proxy(origin, settings["proxies"])
    if is_loopback(urlsplit(origin).hostname or ""):
        proxy = None
    bundle = settings["verify"]
    if not isinstance(bundle, str):
        bundle = requests.utils.DEFAULT_CA_BUNDLE_PATH
    is_folder = Path(bundle).is_dir()
    options: dict[int, object] = {pycurl.CAPATH if is_folder else pycurl.CAINFO: bundle, pycurl.NOPROXY: ""}
    if not proxy:
        return {**options, pycurl.PROXY: ""}
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    options[pycurl.PROXY] = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    options[pycurl.PROXY_CAPATH if is_folder else pycurl.PROXY_CAINFO] = bundle
    if parts.username is not None:
        options[pycurl.PROXYUSERNAME] = unquote(parts.username).encode()
        options[pycurl.PROXYPASSWORD] = unquote(parts.password or "").encode()
    return options


def _ends_with_connection(head: bytearray) -> bool:
    """Whether the body ends where the connection does: then a reset, or TLS without its goodbye, is an end too."""
    fields = head[head.rfind(b"\nHTTP/") + 1 :].lower()
    is_framed = b"\ncontent-length:" in fields or b"\ntransfer-encoding:" in fields
    return fields.endswith(b"\r\n\r\n") and not is_framed


def _keep(transfer: _Transfer, body: SpooledTemporaryFile[bytes], chunk: bytes) -> int:
    """Take a part of a large body; another number than its length ends the transfer."""
    try:
        return body.write(chunk)
    except OSError as error:
        transfer.disk = error
        return -1


def _failure(code: int, proxy_status: int) -> TransportFailure:
    if proxy_status >= HTTPStatus.BAD_REQUEST:
        return TransportFailure(f"the proxy refused ({proxy_status})", "proxy", proxy_status)
    if code in TLS_REASONS:
        return TransportFailure(TLS_REASONS[code], "tls")
    kinds = {
        pycurl.E_COULDNT_RESOLVE_HOST: "host",
        pycurl.E_COULDNT_RESOLVE_PROXY: "proxy host",
        pycurl.E_OPERATION_TIMEDOUT: "timeout",
    }
    reason = REASONS.get(code, f"the connection failed (curl {code})")
    return TransportFailure(reason, kinds.get(code, "network"))

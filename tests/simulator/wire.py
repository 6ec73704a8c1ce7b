"""The Space's HTTP side, spare enough never to be what is measured."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import time
from decimal import Decimal
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qsl

from tests.simulator.population import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.faults import Fault

REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
}


TIMER_LATE_SECONDS = 0.0005
"""How much later than asked asyncio's timers fire, which wait in whole milliseconds, on the average."""


class Request(NamedTuple):
    """A request that the Space was sent, and the status of its answer (0 where there was none)."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    status: int


class Answer(NamedTuple):
    """What a request is answered."""

    status: int
    body: bytes
    headers: dict[str, str]


class Space(Protocol):
    """What a connection needs of its Space."""

    latency: float
    date_offset: float
    compress: bool
    faults: list[Fault]
    transports: set[asyncio.Transport]
    in_flight: int
    max_in_flight: int
    request_count: int
    requests: list[Request]
    log_requests: bool

    def answer(self, method: str, target: str, headers: dict[str, str]) -> Answer:
        """Answer of the service when nothing goes wrong."""


class Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time."""

    def __init__(self, space: Space, loop: asyncio.AbstractEventLoop) -> None:
        self._space = space
        self._loop = loop
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._space.transports.add(transport)
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        self._space.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        self._buffer = data[end + 4 :]
        first, _, lines = data[:end].partition(b"\r\n")
        method, target, _ = first.decode("latin-1").split(" ", 2)
        headers = _headers(lines)
        space = self._space
        space.in_flight += 1
        space.max_in_flight = max(space.max_in_flight, space.in_flight)
        answer = space.answer(method, target, headers)
        if space.latency:
            # What there is to do is done before: many answers that are due at once go out together.
            self._loop.call_later(space.latency - TIMER_LATE_SECONDS, self._respond, method, target, headers, answer)
        else:
            self._respond(method, target, headers, answer)

    def _respond(self, method: str, target: str, headers: dict[str, str], answer: Answer) -> None:
        space = self._space
        body = answer.body
        if space.compress and "gzip" in headers.get("accept-encoding", ""):
            coded = {**answer.headers, "Content-Encoding": "gzip"}
            answer = Answer(answer.status, gzip.compress(answer.body), coded)
        fault = next((fault for fault in space.faults if fault.strikes(target, body)), None) if space.faults else None
        # Counted before a byte is sent: who has the answer must find the request in the log.
        space.in_flight -= 1
        space.request_count += 1
        if space.log_requests:
            path, _, query = target.partition("?")
            status = fault.status if fault and fault.kind == "status" else answer.status
            if fault and fault.kind in {"reset", "hang"}:
                status = 0
            space.requests.append(Request(method, path, dict(parse_qsl(query)), headers, status))
        if fault:
            self._go_wrong(fault, answer)
        else:
            self._send(answer)

    def _send(self, answer: Answer, *, length: int | None = None) -> None:
        length = len(answer.body) if length is None else length
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items()) if answer.headers else ""
        head = _head(answer.status, int(time.time() + self._space.date_offset))
        rest = b"%08x\r\nContent-Length: %d\r\n%b\r\n" % (self._space.request_count, length, more.encode("latin-1"))
        self._transport.write(b"%b%b%b" % (head, rest, answer.body))

    def _go_wrong(self, fault: Fault, answer: Answer) -> None:
        half = answer.body[: len(answer.body) // 2]
        actions: dict[str, Callable[[], None]] = {
            "status": lambda: self._send(Answer(fault.status, fault.body, fault.headers)),
            "empty": lambda: self._send(Answer(200, b"", {})),
            "html": lambda: self._send(Answer(200, b"<html><body>Bad gateway</body></html>", {})),
            "truncated_json": lambda: self._send(Answer(200, half, {})),
            "redirect": lambda: self._send(Answer(302, b"", {"Location": fault.location})),
            "rewrite": lambda: self._send(Answer(200, _rewritten(fault, answer.body), {})),
            "cut": lambda: self._cut(answer, half, reset=False),
            "reset_mid_body": lambda: self._cut(answer, half, reset=True),
            "reset": self._reset,
            "hang": lambda: self._hang(fault.seconds),
            "drip": lambda: self._drip(fault.seconds, answer),
        }
        actions[fault.kind]()

    def _cut(self, answer: Answer, half: bytes, *, reset: bool) -> None:
        self._send(Answer(200, half, {}), length=len(answer.body))
        if reset:
            self._loop.call_later(0.05, self._reset)
        else:
            self._transport.close()

    def _reset(self) -> None:
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _hang(self, seconds: float) -> None:
        self._loop.call_later(seconds, self._transport.close)

    def _drip(self, seconds: float, answer: Answer) -> None:
        self._send(Answer(200, b"", {}), length=len(answer.body))

        def drop(place: int) -> None:
            if place < len(answer.body) and not self._transport.is_closing():
                self._transport.write(answer.body[place : place + 1])
                self._loop.call_later(seconds, drop, place + 1)

        drop(0)


@lru_cache(1_024)
def _headers(lines: bytes) -> dict[str, str]:
    """Headers by lower-case name; a client sends the same ones again and again."""
    pairs = (line.partition(":") for line in lines.decode("latin-1").split("\r\n"))
    return {name.lower(): value.strip() for name, _, value in pairs}


@lru_cache(64)
def _head(status: int, second: int) -> bytes:
    """The head of an answer within a second since 1970, up to the request's number."""
    lines = [
        f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}",
        "Content-Type: application/json; charset=utf-8",
        f"Date: {formatdate(second, usegmt=True)}",
        "x-request-id: ",
    ]
    return "\r\n".join(lines).encode("latin-1")


def _rewritten(fault: Fault, body: bytes) -> bytes:
    assert fault.rewrite
    made = fault.rewrite(json.loads(body, parse_float=Decimal))
    return made if isinstance(made, bytes) else encode(made)

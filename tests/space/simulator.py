"""The Space's HTTP side: an asyncio server on a thread of its own, spare enough never to be what is measured."""

from __future__ import annotations

import asyncio
import base64
import heapq
import itertools
import json
import random
import re
import socket
import struct
import threading
import time
import uuid
from bisect import insort
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from tests.space.faults import Fault
from tests.space.population import MICROS, Explicit, Population, encode, micros, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

LIST_PATH = "/api/messaging/logs"
DAY = 86_400 * MICROS
FILTERS = ("include_deleted", "created_before", "created_on", "created_after")
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
DEFAULTS: dict[str, Any] = {
    "from": "+15550100001",
    "to": "+15550110002",
    "status": "delivered",
    "direction": "inbound",
    "kind": "sms",
    "source": "laml",
    "type": "laml_message",
    "url": None,
    "number_of_segments": 1,
    "charge": Decimal("0.00415"),
    "charge_details": [{"description": "Inbound SMS", "charge": Decimal("0.00415")}],
    "error_message": None,
    "error_code": None,
}


class Request(NamedTuple):
    """A request that the Space was sent, and the status of its answer (0 where there was none)."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    status: int


class _Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


class _Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.answer = _Answer(status, json.dumps(body).encode(), {})


def _invalid(attribute: str, code: str, message: str) -> _Refused:
    entry = {
        "type": "validation_error",
        "code": code,
        "message": message,
        "attribute": attribute,
        "url": f"https://developer.signalwire.com/rest/overview/error-codes/#{code}",
    }
    return _Refused(422, {"errors": [entry]})


class Simulator:
    """A Space with messages, over real HTTP on loopback while the context is open.

    Args:
        messages: Messages created before the clock's start.
        seed: Decides all that chance decides.
        days: The days before the clock's start that the messages spread over.
        clock: The clock's start; a day before now by default.
        stuck: Whether every message is outbound and never gets final.
        port: The port, 0 for any.
        log_requests: Whether `requests` is kept; `request_count` always is.

    Attributes may be changed at any moment:
        latency: Seconds that each answer takes.
        order: Of the list: newest, oldest, or shuffled within each page.
        bounds: Of created_after and created_before: exclusive or inclusive.
        granularity: timestamp, day (timestamps are cut to days) or dates_only (timestamps are refused).
        history_limit: Date before which nothing is kept, and no filter may point.
        rate_limit: Answers in one second; what is more is told 429 and to come back in a second. 0 for any number.
        links: absolute or relative.
        max_page_size: Larger pages fail with 500.
        shifting: Whether pages are cut from what is there now, instead of when the walk began.
        deleted_get: What a get of a deleted log answers: 404 or stub.
        scopes: Of the API token.
    """

    def __init__(
        self,
        *,
        messages: int = 1_000,
        seed: int = 7,
        days: float = 30,
        clock: datetime | None = None,
        stuck: bool = False,
        port: int = 0,
        log_requests: bool = True,
    ) -> None:
        start = clock or datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1)
        self.project_id = "c38dacad-2f6c-4de1-93d6-cc732e0c70c5"
        self.api_token = "PTsimulated0token0that0opens0nothing"
        self.space = ""
        self.latency = 0.0
        self.order = "newest"
        self.bounds = "exclusive"
        self.granularity = "timestamp"
        self.history_limit: date | None = None
        self.rate_limit = 0
        self.links = "absolute"
        self.max_page_size = 1_000
        self.shifting = False
        self.deleted_get = "404"
        self.scopes = {"Messaging"}
        self.requests: list[Request] = []
        self.request_count = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.log_requests = log_requests
        self.faults: list[Fault] = []
        self.transports: set[asyncio.Transport] = set()
        self.population = Population(seed, messages, days, start, stuck=stuck)
        self._chance = random.Random(seed)
        self._clock = micros(start)
        self._explicit: dict[str, Explicit] = {}
        self._explicit_order: list[tuple[int, int, str]] = []
        self._deleted: dict[int, int] = {}
        self._port = port
        self._second = (0, 0)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="simulated-space", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # What a test does

    @property
    def clock(self) -> datetime:
        """The Space's time."""
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=self._clock)

    def advance(self, **span: float) -> None:
        """Move the clock forward, by the arguments of `timedelta`."""
        self._clock += timedelta(**span) // timedelta(microseconds=1)

    def add(
        self,
        fields: dict[str, Any],
        *,
        timeline: list[tuple[datetime, dict[str, Any]]] | None = None,
        visible_at: datetime | None = None,
    ) -> str:
        """Add a message; what is not given is as in any inbound one. Gives its ID."""
        log_id = fields.get("id") or str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        record = {"id": log_id, **DEFAULTS, "created_at": text(self._clock), **fields}
        created = micros(datetime.fromisoformat(record["created_at"].replace("Z", "+00:00")))
        changes = [(micros(instant), change) for instant, change in timeline or []]
        self._explicit[log_id] = Explicit(created, micros(visible_at) if visible_at else created, record, changes)
        insort(self._explicit_order, (created, len(self.population) + len(self._explicit_order), log_id))
        return log_id

    def change(self, log_id: str, **fields: Any) -> None:
        """Change fields of an added message now."""
        self._explicit[log_id].fields.update(fields)

    def delete(self, log_id: str) -> None:
        """Delete a message now."""
        if log_id in self._explicit:
            self._explicit[log_id].deleted = self._clock
        elif (number := self.population.number_of(log_id)) is not None:
            self._deleted[number] = self._clock

    def truth(self, *, include_deleted: bool = False) -> dict[str, dict[str, Any]]:
        """Every log that the Space shows now, by ID, decimals exact."""
        bodies = (
            self._body(seq, log_id)
            for _, seq, log_id in self._visible(0, self._clock + 1, self._clock, None, True)
            if include_deleted or not self._deleted_at(seq, log_id)
        )
        records = (json.loads(body, parse_float=Decimal) for body in bodies)
        return {record["id"]: record for record in records}

    def fault(self, kind: str, **details: Any) -> Fault:
        """Script a fault; see `Fault`."""
        fault = Fault(kind, **details)
        self.faults.append(fault)
        return fault

    def clear_requests(self) -> None:
        """Begin the request log anew."""
        self.requests.clear()
        self.request_count = 0

    def gets(self) -> list[Request]:
        """Requests for one log."""
        return [request for request in self.requests if request.path.startswith(f"{LIST_PATH}/")]

    def lists(self) -> list[Request]:
        """Requests for a page of the list."""
        return [request for request in self.requests if request.path == LIST_PATH]

    # What the Space answers

    def answer(self, method: str, target: str, headers: dict[str, str]) -> _Answer:
        """Answer of the service when nothing goes wrong."""
        path, _, query = target.partition("?")
        try:
            expected = base64.b64encode(f"{self.project_id}:{self.api_token}".encode()).decode()
            if headers.get("authorization") != f"Basic {expected}":
                raise _Refused(401, {"error": "Unauthorized"})
            if "Messaging" not in self.scopes:
                raise _Refused(403, {"error": "Forbidden"})
            if self._is_too_much():
                return _Answer(429, b'{"error":"Too Many Requests"}', {"Retry-After": "1"})
            if method != "GET":
                raise _Refused(405, {"error": "Method Not Allowed"})
            if path == LIST_PATH:
                return _Answer(200, self._list(path, dict(parse_qsl(query, keep_blank_values=True))), {})
            if path.startswith(f"{LIST_PATH}/"):
                return _Answer(200, self._get(path.removeprefix(f"{LIST_PATH}/")), {})
            raise _Refused(404, {"error": "Not Found"})
        except _Refused as refused:
            return refused.answer

    def _is_too_much(self) -> bool:
        second, count = self._second
        now = int(time.monotonic())
        self._second = (now, count + 1 if second == now else 1)
        return 0 < self.rate_limit < self._second[1]

    def _get(self, log_id: str) -> bytes:
        explicit = self._explicit.get(log_id)
        number = None if explicit else self.population.number_of(log_id)
        if explicit:
            seq, created = len(self.population), explicit.created
        elif number is not None:
            seq, created = number, self.population.created[number]
        else:
            raise _Refused(404, {"error": "Not Found"})
        if created > self._clock:
            raise _Refused(404, {"error": "Not Found"})
        if self.history_limit and created < self._limit():
            raise self._past_history("id")
        if self._deleted_at(seq, log_id):
            if self.deleted_get == "stub":
                return self._stub(seq, log_id, created).encode()
            raise _Refused(404, {"error": "Not Found"})
        return self._body(seq, log_id).encode()

    def _list(self, path: str, query: dict[str, str]) -> bytes:
        page_size = self._number(query, "page_size", 1, 1_000, 50)
        page_number = self._number(query, "page_number", 0, 10**9, 0)
        include_deleted = query.get("include_deleted", "false")
        if include_deleted not in {"true", "false"}:
            raise _invalid("include_deleted", "invalid_parameter", "The value must be true or false.")
        low, high = self._range(query)
        snapshot, after = self._clock, None
        if page_number:
            snapshot, after = self._token(query.get("page_token", ""))
        if page_size > self.max_page_size:
            raise _Refused(500, {"error": "Internal Server Error"})
        if self.shifting:
            snapshot, after = self._clock, None
        shown = self._visible(low, high, snapshot, after, include_deleted == "true")
        skipped = page_number * page_size if self.shifting else 0
        entries = list(itertools.islice(shown, skipped, skipped + page_size + 1))
        page, more = entries[:page_size], len(entries) > page_size
        links = {"self": self._link(path, query), "first": self._link(path, self._first(query))}
        if more:
            token = base64.urlsafe_b64encode(json.dumps([snapshot, *page[-1][:2]]).encode()).decode()
            onward = {**self._first(query), "page_size": str(page_size), "page_number": str(page_number + 1)}
            links["next"] = self._link(path, {**onward, "page_token": token})
        if page_number:
            back = {**self._first(query), "page_size": str(page_size), "page_number": str(page_number - 1)}
            links["prev"] = self._link(path, {**back, "page_token": query.get("page_token", "")})
        if self.order == "shuffled":
            self._chance.shuffle(page)
        bodies = (
            self._stub(seq, log_id, created) if self._deleted_at(seq, log_id) else self._body(seq, log_id)
            for created, seq, log_id in page
        )
        return f'{{"links":{json.dumps(links)},"data":[{",".join(bodies)}]}}'.encode()

    def _visible(
        self, low: int, high: int, snapshot: int, after: tuple[int, int] | None, include_deleted: bool
    ) -> Iterator[tuple[int, int, str]]:
        """(created, sequence, ID) of the logs created in [low, high), in the list's order, beginning after a place."""
        high = min(high, snapshot + 1)
        if self.history_limit:
            low = max(low, self._limit())
        newest_first = self.order != "oldest"
        if after and newest_first:
            high = min(high, after[0] + 1)
        elif after:
            low = max(low, after[0])
        first, last = self.population.place(low), self.population.place(high)
        numbers = range(last - 1, first - 1, -1) if newest_first else range(first, last)
        created = self.population.created
        generated = ((created[number], number, "") for number in numbers)
        explicit = (entry for entry in list(self._explicit_order) if low <= entry[0] < high)
        added = (entry for entry in explicit if self._explicit[entry[2]].visible <= snapshot)
        merged = _merge(generated, sorted(added, reverse=newest_first), newest_first=newest_first)
        for entry in merged:
            if after and (entry[:2] >= after if newest_first else entry[:2] <= after):
                continue
            if include_deleted or not self._deleted_at(entry[1], entry[2]):
                yield entry

    def _deleted_at(self, seq: int, log_id: str) -> int | None:
        if seq < len(self.population):
            at = self._deleted.get(seq) or self.population.deleted_at(seq)
        else:
            at = self._explicit[log_id].deleted
        return at if at is not None and at <= self._clock else None

    def _body(self, seq: int, log_id: str) -> str:
        if seq < len(self.population):
            return self.population.body(seq, self._clock)
        return self._explicit[log_id].body(self._clock)

    def _stub(self, seq: int, log_id: str, created: int) -> str:
        log_id = log_id or self.population.id_of(seq)
        discarded = self._deleted_at(seq, log_id) or 0
        return f'{{"id":"{log_id}","discarded_at":"{text(discarded)}","created_at":"{text(created)}"}}'

    def _range(self, query: dict[str, str]) -> tuple[int, int]:
        low, high = 0, 1 << 62
        inclusive = self.bounds == "inclusive"
        for name in ("created_after", "created_before", "created_on"):
            if name not in query:
                continue
            instant = self._instant(name, query[name])
            day = instant // DAY * DAY
            if name == "created_on":
                low, high = max(low, day), min(high, day + DAY)
            elif self.granularity == "timestamp":
                if name == "created_after":
                    low = max(low, instant if inclusive else instant + 1)
                else:
                    high = min(high, instant + 1 if inclusive else instant)
            elif name == "created_after":
                low = max(low, day if inclusive else day + DAY)
            else:
                high = min(high, day + DAY if inclusive else day)
        return low, high

    def _instant(self, name: str, value: str) -> int:
        if not re.match(r"\d{4}-\d\d-\d\d", value):
            raise _invalid(name, "datetime_required", "The value must be a date or a date-time.")
        try:
            instant = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            raise _invalid(name, "datetime_required", "The value must be a date or a date-time.") from None
        if self.granularity == "dates_only" and len(value) > len("2026-01-31"):
            raise _invalid(name, "invalid_parameter", "The value must be a date.")
        found = micros(instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc))
        if self.history_limit and found < self._limit():
            raise self._past_history(name)
        return found

    def _limit(self) -> int:
        day = self.history_limit or date(1970, 1, 1)
        return micros(datetime(day.year, day.month, day.day, tzinfo=timezone.utc))

    def _past_history(self, name: str) -> _Refused:
        return _invalid(name, "exceeds_history_logs_limit", f"The value exceeds the {self.history_limit} date limit.")

    def _number(self, query: dict[str, str], name: str, least: int, most: int, default: int) -> int:
        value = query.get(name, str(default))
        if not value.isdigit() or not least <= int(value) <= most:
            raise _invalid(name, "invalid_parameter", f"The value must be from {least} to {most}.")
        return int(value)

    def _token(self, token: str) -> tuple[int, tuple[int, int]]:
        try:
            snapshot, created, seq = json.loads(base64.urlsafe_b64decode(token))
        except ValueError:
            message = "A page token is required where the page number is above 0."
            raise _invalid("page_token", "invalid_parameter", message) from None
        return snapshot, (created, seq)

    def _first(self, query: dict[str, str]) -> dict[str, str]:
        return {name: query[name] for name in (*FILTERS, "page_size") if name in query}

    def _link(self, path: str, query: dict[str, str]) -> str:
        origin = f"http://{self.space}" if self.links == "absolute" else ""
        return f"{origin}{path}?{urlencode(query)}" if query else f"{origin}{path}"

    # The wire

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self, self._loop), "127.0.0.1", self._port, backlog=1024)
        )
        self.space = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for transport in list(self.transports):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time."""

    def __init__(self, space: Simulator, loop: asyncio.AbstractEventLoop) -> None:
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
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        self._buffer = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        space = self._space
        space.in_flight += 1
        space.max_in_flight = max(space.max_in_flight, space.in_flight)
        if space.latency:
            self._loop.call_later(space.latency, self._respond, method, target, headers)
        else:
            self._respond(method, target, headers)

    def _respond(self, method: str, target: str, headers: dict[str, str]) -> None:
        space = self._space
        answer = space.answer(method, target, headers)
        fault = next((fault for fault in space.faults if fault.strikes(target)), None)
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

    def _send(self, answer: _Answer, *, length: int | None = None) -> None:
        lines = [
            f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Status')}",
            "Content-Type: application/json; charset=utf-8",
            f"Date: {formatdate(usegmt=True)}",
            f"x-request-id: {self._space.request_count:08x}",
            f"Content-Length: {len(answer.body) if length is None else length}",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + answer.body)

    def _go_wrong(self, fault: Fault, answer: _Answer) -> None:
        half = answer.body[: len(answer.body) // 2]
        actions: dict[str, Callable[[], None]] = {
            "status": lambda: self._send(_Answer(fault.status, fault.body, fault.headers)),
            "empty": lambda: self._send(_Answer(200, b"", {})),
            "html": lambda: self._send(_Answer(200, b"<html><body>Bad gateway</body></html>", {})),
            "truncated_json": lambda: self._send(_Answer(200, half, {})),
            "redirect": lambda: self._send(_Answer(302, b"", {"Location": fault.location})),
            "rewrite": lambda: self._send(_Answer(200, _rewritten(fault, answer.body), {})),
            "cut": lambda: self._cut(answer, half, reset=False),
            "reset_mid_body": lambda: self._cut(answer, half, reset=True),
            "reset": self._reset,
            "hang": lambda: self._hang(fault.seconds),
            "drip": lambda: self._drip(fault.seconds, answer),
        }
        actions[fault.kind]()

    def _cut(self, answer: _Answer, half: bytes, *, reset: bool) -> None:
        self._send(_Answer(200, half, {}), length=len(answer.body))
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

    def _drip(self, seconds: float, answer: _Answer) -> None:
        self._send(_Answer(200, b"", {}), length=len(answer.body))

        def drop(place: int) -> None:
            if place < len(answer.body) and not self._transport.is_closing():
                self._transport.write(answer.body[place : place + 1])
                self._loop.call_later(seconds, drop, place + 1)

        drop(0)


def _rewritten(fault: Fault, body: bytes) -> bytes:
    assert fault.rewrite
    made = fault.rewrite(json.loads(body, parse_float=Decimal))
    return made if isinstance(made, bytes) else encode(made)


def _merge(
    one: Iterator[tuple[int, int, str]], other: list[tuple[int, int, str]], *, newest_first: bool
) -> Iterator[tuple[int, int, str]]:
    return heapq.merge(one, other, reverse=newest_first) if other else one

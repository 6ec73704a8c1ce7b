"""A Space as a test holds it: what it has, how it behaves, and what it answers."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import re
import threading
import time
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec

from tests.simulator.families import FAMILIES, MESSAGES, SCOPES
from tests.simulator.families.log import NOW, PROJECT_ID
from tests.simulator.faults import Fault
from tests.simulator.instants import DAY, EPOCH, MICROS, micros, parsed, text
from tests.simulator.logs import Logs, Parts
from tests.simulator.population import Explicit, Population
from tests.simulator.wire import REASONS, Answer, Connection, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from tests.simulator.population import Shown

LIST_PATH = MESSAGES.path
DAY_MICROS = DAY * MICROS
DRAWN_FOR = datetime(2026, 1, 30, 15, 24, 36, tzinfo=timezone.utc)
"""The clock's start that chance draws the times for, where a test gives none: the real one is different each run."""

EVER = (-(1 << 62), 1 << 62)
"""Microseconds between which every log lies, those with a wrong date too."""

FILTERS = ("include_deleted", "created_before", "created_on", "created_after")


class _Route(NamedTuple):
    logs: Logs
    log_id: str = ""
    parts: Parts | None = None


class _Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.answer = Answer(status, json.dumps(body).encode(), {})


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
    """A Space with logs, over real HTTP on loopback while the context is open.

    Args:
        messages: Messages created before the clock's start.
        families: The same of other families, by name: `{"voice_logs": 300}`; none by default.
        seed: Decides all that chance decides.
        days: The days before the clock's start that they spread over.
        clock: The clock's start; a day before now by default, with times that lie before it as they ever do.
        stuck: Whether every message is outbound and never gets final.
        port: The port, 0 for any.
        log_requests: Whether `requests` is kept; `request_count` always is.

    Attributes may be changed at any moment:
        latency: Seconds that each answer takes.
        date_offset: Seconds that the answers' Date is ahead of this machine's clock.
        compress: Whether answers are compressed for those who take it.
        order: Of the list: newest, oldest, or shuffled within each page.
        bounds: Of created_after and created_before: exclusive or inclusive.
        granularity: timestamp, day (timestamps are cut to days) or dates_only (timestamps are refused).
        history_limit: Date before which nothing is kept, and no filter may point.
        unbounded: Whether a list may go without a lower bound; else the history's limit refuses it.
        rate_limit: Answers in one second; what is more is told 429 and to come back in a second. 0 for any number.
        links: absolute or relative.
        max_page_size: Larger pages fail with 500.
        shifting: Whether pages are cut from what is there now, instead of when the walk began.
        deleted_get: What a get of a deleted log answers: 404 or stub.
        scopes: Of the API token.
        scope_status: What is answered where a scope is missing: 403 or 401.
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
        families: dict[str, int] | None = None,
    ) -> None:
        start = clock or datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1)
        self.project_id = PROJECT_ID
        self.api_token = "PTsimulated0token0that0opens0nothing"
        self.space = ""
        self.latency = 0.0
        self.date_offset = 0.0
        self.compress = False
        self.order = "newest"
        self.bounds = "exclusive"
        self.granularity = "timestamp"
        self.history_limit: date | None = None
        self.unbounded = True
        self.rate_limit = 0
        self.links = "absolute"
        self.max_page_size = 1_000
        self.shifting = False
        self.deleted_get = "404"
        self.scopes = set(SCOPES)
        self.scope_status = 403
        self.requests: list[Request] = []
        self.request_count = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.log_requests = log_requests
        self.faults: list[Fault] = []
        self.transports: set[asyncio.Transport] = set()
        counts = {**(families or {}), MESSAGES.name: messages}
        if unknown := counts.keys() - {family.name for family in FAMILIES}:
            message = f"no families of logs: {', '.join(sorted(unknown))}"
            raise ValueError(message)
        self._logs: dict[str, Logs] = {}
        for place, family in enumerate(FAMILIES):
            count = counts.get(family.name, 0)
            # Messages have the seed itself; the others' IDs and fields are to differ from theirs.
            own = Population(
                *(seed + place * 1_000_003, count, days, start, family.make), drawn_for=clock or DRAWN_FOR, stuck=stuck
            )
            self._logs[family.name] = Logs(family, own)
        self.population = self._logs[MESSAGES.name].population
        self._by_path = {logs.family.path: logs for logs in self._logs.values()}
        self._parts = {parts.part.name: (logs, parts) for logs in self._logs.values() for parts in logs.parts.values()}
        self._decoded: dict[bytes, dict[str, Any]] = {}
        """What the logs that were shown last are as dictionaries: most are so again."""
        self._chance = random.Random(seed)
        self._clock = micros(start)
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
        return EPOCH + timedelta(microseconds=self._clock)

    def advance(self, **span: float) -> None:
        """Move the clock forward, by the arguments of `timedelta`."""
        self._clock += timedelta(**span) // timedelta(microseconds=1)

    def add(
        self,
        fields: dict[str, Any],
        *,
        timeline: list[tuple[datetime, dict[str, Any]]] | None = None,
        visible_at: datetime | None = None,
        family: str = MESSAGES.name,
    ) -> str:
        """Add a log; what is not given is as in any of its type. Gives its ID.

        Of `voice_log_events`, add an event to the log `log_id`, and give that ID.
        """
        if family in self._parts:
            return self._add_part(family, fields, visible_at)
        logs = self._logs[family]
        examples = logs.family.examples
        example = next((each for each in examples if each["type"] == fields.get("type")), examples[0])
        log_id = fields.get("id") or str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        record = {"id": log_id, **self._now(example), **fields}
        created = parsed(record["created_at"])
        changes = [(micros(instant), change) for instant, change in timeline or []]
        visible = micros(visible_at) if visible_at else created
        logs.add(log_id, Explicit(created, visible, record, changes))
        return log_id

    def change(self, log_id: str, **fields: Any) -> None:
        """Change fields of an added log now."""
        logs = next((logs for logs in self._logs.values() if logs.has_added(log_id)), None)
        if logs is None:
            raise KeyError(log_id)
        logs.change(log_id, fields, self._clock)

    def delete(self, log_id: str) -> None:
        """Delete a log now."""
        for logs in self._logs.values():
            logs.delete(log_id, self._clock)

    def truth(self, *, family: str = MESSAGES.name, include_deleted: bool = False) -> dict[Any, dict[str, Any]]:
        """Every log that the Space shows now, by ID, decimals exact; deleted ones as they were.

        Of `voice_log_events`, every event by the log's ID and its place in that log's answer.
        """
        if family in self._parts:
            return self._truth_of_parts(family)
        shown = list(self._visible(self._logs[family], *EVER, self._clock, None, include_deleted=include_deleted))
        new = [log.body for log in shown if log.body not in self._decoded]
        decoded = self._decoded | dict(zip(new, _decode(b"[%b]" % b",".join(new)), strict=True))
        self._decoded = {log.body: decoded[log.body] for log in shown}
        return {log.id: dict(self._decoded[log.body]) for log in shown}

    def fault(self, kind: str, **details: Any) -> Fault:
        """Script a fault; see `Fault`."""
        fault = Fault(kind, **details)
        self.faults.append(fault)
        return fault

    def clear_requests(self) -> None:
        """Begin the request log anew."""
        self.requests.clear()
        self.request_count = 0

    def gets(self, *, family: str = MESSAGES.name) -> list[Request]:
        """Requests for one log, or for what one log has of its own."""
        return [request for request in self.requests if self._asks(request) == (family, True)]

    def lists(self, *, family: str = MESSAGES.name) -> list[Request]:
        """Requests for a page of the list."""
        return [request for request in self.requests if self._asks(request) == (family, False)]

    def _add_part(self, name: str, fields: dict[str, Any], visible_at: datetime | None) -> str:
        _, parts = self._parts[name]
        record = {**self._now(parts.part.example), **fields}
        visible = micros(visible_at) if visible_at else parsed(record["event_at"])
        log_id: str = record["log_id"]
        parts.add(log_id, visible, record)
        return log_id

    def _now(self, example: dict[str, Any]) -> dict[str, Any]:
        return {name: text(self._clock) if value is NOW else value for name, value in example.items()}

    def _truth_of_parts(self, name: str) -> dict[Any, dict[str, Any]]:
        logs, parts = self._parts[name]
        shown = self._visible(logs, *EVER, self._clock, None, include_deleted=False)
        answers = {log.id: _decode(parts.answer(log, self._clock)) for log in shown}
        return {(log_id, place): entry for log_id in answers for place, entry in enumerate(answers[log_id]["data"])}

    def _asks(self, request: Request) -> tuple[str, bool]:
        """Name of the stream that a request asks for, and whether it asks for one log."""
        route = self._route(request.path)
        if route is None:
            return "", False
        logs, log_id, parts = route
        return parts.part.name if parts else logs.family.name, bool(log_id)

    # What the Space answers

    def answer(self, method: str, target: str, headers: dict[str, str]) -> Answer:
        """Answer of the service when nothing goes wrong."""
        path, _, query = target.partition("?")
        try:
            if headers.get("authorization") != _basic(self.project_id, self.api_token):
                raise _Refused(401, {"error": "Unauthorized"})
            route = self._route(path)
            if route and not route.logs.family.scopes & self.scopes:
                raise _Refused(self.scope_status, {"error": REASONS[self.scope_status]})
            if self.rate_limit and self._is_too_much():
                return Answer(429, b'{"error":"Too Many Requests"}', {"Retry-After": "1"})
            if method != "GET":
                raise _Refused(405, {"error": "Method Not Allowed"})
            if route is None:
                raise _Refused(404, {"error": "Not Found"})
            if not route.log_id:
                asked = dict(parse_qsl(query, keep_blank_values=True))
                return Answer(200, self._list(route.logs, asked), {})
            return Answer(200, self._get(route), {})
        except _Refused as refused:
            return refused.answer

    def _route(self, path: str) -> _Route | None:
        """What a path leads to: a list, a log, or what a log has of its own."""
        if logs := self._by_path.get(path):
            return _Route(logs)
        front, _, last = path.rpartition("/")
        logs = self._by_path.get(front)
        if logs and logs.family.has_get and last:
            return _Route(logs, last)
        front, _, log_id = front.rpartition("/")
        logs = self._by_path.get(front)
        if logs and log_id and last in logs.parts:
            return _Route(logs, log_id, logs.parts[last])
        return None

    def _is_too_much(self) -> bool:
        second, count = self._second
        now = int(time.monotonic())
        self._second = (now, count + 1 if second == now else 1)
        return self.rate_limit < self._second[1]

    def _get(self, route: _Route) -> bytes:
        logs, log_id, parts = route
        log = logs.find(log_id, self._clock)
        if log is None:
            raise _Refused(404, {"error": "Not Found"})
        if self.history_limit and log.created < self._limit():
            raise self._past_history("id")
        if log.deleted is None:
            return parts.answer(log, self._clock) if parts else log.body
        if self.deleted_get == "stub" and not parts:
            return logs.answer(log)
        raise _Refused(404, {"error": "Not Found"})

    def _list(self, logs: Logs, query: dict[str, str]) -> bytes:
        path = logs.family.path
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
        shown = self._visible(logs, low, high, snapshot, after, include_deleted=include_deleted == "true")
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
        data = b",".join([log.body if log.deleted is None else logs.answer(log) for log in page])
        return b'{"links":%b,"data":[%b]}' % (json.dumps(links).encode(), data)

    def _visible(
        self, logs: Logs, low: int, high: int, snapshot: int, after: tuple[int, int] | None, *, include_deleted: bool
    ) -> Iterator[Shown]:
        """Logs created in [low, high), in the list's order, from behind a place on."""
        return logs.visible(
            max(low, self._limit()) if self.history_limit else low,
            high,
            self._clock,
            snapshot=snapshot,
            after=after,
            newest_first=self.order != "oldest",
            include_deleted=include_deleted,
        )

    def _range(self, query: dict[str, str]) -> tuple[int, int]:
        low, high = EVER
        inclusive = self.bounds == "inclusive"
        if self.history_limit and not self.unbounded and not query.keys() & {"created_after", "created_on"}:
            raise self._past_history("created_after")
        for name in ("created_after", "created_before", "created_on"):
            if name not in query:
                continue
            instant = self._instant(name, query[name])
            day = instant // DAY_MICROS * DAY_MICROS
            if name == "created_on":
                low, high = max(low, day), min(high, day + DAY_MICROS)
            elif self.granularity == "timestamp":
                if name == "created_after":
                    low = max(low, instant if inclusive else instant + 1)
                else:
                    high = min(high, instant + 1 if inclusive else instant)
            elif name == "created_after":
                low = max(low, day if inclusive else day + DAY_MICROS)
            else:
                high = min(high, day + DAY_MICROS if inclusive else day)
        return low, high

    def _instant(self, name: str, value: str) -> int:
        if not re.match(r"\d{4}-\d\d-\d\d", value):
            raise _invalid(name, "datetime_required", "The value must be a date or a date-time.")
        try:
            found = parsed(value)
        except ValueError:
            raise _invalid(name, "datetime_required", "The value must be a date or a date-time.") from None
        if self.granularity == "dates_only" and len(value) > len("2026-01-31"):
            raise _invalid(name, "invalid_parameter", "The value must be a date.")
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

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: Connection(self, self._loop), "127.0.0.1", self._port, backlog=1024)
        )
        self.space = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        # asyncio breaks off where a server is closed while it accepts a connection.
        self._loop.remove_reader(server.sockets[0].fileno())
        while accepting := asyncio.all_tasks(self._loop):
            self._loop.run_until_complete(asyncio.wait(accepting))
        server.close()
        for transport in list(self.transports):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@lru_cache
def _basic(project_id: str, api_token: str) -> str:
    return "Basic " + base64.b64encode(f"{project_id}:{api_token}".encode()).decode()

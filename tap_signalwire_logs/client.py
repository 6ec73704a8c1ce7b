"""HTTP to one SignalWire Space: authentication, timeouts, retries and errors that say what to do.

Nothing here knows of streams, records or state: `Channel.get` takes a path and gives the decoded answer.
"""

from __future__ import annotations

import email.utils
import heapq
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlencode, urlsplit

import backoff
import msgspec

from tap_signalwire_logs.errors import (
    ExhaustedError,
    FatalError,
    MissingError,
    NoAnswerError,
    Stopped,
    UnauthorizedError,
)
from tap_signalwire_logs.exact_json import decode_json, without_lone_surrogates
from tap_signalwire_logs.redact import redact
from tap_signalwire_logs.transport import Answer, Broken, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Decoded = TypeVar("Decoded")

logger = logging.getLogger("tap-signalwire-logs.client")

BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 30.0
RETRY_AFTER_CAP_SECONDS = 120.0
POLL_SECONDS = 0.2
# With slots to spare, a request that comes meanwhile need not wait for an answer to another.
SPARE_SLOTS_POLL_SECONDS = 0.005

REQUEST_ID_HEADERS = ("x-request-id", "x-signalwire-request-id", "request-id", "x-amzn-requestid")
HISTORY_LIMIT_CODE = "exceeds_history_logs_limit"
# Hundreds of requests may fail at once; one line tells of them.
WARNING_EVERY_SECONDS = 10.0
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass
class Counts:
    """What went over the wire so far."""

    requests: int = 0
    retries: int = 0


@dataclass(frozen=True)
class Failure:
    """One try that failed for a reason that passes."""

    why: str
    status: int | None = None
    retry_after: float | None = None


class Slots:
    """Requests in flight: at most `most`, fewer after the Space said that it is too many, more again as it answers.

    Without it, requests that all begin again when a 429's wait is over would use up each other's tries.
    """

    def __init__(self, most: int) -> None:
        """Begin with all slots open."""
        self.open = float(most)
        self._most = most

    def shrink(self) -> None:
        """Halve the open slots."""
        self.open = max(1.0, self.open / 2)

    def grow(self) -> None:
        """Open one more slot after as many answers as there are open slots."""
        if self.open < self._most:
            self.open = min(float(self._most), self.open + 1 / self.open)


@dataclass(slots=True)
class _Request(Generic[Decoded]):
    channel: Channel
    target: str
    decode: Callable[[bytes | bytearray], Decoded]
    is_page: bool = False
    future: Future[Decoded] = field(default_factory=Future)
    tries: int = 0
    answered_before: int = 0

    @property
    def name(self) -> str:
        """Method and path, without the query: a page token is nobody's business."""
        return f"GET {urlsplit(self.target).path}"


class Channel:
    """A client's requests for one thing, counted together and refused together; channels take turns on the wire."""

    def __init__(self, client: Client, scope: str) -> None:
        """Open with nothing asked yet."""
        self.counts = Counts()
        self.scope = scope
        self.queue: deque[_Request[Any]] = deque()
        self.refused: UnauthorizedError | None = None
        self._client = client

    @property
    def origin(self) -> str:
        """Scheme, host and port that the requests go to."""
        return self._client.origin

    def get(
        self,
        target: str,
        params: Mapping[str, str | int] | None = None,
        *,
        decode: Callable[[bytes | bytearray], Decoded],
    ) -> Decoded:
        """Answer of a GET, as `decode` makes it of the body. It goes before those that `submit` queued.

        Args:
            target: A path from the origin's root, with or without a query.
            params: Query parameters.
            decode: What the answer is made with; where it raises NoAnswerError, or the body is no JSON, the request
                is tried again. It runs on the client's thread.

        Raises:
            UnauthorizedError: 401 or 403. No other request of this channel is sent after it.
            FatalError: Any other refusal, a redirect among them.
            MissingError: 404, or older than the history that the Space keeps.
            ExhaustedError: `max_tries` tries failed.
            Stopped: The client's `stop` was set.
        """
        request = _Request(self, f"{target}?{urlencode(params)}" if params else target, decode, is_page=True)
        self.queue.appendleft(request)
        self._client.begin()
        while True:
            with suppress(FutureTimeoutError, TimeoutError):
                return request.future.result(POLL_SECONDS)
            if self._client.stop.is_set():
                raise Stopped

    def submit(self, target: str, *, decode: Callable[[bytes | bytearray], Decoded]) -> Future[Decoded]:
        """Queue a GET; its future ends as `get` would."""
        request = _Request(self, target, decode)
        self.queue.append(request)
        self._client.begin()
        return request.future

    def refuse(self, error: BaseException) -> None:
        """End what is queued with an error."""
        with suppress(IndexError):
            while True:
                self.queue.popleft().future.set_exception(error)


class Client:
    """A Space's REST API over HTTPS (plain HTTP on loopback), for any number of threads, itself on one of its own.

    Args:
        origin: Scheme, host and port, such as `https://example.signalwire.com`. Credentials go there alone.
        project_id: Basic user.
        api_token: Basic password.
        concurrency: The most requests in flight.
        timeout: Seconds for connecting and of silence; an answer may take three times as long in all.
        max_tries: Tries of one request, the first included.
        user_agent: The User-Agent header.
        stop: Once set, waits end and no further request begins.
    """

    def __init__(
        self,
        origin: str,
        project_id: str,
        api_token: str,
        *,
        concurrency: int,
        timeout: float,
        max_tries: int,
        user_agent: str,
        stop: threading.Event,
    ) -> None:
        """Nothing is sent, and no thread begins, before there is a request."""
        self.origin = origin
        self.stop = stop
        self._wire: Wire[_Request[Any]] = Wire(
            origin, project_id, api_token, connections=concurrency, timeout=timeout, user_agent=user_agent
        )
        self._max_tries = max_tries
        self._closed = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._channels: deque[Channel] = deque()
        self._later: list[tuple[float, int, _Request[Any]]] = []
        self._due: deque[_Request[Any]] = deque()
        self._retries = 0
        self._slots = Slots(concurrency)
        self._not_before = 0.0
        self._answered = 0
        self._ended: BaseException | None = None
        self._last_warning = float("-inf")

    def channel(self, scope: str) -> Channel:
        """Open a channel for requests that need a scope of the API token."""
        channel = Channel(self, scope)
        self._channels.append(channel)
        return channel

    def close(self) -> None:
        """Break off what is in flight, close the connections, and wait for the thread's end."""
        self._closed = True
        self._wake.set()
        if self._thread:
            self._thread.join()

    def begin(self) -> None:
        """See to it that what is queued is sent."""
        self._wake.set()
        if self._ended:
            self._refuse_all(self._ended)
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="http", daemon=True)
                    self._thread.start()

    def _work(self) -> None:
        good: list[tuple[_Request[Any], Answer | Broken]] = []
        try:
            while not self._closed and not self.stop.is_set():
                self._send()
                finished = self._wire.finished()
                # The next requests go out before good answers are looked at: the wire is never idle for us.
                unsettled, good = good, [(request, outcome) for request, outcome in finished if outcome.is_good]
                unsettled += [(request, outcome) for request, outcome in finished if not outcome.is_good]
                for request, outcome in unsettled:
                    self._settle(request, outcome)
                if not unsettled and not good:
                    self._wait()
            self._ended = Stopped()
        except BaseException as error:  # noqa: BLE001 - it is raised wherever an answer is awaited
            self._ended = error
        for request, outcome in good:
            self._settle(request, outcome)
        for request in [*self._wire.close(), *self._due, *(request for _, _, request in self._later)]:
            request.future.set_exception(self._ended)
        self._refuse_all(self._ended)

    def _send(self) -> None:
        """Begin what is due, as far as there are slots and the Space lets us; a request that waits keeps its slot."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            self._due.append(heapq.heappop(self._later)[2])
        while self._wire.in_flight < int(self._slots.open) and now >= self._not_before:
            request = self._next_request()
            if request is None:
                break
            if request.channel.refused:
                request.future.set_exception(request.channel.refused)
                continue
            request.answered_before = self._answered
            request.channel.counts.requests += 1
            self._wire.start(request.target, request, is_large=request.is_page)

    def _next_request(self) -> _Request[Any] | None:
        """One that is tried again, or one of the channel whose turn it is; None where there is none to send."""
        if self._due:
            return self._due.popleft()
        if self._wire.in_flight + len(self._later) < int(self._slots.open):
            for _ in range(len(self._channels)):
                self._channels.rotate(-1)
                if self._channels[0].queue:
                    return self._channels[0].queue.popleft()
        return None

    def _wait(self) -> None:
        """Wait for bytes, for a request, or until one is due."""
        now = time.monotonic()
        until = now + POLL_SECONDS
        if self._later:
            until = min(until, self._later[0][0])
        if self._not_before > now:
            until = min(until, self._not_before)
        if self._wire.in_flight:
            if self._wire.in_flight < int(self._slots.open):
                until = min(until, now + SPARE_SLOTS_POLL_SECONDS)
            self._wire.wait(max(until - now, 0.0))
            return
        self._wake.clear()
        has_room = len(self._later) < int(self._slots.open)
        if self._not_before > now or not has_room or not any(channel.queue for channel in self._channels):
            self._wake.wait(max(until - now, 0.0))

    def _settle(self, request: _Request[Any], outcome: Answer | Broken) -> None:
        """Hand on what came of a request, or have it tried again."""
        try:
            answer = self._judge(request, outcome)
        except UnauthorizedError as error:
            request.channel.refused = error
            request.future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            request.future.set_exception(error)
        else:
            if isinstance(answer, Failure):
                self._try_again(request, answer)
                return
            self._answered += 1
            self._slots.grow()
            request.future.set_result(answer)

    def _judge(self, request: _Request[Any], outcome: Answer | Broken) -> Any:
        """What an outcome comes to: the decoded answer, a Failure, or an error that is raised."""
        if isinstance(outcome, Broken):
            if outcome.disk:
                raise outcome.disk
            if outcome.is_tls:
                message = f"{request.name}: TLS failed ({outcome.reason}); check `space` and the CA bundle"
                raise FatalError(message)
            return Failure(outcome.reason)
        status, body = outcome.status, outcome.read()
        if status == HTTPStatus.OK:
            try:
                return _decoded(request, body)
            except NoAnswerError as error:
                return Failure(f"{status}, but {error}", status)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                kind = "no whole JSON" if body.strip() else "empty"
                return Failure(f"{status}, but the body is {kind}", status)
        errors = _errors(body)
        detail = "".join(f"; {error}" for error in errors)
        if status in RETRIED_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            retry_after = parse_retry_after(outcome.header("retry-after"))
            return Failure(f"{status}{_request_id(outcome)}{detail}", status, retry_after)
        raise _refusal(request, outcome, errors, detail)

    def _try_again(self, request: _Request[Any], failure: Failure) -> None:
        # Where others are answered, the Space is only busy, and this request's turn is still to come.
        is_busy = failure.status == HTTPStatus.TOO_MANY_REQUESTS and self._answered > request.answered_before
        request.tries += not is_busy
        if request.tries >= self._max_tries:
            request.future.set_exception(_exhausted(request, failure))
            return
        seconds = wait_seconds(failure, max(request.tries, 1))
        now = time.monotonic()
        if failure.status == HTTPStatus.TOO_MANY_REQUESTS:
            # Every request is held back: the limit is the Space's, not the one request's.
            if now >= self._not_before:
                self._slots.shrink()
            self._not_before = max(self._not_before, now + seconds)
        request.channel.counts.retries += 1
        self._retries += 1
        heapq.heappush(self._later, (now + seconds, self._retries, request))
        self._warn_of_retry(request, failure, seconds)

    def _refuse_all(self, error: BaseException) -> None:
        for channel in list(self._channels):
            channel.refuse(error)

    def _warn_of_retry(self, request: _Request[Any], failure: Failure, seconds: float) -> None:
        level = logging.DEBUG
        if time.monotonic() - self._last_warning > WARNING_EVERY_SECONDS:
            self._last_warning = time.monotonic()
            level = logging.WARNING
        capped = ""
        if failure.retry_after is not None and failure.retry_after > seconds:
            capped = f" (Retry-After asked for {failure.retry_after:.0f} s, which is capped)"
        logger.log(
            level,
            "%s: %s; try %d of %d in %.1f s%s",
            request.name,
            failure.why,
            request.tries + 1,
            self._max_tries,
            seconds,
            capped,
        )


def _decoded(request: _Request[Decoded], body: bytes | bytearray) -> Decoded:
    try:
        return request.decode(body)
    except msgspec.DecodeError:
        mended = without_lone_surrogates(body)
        if mended == body:
            raise
        return request.decode(mended)


def wait_seconds(failure: Failure, tries: int) -> float:
    """Seconds between a failed try and the next, given how many tries there were: the one place that decides."""
    if failure.retry_after is not None:
        return min(failure.retry_after, RETRY_AFTER_CAP_SECONDS)
    half: float = min(BACKOFF_FIRST_SECONDS * 2 ** (tries - 1), BACKOFF_CAP_SECONDS) / 2
    return half + float(backoff.full_jitter(half))


def parse_retry_after(value: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a Retry-After header asks for: a number of them, or a date. None where it says neither."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now())
    return None


def _refusal(request: _Request[Any], answer: Answer, errors: list[str], detail: str) -> FatalError | MissingError:
    """Error for a status that no other try would change."""
    status = answer.status
    what = f"{request.name}: {status}{_request_id(answer)}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        scope = request.channel.scope
        return UnauthorizedError(
            f"{what}{detail}; check `project_id` and `api_token`, and that the API token has the scope {scope}"
        )
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return MissingError(f"{what}{detail}")
    is_too_old = bool(errors) and all(error.startswith(HISTORY_LIMIT_CODE) for error in errors)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and is_too_old:
        return MissingError(f"{what}{detail}", history_limit=errors[0])
    if answer.header("location"):
        return FatalError(f"{what}; a redirect, which is not followed with credentials; check `space`")
    return FatalError(
        f"{what}{detail}; the service refuses the request, and would again; check `start_date` and `end_date`"
    )


def _exhausted(request: _Request[Any], failure: Failure) -> ExhaustedError:
    advice = "SignalWire or the network between is in trouble; run again later, the state is true"
    if failure.status is None:
        advice = "check `space` and the network, or raise `request_timeout`; run again later, the state is true"
    message = f"{request.name}: {failure.why}, {request.tries} tries (`backoff_max_tries`); {advice}"
    return ExhaustedError(message, failure.status)


def _request_id(answer: Answer) -> str:
    for header in REQUEST_ID_HEADERS:
        if value := answer.header(header):
            return f" (request {value[:80]})"
    return ""


def _errors(body: bytes | bytearray) -> list[str]:
    """Each entry of an error answer's `errors` as one line; bodies of any other shape say nothing that helps."""
    try:
        answer = decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    entries = answer.get("errors") if isinstance(answer, dict) else None
    lines = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            code, attribute, message = (str(entry.get(key) or "") for key in ("code", "attribute", "message"))
            lines.append(f"{code}{f' ({attribute})' if attribute else ''}: {message}")
        elif isinstance(entry, str):
            lines.append(entry)
    return [redact(line)[:300] for line in lines]

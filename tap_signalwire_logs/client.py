"""HTTP to one SignalWire Space on one asyncio loop: authentication, slots, retries, errors that say what to do.

Nothing here knows of streams, records or state: `Client.get` takes a path and gives the decoded answer. Read downward:
`get`, one attempt of it, its slot, what its answer is taken for, and what comes of a failure.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

import backoff
import msgspec

from tap_signalwire_logs.errors import (
    FatalError,
    HistoryLimitError,
    InvalidResponseError,
    NotFoundError,
    OutageError,
    RejectedError,
    RetriesExhaustedError,
    TapError,
    UnauthorizedError,
    UnreachableError,
)
from tap_signalwire_logs.exact_json import decode_json
from tap_signalwire_logs.json_repair import repair
from tap_signalwire_logs.rate_limit import RateLimit
from tap_signalwire_logs.redact import redact
from tap_signalwire_logs.retry import (
    RETRY_AFTER_CAP_SECONDS,
    RetriableFailure,
    parse_http_date,
    parse_retry_after,
    wait_seconds,
)
from tap_signalwire_logs.transport import CurlTransport, Response, TransportFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

Decoded = TypeVar("Decoded")

logger = logging.getLogger("tap-signalwire-logs.client")

REQUEST_ID_HEADERS = ("x-request-id", "x-signalwire-request-id", "request-id", "x-amzn-requestid")
HISTORY_LIMIT_CODE = "exceeds_history_logs_limit"
RATE_LIMIT_CODE = "rate_limit_exceeded"
OK = 200  # HTTPStatus is a slow way to say it, once for each answer
RETRIED_STATUSES = frozenset({408, 425, 429})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
RETRIED_PROXY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Hundreds of requests may fail at once; one line tells of them.
SECONDS_BETWEEN_WARNINGS = 10.0
SECONDS_BETWEEN_REPORTS = 30.0
SECONDS_BETWEEN_CLOCK_READINGS = 60.0
OUTAGE_REQUESTS = 20
CONTROL_TRIES = 2
UNKNOWN_HOSTS = frozenset({"host", "proxy host"})
UNKNOWN_HOST_TRIES = 3
# So many 503s among so many answers, of different requests, are a limit and no accident.
LIMIT_SHOWS_IN = 8
LIMIT_SHOWS_WITHIN = 32
# Tries that a request may lose to such a limit; after a 429, which says what it is, any number.
MAX_THROTTLED_TRIES = 16
MAX_TEXT = 300

RERUN = "rerun later: it resumes from the last saved state"
ADVICE = {
    "throttled": "SignalWire is unavailable or rate-limiting",
    "unavailable": "SignalWire is unavailable or rate-limiting",
    "body": "SignalWire, or a gateway on the way to it, is in trouble",
    "timeout": "check the network, or raise `request_timeout`",
    "network": "check `space` and the network",
    "proxy": "check the proxy (HTTPS_PROXY)",
    "host": "check `space` and the network",
    "proxy host": "check the proxy (HTTPS_PROXY)",
}


@dataclass
class Counts:
    """What went over the wire so far."""

    requests: int = 0
    retries: int = 0


@dataclass(eq=False, slots=True)
class _Request(Generic[Decoded]):
    target: str
    decode: Callable[[bytes | bytearray], Decoded]
    is_page: bool
    max_tries: int
    tries: int = 0
    throttled: int = 0
    answered_before: int = -1
    is_control: bool = False
    task: asyncio.Task[Decoded] | None = None

    @property
    def name(self) -> str:
        """Method and path, without the query: a page token is nobody's business."""
        return f"GET {urlsplit(self.target).path}"

    @property
    def endpoint(self) -> int:
        """What tells a list, a get and a subresource apart: the depth of the path."""
        return self.target.partition("?")[0].count("/")


class Client:
    """A Space's REST API over HTTPS (plain HTTP on loopback), for one asyncio loop.

    Args:
        origin: Scheme, host and port, such as `https://example.signalwire.com`. Credentials go there alone.
        project_id: Basic user.
        api_token: Basic password.
        scope: The scope that the API token needs, for the advice of a refusal.
        concurrency: The most requests in flight.
        timeout: Seconds for connecting and of silence; an answer may take three times as long in all.
        max_tries: Tries of one request, the first included.
        user_agent: The User-Agent header.
    """

    def __init__(
        self,
        origin: str,
        project_id: str,
        api_token: str,
        *,
        scope: str,
        concurrency: int,
        timeout: float,
        max_tries: int,
        user_agent: str,
    ) -> None:
        self.origin = origin
        self.counts = Counts()
        self.clock_offset: float | None = None
        self._scope = scope
        self._concurrency = concurrency
        self._max_tries = max_tries
        self._credentials = (project_id, api_token, timeout, user_agent)
        self._transport: CurlTransport
        self._in_flight = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._page_queue: deque[asyncio.Future[None]] = deque()
        self._control_queue: deque[asyncio.Future[None]] = deque()
        self._retrying: set[_Request[Any]] = set()
        self._limit = RateLimit()
        self._unavailable: deque[tuple[_Request[Any], int]] = deque(maxlen=LIMIT_SHOWS_IN)
        self._timer: asyncio.TimerHandle | None = None
        self._reporter: asyncio.TimerHandle | None = None
        self._answered = 0
        self._exhausted_in_a_row = 0
        self._answered_targets: dict[int, str] = {}
        """The last target of each endpoint that was answered with what was asked for."""
        self._control: asyncio.Task[None] | None = None
        """Sends one of those again, to tell an outage from requests that fail by themselves."""
        self._tries_alone: int | None = None
        """Tries of a request while requests fail by themselves: so many that failed have used up all of theirs."""
        self._fatal: FatalError | None = None
        self._next_warning = 0.0
        self._next_clock_reading = 0.0

    async def __aenter__(self) -> Self:
        """Open on the running loop; nothing is sent yet."""
        project_id, api_token, timeout, user_agent = self._credentials
        self._loop = asyncio.get_running_loop()
        self._transport = CurlTransport(
            self.origin,
            project_id,
            api_token,
            connections=self._concurrency,
            timeout=timeout,
            user_agent=user_agent,
        )
        self._report()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel what waits or is in flight, and close every connection."""
        tasks: list[asyncio.Task[Any]] = [request.task for request in self._retrying if request.task]
        if self._control:
            tasks.append(self._control)
        for task in tasks:
            task.cancel()
        for waiter in [*self._control_queue, *self._page_queue, *self._queue]:
            waiter.cancel()
        for timer in (self._timer, self._reporter):
            if timer:
                timer.cancel()
        self._transport.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __repr__(self) -> str:
        """What it waits for."""
        pace = ""
        if self._limit.is_on:
            pace = f", at {self._limit.per_second:.1f} requests a second"
            if (quiet := self._limit.quiet_until - self._loop.time()) > 0:
                pace += f", paused for {quiet:.1f} s"
        return (
            f"<Client {self.origin}: {self._in_flight} of {self._concurrency} requests in flight, "
            f"{len(self._page_queue)} pages and {len(self._queue)} gets queued, {len(self._retrying)} retrying{pace}; "
            f"{self.counts.requests:,} requests, {self.counts.retries:,} retries>"
        )

    async def get(
        self,
        target: str,
        params: Mapping[str, str | int] | None = None,
        *,
        decode: Callable[[bytes | bytearray], Decoded],
        is_page: bool = False,
        max_tries: int | None = None,
    ) -> Decoded:
        """Answer of a GET, as `decode` makes it of the body.

        Args:
            target: A path from the origin's root, with or without a query.
            params: Query parameters.
            decode: Makes the answer; where it raises InvalidResponseError, or the body is not JSON, the request is
                tried again.
            is_page: Whether it goes before gets that wait for a slot, and its body may be large.
            max_tries: Tries of this request, where not the client's.

        Raises:
            UnauthorizedError: 401 or 403. Every later request of the client fails with it.
            UnreachableError: Unknown host, TLS, a proxy that refuses, a redirect; as lasting.
            OutageError: Request after request used up its tries; as lasting.
            NotFoundError: 404 or 410, in the service's own words.
            HistoryLimitError: Older than the history that the Space keeps.
            RejectedError: Another refusal.
            RetriesExhaustedError: `max_tries` tries failed.
            OSError: A page could not be kept on disk.
        """
        if params:
            target = f"{target}?{urlencode(params)}"
        return await self._complete(_Request(target, decode, is_page, max_tries or self._max_tries))

    async def _complete(self, request: _Request[Decoded]) -> Decoded:
        try:
            return await self._attempt(request)
        except RetriableFailure as failure:
            first = failure
        return await self._retry(request, first)

    async def _retry(self, request: _Request[Decoded], first: RetriableFailure) -> Decoded:
        """Further attempts, each after the wait that the failure before it asks for."""
        failures = [first]

        @backoff.on_exception(backoff.runtime, RetriableFailure, value=attrgetter("wait"), jitter=None, logger=None)
        async def attempt() -> Decoded:
            if failures:
                raise failures.pop()
            self.counts.retries += 1
            return await self._attempt(request)

        request.task = asyncio.ensure_future(attempt())
        self._retrying.add(request)
        try:
            return await request.task
        except asyncio.CancelledError:
            if request in self._retrying or self._fatal is None:
                raise
            raise self._fatal_error() from None
        finally:
            self._retrying.discard(request)

    async def _attempt(self, request: _Request[Decoded]) -> Decoded:
        """Slot, send, classify."""
        if self._fatal:
            raise self._fatal_error()
        if self._in_flight >= self._concurrency or self._limit.is_on or self._control or self._is_anyone_queued:
            await self._slot(request)
        self._in_flight += 1
        self.counts.requests += 1
        if request.answered_before < 0:
            request.answered_before = self._answered
        try:
            response = await self._transport.send(request.target, is_large=request.is_page, fresh=request.tries > 0)
            if response.status != OK:
                raise self._refused(request, response)
            answer = _decode(request, response)
        except TransportFailure as failure:
            raise self._transport_failed(request, failure) from None
        except InvalidResponseError as error:
            raise self._failed(request, RetriableFailure(f"200, but {_plain(str(error))}", "body", OK)) from None
        finally:
            # Only now: what the answer tells decides on what is sent next.
            self._in_flight -= 1
            if self._is_anyone_queued:
                self._hand_out()
        self._note_answer(response)
        self._answered_targets[request.endpoint] = request.target
        if not request.is_control:
            self._tries_alone = None
        return answer

    # Slots

    async def _slot(self, request: _Request[Any]) -> None:
        """Wait for a slot: at most `concurrency` requests are in flight. Pages go first, retries before others.

        While a control is out, nothing else is sent.
        """
        queue = self._control_queue if request.is_control else self._page_queue if request.is_page else self._queue
        waiter = self._loop.create_future()
        if request.tries:
            queue.appendleft(waiter)
        else:
            queue.append(waiter)
        self._hand_out()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in queue:
                queue.remove(waiter)
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._in_flight -= 1
                self._hand_out()
            raise
        self._in_flight -= 1  # `_attempt` counts it again

    def _hand_out(self) -> None:
        """Give free slots to who waits for one, as fast as the Space lets us."""
        while self._in_flight < self._concurrency and (queue := self._next_queue):
            if self._limit.is_on:
                now = self._loop.time()
                if (wait := self._limit.wait(now)) > 0:
                    if self._timer is None:
                        self._timer = self._loop.call_later(wait, self._wake)
                    return
                self._limit.sent(now)
            waiter = queue.popleft()
            if not waiter.done():
                self._in_flight += 1
                waiter.set_result(None)

    @property
    def _next_queue(self) -> deque[asyncio.Future[None]]:
        return self._control_queue if self._control else self._page_queue or self._queue

    @property
    def _is_anyone_queued(self) -> bool:
        return bool(self._control_queue or self._page_queue or self._queue)

    def _wake(self) -> None:
        self._timer = None
        self._hand_out()

    # What an answer is taken for

    def _refused(self, request: _Request[Any], response: Response) -> Exception:
        """What is to be raised for an answer that is not 200."""
        status = response.status
        entries = _errors(response.read())
        codes = tuple(entry.code for entry in entries if entry.code)
        said = f"{status}{_request_id(response)}"
        is_gone = status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
        if status in RETRIED_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR or RATE_LIMIT_CODE in codes:
            failure = self._unavailable_for_now(request, response, f"{said}{_described(entries)}", codes)
        elif is_gone and not entries:
            failure = RetriableFailure(f"{said}, but not in SignalWire's own words", "body", status)
        elif status < HTTPStatus.BAD_REQUEST and not _is_redirect(response):
            failure = RetriableFailure(f"{said}, which is no answer", "body", status)
        else:
            return self._lasting(request, response, f"{request.name}: {said}{_described(entries)}", entries)
        return self._failed(request, failure)

    def _unavailable_for_now(
        self, request: _Request[Any], response: Response, reason: str, codes: tuple[str, ...]
    ) -> RetriableFailure:
        """Failure for a status that passes; where it tells of a limit, the pace is lowered."""
        status = response.status
        retry_after = parse_retry_after(response.header("retry-after"), response.header("date"))
        is_throttled = (
            status == HTTPStatus.TOO_MANY_REQUESTS
            or RATE_LIMIT_CODE in codes
            or (retry_after is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR)
            or (status == HTTPStatus.SERVICE_UNAVAILABLE and self._is_limit(request))
        )
        if not is_throttled:
            return RetriableFailure(reason, "unavailable", status, retry_after)
        quiet = None if retry_after is None else min(retry_after, RETRY_AFTER_CAP_SECONDS)
        self._limit.refused(self._loop.time(), response.sent, in_flight=self._in_flight, retry_after=quiet)
        return RetriableFailure(reason, "throttled", status, retry_after)

    def _lasting(self, request: _Request[Any], response: Response, what: str, entries: list[_Entry]) -> Exception:
        """Error for a status that no other try would change."""
        status = response.status
        if _is_redirect(response):
            return self._fail_all(UnreachableError(f"{what}; unexpected redirect, not followed; check `space`"))
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return self._fail_all(_proxy_error(request, status))
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            advice = f"check `project_id` and `api_token`, and that the API token has the scope {self._scope}"
            return self._fail_all(UnauthorizedError(f"{what}; {advice}"))
        self._note_answer(response)
        codes = tuple(entry.code for entry in entries if entry.code)
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return NotFoundError(what, status, codes)
        if status == HTTPStatus.UNPROCESSABLE_ENTITY and codes and set(codes) == {HISTORY_LIMIT_CODE}:
            return HistoryLimitError(what, entries[0].message)
        return RejectedError(f"{what}; request rejected, not retried{_advice(request, entries)}", status, codes)

    def _note_answer(self, response: Response) -> None:
        """The service answered, whatever it said."""
        self._answered += 1
        self._exhausted_in_a_row = 0
        now = self._loop.time()
        if self._limit.is_on:
            self._limit.answered(now, response.sent)
        if now >= self._next_clock_reading:
            date = parse_http_date(response.header("date"))
            if date is not None:
                self.clock_offset = date + 0.5 - time.time()  # the header's grain is a second
                self._next_clock_reading = now + SECONDS_BETWEEN_CLOCK_READINGS

    def _is_limit(self, request: _Request[Any]) -> bool:
        """Whether a 503 that says no more tells of a limit: many requests meet it while others are answered."""
        self._unavailable.append((request, self._answered))
        if self._answered <= request.answered_before:
            return False
        return self._limit.is_on or (
            len(self._unavailable) == LIMIT_SHOWS_IN
            and self._answered - self._unavailable[0][1] <= LIMIT_SHOWS_WITHIN
            and len({id(one) for one, _ in self._unavailable}) > LIMIT_SHOWS_IN // 2
        )

    def _transport_failed(self, request: _Request[Any], failure: TransportFailure) -> Exception:
        """What is to be raised where no answer came."""
        what = f"{request.name}: {failure.reason}"
        if failure.kind == "tls":
            message = f"{request.name}: TLS failed ({failure.reason}); check `space` and the CA bundle"
            return self._fail_all(UnreachableError(message))
        if failure.kind == "proxy" and failure.proxy_status not in RETRIED_PROXY_STATUSES:
            return self._fail_all(_proxy_error(request, failure.proxy_status))
        if failure.kind in UNKNOWN_HOSTS and not self._answered and request.tries + 1 >= UNKNOWN_HOST_TRIES:
            return self._fail_all(UnreachableError(f"{what}; {ADVICE[failure.kind]}"))
        return self._failed(request, RetriableFailure(failure.reason, failure.kind))

    def _failed(self, request: _Request[Any], failure: RetriableFailure) -> Exception:
        """What is to be raised for a failed try: itself, with the wait before the next, or that there are no more."""
        if self._fatal:
            return self._fatal_error()
        # Where others are answered, the Space is only busy, and this request's turn is still to come.
        is_busy = failure.kind == "throttled" and self._answered > request.answered_before
        if is_busy and (failure.status == HTTPStatus.TOO_MANY_REQUESTS or request.throttled < MAX_THROTTLED_TRIES):
            request.throttled += 1
        else:
            request.tries += 1
        request.answered_before = self._answered
        if request.tries >= min(request.max_tries, self._tries_alone or request.max_tries):
            return self._exhausted(request, failure)
        failure.wait = wait_seconds(failure, max(request.tries, 1 + request.throttled // 4))
        self._warn_of_retry(request, failure)
        return failure

    def _exhausted(self, request: _Request[Any], failure: RetriableFailure) -> Exception:
        self._exhausted_in_a_row += 1
        advice = f"{ADVICE.get(failure.kind, ADVICE['network'])}; {RERUN}"
        setting = " (`backoff_max_tries`)" if request.tries >= self._max_tries else ""
        message = f"{request.name}: {failure.reason}, {request.tries} tries{setting}"
        if self._exhausted_in_a_row >= OUTAGE_REQUESTS and (self._control is None or request.is_control):
            return self._fail_all(OutageError(f"{message}, as {OUTAGE_REQUESTS} requests in a row; {advice}"))
        if self._exhausted_in_a_row >= OUTAGE_REQUESTS - 1 and self._control is None:
            self._begin_control(request)
        if failure.kind in UNKNOWN_HOSTS:
            return self._fail_all(UnreachableError(f"{message}; {advice}"))
        return RetriesExhaustedError(f"{message}; {advice}", failure.status)

    def _begin_control(self, failed: _Request[Any]) -> None:
        """Before it is called an outage: send a request again that this endpoint answered, where there is one."""
        target = self._answered_targets.get(failed.endpoint)
        if target is None:
            return
        request = _Request(target, decode_json, failed.is_page, CONTROL_TRIES, is_control=True)

        async def ask() -> None:
            try:
                await self._complete(request)
                self._tries_alone = CONTROL_TRIES
            except (TapError, OSError):
                pass  # It shows in the count, or in what the next request meets.
            finally:
                self._control = None
                self._hand_out()

        self._control = asyncio.ensure_future(ask())

    def _fail_all(self, error: FatalError) -> FatalError:
        """End every request that waits for a slot or for its retry; those to come end as they begin."""
        if self._fatal is None:
            self._fatal = error
            for waiter in [*self._control_queue, *self._page_queue, *self._queue]:
                if not waiter.done():
                    waiter.set_exception(self._fatal_error())
            self._control_queue.clear()
            self._page_queue.clear()
            self._queue.clear()
            current = asyncio.current_task()
            retrying = [request for request in self._retrying if request.task is not current]
            self._retrying.difference_update(retrying)
            for request in retrying:
                if request.task:
                    request.task.cancel()
        return error

    def _fatal_error(self) -> FatalError:
        error = self._fatal or FatalError()
        return type(error)(*error.args)  # one for each request: an error keeps the way that it was raised on

    def _report(self) -> None:
        """What the client waits for, now and then."""
        logger.debug("%r", self)
        self._reporter = self._loop.call_later(SECONDS_BETWEEN_REPORTS, self._report)

    def _warn_of_retry(self, request: _Request[Any], failure: RetriableFailure) -> None:
        level = logging.DEBUG
        if self._loop.time() >= self._next_warning:
            self._next_warning = self._loop.time() + SECONDS_BETWEEN_WARNINGS
            level = logging.WARNING
        message = "%s: %s; retrying in %.1f s (attempt %d of %d)"
        capped: tuple[float, ...] = ()
        if failure.retry_after is not None and failure.retry_after > RETRY_AFTER_CAP_SECONDS:
            message += "; Retry-After asks for %.0f s, capped at %.0f s"
            capped = (failure.retry_after, RETRY_AFTER_CAP_SECONDS)
        logger.log(
            level,
            message,
            request.name,
            failure.reason,
            failure.wait,
            request.tries + 1,
            request.max_tries,
            *capped,
        )


def _decode(request: _Request[Decoded], response: Response) -> Decoded:
    body = response.read()
    try:
        return request.decode(body)
    except NOT_JSON:
        mended = repair(body)
    if mended is not None:
        try:
            return request.decode(mended)
        except NOT_JSON:
            pass
    what = "the body is not JSON" if body.strip() else "the body is empty"
    raise InvalidResponseError(what)


class _Entry(NamedTuple):
    code: str
    attribute: str
    message: str


def _errors(body: bytes | bytearray) -> list[_Entry]:
    """Entries of an error in the service's own words, in each of its shapes; none where the words are not its own."""
    try:
        answer = decode_json(body)
    except NOT_JSON:
        return []
    if not isinstance(answer, dict):
        return []
    found = answer.get("errors") or answer.get("error") or (answer if _is_flat_error(answer) else [])
    entries = []
    for entry in found if isinstance(found, list) else [found]:
        if isinstance(entry, dict):
            code = entry.get("code") or ""
            message = entry.get("message") or entry.get("detail") or entry.get("title") or ""
            entries.append(_Entry(_plain(str(code)), _plain(str(entry.get("attribute") or "")), _plain(str(message))))
        elif isinstance(entry, str):
            entries.append(_Entry("", "", _plain(entry)))
    return entries


def _is_flat_error(answer: dict[str, Any]) -> bool:
    return bool(answer.get("detail")) or bool(answer.get("code") and answer.get("message"))


def _described(entries: list[_Entry]) -> str:
    described = ""
    for code, attribute, message in entries:
        about = f" ({attribute})" if attribute else ""
        described += f"; {code}{about}: {message}" if code or about else f"; {message}"
    return described


def _is_redirect(response: Response) -> bool:
    status = response.status
    is_redirection = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    return status in REDIRECTS or (is_redirection and response.header("location") is not None)


def _advice(request: _Request[Any], entries: list[_Entry]) -> str:
    """What to look at where this very request is refused."""
    attributes = {entry.attribute for entry in entries}
    if any(attribute.startswith("created_") for attribute in attributes):
        return "; check `start_date` and `end_date`"
    return "; check `page_size`" if "page_size" in attributes and "page_size=" in request.target else ""


def _proxy_error(request: _Request[Any], status: int | None) -> UnreachableError:
    what = f"{request.name}: the proxy refused ({status})"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return UnreachableError(f"{what}; check the user and password in HTTPS_PROXY; not retried")
    return UnreachableError(f"{what}; check HTTPS_PROXY, and that the proxy allows this host")


def _request_id(response: Response) -> str:
    for header in REQUEST_ID_HEADERS:
        if value := response.header(header):
            return f" (request {_NO_ID.sub('', value)[:80]})"
    return ""


_NO_ID = re.compile(r"[^\w.:=+/-]", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def _plain(text: str) -> str:
    """A text from outside, fit for a line of the log."""
    return redact(_CONTROL.sub(" ", text))[:MAX_TEXT]

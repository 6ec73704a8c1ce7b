"""HTTP to one SignalWire Space: authentication, timeouts, retries and errors that say what to do.

Nothing here knows of streams, records or state: `Client.get` takes a path and gives the decoded JSON of the answer.
"""

from __future__ import annotations

import email.utils
import logging
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import backoff
import msgspec
import requests
import urllib3
from singer_sdk.exceptions import FatalAPIError, RetriableAPIError, SkippableAPIError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger("tap-signalwire-logs.client")

BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 30.0
RETRY_AFTER_CAP_SECONDS = 120.0
# A body may take its time on a thin line, but not for ever: `request_timeout` bounds each read, this their sum.
BODY_TIMEOUT_FACTOR = 3

REQUEST_ID_HEADERS = ("x-request-id", "x-signalwire-request-id", "request-id", "x-amzn-requestid")
HISTORY_LIMIT_CODE = "exceeds_history_logs_limit"
TOO_MANY_REQUESTS = 429
# Hundreds of requests may fail at once; one line tells of them.
WARNING_EVERY_SECONDS = 10.0
RETRIED_STATUSES = frozenset({408, 425, TOO_MANY_REQUESTS, 500, 502, 503, 504})

_PHONE_NUMBER = re.compile(r"\+\d{6,15}")
decode_json = msgspec.json.Decoder(float_hook=Decimal).decode
"""Decodes JSON with the digits of its numbers kept."""

encode_json = msgspec.json.Encoder(decimal_format="number").encode
"""Its counterpart."""


class FatalError(FatalAPIError):
    """The run can't go on: the same request would fail again."""


class UnauthorizedError(FatalError):
    """401 or 403: the credentials or their scope."""


class MissingError(SkippableAPIError):
    """404, or 422 for what the Space no longer keeps: this one thing is not there.

    `history_limit` is the service's own sentence on the kept history (it alone holds the date), or None for a 404.
    """

    def __init__(self, message: str, history_limit: str | None = None) -> None:
        """Keep the message, and the sentence that names the limit."""
        super().__init__(message)
        self.history_limit = history_limit


class ExhaustedError(RetriableAPIError):
    """Every try failed for a reason that passes: the network, 429, 5xx, or an answer that was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Keep the message, and the status of the last try (None where no answer came)."""
        super().__init__(message)
        self.status = status


class Stopped(Exception):  # noqa: N818 - no error: somebody asked the run to end
    """The run was asked to stop while it waited."""


@dataclass
class Counts:
    """What went over the wire so far."""

    requests: int = 0
    retries: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, requests: int = 0, retries: int = 0) -> None:
        """Count from any thread."""
        with self.lock:
            self.requests += requests
            self.retries += retries


@dataclass(frozen=True)
class Failure:
    """One try that failed for a reason that passes."""

    why: str
    status: int | None = None
    retry_after: float | None = None


class Slots:
    """Requests in flight: at most `most`, fewer after the Space said that it is too many, more again as it answers.

    Without it, threads that all begin again when a 429's wait is over would use up each other's tries.
    """

    def __init__(self, most: int) -> None:
        """Begin with all slots open."""
        self.open = float(most)
        self._most = most
        self._busy = 0
        self._free = threading.Condition()

    def __enter__(self) -> None:
        """Wait for a slot."""
        with self._free:
            while self._busy >= int(self.open):
                self._free.wait()
            self._busy += 1

    def __exit__(self, *_: object) -> None:
        """Give the slot back."""
        with self._free:
            self._busy -= 1
            self._free.notify()

    def shrink(self) -> None:
        """Halve the open slots."""
        with self._free:
            self.open = max(1.0, self.open / 2)

    def grow(self) -> None:
        """Open one more slot after as many answers as there are open slots."""
        if self.open < self._most:
            with self._free:
                self.open = min(float(self._most), self.open + 1 / self.open)
                self._free.notify()


class Accepts(Protocol):
    """A check of a decoded body: says what is wrong with it, or None."""

    def __call__(self, body: Any, /) -> str | None:
        """Say why the body is no answer to the request, or None where it is one."""


class Client:
    """A Space's REST API over HTTPS (plain HTTP on loopback), for any number of threads.

    Args:
        origin: Scheme, host and port, such as `https://example.signalwire.com`. Credentials go there alone.
        project_id: Basic user.
        api_token: Basic password.
        concurrency: The most requests in flight.
        timeout: Seconds for connecting and for each read.
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
        """Prepare the connection pool; nothing is sent."""
        self.origin = origin
        self.counts = Counts()
        self._timeout = timeout
        self._max_tries = max_tries
        self._stop = stop
        self._slots = Slots(concurrency)
        self._answered = 0
        self._fatal: FatalError | None = None
        self._gate = threading.Lock()
        self._not_before = 0.0
        self._last_warning = float("-inf")
        session = requests.Session()
        # Proxies and CA bundles come from the environment as requests' users know it; loopback is never proxied.
        session.trust_env = not is_loopback(urlsplit(origin).hostname or "")
        self._send_options = session.merge_environment_settings(origin, {}, False, None, None)
        self._adapter = requests.adapters.HTTPAdapter(pool_connections=2, pool_maxsize=concurrency)
        self._template = requests.Request(
            "GET",
            origin,
            headers={"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": user_agent},
            auth=requests.auth.HTTPBasicAuth(project_id.encode(), api_token.encode()),
        ).prepare()

    def get(
        self,
        target: str,
        params: Mapping[str, str | int] | None = None,
        *,
        scope: str,
        accepts: Accepts | None = None,
    ) -> Any:
        """Answer of a GET, decoded, with the digits of its numbers kept (decimals are `Decimal`).

        Args:
            target: A path from the origin's root, with or without a query.
            params: Query parameters.
            scope: The API token's scope that the path needs, for the error that says so.
            accepts: What a whole answer must look like; one that doesn't is tried again.

        Raises:
            UnauthorizedError: 401 or 403. No other request of this client is sent after it.
            FatalError: Any other refusal, a redirect among them.
            MissingError: 404, or older than the history that the Space keeps.
            ExhaustedError: `max_tries` tries failed.
            Stopped: `stop` was set.
        """
        request = self._template.copy()
        request.prepare_url(self.origin + target, params)
        tries = 0
        while True:
            answered_before = self._answered
            outcome = self._try(request, scope, accepts)
            if not isinstance(outcome, Failure):
                return outcome
            # Where others are answered, the Space is only busy, and this request's turn is still to come.
            is_busy = outcome.status == TOO_MANY_REQUESTS and self._answered > answered_before
            tries += not is_busy
            if tries >= self._max_tries:
                break
            seconds = wait_seconds(outcome, max(tries, 1))
            if outcome.status == TOO_MANY_REQUESTS:
                self._close_gate(seconds)
            self._warn_of_retry(request, outcome, tries, seconds)
            self.counts.add(retries=1)
            if self._stop.wait(seconds):
                raise Stopped
        advice = "SignalWire or the network between is in trouble; run again later, the state is true"
        if outcome.status is None:
            advice = "check `space` and the network, or raise `request_timeout`; run again later, the state is true"
        message = f"{_name(request)}: {outcome.why}, {tries} tries (`backoff_max_tries`); {advice}"
        raise ExhaustedError(message, outcome.status)

    def close(self) -> None:
        """Close the idle connections."""
        self._adapter.close()

    def _try(self, request: requests.PreparedRequest, scope: str, accepts: Accepts | None) -> Any:
        with self._slots:
            self._pass_gate()
            if self._fatal:
                raise self._fatal
            self.counts.add(requests=1)
            try:
                response = self._adapter.send(
                    request,
                    stream=True,
                    timeout=self._timeout,
                    verify=self._send_options["verify"] or False,
                    cert=self._send_options["cert"],
                    proxies=self._send_options["proxies"],
                )
                try:
                    body = self._read(response)
                finally:
                    response.close()
            except requests.exceptions.SSLError as error:
                message = f"{_name(request)}: TLS failed ({_reason(error)}); check `space` and the CA bundle"
                raise FatalError(message) from None
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                return Failure(_reason(error))
        try:
            outcome = self._judge(request, response, body, scope, accepts)
        except UnauthorizedError as error:
            self._fatal = error
            raise
        if not isinstance(outcome, Failure):
            self._answered += 1
            self._slots.grow()
        return outcome

    def _read(self, response: requests.Response) -> bytes:
        deadline = time.monotonic() + self._timeout * BODY_TIMEOUT_FACTOR
        chunks = []
        while chunk := response.raw.read1(1 << 20, decode_content=True):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                message = f"the body took longer than {self._timeout * BODY_TIMEOUT_FACTOR:g} s"
                raise requests.exceptions.ReadTimeout(message)
        return b"".join(chunks)

    def _judge(
        self,
        request: requests.PreparedRequest,
        response: requests.Response,
        body: bytes,
        scope: str,
        accepts: Accepts | None,
    ) -> Any:
        status = response.status_code
        if status == requests.codes.ok:
            try:
                answer = decode_json(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return Failure(f"{status}, but the body is {'empty' if not body.strip() else 'no whole JSON'}", status)
            why = accepts(answer) if accepts else None
            return answer if why is None else Failure(f"{status}, but {why}", status)
        what = f"{_name(request)}: {status}{_request_id(response)}"
        errors = _errors(body)
        detail = "".join(f"; {error}" for error in errors)
        if status in RETRIED_STATUSES or status >= requests.codes.server_error:
            retry_after = parse_retry_after(response.headers.get("Retry-After"))
            return Failure(f"{status}{_request_id(response)}{detail}", status, retry_after)
        if status in {401, 403}:
            message = (
                f"{what}{detail}; check `project_id` and `api_token`, and that the API token has the scope {scope}"
            )
            raise UnauthorizedError(message)
        if status in {404, 410}:
            message = f"{what}{detail}"
            raise MissingError(message)
        if status == requests.codes.unprocessable:
            for error in errors:
                if error.startswith(HISTORY_LIMIT_CODE):
                    message = f"{what}{detail}"
                    raise MissingError(message, history_limit=error)
        if response.is_redirect:
            message = f"{what}; a redirect, which is not followed with credentials; check `space`"
            raise FatalError(message)
        message = f"{what}{detail}; the service refuses the request, and would again; check `start_date` and `end_date`"
        raise FatalError(message)

    def _close_gate(self, seconds: float) -> None:
        """Hold every request back: the limit is the Space's, not the one request's."""
        with self._gate:
            if time.monotonic() >= self._not_before:
                self._slots.shrink()
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def _pass_gate(self) -> None:
        while (wait := self._not_before - time.monotonic()) > 0:
            if self._stop.wait(wait):
                raise Stopped
        if self._stop.is_set():
            raise Stopped

    def _warn_of_retry(self, request: requests.PreparedRequest, failure: Failure, tries: int, seconds: float) -> None:
        level = logging.DEBUG
        with self._gate:
            if time.monotonic() - self._last_warning > WARNING_EVERY_SECONDS:
                self._last_warning = time.monotonic()
                level = logging.WARNING
        capped = ""
        if failure.retry_after is not None and failure.retry_after > seconds:
            capped = f" (Retry-After asked for {failure.retry_after:.0f} s, which is capped)"
        logger.log(
            level,
            "%s: %s; try %d of %d in %.1f s%s",
            _name(request),
            failure.why,
            tries + 1,
            self._max_tries,
            seconds,
            capped,
        )


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


def is_loopback(host: str) -> bool:
    """Whether a host name (without a port) is this machine's own."""
    return host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def same_origin(one: str, other: str) -> bool:
    """Whether two absolute URLs have the same scheme, host and effective port."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return parts.scheme, parts.hostname, port


def _name(request: requests.PreparedRequest) -> str:
    """Method and path, without the query: a page token is nobody's business."""
    return f"GET {urlsplit(request.url or '').path}"


def _request_id(response: requests.Response) -> str:
    for header in REQUEST_ID_HEADERS:
        if value := response.headers.get(header):
            return f" (request {value[:80]})"
    return ""


def _errors(body: bytes) -> list[str]:
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
            line = f"{code}{f' ({attribute})' if attribute else ''}: {message}"
            lines.append(_PHONE_NUMBER.sub("+…", line)[:300])
    return lines


def _reason(error: BaseException) -> str:
    """What went wrong on the wire in a few words; the libraries' own texts hold addresses of objects and URLs."""
    if isinstance(error, (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError)):
        return "no connection within `request_timeout`"
    if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)):
        return "no answer within `request_timeout`"
    text = str(error).lower()
    for words, reason in (
        ("refused", "connection refused"),
        ("resolve", "the host name is not known"),
        ("reset", "connection reset"),
        ("incompleteread", "the answer was cut short"),
        ("without response", "connection closed without an answer"),
        ("proxy", "the proxy refused"),
        ("certificate", "the certificate is not trusted"),
        ("timed out", "no answer within `request_timeout`"),
    ):
        if words in text:
            return reason
    return f"the connection failed ({type(error).__name__})"

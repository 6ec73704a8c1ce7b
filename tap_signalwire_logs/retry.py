"""From a failed try to the wait before the next: the one place that decides."""

from __future__ import annotations

import email.utils
import re
import time
from contextlib import suppress
from datetime import timezone

import backoff

BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 30.0
RETRY_AFTER_CAP_SECONDS = 120.0

_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")


class RetriableFailure(Exception):  # noqa: N818 - one try's end, not the request's
    """One try failed for a reason that passes.

    Args:
        reason: What happened, with the status and the request id where there was an answer.
        kind: `throttled`, `unavailable` (5xx), `body` (not the service's answer), or a TransportFailure's kind.
        status: HTTP status; None where no answer came.
        retry_after: Seconds that the answer asks for.
    """

    def __init__(self, reason: str, kind: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        self.wait = 0.0
        """Seconds before the next try; the client sets it."""


def wait_seconds(failure: RetriableFailure, tries: int) -> float:
    """Seconds between a failed try and the next, after so many tries.

    Retry-After is the least wait, never less than the backoff's own; chance is on top of both.
    """
    half: float = min(BACKOFF_FIRST_SECONDS * 2 ** min(tries - 1, 30), BACKOFF_CAP_SECONDS) / 2
    chance = float(backoff.full_jitter(half))
    return float(min(max(half, failure.retry_after or 0.0) + chance, RETRY_AFTER_CAP_SECONDS))


def parse_retry_after(value: str | None, date: str | None = None) -> float | None:
    """Seconds that a Retry-After header asks for: a number of them, or a date, read against the answer's own Date.

    None where it says neither; 0 for a date that has passed.
    """
    if not value:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return float(value)
    until = parse_http_date(value)
    if until is None:
        return None
    now = parse_http_date(date)
    return max(0.0, until - (time.time() if now is None else now))


def parse_http_date(value: str | None) -> float | None:
    """Seconds since 1970 of an HTTP date; None where it is none."""
    if value:
        with suppress(ValueError, TypeError, OverflowError, IndexError):
            moment = email.utils.parsedate_to_datetime(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    return None

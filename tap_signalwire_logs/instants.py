"""Instants as whole microseconds since 1970-01-01 UTC, read from text and written as text."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
SECOND = 1_000_000
DAY = 86_400 * SECOND

_DATE_FIRST = re.compile(r"\d{4}-\d\d-\d\d")


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware date-time."""
    return _micros(instant - EPOCH)


def in_micros(span: timedelta) -> int:
    """Microseconds of a time span."""
    return span // timedelta(microseconds=1)


def to_text(micros: int) -> str:
    """ISO 8601 in UTC, with no more digits than it takes."""
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def parse_instant(text: object) -> int:
    """Microseconds since 1970 of an ISO 8601 text; UTC where it names no zone.

    Raises:
        ValueError: It is none.
    """
    if isinstance(text, str) and len(text) == len("2026-01-31T08:00:00Z") and text[-1] == "Z" and text[10] == "T":
        return _micros(datetime.fromisoformat(text[:-1]) - NAIVE_EPOCH)
    if not isinstance(text, str) or not _DATE_FIRST.match(text):
        message = "no date-time"
        raise ValueError(message)
    try:
        instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        # Python 3.10 reads only 3 or 6 digits of a second.
        import pendulum  # noqa: PLC0415 - a part of the time to the first request, and hardly ever needed

        parsed = pendulum.parse(text, tz="UTC")
        if not isinstance(parsed, pendulum.DateTime):
            raise
        instant = datetime.fromtimestamp(parsed.int_timestamp, tz=timezone.utc).replace(microsecond=parsed.microsecond)
    return to_micros(instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc))


def _micros(since: timedelta) -> int:
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds

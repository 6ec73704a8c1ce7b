"""Instants as integers: microseconds since 1970; and their texts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
HOUR = 3_600
DAY = 24 * HOUR
MICROS = 1_000_000

MINUTES_AND_SECONDS = [f"{second // 60:02d}:{second % 60:02d}Z" for second in range(HOUR)]


def micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def text(instant: int) -> str:
    """ISO 8601 of microseconds since 1970, as the service writes it."""
    second, fraction = divmod(instant, MICROS)
    if fraction:
        return (EPOCH + timedelta(microseconds=instant)).isoformat().replace("+00:00", "Z")
    return _hour(second // HOUR) + MINUTES_AND_SECONDS[second % HOUR]


def parsed(value: str) -> int:
    """Microseconds since 1970 of an ISO 8601 text; without a time zone it is UTC."""
    instant = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return micros(instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc))


@lru_cache(4_096)
def _hour(hour: int) -> str:
    return f"{EPOCH + timedelta(hours=hour):%Y-%m-%dT%H:}"

"""Instants as whole microseconds since 1970-01-01 UTC, read from text and written as text."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
SECOND = 1_000_000
DAY = 86_400 * SECOND
EARLIEST = -719_162 * DAY
"""The first instant of the year 1."""

_FORM = re.compile(
    r"""(?P<year>\d{4})(?P<dash>[-/]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)
        (?:(?:T|\ +|_)
           (?P<hour>\d\d)(?:(?P<colon>:?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?
           \ *
           (?:(?P<sign>[+\-\u2212])(?P<east_hour>\d\d)(?::?(?P<east_minute>\d\d))?(?:\ +(?:UTC|GMT))?|Z|UTC|GMT)?
        )?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_WEEK_OR_DAY_OF_YEAR = re.compile(r"\d{4}-?(?:W\d\d(?:-?\d)?|\d{3})(?:T.*)?", re.ASCII)
_DIGITS_OF_MICROS = 6
_LEAP_SECOND = 60
_END_OF_DAY = 24


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
    """Microseconds since 1970 of a date or date-time as services write it; UTC where it names no zone.

    Takes ISO 8601 in its extended and basic forms, with `T`, a space or an underscore before the time, `Z`, `UTC`,
    `GMT` or an offset in any case behind it, and a fraction of any length, which is cut to microseconds.

    Raises:
        ValueError: It is none, or lies outside the years 1 to 9999.
    """
    if not isinstance(text, str):
        message = "no date-time"
        raise ValueError(message)  # noqa: TRY004 - a caller has one error to expect
    if len(text) == len("2026-01-31T08:00:00Z") and text[-1] == "Z" and text[10] == "T" and text[4] == "-":
        try:
            return _micros(datetime.fromisoformat(text[:-1]) - NAIVE_EPOCH)
        except ValueError:
            pass  # A leap second, or the end of a day as its 24th hour.
    found = _FORM.fullmatch(text.strip())
    micros = _from_parts(found.groupdict()) if found else _with_pendulum(text.strip())
    if not _FIRST <= micros <= _LAST:
        message = "outside the years 1 to 9999"
        raise ValueError(message)
    return micros


def _from_parts(parts: Mapping[str, str | None]) -> int:
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    whole_day = hour == _END_OF_DAY and not (minute or second)
    leap_second = second == _LEAP_SECOND
    date = datetime(int(parts["year"] or 0), int(parts["month"] or 0), int(parts["day"] or 0))  # noqa: DTZ001 - the offset is taken off below
    at = date.replace(hour=0 if whole_day else hour, minute=minute, second=second - leap_second)
    micros = _micros(at - NAIVE_EPOCH) + DAY * whole_day + SECOND * leap_second
    micros += int((parts["fraction"] or "")[:_DIGITS_OF_MICROS].ljust(_DIGITS_OF_MICROS, "0"))
    if not parts["sign"]:
        return micros
    east = timedelta(hours=int(parts["east_hour"] or 0), minutes=int(parts["east_minute"] or 0))
    if east >= timedelta(days=1):
        message = "an offset of a day or more"
        raise ValueError(message)
    return micros - in_micros(east) if parts["sign"] == "+" else micros + in_micros(east)


def _with_pendulum(text: str) -> int:
    """Microseconds since 1970 of ISO 8601's rare forms: weeks and days of the year."""
    if not _WEEK_OR_DAY_OF_YEAR.fullmatch(text):
        message = "no date-time"
        raise ValueError(message)
    import pendulum  # noqa: PLC0415 - a part of the time to the first request, and hardly ever needed

    parsed = pendulum.parse(text, tz="UTC")
    if not isinstance(parsed, pendulum.DateTime):
        message = "no date-time"
        raise ValueError(message)  # noqa: TRY004 - a caller has one error to expect
    return parsed.int_timestamp * SECOND + parsed.microsecond


def _micros(since: timedelta) -> int:
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


_FIRST = to_micros(datetime.min.replace(tzinfo=timezone.utc))
_LAST = to_micros(datetime.max.replace(tzinfo=timezone.utc))

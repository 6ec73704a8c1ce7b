"""Half-open windows [start, end) over created_at, and how they are asked of a list whose boundary rule is unknown.

Pure functions. Instants are whole microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

from tap_signalwire_logs.instants import DAY, EARLIEST, EPOCH, SECOND, parse_instant

TARGET_LOGS = 12_500
"""Logs that a window should hold: enough that its last page, which is seldom full, costs little."""

MAX_LOGS = 60_000
"""Logs past which the listing of a window is split."""

NO_LOGS_BEFORE = parse_instant("2012-01-01")
"""Before SignalWire: no list is asked for a bound that old, unless somebody sets it."""

MAX_SPLITS = 16
"""Parts that a window is split into where its list can't be read, to find the part that is to blame."""


class FilterGranularity(Enum):
    """What the list's filters `created_after` and `created_before` tell apart."""

    DAYS = "days"
    """Whole days, or not known yet: asked in dates, with a day to spare on either side."""

    TIMESTAMPS = "timestamps"
    """Seconds: asked with a second to spare on either side."""

    @property
    def finest(self) -> int:
        """Microseconds of the narrowest window that makes sense."""
        return SECOND if self is FilterGranularity.TIMESTAMPS else DAY


class LowerBound(Enum):
    """How a window's start is asked for; the window keeps out what is older in any case."""

    SPARE = "spare"
    """With a day or a second to spare."""

    OPEN = "open"
    """Not at all."""

    EXACT = "exact"
    """By its very date, and that whole day beside it: nothing earlier may be asked for."""


@dataclass(frozen=True)
class Window:
    """The logs with start <= created_at < end; with `is_open_ended`, those after `end` too.

    Args:
        start: Inclusive, in microseconds since 1970.
        end: Exclusive, likewise.
        lower_bound: How `start` is asked for.
        is_open_ended: Whether no upper bound is asked for, so that a clock that is wrong hides no log.
    """

    start: int
    end: int
    lower_bound: LowerBound = LowerBound.SPARE
    is_open_ended: bool = False

    @property
    def width(self) -> int:
        """Microseconds from start to end."""
        return self.end - self.start

    def holds(self, created: int) -> bool:
        """Whether an instant lies in the window."""
        return self.start <= created and (self.is_open_ended or created < self.end)

    def list_params(self, granularity: FilterGranularity) -> list[dict[str, str]]:
        """Parameters of lists that together hold every log of the window, whatever the service's boundary rule."""
        in_seconds = granularity is FilterGranularity.TIMESTAMPS
        upper: dict[str, str] = {}
        if not self.is_open_ended:
            upper["created_before"] = (
                _timestamp(-(-self.end // SECOND) + 1) if in_seconds else _date(-(-self.end // DAY))
            )
        if self.lower_bound is LowerBound.OPEN or self.start < EARLIEST + DAY:
            return [upper]
        if self.lower_bound is LowerBound.EXACT:
            date = _date(self.start // DAY)
            return [{**upper, "created_after": date}, {"created_on": date}]
        after = _timestamp(self.start // SECOND - 1) if in_seconds else _date(self.start // DAY - 1)
        return [{**upper, "created_after": after}]

    def first_part(self, width: int, granularity: FilterGranularity) -> Window:
        """The window's beginning, about `width` wide; whole days where the service knows only those."""
        stop = self.start + max(width, granularity.finest)
        if granularity is FilterGranularity.DAYS and stop < self.end:
            stop = max(stop // DAY * DAY, self.start // DAY * DAY + DAY)
        return self if stop >= self.end else replace(self, end=stop, is_open_ended=False)

    def after(self, part: Window) -> Window | None:
        """What is left behind a part from the window's beginning; None where that is nothing."""
        if part.end >= self.end:
            return None
        return replace(self, start=part.end, lower_bound=LowerBound.SPARE)


def split(window: Window, granularity: FilterGranularity) -> list[Window]:
    """Parts of equal width, at most MAX_SPLITS and none narrower than the filters can ask for."""
    if window.end <= NO_LOGS_BEFORE:
        return [window]
    parts: list[Window] = []
    rest: Window | None = window
    if window.start < NO_LOGS_BEFORE < window.end:
        parts.append(window.first_part(NO_LOGS_BEFORE - window.start, granularity))
        rest = window.after(parts[0])
    # Whole days are cut at midnights: the first of them may be a short one.
    width = -(-rest.width // (MAX_SPLITS - 1 - len(parts))) if rest else 0
    width = -(-width // granularity.finest) * granularity.finest
    while rest:
        parts.append(rest.first_part(width, granularity))
        rest = rest.after(parts[-1])
    return parts


def width_after(width: int, logs: int, target: int = TARGET_LOGS) -> int:
    """Width of the next window, in microseconds, after one of `width` held `logs`: quiet years are crossed in leaps."""
    if logs * 4 <= target:
        return width * 4
    return width * target // logs


def is_too_full(logs: int, span: int, window: Window, target: int = TARGET_LOGS) -> bool:
    """Whether to split a window, of whose list `logs` logs, `span` microseconds apart, have been read so far."""
    if logs >= MAX_LOGS:
        return True
    return logs >= target // 4 and span > 0 and logs * window.width > 2 * target * span


def probe_instant(created: list[int]) -> int | None:
    """An instant that shows whether timestamps are honoured: one that is not within two seconds of a midnight."""
    for instant in created:
        if 2 * SECOND < instant % DAY < DAY - 3 * SECOND:
            return instant
    return None


def _timestamp(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def _date(days: int) -> str:
    return (EPOCH + timedelta(days=days)).date().isoformat()

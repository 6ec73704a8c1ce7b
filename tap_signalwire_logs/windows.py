"""Half-open windows [start, end) over created_at, and how they are asked of a list whose boundary rule is unknown.

Pure functions. Instants are whole microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from tap_signalwire_logs.instants import DAY, EPOCH, SECOND

TARGET_LOGS = 5_000
"""Logs that a window should hold: a few seconds of gets, so that the bookmark moves often and records come soon."""

MOST_LOGS = 20_000
"""Logs past which the listing of a window is given up for a narrower one."""


class Bounds(Enum):
    """How the list treats `created_after` and `created_before`."""

    DAYS = "days"
    """Cut to whole days, or not known: asked in dates, with a day to spare on either side."""

    TIMESTAMPS = "timestamps"
    """Honoured to the second: asked with a second to spare on either side."""

    @property
    def finest(self) -> int:
        """Microseconds of the narrowest window that makes sense."""
        return SECOND if self is Bounds.TIMESTAMPS else DAY


class Below(Enum):
    """How a window's start is asked for; it bounds the answer in any case."""

    SPARE = "spare"
    """With a day or a second to spare."""

    OPEN = "open"
    """Not at all."""

    EXACT = "exact"
    """By its very date, and that whole day beside it: nothing earlier may be asked for."""


@dataclass(frozen=True)
class Window:
    """The logs with start <= created_at < end."""

    start: int
    end: int
    below: Below = Below.SPARE

    @property
    def width(self) -> int:
        """Microseconds from start to end."""
        return self.end - self.start

    def holds(self, created: int) -> bool:
        """Whether an instant lies in the window."""
        return self.start <= created < self.end

    def questions(self, bounds: Bounds) -> list[dict[str, str]]:
        """List parameters whose answers together hold every log of the window, whatever the service's boundary rule."""
        in_seconds = bounds is Bounds.TIMESTAMPS
        before = _timestamp(-(-self.end // SECOND) + 1) if in_seconds else _date(-(-self.end // DAY))
        parameters = {"created_before": before}
        if self.below is Below.OPEN or self.start < DAY:
            return [parameters]
        if self.below is Below.EXACT:
            date = _date(self.start // DAY)
            return [{**parameters, "created_after": date}, {"created_on": date}]
        after = _timestamp(self.start // SECOND - 1) if in_seconds else _date(self.start // DAY - 1)
        return [{**parameters, "created_after": after}]


def window_from(start: int, end: int, width: int, bounds: Bounds, below: Below = Below.SPARE) -> Window:
    """Window at `start`, at most `width` wide and never past `end`; whole days where the service knows only those."""
    stop = start + max(width, bounds.finest)
    if bounds is Bounds.DAYS and stop < end:
        stop = max(stop // DAY * DAY, start // DAY * DAY + DAY)
    return Window(start, min(stop, end), below)


def width_after(width: int, logs: int) -> int:
    """Width of the next window, in microseconds, after one of `width` held `logs`: quiet years are crossed in leaps."""
    if logs * 4 <= TARGET_LOGS:
        return width * 4
    return width * TARGET_LOGS // logs


def narrower(window: Window, logs: int, span: int, bounds: Bounds) -> int:
    """Width to try where a window held too many logs, judged by the first `logs` of them, `span` microseconds apart."""
    width = window.width // 2
    if logs:
        width = min(width, span * TARGET_LOGS // logs)
    return max(width, bounds.finest)


def is_too_full(logs: int, span: int, window: Window) -> bool:
    """Whether to give up a window's list, of which `logs` logs, `span` microseconds apart, have been read so far.

    It is given up where what is read, or is to be expected after a few pages, is too much.
    """
    if logs >= MOST_LOGS:
        return True
    return logs >= TARGET_LOGS // 2 and logs * window.width > 2 * MOST_LOGS * span


def instants_between(low: int, high: int, end: int, number: int, bounds: Bounds) -> list[int]:
    """Up to `number` instants between two, ascending, ever closer to each other towards `end`, which lies after both.

    Their distances from `end` shrink by one and the same factor.
    """
    factor = ((end - high) / (end - low)) ** (1 / (number + 1))
    instants = {end - int((end - low) * factor**step) for step in range(1, number + 1)}
    if bounds is Bounds.DAYS:
        instants = {instant // DAY * DAY for instant in instants}
    return sorted(instant for instant in instants if low < instant < high)


def probe_instant(created: list[int]) -> int | None:
    """An instant that shows whether timestamps are honoured: one that is not within two seconds of a midnight."""
    for instant in created:
        if 2 * SECOND < instant % DAY < DAY - 3 * SECOND:
            return instant
    return None


def _timestamp(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _date(days: int) -> str:
    return (EPOCH + timedelta(days=days)).strftime("%Y-%m-%d")

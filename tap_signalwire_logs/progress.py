"""What a person sees on stderr: a moving line on a terminal, plain log lines elsewhere, a closing line in both.

Where nobody watches, the same comes as metrics in the SDK's form too: requests, retries, logs waiting, and the lag.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import time
import unicodedata
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, cast

from singer_sdk import metrics

from tap_signalwire_logs.instants import SECOND, to_micros

if TYPE_CHECKING:
    from typing import TextIO

LINE_EVERY_SECONDS = 10.0
DRAW_EVERY_SECONDS = 0.2
SETTLE_SECONDS = 2.0
UNKNOWN_WIDTH = 80
WIPE = "\r\x1b[2K"


class Metric(str, Enum):
    """Metrics beside the SDK's own; each is told once, at the end of a stream."""

    REQUESTS = "http_request_count"
    """Requests that went out, retries included."""
    RETRIES = "http_retry_count"
    WAITING = "waiting_logs"
    """Logs that are not final, which later runs fetch again."""
    LAG = "lag_seconds"
    """Age of the oldest waiting log, 0 where none waits."""


class Counts(Protocol):
    """What a client counts."""

    @property
    def requests(self) -> int:
        """Requests that went out, retries included."""

    @property
    def retries(self) -> int:
        """Requests that were tried again."""


class Progress:
    """Counts of one stream's run, and the telling of them.

    Args:
        stream: The stream's name.
        counts: What the client counts.
        logger: Where the lines go; on a terminal the moving line goes to stderr past it.
    """

    def __init__(self, stream: str, counts: Counts, logger: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self.records = 0
        """RECORD messages that were written."""
        self.refreshed = 0
        """Of them, logs that had come out before and have changed since."""
        self.missing = 0
        """Logs that do not exist, or are no longer kept."""
        self.incomplete = 0
        """Logs and ranges that were asked for and could not be read."""
        self.waiting = 0
        """Logs that are not final."""
        self.oldest_waiting: int | None = None
        """created_at of the oldest waiting log, in microseconds since 1970; None where it is not known."""
        self._stream = stream
        self._counts = counts
        self._logger = logger
        self._began = time.monotonic()
        self._last = self._began
        self._share = 0.0
        # A logging configuration of somebody's own is for a machine.
        self._is_watched = _is_terminal(sys.stderr) and "SINGER_SDK_LOG_CONFIG" not in os.environ
        # A line that moves would be glued to records on a terminal that shows both.
        self._draws = self._is_watched and logger.isEnabledFor(logging.INFO) and not _is_terminal(sys.stdout)
        self._is_drawn = False
        self._handlers = list(logging.getLogger().handlers) if self._draws else []
        for handler in self._handlers:
            handler.addFilter(self._make_way)

    def at(self, share: float) -> None:
        """Note how far the run has come, 0 to 1, and say so on a terminal."""
        self._share = share
        if self._draws and time.monotonic() - self._last >= DRAW_EVERY_SECONDS:
            self._last = time.monotonic()
            # In the last column a terminal may already be on the next line.
            self._write(WIPE + self._line(_width(sys.stderr) - 1))
            self._is_drawn = True

    def closed(self) -> None:
        """Note that a window is closed, and say so where there is no terminal: at most one line in ten seconds."""
        if not self._draws and time.monotonic() - self._last >= LINE_EVERY_SECONDS:
            self._last = time.monotonic()
            forms, values = zip(*self._parts(), strict=True)
            # Numbers go as numbers: in a text, those of seven digits would be taken for phone numbers.
            self._logger.info(", ".join(forms), *itertools.chain.from_iterable(values))

    def finish(self, outcome: str) -> None:
        """Say how the run ended, in one line, and in metrics."""
        self._logger.info(
            "%s: %s: %d records, of them %d refreshed; %d logs waiting, %d missing%s; %d requests, %d retries; %.1f s",
            self._stream,
            outcome,
            self.records,
            self.refreshed,
            self.waiting,
            self.missing,
            f", {self.incomplete} not read" if self.incomplete else "",
            self._counts.requests,
            self._counts.retries,
            time.monotonic() - self._began,
        )
        self._make_way()
        for handler in self._handlers:
            handler.removeFilter(self._make_way)
        if not self._is_watched:
            self._tell_metrics()

    def _tell_metrics(self) -> None:
        told = [
            ("counter", Metric.REQUESTS, self._counts.requests),
            ("counter", Metric.RETRIES, self._counts.retries),
            ("gauge", Metric.WAITING, self.waiting),
        ]
        lag = self._lag_seconds()
        if lag is not None:
            told.append(("gauge", Metric.LAG, lag))
        for kind, metric, value in told:
            tags = {metrics.Tag.STREAM.value: self._stream, metrics.Tag.PID.value: os.getpid()}
            # The SDK reads nothing of a metric but its value, and its own enumeration can't be added to.
            point = metrics.Point(kind, cast("metrics.Metric", metric), value, tags)
            metrics.log(metrics.get_metrics_logger(), point)

    def _lag_seconds(self) -> int | None:
        """Age of the oldest waiting log: 0 where none waits, None where its creation is not known."""
        if not self.waiting:
            return 0
        if self.oldest_waiting is None:
            return None
        return max((to_micros(datetime.now(timezone.utc)) - self.oldest_waiting) // SECOND, 0)

    def _make_way(self, _: logging.LogRecord | None = None) -> bool:
        """Wipe the moving line, so that a log line stands alone."""
        if self._is_drawn:
            self._write(WIPE)
            self._is_drawn = False
        return True

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            self._draws = False  # The terminal is gone, or stderr is closed.

    def _parts(self) -> list[tuple[str, tuple[Any, ...]]]:
        """How far the run is, each part a form and its values."""
        seconds = time.monotonic() - self._began
        share = min(max(self._share, 0.0), 1.0)
        rate = self.records / seconds if seconds else 0.0
        parts: list[tuple[str, tuple[Any, ...]]] = [
            ("%s: %.0f%%", (self._stream, share * 100)),
            ("%d records", (self.records,)),
            ("%.0f records/s", (rate,)),
        ]
        if seconds > SETTLE_SECONDS and 0 < share < 1:
            parts.append(("about %s left", (_duration(seconds / share - seconds),)))
        return parts

    def _line(self, width: int) -> str:
        """The parts that a width in columns holds."""
        parts = [form % values for form, values in self._parts()]
        while len(parts) > 1 and columns(", ".join(parts)) > width:
            parts.pop()
        return cut(", ".join(parts), width)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return bool(stream and stream.isatty()) and os.environ.get("TERM") != "dumb"
    except ValueError:
        return False  # It is closed.


def _width(stream: TextIO) -> int:
    """Columns of a terminal at this moment."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or UNKNOWN_WIDTH
    except (OSError, ValueError):
        return UNKNOWN_WIDTH


def columns(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(map(_columns_of, text))


def cut(text: str, width: int) -> str:
    """The beginning of a text that takes no more than so many columns."""
    taken = 0
    for end, character in enumerate(text):
        taken += _columns_of(character)
        if taken > width:
            return text[:end]
    return text


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Me", "Mn"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

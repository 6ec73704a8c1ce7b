"""What a person sees on stderr: a moving line on a terminal, plain log lines elsewhere, a closing line in both.

For machines the same is told as metrics, in the SDK's form: requests, retries, logs waiting, and the lag.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, cast

from singer_sdk import metrics

from tap_signalwire_logs.instants import SECOND, to_micros

if TYPE_CHECKING:
    from tap_signalwire_logs.client import Counts

LINE_EVERY_SECONDS = 10.0
DRAW_EVERY_SECONDS = 0.2
SETTLE_SECONDS = 2.0


class Metric(str, Enum):
    """Metrics beside the SDK's own; each is told once, at the end of a stream."""

    REQUESTS = "http_request_count"
    """Requests that went out, retries included."""
    RETRIES = "http_retry_count"
    WAITING = "waiting_logs"
    """Logs that are not final, which later runs fetch again."""
    LAG = "lag_seconds"
    """Age of the oldest waiting log, 0 where none waits."""


class Progress:
    """Counts of one stream's run, and the telling of them.

    Args:
        stream: The stream's name.
        wire: What the client counts.
        logger: Where the lines go; on a terminal the moving line goes to stderr past it.
    """

    def __init__(self, stream: str, wire: Counts, logger: logging.Logger) -> None:
        """Begin the clock."""
        self.records = 0
        self.refreshed = 0
        self.missing = 0
        self.waiting = 0
        self.oldest_waiting: int | None = None
        """created_at of the oldest waiting log, in microseconds since 1970; None where it is not known."""
        self._stream = stream
        self._wire = wire
        self._logger = logger
        self._began = time.monotonic()
        self._last = self._began
        self._share = 0.0
        self._terminal = sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)
        self._drawn = False
        self._handlers = list(logging.getLogger().handlers) if self._terminal else []
        for handler in self._handlers:
            handler.addFilter(self._make_way)

    def at(self, share: float) -> None:
        """Note how far the run has come, 0 to 1, and say so on a terminal."""
        self._share = share
        if self._terminal and time.monotonic() - self._last >= DRAW_EVERY_SECONDS:
            self._last = time.monotonic()
            sys.stderr.write(f"\r\x1b[2K{self._line()}")
            sys.stderr.flush()
            self._drawn = True

    def closed(self) -> None:
        """Note that a window is closed, and say so where there is no terminal: at most one line in ten seconds."""
        if not self._terminal and time.monotonic() - self._last >= LINE_EVERY_SECONDS:
            self._last = time.monotonic()
            self._logger.info("%s", self._line())

    def finish(self, outcome: str) -> None:
        """Say how the run ended, in one line, and in metrics."""
        self._logger.info(
            "%s: %s: %d records, of them %d refreshed; %d logs waiting, %d missing; %d requests, %d retries; %.1f s",
            self._stream,
            outcome,
            self.records,
            self.refreshed,
            self.waiting,
            self.missing,
            self._wire.requests,
            self._wire.retries,
            time.monotonic() - self._began,
        )
        for handler in self._handlers:
            handler.removeFilter(self._make_way)
        self._tell_metrics()

    def _tell_metrics(self) -> None:
        told = [
            ("counter", Metric.REQUESTS, self._wire.requests),
            ("counter", Metric.RETRIES, self._wire.retries),
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

    def _make_way(self, _: logging.LogRecord) -> bool:
        """Wipe the moving line, so that a log line stands alone."""
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._drawn = False
        return True

    def _line(self) -> str:
        seconds = time.monotonic() - self._began
        left = ""
        share = min(max(self._share, 0.0), 1.0)
        if seconds > SETTLE_SECONDS and 0 < share < 1:
            left = f", about {_duration(seconds / share - seconds)} left"
        rate = self.records / seconds if seconds else 0.0
        return f"{self._stream}: {share:.0%}, {self.records} records, {rate:.0f} records/s{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

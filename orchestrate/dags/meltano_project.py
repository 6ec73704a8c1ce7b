"""The Meltano project that the DAGs run, and what the backfill computes; nothing here needs Airflow."""

from __future__ import annotations

import os
import re
import shlex
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

TAP = "tap-signalwire-logs"

PROJECT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).resolve().parents[2])
MELTANO = os.environ.get("MELTANO_EXECUTABLE") or "meltano"
RETRIES = 3
RETRY_DELAY = timedelta(seconds=float(os.environ.get("SIGNALWIRE_RETRY_SECONDS") or 60))
WINDOWS_AT_ONCE = int(os.environ.get("SIGNALWIRE_WINDOWS_AT_ONCE") or 8)

MOST_WINDOWS = 1_000
"""Airflow maps a task at most 1,024 times (`core.max_map_length`)."""

YOUNG = timedelta(hours=72)
"""The tap's `refresh_hours`: younger logs may still change."""

MANY_WRITERS = {"target_postgres", "target_bigquery"}

MELTANO_SCRIPT = PROJECT / "orchestrate" / "meltano.sh"
MELTANO_COMMAND = f"set -euo pipefail\nbash {shlex.quote(str(MELTANO_SCRIPT))}"
ENVIRONMENT = {"MELTANO_PROJECT_ROOT": str(PROJECT), "MELTANO_EXECUTABLE": MELTANO, "NO_COLOR": "1"}


def project() -> dict[str, Any]:
    """The project's `meltano.yml`, read here: to ask Meltano takes seconds, each time that Airflow looks at a DAG.

    Raises:
        RuntimeError: It can't be read.
    """
    try:
        content: dict[str, Any] = yaml.safe_load((PROJECT / "meltano.yml").read_text(encoding="utf-8"))
    except OSError as error:
        message = (
            f"{PROJECT / 'meltano.yml'} can't be read ({error.strerror}): set MELTANO_PROJECT_ROOT, for Airflow's DAG "
            "processor and its workers, to the folder of the Meltano project"
        )
        raise RuntimeError(message) from error
    return content


def schedules() -> list[dict[str, Any]]:
    """Schedules of the project's jobs, each with at least `name`, `interval` and `job`."""
    return [schedule for schedule in project().get("schedules") or [] if "job" in schedule]


def backfill_loaders() -> list[str]:
    """Loaders that take several writers at once."""
    loaders = (project().get("plugins") or {}).get("loaders") or []
    return [loader["name"] for loader in loaders if loader.get("namespace") in MANY_WRITERS]


def backfill_windows(
    start: str, end: str, hours: int, *, name: str = "backfill", now: datetime | None = None
) -> list[dict[str, str]]:
    """Cut [start, end) into half-open windows of `hours`; gives each one's environment for `meltano run`.

    Without an `end`, the last hour that is old enough for its logs to change no more.

    Raises:
        ValueError: There is nothing between start and end, or too many windows.
    """
    now = now or datetime.now(timezone.utc)
    first = parse_instant(start)
    last = parse_instant(end) if end else (now - YOUNG).replace(minute=0, second=0, microsecond=0)
    if first >= last:
        message = f"`start` ({text(first)}) must lie before `end` ({text(last)})"
        raise ValueError(message)
    count = -((first - last) // timedelta(hours=hours))
    if count > MOST_WINDOWS:
        least = -((first - last) // timedelta(hours=MOST_WINDOWS))
        message = f"{count} windows are more than {MOST_WINDOWS}; set `window_hours` to at least {least}"
        raise ValueError(message)
    starts = [first + timedelta(hours=hours * number) for number in range(count)]
    return [_window(begin, min(begin + timedelta(hours=hours), last), name) for begin in starts]


def table_window(windows: list[dict[str, str]]) -> dict[str, str]:
    """Window of the first second: the run that makes the table, so that no two make it at once."""
    start = parse_instant(windows[0]["TAP_SIGNALWIRE_LOGS_START_DATE"])
    return {**windows[0], **_window(start, start + timedelta(seconds=1), "table")}


def whole_range(windows: list[dict[str, str]]) -> dict[str, str]:
    """Environment of the comparison at the end: the range of all windows."""
    return {
        **windows[0],
        "RANGE_START": windows[0]["TAP_SIGNALWIRE_LOGS_START_DATE"],
        "RANGE_END": windows[-1]["TAP_SIGNALWIRE_LOGS_END_DATE"],
    }


def parse_instant(value: str) -> datetime:
    """Instant of an ISO 8601 date or date-time, UTC where it names no zone."""
    # Python 3.10 reads only 3 or 6 digits of a second.
    padded = re.sub(r"\.(\d+)", lambda digits: f".{digits[1]:0<6.6}", value.strip().replace("Z", "+00:00"))
    instant = datetime.fromisoformat(padded)
    return instant.astimezone(timezone.utc) if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


def text(instant: datetime) -> str:
    """ISO 8601 in UTC."""
    return instant.isoformat().replace("+00:00", "Z")


def _window(start: datetime, end: datetime, name: str) -> dict[str, str]:
    return {
        "TAP_SIGNALWIRE_LOGS_START_DATE": text(start),
        "TAP_SIGNALWIRE_LOGS_END_DATE": text(end),
        # The same window has the same state, whichever run of the DAG it belongs to.
        "STATE_SUFFIX": f"{name}-{start:%Y%m%dT%H%M%SZ}-{end:%Y%m%dT%H%M%SZ}",
    }

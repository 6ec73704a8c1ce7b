"""The Meltano project that the DAGs run, and what the backfill computes; nothing here needs Airflow."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TAP = "tap-signalwire-logs"
STREAM = "message_logs"

PROJECT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).resolve().parents[2])
MELTANO = os.environ.get("MELTANO_EXECUTABLE") or "meltano"
RETRIES = 3
RETRY_DELAY = timedelta(seconds=float(os.environ.get("SIGNALWIRE_RETRY_SECONDS") or 60))
WINDOWS_AT_ONCE = int(os.environ.get("SIGNALWIRE_WINDOWS_AT_ONCE") or 8)

MOST_WINDOWS = 1_000
"""Airflow maps a task at most 1,024 times (`core.max_map_length`)."""

YOUNG = timedelta(hours=72)
"""The tap's `refresh_hours`: younger logs may still change."""

NAMED = 10

MELTANO_SCRIPT = PROJECT / "orchestrate" / "meltano.sh"
MELTANO_COMMAND = f"set -euo pipefail\nbash {shlex.quote(str(MELTANO_SCRIPT))}"
ENVIRONMENT = {"MELTANO_PROJECT_ROOT": str(PROJECT), "MELTANO_EXECUTABLE": MELTANO, "NO_COLOR": "1"}


class Entry(NamedTuple):
    """A log in its place in the order that the tap and the tables are read in."""

    created: datetime
    log_id: str


@dataclass
class Comparison:
    """What the Space lists against what the table holds."""

    listed: int = 0
    missing: int = 0
    doubled: int = 0
    no_longer_listed: int = 0
    named: list[str] = field(default_factory=list)


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


def checked_loaders() -> list[str]:
    """Loaders whose table can be checked: those with a command `landed`."""
    loaders = (project().get("plugins") or {}).get("loaders") or []
    return [loader["name"] for loader in loaders if "landed" in (loader.get("commands") or {})]


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


def compare(listed: Iterable[Entry], landed: Iterable[Entry]) -> Comparison:
    """Walk both sides, each in order, side by side: memory stays flat however many logs there are."""
    comparison = Comparison()
    rows = iter(landed)
    row = next(rows, None)
    before: Entry | None = None
    for entry in listed:
        comparison.listed += 1
        while row is not None and row < entry:
            comparison.doubled += row == before
            comparison.no_longer_listed += row != before
            before, row = row, next(rows, None)
        if row == entry:
            before, row = row, next(rows, None)
            continue
        comparison.missing += 1
        if len(comparison.named) < NAMED:
            comparison.named.append(f"{entry.log_id} ({text(entry.created)})")
    while row is not None:
        comparison.doubled += row == before
        comparison.no_longer_listed += row != before
        before, row = row, next(rows, None)
    return comparison


def check(start: str, end: str, loader: str) -> Comparison:
    """Compare the logs that the Space lists in [start, end) with the rows that the loader's table holds.

    Raises:
        RuntimeError: A log is missing or doubled, or one of the two sides could not be read whole.
    """
    span = {"TAP_SIGNALWIRE_LOGS_START_DATE": start, "TAP_SIGNALWIRE_LOGS_END_DATE": end}
    listing = {**span, "TAP_SIGNALWIRE_LOGS_RECORD_SOURCE": "list"}
    with _lines(["invoke", TAP], listing) as messages, _lines(["invoke", f"{loader}:landed", start, end], {}) as rows:
        comparison = compare(_listed(messages), _landed(rows))
    if comparison.missing or comparison.doubled:
        message = (
            f"{comparison.missing} of {comparison.listed} logs are missing from {loader}'s table, {comparison.doubled} "
            f"are there twice; missing are {', '.join(comparison.named) or 'none'}. Run the backfill of this range "
            "again under another `name`, which reads it anew"
        )
        raise RuntimeError(message)
    return comparison


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


@contextmanager
def _lines(arguments: list[str], variables: dict[str, str]) -> Iterator[Iterator[str]]:
    """Output of a Meltano command, line by line; an error where the command fails."""
    process = subprocess.Popen(  # noqa: S603 - the arguments are the project's own names and checked dates
        ["bash", str(MELTANO_SCRIPT), *arguments],  # noqa: S607 - as Airflow's own operator calls it
        env={**os.environ, **ENVIRONMENT, **variables},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        yield process.stdout
    except BaseException:
        # Meltano and what it started end with the script.
        os.killpg(process.pid, signal.SIGTERM)
        raise
    finally:
        process.stdout.close()
        code = process.wait()
    if code:
        message = f"meltano {' '.join(arguments)} ended with {code}; its log above says why"
        raise RuntimeError(message)


def _listed(messages: Iterator[str]) -> Iterator[Entry]:
    for line in messages:
        message = json.loads(line)
        if message["type"] == "RECORD" and message["stream"] == STREAM:
            record = message["record"]
            yield Entry(parse_instant(record["created_at"]), record["id"].lower())


def _landed(rows: Iterator[str]) -> Iterator[Entry]:
    for line in rows:
        created, log_id = line.split()
        yield Entry(parse_instant(created), log_id.lower())

"""The demo: a simulated Space, through Meltano into a DuckDB file, again as time passes; models and a report."""

from __future__ import annotations

import html
import os
import re
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb

from tests.simulator import Simulator
from tests.support.pipeline import ROOT, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    Logs = dict[str, dict[str, Any]]

MESSAGES = 5_000
DAYS = 10
LATENCY_SECONDS = 0.02
HOURS_BETWEEN = (1, 3)
TITLE = "Messages of a simulated Space"
NOTE = "Simulated data: no such message was ever sent"
CLOSING_LINE = re.compile(r"message_logs: (done: .+)$", re.MULTILINE)
BUILT = re.compile(r"Done\. PASS=(\d+) WARN=(\d+) ERROR=(\d+)")
WIDTH = 34

CAMPAIGN_FILTERED = 0.4
ABROAD = (
    ("+447700900", 3, 140, 0.72),
    ("+1204555", 4, 120, 0.94),
    ("+4917139200", 2, 90, 0.93),
    ("+614915701", 2, 60, 0.91),
)
"""Prefix of numbers that are nobody's, digits behind it, messages, and the share that arrives."""

OUTBOUND = {
    "direction": "outbound-api",
    "source": "realtime_api",
    "type": "relay_message",
    "charge": Decimal("0.0083"),
    "charge_details": [{"description": "Outbound SMS", "charge": Decimal("0.0083")}],
}

STYLED = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main() -> int:
    """Run the demo; the exit code is 0 where the table equals the Space after every run."""
    began = time.monotonic()
    say(f"{bold('tap-signalwire-logs')}  from a Space to a table that stays true, and to answers\n")
    say("Installing the tap, the loader and dbt with Meltano (a few seconds, longer the first time) ...")
    pipeline = Pipeline.installed(ROOT / "output" / "demo", "tap-signalwire-logs", "target-duckdb", "dbt-duckdb")
    installed = time.monotonic()
    # In the afternoon, when many messages are under way; long enough ago for what follows to be in the past.
    afternoon = datetime.now(timezone.utc).replace(hour=16, minute=0, second=0, microsecond=0) - timedelta(days=2)
    with Simulator(messages=MESSAGES, seed=42, days=DAYS, clock=afternoon) as sim:
        add_traffic(sim)
        sim.latency = LATENCY_SECONDS
        say(
            f"A simulated Space listens on http://{sim.space}: {len(sim.truth()):,} messages of {DAYS} days, "
            f"{LATENCY_SECONDS * 1000:.0f} ms an answer.\n"
        )
        heading("First run", "meltano run tap-signalwire-logs target-duckdb dbt-duckdb:snapshot")
        run(pipeline, sim, "snapshot")
        rows = pipeline.landed()
        same = compare(rows, sim.truth())
        show_table(pipeline, rows)
        for hours, models in zip(HOURS_BETWEEN, ("snapshot", "build"), strict=True):
            before = rows
            sim.advance(hours=hours)
            command = f"meltano run tap-signalwire-logs target-duckdb dbt-duckdb:{models}"
            heading(f"{hours} hour{'s' if hours > 1 else ''} later", command)
            run(pipeline, sim, models)
            rows = pipeline.landed()
            # A log that was deleted since stays in the table, as it last was.
            truth = sim.truth()
            same &= compare({log_id: row for log_id, row in rows.items() if log_id in truth}, truth)
            show_changes(before, rows)
        report = show_report(pipeline, sim)
    seconds = time.monotonic()
    say(
        f"\nThe report is {bold(os.path.relpath(report))}: open it in a browser. The tables are in "
        f"{os.path.relpath(pipeline.database)}.\n"
        f"{seconds - began:.0f} s in all, {installed - began:.0f} s of them to install."
    )
    return 0 if same else 1


def add_traffic(sim: Simulator) -> None:
    """Add what a real Space has and chance does not make: a campaign that a carrier filters, and messages abroad."""
    chance = Random(7)
    start = sim.clock - timedelta(days=4, hours=2)
    for number in range(260):
        filtered = chance.random() < CAMPAIGN_FILTERED
        sim.add(
            {
                **OUTBOUND,
                "from": "+18005550142",
                "to": f"+1555011{chance.randrange(256):04d}",
                "created_at": zulu(start + timedelta(seconds=10 * number)),
                "status": "undelivered" if filtered else "delivered",
                "error_code": "carrier_violation" if filtered else None,
                "error_message": "The carrier has filtered the message." if filtered else None,
            }
        )
    for prefix, digits, count, reached in ABROAD:
        for _ in range(count):
            delivered = chance.random() < reached
            sim.add(
                {
                    **OUTBOUND,
                    "from": f"+1555010{chance.randrange(8):04d}",
                    "to": f"{prefix}{chance.randrange(10**digits):0{digits}d}",
                    "created_at": zulu(sim.clock - timedelta(minutes=chance.randrange(30, DAYS * 24 * 60))),
                    "status": "delivered" if delivered else "failed",
                    "charge": Decimal("0.0415"),
                    "charge_details": [{"description": "Outbound SMS abroad", "charge": Decimal("0.0415")}],
                    "error_code": None if delivered else "30006",
                    "error_message": None if delivered else "Landline or unreachable carrier.",
                }
            )


def run(pipeline: Pipeline, sim: Simulator, models: str) -> None:
    """Run the pipeline and say how it went; the models take the Space's time for now."""
    sim.clear_requests()
    log = pipeline.run_with_models(sim, "duckdb", models, SIGNALWIRE_NOW=sim.clock.isoformat())
    closing, built = CLOSING_LINE.search(log), BUILT.search(log)
    say(f"  the tap's closing line   {closing.group(1) if closing else 'none'}")
    say(f"  what the Space saw       {len(sim.lists())} pages listed, {len(sim.gets()):,} logs fetched")
    if built:
        done, warned, failed = built.groups()
        say(f"  models and their tests   {done} done, {warned} warnings, {failed} errors")


def compare(rows: Logs, truth: Logs) -> bool:
    """Compare the table with the Space, and say it."""
    same = rows == truth
    verdict = "equal, field for field" if same else "THEY DIFFER"
    say(f"  the table and the Space  {len(rows):,} rows, {len(truth):,} logs: {bold(verdict)}")
    return same


def show_table(pipeline: Pipeline, rows: Logs) -> None:
    """Show what landed: a few rows, the statuses and the days."""
    say(f"\n  {bold('The newest rows of signalwire.message_logs')}")
    newest = sorted(rows.values(), key=lambda row: (row["created_at"], row["id"]))[-5:]
    columns = ("created_at", "direction", "kind", "status", "number_of_segments", "charge", "error_code")
    lines = [columns, *(tuple("" if row[name] is None else str(row[name]) for name in columns) for row in newest)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        say(f"    {dim(text) if number == 0 else text}")

    say(f"\n  {bold('By status')}")
    with duckdb.connect(str(pipeline.database), read_only=True) as connection:
        by_status = connection.execute(
            "select status, count(*), sum(charge) from signalwire.message_logs group by all order by 2 desc"
        ).fetchall()
        by_day = connection.execute(
            "select created_at::date, count(*), sum(charge) from signalwire.message_logs group by all order by 1"
        ).fetchall()
    bars(by_status)
    say(f"\n  {bold('By day')}")
    bars(by_day)
    say("")


def bars(counted: Iterable[tuple[Any, int, float]]) -> None:
    """Draw a bar for each row of (label, count, dollars)."""
    rows = list(counted)
    most = max(count for _, count, _ in rows)
    for label, count, dollars in rows:
        bar = "█" * max(1, round(WIDTH * count / most))
        say(f"    {label!s:<12} {dim(bar.ljust(WIDTH))} {count:>6,}   ${dollars:,.5f}")


def show_changes(first: Logs, second: Logs) -> None:
    """Show what a run brought."""
    new = set(second) - set(first)
    changed = {log_id for log_id in first if first[log_id] != second[log_id]}
    moves = Counter(
        f"{first[log_id]['status']} -> {second[log_id]['status']}"
        for log_id in changed
        if first[log_id]["status"] != second[log_id]["status"]
    )
    charged = sum(second[log_id]["charge"] - first[log_id]["charge"] for log_id in changed)
    say(f"\n  {bold('What this run changed')}")
    say(f"    {len(new):>6,} new messages")
    say(f"    {len(changed):>6,} messages that had changed since, and ${charged} charged for them")
    for move, count in moves.most_common():
        say(f"      {count:>6,} {move}")
    say(f"    {len(first) - len(changed):>6,} messages untouched, and not fetched again unless they were not final\n")


def show_report(pipeline: Pipeline, sim: Simulator) -> Path:
    """Make the report and show what it says; gives its file."""
    heading("The report", "meltano invoke dbt-duckdb:report")
    report = pipeline.folder / "output" / "report.html"
    # `uv run poe demo --svg FILE --dark-svg FILE` writes the README's picture.
    pictures = (text if text.startswith("--") else str(Path(text).resolve()) for text in sys.argv[1:])
    arguments = ("--output", str(report), "--title", TITLE, "--note", NOTE, *pictures)
    pipeline.meltano("invoke", "dbt-duckdb:report", *arguments, SIGNALWIRE_NOW=sim.clock.isoformat())
    for title in re.findall(r"^<h2>(.+)</h2>$", report.read_text(encoding="utf-8"), re.MULTILINE):
        say(f"  {html.unescape(title)}")
    return report


def zulu(instant: datetime) -> str:
    """ISO 8601 in UTC, as the service writes it."""
    return instant.isoformat().replace("+00:00", "Z")


def heading(title: str, text: str) -> None:
    """Say where the demo is."""
    say(f"{bold(title)}  {dim(text)}")


def bold(text: str) -> str:
    """Text that stands out on a terminal."""
    return f"\x1b[1m{text}\x1b[0m" if STYLED else text


def dim(text: str) -> str:
    """Text in another colour on a terminal."""
    return f"\x1b[36m{text}\x1b[0m" if STYLED else text


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""The demo: a simulated Space, the pipeline through Meltano into a DuckDB file, and once more after time has passed."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
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
HOURS_BETWEEN = 12
CLOSING_LINE = re.compile(r"message_logs: (done: .+)$", re.MULTILINE)
WIDTH = 34

STYLED = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main() -> int:
    """Run the demo; the exit code is 0 where the table equals the Space after both runs."""
    began = time.monotonic()
    say(f"{bold('tap-signalwire-logs')}  from a Space to a table that stays true\n")
    say("Installing the tap and the loader with Meltano (a few seconds, longer the first time) ...")
    pipeline = Pipeline.installed(ROOT / "output" / "demo", "target-duckdb")
    # In the afternoon, when many messages are under way; long enough ago for what follows to be in the past.
    afternoon = datetime.now(timezone.utc).replace(hour=16, minute=0, second=0, microsecond=0) - timedelta(days=2)
    with Simulator(messages=MESSAGES, seed=42, days=DAYS, clock=afternoon) as sim:
        sim.latency = LATENCY_SECONDS
        say(
            f"A simulated Space listens on http://{sim.space}: {len(sim.truth()):,} messages of {DAYS} days, "
            f"{LATENCY_SECONDS * 1000:.0f} ms an answer.\n"
        )
        heading("First run", "meltano run tap-signalwire-logs target-duckdb")
        run(pipeline, sim)
        first = pipeline.landed()
        same_at_first = compare(first, sim.truth())
        show_table(pipeline, first)

        sim.advance(hours=HOURS_BETWEEN)
        heading("Second run", f"{HOURS_BETWEEN} hours later in the Space: the same command")
        run(pipeline, sim)
        second = pipeline.landed()
        # A log that was deleted since stays in the table, as it last was.
        truth = sim.truth()
        same_at_second = compare({log_id: row for log_id, row in second.items() if log_id in truth}, truth)
        show_changes(first, second)
    say(f"\nThe table is in {os.path.relpath(pipeline.database)}; {time.monotonic() - began:.0f} s in all.")
    return 0 if same_at_first and same_at_second else 1


def run(pipeline: Pipeline, sim: Simulator) -> None:
    """Run the pipeline and say how it went."""
    sim.clear_requests()
    log = pipeline.run(sim, "target-duckdb")
    closing = CLOSING_LINE.search(log)
    say(f"  the tap's closing line   {closing.group(1) if closing else 'none'}")
    say(f"  what the Space saw       {len(sim.lists())} pages listed, {len(sim.gets()):,} logs fetched")


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
    """Show what the second run brought."""
    new = set(second) - set(first)
    changed = {log_id for log_id in first if first[log_id] != second[log_id]}
    moves = Counter(
        f"{first[log_id]['status']} -> {second[log_id]['status']}"
        for log_id in changed
        if first[log_id]["status"] != second[log_id]["status"]
    )
    charged = sum(second[log_id]["charge"] - first[log_id]["charge"] for log_id in changed)
    say(f"\n  {bold('What the second run changed')}")
    say(f"    {len(new):>6,} new messages")
    say(f"    {len(changed):>6,} messages that had changed since, and ${charged} charged for them")
    for move, count in moves.most_common():
        say(f"      {count:>6,} {move}")
    say(f"    {len(first) - len(changed):>6,} messages untouched, and not fetched again unless they were not final")


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

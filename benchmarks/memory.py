"""Peak memory and requests of whole runs by the number of logs; writes `benchmarks/memory.md`.

The simulated Space is a process of its own; what is measured is the tap's process, from its start to its end.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
REPORT = Path(__file__).parent / "memory.md"
MOST_GROWTH = 1.25
ONE_MINUTE = 1 / (24 * 60)


@dataclass(frozen=True)
class Job:
    """One run: where its records come from, how many logs there are, and the days that they spread over."""

    record_source: str
    messages: int
    days: float
    what: str = ""


JOBS = [
    [Job("list", 10_000, 30), Job("list", 1_000_000, 30), Job("list", 1_000_000, ONE_MINUTE, " in one minute")],
    [Job("get", 10_000, 30), Job("get", 200_000, 30)],
]


def main() -> int:
    """Run every job; the exit code is 0 where no peak is more than 1.25 times that of 10,000 logs."""
    lines = []
    grew = False
    for jobs in JOBS:
        smallest = 0.0
        for job in jobs:
            figures = measure(job)
            smallest = smallest or figures["peak"]
            growth = figures["peak"] / smallest
            grew |= growth > MOST_GROWTH
            lines.append(
                f"| {job.record_source} | {job.messages:,}{job.what} | {figures['records']:,} "
                f"| {figures['requests']:,} | {figures['peak']:.0f} | {growth:.2f} | {figures['seconds']:.1f} |"
            )
            print(lines[-1], flush=True)
    REPORT.write_text(report(lines), encoding="utf-8")
    return 1 if grew else 0


def measure(job: Job) -> dict[str, Any]:
    """Run one job: records, requests, peak resident memory in MB, seconds from start to end of the process."""
    space = [sys.executable, "-m", "tests.space", "--messages", str(job.messages), "--days", str(job.days)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(space, stdout=subprocess.PIPE, cwd=ROOT) as server,
    ):
        assert server.stdout
        config = Path(folder, "config.json")
        config.write_text(json.dumps({**json.loads(server.stdout.readline()), "record_source": job.record_source}))
        log = Path(folder, "log")
        output = Path(folder, "output")
        command = [sys.executable, "-m", "tap_signalwire_logs", "--config", str(config)]
        began = time.monotonic()
        with log.open("w") as stderr, output.open("w") as stdout:
            process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=ROOT)
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        server.terminate()
        closing = next(line for line in log.read_text().splitlines() if "message_logs: done" in line)
        words = closing.replace(";", "").split()
        with output.open() as lines:
            records = sum('"type":"RECORD"' in line for line in lines)
        return {
            "records": records,
            "requests": int(words[words.index("requests,") - 1]),
            "peak": usage.ru_maxrss / 1_024,
            "seconds": seconds,
        }


def report(lines: list[str]) -> str:
    """Document with the table."""
    versions = f"Python {platform.python_version()}, singer-sdk {version('singer-sdk')}"
    table = "\n".join(lines)
    return f"""# Memory and requests

Measured on {datetime.now(timezone.utc):%Y-%m-%d} with `uv run poe memory` ({versions}, {os.cpu_count()} cores):
the peak resident memory of the tap's process, and the requests of the run, against the simulated Space at 0 ms an
answer.

| records from | logs | records | requests | peak MB | of 10,000 logs | s |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{table}

The peak may be at most {MOST_GROWTH} times that of 10,000 logs. Seconds are of one run, server and tap on the same
machine; they are no comparison with anything.
"""


if __name__ == "__main__":
    sys.exit(main())

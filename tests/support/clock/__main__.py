"""`poe clock`: the quick part of the tests with the clock and the zone moved; ends with 1 where one moment fails.

Each moment is given as local time and zone, as in `2028-02-29T23:59:30@Asia/Kolkata`; without any, those below.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import datetime
from itertools import cycle
from pathlib import Path
from zoneinfo import ZoneInfo

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent.parent
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")

# Each begins shortly before its hour ends, so that the hour, and once the day, ends while tests run.
HOURS = [f"2026-12-15T{hour:02}:59:45@{zone}" for hour, zone in zip(range(24), cycle(ZONES), strict=False)]
ENDS = [
    f"{moment}@{zone}"
    for zone in ZONES
    for moment in ("2026-11-30T23:59:45", "2027-12-31T23:59:45", "2028-02-29T00:00:15", "2028-02-29T23:59:45")
]
CLOCK_CHANGES = [
    "2027-03-14T01:59:45@America/New_York",
    "2027-11-07T01:59:45@America/New_York",
    "2027-09-26T01:59:45@Pacific/Auckland",
]


def environment_at(moment: str) -> dict[str, str]:
    """Environment in which Python processes begin at a moment."""
    local, _, zone = moment.partition("@")
    return {**os.environ, "TZ": zone, **shifted(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)))}


def shifted(moment: datetime) -> dict[str, str]:
    """Variables with which a Python process begins at a moment."""
    now = time.time() - float(os.environ.get("TESTS_CLOCK_SHIFT", "0"))
    path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"TESTS_CLOCK_SHIFT": f"{moment.timestamp() - now:.0f}", "PYTHONPATH": path}


def main(moments: list[str]) -> int:
    """Run the quick part at each moment; gives the exit code."""
    failed = []
    for moment in moments:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "-m", "not slow", "-p", "no:cacheprovider"]
        # The library that moves the clock is a plugin of pytest too, and here it is imported before pytest is.
        command += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment_at(moment), capture_output=True, text=True, check=False
        )
        said = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""]
        print(f"{moment}: {said[-1]}", flush=True)
        if done.returncode:
            failed.append(moment)
            print(done.stdout, done.stderr, sep="\n", flush=True)
    print(f"{len(moments) - len(failed)} of {len(moments)} moments are green", *failed, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [*HOURS, *ENDS, *CLOCK_CHANGES]))

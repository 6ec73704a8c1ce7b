"""`uv run poe bench [JOB ...]`: measures the jobs (all of them where none is named) and writes the report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environments import CONTENDERS, TAP, prepare
from benchmarks.jobs import JOBS, Plan
from benchmarks.plots import write_plots
from benchmarks.report import is_met, row_text, write_report

FOLDER = Path(__file__).parent
RUNS = 5


def main() -> int:
    """Run the jobs; the exit code is 0 where each reached what is asked of it."""
    parser = argparse.ArgumentParser(prog="uv run poe bench", description=__doc__)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each process (%(default)s)")
    parser.add_argument(
        "--scale", type=float, default=1, help="share of the logs; a trial, whose report goes to benchmarks/.trial/"
    )
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report anew")
    options = parser.parse_args()
    unknown = set(options.jobs) - set(JOBS)
    if unknown:
        parser.error(f"no such job: {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}")
    is_trial = options.scale != 1 or options.runs < RUNS
    folder = FOLDER / ".trial" if is_trial else FOLDER
    folder.mkdir(exist_ok=True)
    names = [] if options.report else options.jobs or list(JOBS)
    all_met = measure(names, Plan(options.runs, options.scale), folder / "results.json") if names else True
    results = read(folder / "results.json")
    write_plots(results, folder)
    write_report(results, folder)
    print(f"{folder / 'README.md'} is written")
    return 0 if all_met else 1


def measure(names: list[str], plan: Plan, file: Path) -> bool:
    """Run jobs, keeping the outcome of each as soon as it is there; gives whether all reached what is asked."""
    versions = prepare(CONTENDERS)
    all_met = True
    for name in names:
        print(f"{name}: {JOBS[name].__doc__}", flush=True)
        outcome = JOBS[name](plan)
        outcome["rows"] += whole(outcome["figures"])
        results = read(file)
        outcome["figures"] = {label: slim(one) for label, one in outcome["figures"].items()}
        results[name] = {"title": JOBS[name].__doc__, **facts(plan), "versions": versions, **outcome}
        in_order = {known: results[known] for known in JOBS if known in results}
        file.write_text(json.dumps(in_order, indent=1) + "\n", encoding="utf-8")
        for row in outcome["rows"]:
            print(f"  {row_text(row)}", flush=True)
            all_met &= is_met(row) is not False
    return all_met


def whole(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Row with how many runs of the tap brought something else than the truth."""
    verdicts = [verdict for one in figures.values() if one["name"] == TAP for verdict in one.get("wrong", [])]
    what = "runs of the tap that did not bring every log, each once, field for field"
    row = {"what": what, "most": 0, "measured": sum(map(bool, verdicts)), "text": f"of {len(verdicts)}"}
    return [row] if verdicts else []


def slim(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures with the median and the spread of what was measured at each run, and each verdict once."""
    kept = dict(figures)
    for what, values in figures.items():
        if what == "wrong":
            kept[what] = sorted(set(filter(None, values)))
        elif isinstance(values, list):
            known = [round(value, 4) for value in values if value is not None]
            spread = {"median": median(known), "low": min(known), "high": max(known)} if known else {}
            kept[what] = {**spread, "runs": len(values)}
    return kept


def facts(plan: Plan) -> dict[str, Any]:
    """When, on what and how often."""
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "runs": plan.runs,
    }


def read(file: Path) -> dict[str, Any]:
    """Results that are there."""
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return results


if __name__ == "__main__":
    sys.exit(main())

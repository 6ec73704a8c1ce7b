"""Whole processes, one after another in turns, each measured from its start to its end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environments import CONTENDERS, ROOT
from benchmarks.space import client_core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.space import Space

LONG_SECONDS = 20.0
REQUESTS = re.compile(r"(\d+) requests")


@dataclass(frozen=True)
class Entry:
    """A contender in a job: what it is called there, which one it is, where it reads and how.

    `once` lets a run of over 20 seconds stand alone.
    """

    label: str
    name: str
    space: Space
    mode: str
    concurrency: int = 32
    once: bool = False


def in_turns(entries: Iterable[Entry], runs: int) -> dict[str, dict[str, Any]]:
    """Run all entries in turns (A B C A B C ...); gives lists of figures, one for each run, by label."""
    figures: dict[str, dict[str, Any]] = {}
    left = list(entries)
    for number in range(runs):
        for entry in list(left):
            run = run_once(entry)
            print(
                f"  {number + 1}/{runs} {entry.label}: {run['wall']:.2f} s, CPU {run['cpu']:.2f} s, "
                f"{run['peak']:.0f} MB{', ' if run['wrong'] else ''}{run['wrong']}",
                flush=True,
            )
            kept = figures.setdefault(entry.label, {"name": entry.name, "logs": entry.space.logs})
            for what in ("wall", "cpu", "peak", "wrong", "requests"):
                kept.setdefault(what, []).append(run[what])
            if entry.once and run["wall"] > LONG_SECONDS:
                left.remove(entry)
    return figures


def run_once(entry: Entry, look: Callable[[Path], Any] | None = None) -> dict[str, Any]:
    """Run one process; `wrong` says what its records lack, `look` sees its output before it is gone.

    Raises:
        RuntimeError: It failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = CONTENDERS[entry.name].command(entry.space.settings, entry.mode, entry.concurrency, folder)
        run = launch(command, folder)
        # Some write to a file of their own, the others to their stdout.
        output = next(file for file in (folder / "output", folder / "stdout") if file.exists())
        run["wrong"] = entry.space.verdict(output)
        # The tap's closing line.
        requests = REQUESTS.search((folder / "log").read_text(encoding="utf-8"))
        run["requests"] = int(requests.group(1)) if requests else None
        run["seen"] = look(output) if look else None
        return run


def launch(command: list[str], folder: Path, *, is_pinned: bool = True) -> dict[str, Any]:
    """Run a command with its stdout in `folder/stdout` and its stderr in `folder/log`; see `launch.py`.

    Pinned, it has a core of its own where there is more than one; else all of them.

    Raises:
        RuntimeError: It failed.
    """
    job = {
        "command": command,
        "core": client_core() if is_pinned else None,
        "stdout": str(folder / "stdout"),
        "stderr": str(folder / "log"),
        "cwd": str(ROOT),
    }
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), json.dumps(job)]
    told: dict[str, Any] = json.loads(subprocess.run(launcher, check=True, stdout=subprocess.PIPE).stdout)
    if told["code"]:
        log = (folder / "log").read_text(encoding="utf-8", errors="replace")
        message = f"{' '.join(command)} ended with {told['code']}:\n{log[-2_000:]}"
        raise RuntimeError(message)
    return told

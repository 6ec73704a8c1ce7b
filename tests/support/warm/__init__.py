"""Commands that tests start many times, each run by a fork of a process that has imported it.

Where `TESTS_WARM` names a folder, each Python process that finds `sitecustomize.py` stands in for its command's run
(`server.py`). The run is no child of the one that started it, but its stand-in is: its exit code, its signals and its
streams are the run's. A test that kills what a command has started is marked `real_command`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

VARIABLE = "TESTS_WARM"
FOLDER = Path(__file__).parent

_folder = os.environ.get(VARIABLE, "")
_is_ours = False


def begin() -> None:
    """Let the commands that this process starts, and those that these start, be run by warm processes."""
    global _folder, _is_ours
    # Where the clock is moved, it is another `sitecustomize` that does so.
    if _folder or sys.platform != "linux" or "TESTS_CLOCK_SHIFT" in os.environ:
        return
    _folder, _is_ours = tempfile.mkdtemp(prefix="warm-"), True
    (Path(_folder) / "owner").write_text(str(os.getpid()), encoding="utf-8")
    os.environ[VARIABLE] = _folder
    os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])


def end() -> None:
    """End the warm processes, where it was this process that began."""
    if _is_ours:
        shutil.rmtree(_folder, ignore_errors=True)


def set_enabled(enabled: bool) -> None:
    """Say whether commands are run so from now on."""
    os.environ[VARIABLE] = _folder if enabled else ""


def enable_in(environment: Path) -> None:
    """Let the commands of a virtual environment be run so, whatever becomes of `PYTHONPATH` on the way to them."""
    for packages in environment.glob("lib/python*/site-packages"):
        (packages / "warm.pth").write_text(f"{FOLDER}\nimport sitecustomize\n", encoding="utf-8")


def passed_on(command: Path) -> Path:
    """A script that runs a command so wherever it is started from: Meltano takes `PYTHONPATH` from its plugins."""
    if not _folder:
        return command
    script = Path(_folder, "bin", command.name)
    if not script.exists():
        script.parent.mkdir(exist_ok=True)
        made = script.with_suffix(f".{os.getpid()}")
        path, quoted = shlex.quote(os.environ["PYTHONPATH"]), shlex.quote(str(command))
        made.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {quoted} "$@"\n', encoding="utf-8")
        made.chmod(0o700)
        made.rename(script)
    return script


def as_ever(command: Path, folder: Path, where: str) -> Path:
    """A script in a folder that starts a command, and all that it starts, anew where a condition of the shell holds."""
    script = folder / command.name
    anew = f"if {where}; then export {VARIABLE}=; fi"
    script.write_text(f'#!/bin/sh\n{anew}\nexec {shlex.quote(str(passed_on(command)))} "$@"\n', encoding="utf-8")
    script.chmod(0o700)
    return script

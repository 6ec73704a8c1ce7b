"""A clean checkout with nothing but Python: no uv on the PATH, an empty home."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pipeline import ROOT
from tests.support.run import environment

pytestmark = [pytest.mark.slow, pytest.mark.real_command]


def test_the_demo_runs_from_python_alone(tmp_path: Path) -> None:
    checkout, home, commands = (tmp_path / name for name in ("checkout", "home", "bin"))
    home.mkdir()
    commands.mkdir()
    # No other command of the folder that this Python is in: uv may be one.
    (commands / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
    readme = (checkout / "README.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```console\n(.+?)```", readme, re.DOTALL) if "python3 -m venv" in block]
    variables = environment(HOME=str(home), PATH=f"{commands}:/usr/bin:/bin")
    for name in ("VIRTUAL_ENV", "UV", "UV_PROJECT_ENVIRONMENT"):
        variables.pop(name, None)
    assert not shutil.which("uv", path=variables["PATH"])
    done = subprocess.run(
        ["bash", "-ec", block], cwd=checkout, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal, field for field") == 3

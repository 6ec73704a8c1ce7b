"""Environments of tools that are no dependencies of the project: made once below `.envs/`, and kept."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(__file__).parent.parent.parent / ".envs"

AIRFLOW = ("airflow", "apache-airflow~=3.3")
# Its dependencies as they were then: newer ones break it.
AIRFLOW_2 = ("airflow-2.10", "apache-airflow==2.10.5", "--exclude-newer=2025-02-20")
BIGQUERY = (
    "bigquery",
    "bqemulator==1.4.0",
    "duckdb==1.5.5",
    "duckdb-extensions==1.5.5",
    "duckdb-extension-icu==1.5.5",
    "duckdb-extension-spatial==1.5.5",
    "numpy~=2.2",
)
SINGER_TOOLS = ("singer-tools", "singer-tools==0.4.1")
TARGET_DUCKDB = ("target-duckdb", "target-duckdb==0.8.0", "duckdb==1.1.3")


def environment_of(name: str, *requirements: str, python: str = sys.executable) -> Path:
    """A virtual environment below `.envs/` with these packages, made once and kept; gives its folder of commands."""
    folder = ENVIRONMENTS / name
    ENVIRONMENTS.mkdir(exist_ok=True)
    uv = shutil.which("uv")
    assert uv, "uv is what the tests are run with"
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made-with"
        recipe = "\n".join([python, *requirements])
        if not made.exists() or made.read_text(encoding="utf-8") != recipe:
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", python, folder], check=True)
            command = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements]
            subprocess.run(command, check=True, cwd=ENVIRONMENTS.parent)
            made.write_text(recipe, encoding="utf-8")
    return folder / "bin"

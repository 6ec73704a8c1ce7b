"""Environments of tools that are no dependencies of the project: made once below `.envs/`, and kept.

`python -m tests.support.environments NAME ...` makes some of them.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

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
PRISM = ("prism", "@stoplight/prism-cli@5.16.0")
TARGET_DUCKDB = ("target-duckdb", "target-duckdb==0.8.0", "duckdb==1.1.3")
BELOW_3_14 = ">=3.10,<3.14"
"""The Pythons that duckdb up to 1.3 and dbt-core 1.11 run on."""
BY_NAME = {recipe[0]: recipe for recipe in (AIRFLOW, AIRFLOW_2, BIGQUERY, SINGER_TOOLS)}


def environment_of(name: str, *requirements: str, python: str = sys.executable) -> Path:
    """A virtual environment below `.envs/` with these packages, made once and kept; gives its folder of commands."""
    folder = ENVIRONMENTS / name
    with made(name, python, *requirements) as is_made:
        if not is_made:
            subprocess.run([_command("uv"), "venv", "--quiet", "--clear", "--python", python, str(folder)], check=True)
            into = ["--python", str(folder / "bin" / "python")]
            command = [_command("uv"), "pip", "install", "--quiet", *into, *requirements]
            subprocess.run(command, check=True, cwd=ENVIRONMENTS.parent)
    return folder / "bin"


def prism() -> Path:
    """The command of Prism, which mocks what an OpenAPI description says; from npm, made once and kept."""
    name, requirement = PRISM
    folder = ENVIRONMENTS / name
    with made(name, requirement) as is_made:
        if not is_made:
            folder.mkdir(exist_ok=True)
            options = "--silent --no-audit --no-fund --ignore-scripts --prefix"
            command = [_command("npm"), "install", *options.split(), str(folder), requirement]
            subprocess.run(command, check=True, cwd=folder)
    return folder / "node_modules" / ".bin" / "prism"


@contextmanager
def made(name: str, *recipe: str) -> Iterator[bool]:
    """Whether an environment was made in this way, with no other process at it; it is when the context closes."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    made_with = ENVIRONMENTS / f"{name}.made-with"
    wanted = "\n".join(recipe)
    with locked(ENVIRONMENTS / f"{name}.lock"):
        yield made_with.exists() and made_with.read_text(encoding="utf-8") == wanted
        made_with.write_text(wanted, encoding="utf-8")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process is in here with the same file."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _command(name: str) -> str:
    command = shutil.which(name)
    assert command, f"{name} is what environments are made with"
    return command


if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        environment_of(*BY_NAME[wanted])

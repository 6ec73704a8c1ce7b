"""The checkout's own Meltano pipeline, with its state, its plugins and its table in a folder of the caller's."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from tests.support import warm
from tests.support.environments import ENVIRONMENTS, locked
from tests.support.run import SCRIPTS, output_of, with_scripts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulator import Simulator

ROOT = Path(__file__).parent.parent.parent
MELTANO = SCRIPTS / "meltano"
TIMEOUT_SECONDS = 600
QUIET = {"NO_COLOR": "1", "DBT_LOG_LEVEL_FILE": "none", "DBT_WRITE_JSON": "false"}
"""Variables without which dbt writes files that nobody reads."""

READ = (
    *("PATH", "HOME", "USER", "LANG", "LC_", "TZ", "TMP", "TEMP", "XDG_", "LD_", "PYTHON", "TESTS_"),
    *("UV_", "PIP_", "SSL_", "REQUESTS_", "CURL_", "http", "HTTP", "no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy"),
)
"""Beginnings of the names of variables that Meltano, its plugins and what installs them read."""


@dataclass(frozen=True)
class Pipeline:
    """Meltano on a copy of `meltano.yml` in `folder`; the tap is installed from this checkout."""

    folder: Path

    @classmethod
    def installed(cls, folder: Path, *plugins: str) -> Pipeline:
        """Pipeline with just these plugins, and nothing landed yet."""
        pipeline = cls(folder)
        pipeline._copy_project()
        pipeline.meltano("install", *plugins)
        pipeline.forget()
        return pipeline

    @classmethod
    def shared(cls, folder: Path, *plugins: str, is_whole: bool = False) -> Pipeline:
        """Pipeline with the tap and these loaders and utilities, installed once for all tests, and kept.

        Its `meltano.yml` has no other plugins, unless it is the whole one: Meltano reads all of it for each command.
        """
        definition = (ROOT / "meltano.yml").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
        home = ENVIRONMENTS / "meltano" / hashlib.sha256(definition).hexdigest()[:12]
        home.mkdir(parents=True, exist_ok=True)
        pipeline = cls(folder)
        pipeline._copy_project()
        if not is_whole:
            file = folder / "meltano.yml"
            file.write_text(_with_plugins(file.read_text("utf-8"), ("tap-signalwire-logs", *plugins)), "utf-8")
        for plugin in ("tap-signalwire-logs", *plugins):
            with locked(home / f"{plugin}.lock"):
                installed = home / f"{plugin}.installed"
                if not installed.exists():
                    cls.installed(home / plugin, plugin)
                    installed.touch()
            kind = {"tap": "extractors", "dbt": "utilities"}.get(plugin.partition("-")[0], "loaders")
            link = folder / ".meltano" / kind / plugin / "venv"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(home / plugin / ".meltano" / kind / plugin / "venv")
            warm.enable_in(link)
        pipeline.forget()
        return pipeline

    def forget(self) -> None:
        """Drop the state and what landed, and keep the installed plugins."""
        for file in (self.folder / ".meltano").glob("meltano.db*"):
            file.unlink()
        shutil.rmtree(self.folder / "output", ignore_errors=True)
        (self.folder / "output").mkdir(parents=True)

    def _copy_project(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        project = (ROOT / "meltano.yml").read_text(encoding="utf-8")
        (self.folder / "meltano.yml").write_text(project.replace("pip_url: -e .", f"pip_url: -e {ROOT}"), "utf-8")
        for name in ("orchestrate", "report", "transform"):
            shutil.copytree(ROOT / name, self.folder / name, dirs_exist_ok=True)

    def run(self, sim: Simulator, loader: str, *options: str, **settings: str) -> str:
        """Run `meltano run OPTIONS tap-signalwire-logs LOADER` against a simulated Space; gives its log."""
        return self.meltano("run", *options, "tap-signalwire-logs", loader, **credentials(sim), **settings)

    def run_with_models(self, sim: Simulator, warehouse: str, models: str = "build", **settings: str) -> str:
        """Run the tap, the loader and a command of the dbt utility of a warehouse; gives the log."""
        tasks = ("tap-signalwire-logs", f"target-{warehouse}", f"dbt-{warehouse}:{models}")
        return self.meltano("run", *tasks, **credentials(sim), **settings)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a Meltano command, with its log to read."""
        return subprocess.Popen(
            [MELTANO, *arguments],
            cwd=self.folder,
            env=environment_with(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def meltano(self, *arguments: str, **variables: str) -> str:
        """Run a Meltano command; gives its log, or raises it."""
        return output_of([MELTANO, *arguments], self.folder, environment_with(variables), TIMEOUT_SECONDS)

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.folder / "output" / "warehouse.duckdb"

    def landed(self) -> dict[str, dict[str, Any]]:
        """Rows of the DuckDB table by ID, in the shape of the service's records."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            result = connection.execute("select * from signalwire.message_logs")
            names = [column[0] for column in result.description or []]
            rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        assert len({row["id"] for row in rows}) == len(rows)
        return {row["id"]: _as_record(row) for row in rows}


def _with_plugins(project: str, names: tuple[str, ...]) -> str:
    """`meltano.yml` with just these plugins."""
    before, _, plugins = project.partition("\nplugins:\n")
    parts = re.split(r"^(?=  (?:- name: |\w+:$))", plugins, flags=re.MULTILINE)
    kept = [part for part in parts if part.partition("- name: ")[2].partition("\n")[0] in {"", *names}]
    kinds = re.sub(r"^  \w+:\n(?=  \w|\Z)", "", "".join(kept), flags=re.MULTILINE)
    return f"{before}\nplugins:\n{kinds}"


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment of a Meltano command: this process's, but for what only others read.

    For each of a thousand settings Meltano copies its whole environment.
    """
    own = {**QUIET, **variables}
    found = with_scripts(**own)
    # The tap's own commands start it too.
    found["PATH"] = f"{warm.passed_on(MELTANO).parent}{os.pathsep}{found['PATH']}"
    return {name: value for name, value in found.items() if name in own or name.startswith(READ)}


def credentials(sim: Simulator, prefix: str = "SIGNALWIRE") -> dict[str, str]:
    """Environment that leads to a simulated Space."""
    return {
        f"{prefix}_SPACE": sim.space,
        f"{prefix}_PROJECT_ID": sim.project_id,
        f"{prefix}_API_TOKEN": sim.api_token,
    }


def _as_record(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("created_at", "discarded_at"):
        row[name] = row[name] and row[name].isoformat() + "Z"
    # The column is a double; its shortest text is the number that was sent.
    row["charge"] = None if row["charge"] is None else Decimal(repr(row["charge"]))
    # The loader writes an empty list as null.
    row["charge_details"] = json.loads(row["charge_details"] or "[]", parse_float=Decimal)
    return {name: value for name, value in row.items() if name != "discarded_at" or value is not None}

"""The command that compares a loader's table with the Space, and loading without Meltano in between."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.run import config_for, environment, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator import Simulator
    from tests.support.pipeline import Pipeline
    from tests.support.run import Run

COMMAND = [sys.executable, "-m", "tap_signalwire_logs.verify"]
TIMEOUT_SECONDS = 240
LONG_AGO = "2000-01-01"


@dataclass(frozen=True)
class Verdict:
    """What the command said."""

    code: int
    stdout: str
    log: str

    @property
    def counts(self) -> dict[str, int]:
        """How many are equal, missing, stale, doubled, gone."""
        counts = re.findall(r"^  (equal|missing|stale|doubled|gone) +([\d,]+)", self.stdout, re.MULTILINE)
        return {kind: int(count.replace(",", "")) for kind, count in counts}

    def named(self, kind: str) -> list[str]:
        """Lines that name logs of a kind."""
        (block,) = re.findall(rf"^  {kind} .*\n((?:    .*\n)*)", self.stdout, re.MULTILINE)
        return [line.strip() for line in block.splitlines()]


@dataclass(frozen=True)
class Loader:
    """A loader with its settings, in an environment of its own."""

    name: str
    commands: Path
    folder: Path
    settings: dict[str, Any]

    @classmethod
    def of(cls, pipeline: Pipeline, name: str, folder: Path, **settings: Any) -> Loader:
        """The one that Meltano installed in a project."""
        return cls(name, pipeline.folder / ".meltano" / "loaders" / name / "venv" / "bin", folder, settings)

    def load(self, run: Run) -> None:
        """Load what a run of the tap brought."""
        assert run.code == 0, run.log
        config = write_json(self.folder / "target.json", self.settings)
        subprocess.run(
            [self.commands / self.name, "--config", config],
            input=run.stdout,
            text=True,
            check=True,
            timeout=TIMEOUT_SECONDS,
            capture_output=True,
            env=environment(),
        )

    def verify(
        self,
        sim: Simulator,
        *options: str,
        config: dict[str, Any] | None = None,
        variables: dict[str, str] | None = None,
    ) -> Verdict:
        """Compare its table with a Space; without options, all of the Space's time."""
        arguments = [
            *("--config", write_json(self.folder / "tap.json", {**config_for(sim), **(config or {})})),
            *("--target-config", write_json(self.folder / "target.json", self.settings)),
            *("--python", str(self.commands / "python")),
            *([] if {"--start", "--ids"} & set(options) else ["--start", LONG_AGO]),
        ]
        done = subprocess.run(
            [*COMMAND, *arguments, *options, self.name],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            cwd=self.folder,
            env=environment(**(variables or {})),
        )
        return Verdict(done.returncode, done.stdout, done.stderr)


def delete_lines(folder: Path, log_id: str) -> None:
    """Delete a log's lines from the files of target-jsonl."""
    for file in folder.glob("*.jsonl"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(line for line in lines if json.loads(line)["id"] != log_id), encoding="utf-8")

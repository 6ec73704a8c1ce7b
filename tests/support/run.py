"""Running the tap as a user does: the command as a process, its pipe read whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.support.clock.__main__ import shifted

if TYPE_CHECKING:
    import signal
    from datetime import datetime

    from tests.simulator import Simulator

COMMAND = [sys.executable, "-m", "tap_signalwire_logs"]
WRITES_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
SCRIPTS = Path(sys.executable).parent
TIMEOUT_SECONDS = 240

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True)
class Run:
    """What a run of the tap left: its exit code, its Singer messages (decimals exact) and its log."""

    code: int
    stdout: str
    log: str

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        return [_decode(line) for line in self.stdout.splitlines()]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [message["record"] for message in self.messages if message["type"] == "RECORD"]

    @property
    def by_id(self) -> dict[str, dict[str, Any]]:
        """Each log's last record, as a target that upserts keeps it."""
        return {record["id"]: record for record in self.records}

    @property
    def states(self) -> list[dict[str, Any]]:
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1]

    @property
    def bookmark(self) -> dict[str, Any]:
        bookmark: dict[str, Any] = self.state["bookmarks"]["message_logs"]
        return bookmark


class Cut(Run):
    """A run whose output may end within a line: what a target would have of it."""

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        whole = self.stdout[: self.stdout.rfind("\n") + 1]
        return [_decode(line) for line in whole.splitlines()]


STREAMS = ["conference_logs", "fax_logs", "message_logs", "video_logs", "voice_log_events", "voice_logs"]


def config_for(sim: Simulator, **settings: Any) -> dict[str, Any]:
    """Settings that reach the simulated Space."""
    return {"space": sim.space, "project_id": sim.project_id, "api_token": sim.api_token, **settings}


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without anything that would set the tap, a loader, Meltano or Airflow.

    Nor what keeps bytecode from being written: compiling Meltano or Airflow anew takes longer than what they then do.
    """
    ours = ("TAP_", "TARGET_", "SIGNALWIRE_", "MELTANO_", "AIRFLOW", "PYTEST_", "VIRTUAL_ENV", WRITES_NO_BYTECODE)
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **variables}


def with_scripts(**variables: str) -> dict[str, str]:
    """The same, with the commands of this process's Python first on the PATH."""
    return environment(PATH=f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", **variables)


def output_of(command: list[str | Path], folder: Path, variables: dict[str, str], seconds: float) -> str:
    """Run a command to its end; gives what it said, or raises it."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        message = f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
        raise RuntimeError(message)
    return done.stdout


def run_tap(
    folder: Path,
    config: dict[str, Any],
    *arguments: str,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    clock: datetime | None = None,
    **variables: str,
) -> Run:
    """Run the command to its end; with a clock, such as a Space's own, as if it were then."""
    command = _command(folder, config, *arguments, state=state, catalog=catalog)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        cwd=folder,
        env=environment(**variables, **(shifted(clock) if clock else {})),
    )
    return Run(done.returncode, done.stdout, done.stderr)


def run_until(
    folder: Path,
    config: dict[str, Any],
    *,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    characters: int,
    how: signal.Signals,
) -> Cut:
    """Run the tap and end it once it has written so much, wherever in a line that is."""
    process = subprocess.Popen(
        _command(folder, config, state=state, catalog=catalog),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        bufsize=1,
    )
    assert process.stdout
    taken = process.stdout.read(characters)
    process.send_signal(how)
    rest = process.stdout.read()
    process.stdout.close()
    return Cut(process.wait(timeout=30), taken + rest, "")


def _command(
    folder: Path,
    config: dict[str, Any],
    *arguments: str,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
) -> list[str]:
    command = [*COMMAND, "--config", write_json(folder / "config.json", config), *arguments]
    if state is not None:
        command += ["--state", write_json(folder / "state.json", state)]
    if catalog is not None:
        command += ["--catalog", write_json(folder / "catalog.json", catalog)]
    return command


def started(
    sim: Simulator, folder: Path, variables: dict[str, str] | None = None, **settings: Any
) -> subprocess.Popen[bytes]:
    """A run that has begun to write, and has far more to do than a test waits for."""
    sim.latency = 0.3
    process = subprocess.Popen(
        [*COMMAND, "--config", write_json(folder / "config.json", config_for(sim, concurrency=1, **settings))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment() if variables is None else variables,
    )
    assert process.stdout
    assert process.stdout.readline()
    return process


def write_json(path: Path, content: dict[str, Any]) -> str:
    """Write a file for the command line; gives its path."""
    path.write_text(json.dumps(content, default=str), encoding="utf-8")
    return str(path)

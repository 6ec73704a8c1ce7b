"""The tap into a target without Meltano: what docs/pipes.md tells to run, and that no failure empties the state."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator import Simulator
from tests.support.pipeline import ROOT
from tests.support.run import SCRIPTS, config_for, environment, write_json

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PIPE = [sys.executable, "-m", "tap_signalwire_logs.pipe"]
TIMEOUT_SECONDS = 120

TARGET = """\
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "RECORD":
        open("records.jsonl", "a").write(json.dumps(message) + "\\n")
    if message["type"] == "STATE":
        print(json.dumps(message["value"]), flush=True)
"""
"""A target that confirms each state at once."""

FAILS_AT_ONCE = "import sys; sys.exit(3)"
READS_AND_FAILS = "import sys; sys.stdin.read(); sys.exit(3)"
CUTS_ITS_STATE = "import sys; sys.stdin.read(); print('{\"bookmarks\": {}', end='')"
SAYS_OTHER_THINGS = "import sys; sys.stdin.read(); print('loaded'); print(7); print('[]')"


@pytest.fixture
def folder(tmp_path: Path, sim: Simulator) -> Path:
    """A folder with a config, and a target that works."""
    write_json(tmp_path / "config.json", config_for(sim, record_source="list"))
    (tmp_path / "target.py").write_text(TARGET, encoding="utf-8")
    return tmp_path


def test_a_first_run_makes_the_state_and_the_next_goes_on_from_it(folder: Path, sim: Simulator) -> None:
    first = _pipe(folder, "--state", "state.json")
    assert first.returncode == 0, first.stderr
    assert set(_landed(folder)) == set(sim.truth())
    state = _state(folder)
    newest = max(record["created_at"] for record in sim.truth().values())
    assert state["bookmarks"]["message_logs"]["replication_key_value"] == newest
    (folder / "records.jsonl").unlink()
    second = _pipe(folder, "--state=state.json")
    assert second.returncode == 0, second.stderr
    assert len(_landed(folder, [])) < len(sim.truth()) / 2


@pytest.mark.parametrize(
    ("target", "code"),
    [
        pytest.param([sys.executable, "-c", FAILS_AT_ONCE], 3, id="the target fails at once"),
        pytest.param([sys.executable, "-c", READS_AND_FAILS], 3, id="the target fails at its end"),
        pytest.param(["no-such-target"], 127, id="there is no such target"),
        pytest.param([sys.executable, "-c", CUTS_ITS_STATE], 0, id="the target's state is cut"),
        pytest.param([sys.executable, "-c", SAYS_OTHER_THINGS], 0, id="the target says what is no state"),
    ],
)
def test_a_run_that_brings_no_state_leaves_the_one_before(target: list[str], code: int, folder: Path) -> None:
    assert _pipe(folder, "--state", "state.json").returncode == 0
    before = (folder / "state.json").read_bytes()
    run = _pipe(folder, "--state", "state.json", target=target)
    assert run.returncode == code, run.stderr
    assert (folder / "state.json").read_bytes() == before
    assert not [file for file in folder.iterdir() if file.name.startswith(".state")]


def test_a_tap_that_fails_at_once_leaves_the_state_and_its_own_exit_code(folder: Path, sim: Simulator) -> None:
    assert _pipe(folder, "--state", "state.json").returncode == 0
    before = (folder / "state.json").read_bytes()
    write_json(folder / "config.json", config_for(sim, api_token="PTwrong"))
    run = _pipe(folder, "--state", "state.json")
    assert run.returncode == 1, run.stderr
    assert (folder / "state.json").read_bytes() == before


@pytest.mark.real_command
def test_a_state_that_can_t_be_written_leaves_the_one_before(folder: Path) -> None:
    assert _pipe(folder, "--state", "state.json").returncode == 0
    (folder / "kept").mkdir()
    (folder / "state.json").rename(folder / "kept" / "state.json")
    before = (folder / "kept" / "state.json").read_bytes()
    # No file may grow past nothing, as on a full disk; bytecode would be empty, and kept.
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 0; PYTHONDONTWRITEBYTECODE=1 exec "$@"', "bash"]
    run = _pipe(folder, "--state", "kept/state.json", before=limited, target=[sys.executable, "-c", _states_alone()])
    assert run.returncode != 0
    assert (folder / "kept" / "state.json").read_bytes() == before


def test_sigterm_ends_the_tap_and_what_had_come_is_loaded_with_its_state(folder: Path, sim: Simulator) -> None:
    write_json(folder / "config.json", config_for(sim, concurrency=1))
    sim.latency = 0.1
    with subprocess.Popen(
        [*PIPE, "--config", "config.json", "--state", "state.json", "--", sys.executable, "target.py"],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while len(sim.gets()) < 5:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 128 + signal.SIGTERM, log
    early = set(_landed(folder, []))
    assert early != set(sim.truth())
    assert "bookmarks" in _state(folder)
    sim.latency = 0.0
    assert _pipe(folder, "--state", "state.json").returncode == 0
    assert set(_landed(folder)) == set(sim.truth())


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--config", "config.json", "--", "target"], id="no state"),
        pytest.param(["--config", "config.json", "--state", "state.json"], id="no target"),
        pytest.param(["--config", "config.json", "--state", "state.json", "--"], id="an empty target"),
        pytest.param(["--config", "config.json", "--state", "--", "target"], id="no file of the state"),
        pytest.param([], id="nothing"),
    ],
)
def test_what_can_t_be_run_is_told_how_to(arguments: list[str], folder: Path) -> None:
    run = subprocess.run([*PIPE, *arguments], capture_output=True, text=True, check=False, cwd=folder)
    assert run.returncode == 2
    assert "usage: tap-signalwire-logs-pipe --config" in run.stderr


@pytest.mark.slow
def test_the_guide_s_commands_load_the_streams_that_are_selected(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "pipes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.+?)```", guide, re.DOTALL)
    (tmp_path / "target.py").write_text(TARGET, encoding="utf-8")
    with Simulator(messages=30, seed=7, days=3, families={"voice_logs": 4, "fax_logs": 3}) as sim:
        write_json(tmp_path / "config.json", config_for(sim))
        for block in blocks:
            (tmp_path / "records.jsonl").unlink(missing_ok=True)
            (tmp_path / "state.json").unlink(missing_ok=True)
            target = f"{shlex.quote(sys.executable)} target.py"
            script = block.replace("target-duckdb --config target.json", target)
            path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
            subprocess.run(["bash", "-ec", script], check=True, cwd=tmp_path, env=environment(PATH=path))
            streams = {message["stream"] for message in _messages(tmp_path)}
            is_other = "catalog.json" in block
            assert streams == {"message_logs", *(("voice_logs", "voice_log_events") if is_other else ())}


def _pipe(
    folder: Path, *options: str, target: list[str] | None = None, before: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [*PIPE, "--config", "config.json", *options, "--", *(target or [sys.executable, "target.py"])]
    return subprocess.run(
        [*(before or []), *command],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        cwd=folder,
        env=environment(),
    )


def _states_alone() -> str:
    return TARGET.replace("open(", "str(").replace(', "a").write(', " + (")


def _messages(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]


def _landed(folder: Path, default: list[dict[str, Any]] | None = None) -> list[str]:
    messages = _messages(folder) if default is None or (folder / "records.jsonl").exists() else default
    return [message["record"]["id"] for message in messages]


def _state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return state

"""The command as a process, started anew and by a fork: a run is the same both ways."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.run import COMMAND, config_for, environment, run_tap, started, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulator import Simulator

WAYS = [
    pytest.param("anew", id="started anew", marks=[pytest.mark.real_command, pytest.mark.slow]),
    pytest.param("fork", id="forked"),
]

both_ways = pytest.mark.parametrize("way", WAYS)


def told(arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"env": environment(), "timeout": 60, "text": True, "capture_output": True, **options}
    return subprocess.run([*COMMAND, *arguments], check=False, **options)


def is_new_interpreter(pid: int) -> bool:
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return b"tap_signalwire_logs" in arguments


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
@both_ways
def test_the_command_is_started_in_the_way_that_a_test_is_marked_with(way: str, sim: Simulator, tmp_path: Path) -> None:
    with started(sim, tmp_path) as process:
        assert is_new_interpreter(process.pid) == (way == "anew")
        process.kill()
        process.communicate()


@both_ways
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["--version"], 0, r"tap-signalwire-logs v\d", id="version"),
        pytest.param(["--discover"], 0, r'"tap_stream_id": ?"message_logs"', id="catalog"),
        pytest.param(["--about"], 0, "Name: tap-signalwire-logs", id="about"),
        pytest.param(["--nonsense"], 2, "No such option", id="unknown option"),
        pytest.param(["--config", "not-there.json"], 1, "not-there.json", id="no such config"),
        pytest.param([], 1, "`space` is required", id="no settings"),
    ],
)
@pytest.mark.usefixtures("way")
def test_the_command_tells_and_ends(arguments: list[str], code: int, said: str) -> None:
    done = told(arguments)
    assert done.returncode == code
    assert re.search(said, done.stdout + done.stderr)


@both_ways
@pytest.mark.usefixtures("way")
def test_a_run_brings_every_log(sim: Simulator, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(sim))
    assert run.code == 0, run.log
    assert run.by_id == sim.truth()


@both_ways
@pytest.mark.usefixtures("way")
def test_paths_are_taken_from_the_folder_of_the_run_and_settings_from_its_environment(
    sim: Simulator, tmp_path: Path
) -> None:
    write_json(tmp_path / "config.json", config_for(sim))
    log_id = next(iter(sim.truth()))
    (tmp_path / "ids").write_text(log_id, encoding="utf-8")
    variables = environment(TAP_SIGNALWIRE_LOGS_MESSAGE_LOG_IDS_FILE="ids")
    done = told(["--config", "ENV", "--config", "config.json"], cwd=tmp_path, env=variables)
    assert done.returncode == 0, done.stderr
    assert f'"{log_id}"' in done.stdout
    assert done.stdout.count('"RECORD"') == 1
    # The environment of one run is not that of the next.
    assert told(["--config", "config.json"], cwd=tmp_path).stdout.count('"RECORD"') > 1


@both_ways
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("ending", "code"),
    [
        pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGINT, 128 + signal.SIGINT, id="SIGINT"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="SIGKILL"),
    ],
)
def test_a_signal_ends_a_run_with_its_exit_code(
    ending: signal.Signals, code: int, sim: Simulator, tmp_path: Path
) -> None:
    with started(sim, tmp_path) as process:
        assert process.poll() is None
        process.send_signal(ending)
        process.communicate(timeout=30)
        assert process.returncode == code


@both_ways
@pytest.mark.usefixtures("way")
def test_a_target_that_goes_ends_the_run(sim: Simulator, tmp_path: Path) -> None:
    with started(sim, tmp_path) as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(timeout=30) == 1
        assert process.stderr
        assert b"Traceback" not in process.stderr.read()


@both_ways
@pytest.mark.usefixtures("way")
def test_the_command_reads_its_standard_input(sim: Simulator) -> None:
    done = told(["--config", "/dev/stdin"], input=json.dumps(config_for(sim)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"RECORD"') == len(sim.truth())


@both_ways
@pytest.mark.usefixtures("way")
def test_a_run_in_a_session_of_its_own_is_ended_by_its_group(sim: Simulator, tmp_path: Path) -> None:
    sim.latency = 0.3
    command = [*COMMAND, "--config", write_json(tmp_path / "config.json", config_for(sim, concurrency=1))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), start_new_session=True) as process:
        assert process.stdout
        assert process.stdout.readline()
        assert os.getpgid(process.pid) == process.pid
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.read()
        assert process.wait(timeout=30) == -signal.SIGKILL


@both_ways
@pytest.mark.usefixtures("way")
def test_the_command_knows_a_terminal(sim: Simulator, tmp_path: Path) -> None:
    sim.latency = 0.02
    path = write_json(tmp_path / "config.json", config_for(sim, concurrency=4))
    ours, theirs = pty.openpty()
    command = [*COMMAND, "--config", path]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment()) as process:
        os.close(theirs)
        seen = bytearray()
        try:
            while chunk := os.read(ours, 65_536):
                seen += chunk
        except OSError:
            pass  # a terminal whose other end is closed reads as an error
        os.close(ours)
        assert process.wait(timeout=30) == 0
    assert b"\r" in seen.replace(b"\r\n", b"")

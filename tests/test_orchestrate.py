"""What `orchestrate/` does without Airflow: Meltano started from anywhere, with exit codes that tell."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import meltano_project
import pytest

from tests.simulator import Simulator
from tests.support.pipeline import MELTANO, ROOT, Pipeline, credentials
from tests.support.run import environment, with_scripts

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = ROOT / "orchestrate" / "meltano.sh"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that passes for a Meltano project."""
    (tmp_path / "meltano.yml").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("meltano", "code"),
    [
        pytest.param("exit 0", 0, id="all is well"),
        pytest.param("exit 1", 1, id="a failure of any kind"),
        pytest.param("exit 143", 143, id="ended by a signal"),
        pytest.param("echo 'Invalid settings:' >&2; exit 1", 78, id="settings"),
        pytest.param('echo "These settings can\'t be right:" >&2; exit 1', 78, id="settings, in other words"),
        pytest.param(
            "echo 'GET /api/messaging/logs: 401; check `project_id` and `api_token`' >&2; exit 1", 78, id="credentials"
        ),
        pytest.param("echo 'Invalid settings:' >&2; exit 0", 0, id="a word of settings in a run that ended well"),
        pytest.param("echo 'Invalid settings:' >&2; exit 143", 143, id="settings, and a signal"),
        pytest.param("echo 'Invalid settings:'; exit 1", 1, id="a word of settings in what it prints"),
    ],
)
def test_the_exit_code_tells_whether_another_try_could_help(meltano: str, code: int, project: Path) -> None:
    run = _run(project, meltano)
    assert run.returncode == code, run.stderr


def test_output_and_log_pass_through(project: Path) -> None:
    run = _run(project, 'echo "$@"; echo a log line >&2; exit 1')
    assert (run.stdout, run.stderr) == ("run a b\n", "a log line\n")


def test_a_process_that_outlives_meltano_holds_nothing_up(project: Path) -> None:
    _stand_in(project, "sleep 600 & echo $! > outlives; exit 1")
    with (project / "log").open("wb") as log:
        process = subprocess.Popen(["bash", SCRIPT, "run"], stdout=log, stderr=log, env=_variables(project))
    code = process.wait(timeout=120)
    os.kill(int((project / "outlives").read_text()), signal.SIGKILL)
    assert code == 1


def test_without_meltano_it_says_so_and_ends_with_127(project: Path) -> None:
    run = _run(project, None)
    assert run.returncode == 127
    assert "set MELTANO_EXECUTABLE" in run.stderr


def test_a_meltano_that_is_not_executable_is_named_with_what_to_do(project: Path) -> None:
    (project / "stand-in").write_text("", encoding="utf-8")
    run = _run(project, None)
    assert run.returncode == 127
    assert run.stderr.startswith(f"{project / 'stand-in'}: not found, or not executable; set MELTANO_EXECUTABLE")


@pytest.mark.parametrize("root", ["", "/nowhere"])
def test_without_a_project_it_names_the_variable(root: str) -> None:
    variables = environment(MELTANO_PROJECT_ROOT=root, MELTANO_EXECUTABLE="true")
    run = subprocess.run(["bash", SCRIPT, "run"], capture_output=True, text=True, check=False, env=variables)
    assert run.returncode == 78
    assert "set MELTANO_PROJECT_ROOT" in run.stderr


def test_a_dag_without_a_project_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meltano_project, "PROJECT", tmp_path)
    with pytest.raises(RuntimeError, match=r"meltano\.yml can't be read .*set MELTANO_PROJECT_ROOT"):
        meltano_project.schedules()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("plugins: {loaders: [{name: target-x}]}", id="a loader without commands"),
        pytest.param("plugins: {loaders: [{name: target-x, commands: {other: x}}]}", id="another command"),
        pytest.param("plugins: {extractors: []}", id="no loaders"),
        pytest.param("project_id: x", id="no plugins"),
    ],
)
def test_a_project_without_loaders_to_check_offers_none(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meltano.yml").write_text(content, encoding="utf-8")
    monkeypatch.setattr(meltano_project, "PROJECT", tmp_path)
    assert meltano_project.backfill_loaders() == []
    assert meltano_project.schedules() == []


@pytest.mark.slow
def test_what_meltano_itself_tells_only_as_1_is_told_apart(tmp_path: Path) -> None:
    Pipeline.shared(tmp_path, "target-jsonl")
    with Simulator(messages=5, seed=7, days=3) as sim:
        for variables, code in (
            ({}, 0),
            ({"TAP_SIGNALWIRE_LOGS_CONCURRENCY": "0"}, 78),
            ({"SIGNALWIRE_API_TOKEN": "PTwrong"}, 78),
            (
                {
                    "TAP_SIGNALWIRE_LOGS_MESSAGE_LOG_IDS": f'["{sim.project_id}"]',
                    "TAP_SIGNALWIRE_LOGS_ON_MISSING": "fail",
                },
                1,
            ),
        ):
            told = {
                **credentials(sim),
                **variables,
                "MELTANO_PROJECT_ROOT": str(tmp_path),
                "MELTANO_EXECUTABLE": str(MELTANO),
            }
            run = subprocess.run(
                ["bash", SCRIPT, "run", "tap-signalwire-logs", "target-jsonl"],
                capture_output=True,
                text=True,
                check=False,
                env=with_scripts(NO_COLOR="1", **told),
            )
            assert run.returncode == code, run.stderr


def _run(project: Path, meltano: str | None) -> subprocess.CompletedProcess[str]:
    """Run `meltano.sh run a b` with a stand-in for Meltano that is this script, or none."""
    if meltano is not None:
        _stand_in(project, meltano)
    return subprocess.run(
        ["bash", SCRIPT, "run", "a", "b"], capture_output=True, text=True, check=False, env=_variables(project)
    )


def _stand_in(project: Path, script: str) -> None:
    command = project / "stand-in"
    command.write_text(f"#!/usr/bin/env bash\n{script}\n", encoding="utf-8")
    command.chmod(0o755)


def _variables(project: Path) -> dict[str, str]:
    return environment(MELTANO_PROJECT_ROOT=str(project), MELTANO_EXECUTABLE=str(project / "stand-in"))

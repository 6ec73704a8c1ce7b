"""Commands that a warm process runs: exit codes, signals and streams are those of a command that was started."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import warm
from tests.support.run import COMMAND, SCRIPTS, environment, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulator import Simulator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_command,
    pytest.mark.skipif(sys.platform != "linux", reason="warm processes are made on Linux alone"),
]

WAIT_SECONDS = 60


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """Environment of a command that has been started once, and whose warm process is ready."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    found = environment(PYTHONPATH=str(warm.FOLDER), **{warm.VARIABLE: str(folder)})
    subprocess.run([*COMMAND, "--version"], env=found, check=True, capture_output=True)
    assert any(path.is_socket() for path in folder.iterdir())
    yield found
    shutil.rmtree(folder)
    _wait_for(lambda: not _processes(str(folder)))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--version"], id="that ends well"),
        pytest.param(["--nonsense"], id="that is misused"),
        pytest.param(["--config", "not-there.json"], id="that fails"),
    ],
)
def test_a_run_tells_and_ends_as_one_that_was_started(
    arguments: list[str], variables: dict[str, str], tmp_path: Path
) -> None:
    def run(variables: dict[str, str]) -> tuple[int, str, str]:
        done = subprocess.run(
            [*COMMAND, *arguments], env=variables, cwd=tmp_path, check=False, capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr.partition("|")[2]

    assert run(variables) == run({**variables, warm.VARIABLE: ""})


def test_a_run_is_the_warm_process_s_and_a_signal_reaches_it(
    variables: dict[str, str], sim: Simulator, tmp_path: Path
) -> None:
    with started(sim, tmp_path, variables) as process:
        assert _runs(variables)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 128 + signal.SIGTERM
        assert process.stdout
        assert b'"type":"STATE"' in process.stdout.read().splitlines()[-1]


def test_a_run_ends_where_what_stands_in_for_it_is_killed(
    variables: dict[str, str], sim: Simulator, tmp_path: Path
) -> None:
    with started(sim, tmp_path, variables) as process:
        process.kill()
        assert process.wait(WAIT_SECONDS) == -signal.SIGKILL
        _wait_for(lambda: not _runs(variables))


def test_a_run_that_is_killed_ends_what_stands_in_for_it_likewise(
    variables: dict[str, str], sim: Simulator, tmp_path: Path
) -> None:
    with started(sim, tmp_path, variables) as process:
        (run,) = _runs(variables)
        subprocess.run(["kill", "-KILL", str(run)], check=True)
        assert process.wait(WAIT_SECONDS) == -signal.SIGKILL


@pytest.mark.parametrize("through", ["a link to its environment", "what takes PYTHONPATH away"])
def test_a_command_is_warm_however_it_is_reached(
    through: str, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = SCRIPTS / "tap-signalwire-logs"
    own = {**variables, warm.VARIABLE: str(tmp_path)}
    if through.startswith("a link"):
        (tmp_path / "link").symlink_to(SCRIPTS.parent)
        script = tmp_path / "link" / "bin" / script.name
    else:
        monkeypatch.setattr(warm, "_folder", str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", own.pop("PYTHONPATH"))
        script = warm.passed_on(script)
    subprocess.run([script, "--version"], env=own, check=True, capture_output=True)
    (reached,) = [path for path in tmp_path.iterdir() if path.is_socket()]
    reached.unlink()
    _wait_for(lambda: not _processes(str(reached)))


def _runs(variables: dict[str, str]) -> list[int]:
    """Processes that the warm process has forked."""
    found = _processes(variables[warm.VARIABLE])
    return [pid for pid, parent in found.items() if parent in found]


def _processes(folder: str) -> dict[int, int]:
    """Processes whose command line names a folder, the warm process and its forks, and their parents."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.encode() in (process / "cmdline").read_bytes():
                parent = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
                found[int(process.name)] = int(parent)
    return found


def _wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)

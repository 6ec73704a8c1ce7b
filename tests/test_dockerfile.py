"""What of the Dockerfile can be shown without Docker: its files and its install line make a working command."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.pipeline import ROOT, credentials
from tests.support.postgres import records_of
from tests.support.run import config_for, environment, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator import Simulator

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
OF_MELTANO = (ROOT / "Dockerfile.meltano").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.real_command
def test_the_files_and_the_install_line_make_the_command_that_is_the_entrypoint(tmp_path: Path, sim: Simulator) -> None:
    package = _copied(DOCKERFILE, tmp_path, "package")
    (line,) = re.findall(r"^RUN pip (install .+?) && ", DOCKERFILE, re.MULTILINE)
    arguments = [str(package) if word == "/package" else word for word in line.split()]
    commands = _installed(arguments, tmp_path)
    shutil.rmtree(package)
    (entrypoint,) = json.loads(DOCKERFILE.partition("ENTRYPOINT ")[2])
    config = write_json(tmp_path / "config.json", config_for(sim))
    run = subprocess.run(
        [commands / entrypoint, "--config", config], capture_output=True, text=True, check=True, env=environment()
    )
    assert run.stdout.count('"type":"RECORD"') == len(sim.truth())


@pytest.mark.slow
@pytest.mark.real_command
def test_the_image_with_meltano_loads_and_keeps_its_state_outside_of_the_project(
    tmp_path: Path, postgres: str, sim: Simulator
) -> None:
    project = _copied(OF_MELTANO, tmp_path, "project")
    (line,) = re.findall(r"^RUN pip (install .+)$", OF_MELTANO, re.MULTILINE)
    (install,) = re.findall(r"^RUN meltano (install .+)$", OF_MELTANO, re.MULTILINE)
    (loader,) = re.findall(r"^ARG LOADER=(\S+)$", OF_MELTANO, re.MULTILINE)
    commands = _installed(shlex.split(line), tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    variables = re.findall(r"^ENV (.+)$", OF_MELTANO, re.MULTILINE)
    told = dict(pair.split("=", 1) for pair in " ".join(variables).split())
    told["MELTANO_DATABASE_URI"] = told["MELTANO_DATABASE_URI"].replace("////state", f"///{state}")
    told |= {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "DATABASE_URL": postgres, **credentials(sim)}
    (entrypoint,) = json.loads(re.findall(r"^ENTRYPOINT (.+)$", OF_MELTANO, re.MULTILINE)[0])
    arguments = json.loads(re.findall(r"^CMD (.+)$", OF_MELTANO, re.MULTILINE)[0])
    assert arguments[-1] == loader
    for words in (shlex.split(install.replace('"$LOADER"', loader)), arguments, arguments):
        sim.clear_requests()
        run = subprocess.run(
            [commands / entrypoint, *words],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
            env=environment(**told),
        )
        assert run.returncode == 0, run.stderr
    assert records_of(postgres) == sim.truth()
    assert len(sim.gets()) < len(sim.truth()) / 2, "the second run goes on from the state of the first"
    assert (state / "meltano.db").exists()


@pytest.mark.parametrize("dockerfile", [DOCKERFILE, OF_MELTANO], ids=["tap", "Meltano"])
def test_the_command_runs_without_a_shell_and_not_as_root(dockerfile: str) -> None:
    instructions = [line for line in dockerfile.splitlines() if line and not line.startswith("#")]
    commands = [line for line in instructions if line.split()[0] in {"ENTRYPOINT", "CMD"}]
    assert all(" [" in line for line in commands)
    assert commands[0].startswith("ENTRYPOINT [")
    (user,) = [line.removeprefix("USER ") for line in instructions if line.startswith("USER ")]
    assert f"RUN useradd --create-home {user}" in "\n".join(instructions)
    assert user != "root"


def test_every_file_that_is_copied_reaches_the_build() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    both = f"{DOCKERFILE}\n{OF_MELTANO}"
    copied = {name for names in re.findall(r"^COPY (.+) /", both, re.MULTILINE) for name in names.split()}
    assert copied == kept


def _installed(arguments: list[str], root: Path) -> Path:
    """The commands of an environment in which pip ran with these arguments, below a root."""
    commands = root / "env" / "bin"
    subprocess.run(["uv", "venv", "--quiet", "--seed", "--python", sys.executable, root / "env"], check=True)
    # To compile everything takes longer than what then runs, and to ask for a newer pip a second.
    quick = {"PIP_COMPILE": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command: list[str | Path] = [commands / "python", "-m", "pip", *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **quick})
    return commands


def _copied(dockerfile: str, root: Path, folder: str) -> Path:
    """The folder of the image that the files of the checkout are copied to, below a root."""
    (root / folder).mkdir()
    for names, target in re.findall(r"^COPY (.+) (/\S+)$", dockerfile, re.MULTILINE):
        for name in names.split():
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / target[1:], ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / target[1:])
    return root / folder

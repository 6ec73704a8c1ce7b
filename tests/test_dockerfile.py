"""What of the Dockerfile can be shown without Docker: its files and its install line make a working command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.pipeline import ROOT
from tests.support.run import config_for, environment, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator import Simulator

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_files_and_the_install_line_make_the_command_that_is_the_entrypoint(tmp_path: Path, sim: Simulator) -> None:
    package = tmp_path / "package"
    package.mkdir()
    for names, target in re.findall(r"^COPY (.+) (/\S+)$", DOCKERFILE, re.MULTILINE):
        for name in names.split():
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tmp_path / target[1:], ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tmp_path / target[1:])
    (line,) = re.findall(r"^RUN pip (install .+?) && ", DOCKERFILE, re.MULTILINE)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    commands = tmp_path / "env" / "bin"
    arguments = [str(package) if word == "/package" else word for word in line.split()]
    subprocess.run([commands / "python", "-m", "pip", *arguments], check=True, capture_output=True)
    shutil.rmtree(package)
    (entrypoint,) = json.loads(DOCKERFILE.partition("ENTRYPOINT ")[2])
    config = write_json(tmp_path / "config.json", config_for(sim))
    run = subprocess.run(
        [commands / entrypoint, "--config", config], capture_output=True, text=True, check=True, env=environment()
    )
    assert run.stdout.count('"type":"RECORD"') == len(sim.truth())


def test_the_command_runs_without_a_shell_and_not_as_root() -> None:
    instructions = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    assert instructions[-1].startswith("ENTRYPOINT [")
    (user,) = [line.removeprefix("USER ") for line in instructions if line.startswith("USER ")]
    assert f"RUN useradd --create-home {user}" in instructions
    assert user != "root"


def test_every_file_that_is_copied_reaches_the_build() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    copied = {name for names in re.findall(r"^COPY (.+) /", DOCKERFILE, re.MULTILINE) for name in names.split()}
    assert copied == kept

"""The wheel and the sdist: built, installed into fresh environments, and run there."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.simulator import Simulator
from tests.support.run import config_for, environment

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.real_command]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in ("tap_signalwire_logs", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "sample_config.json"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(["uv", "build", "--quiet", "--out-dir", out, source], check=True, env=environment())
    return out


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def test_it_installs_into_a_fresh_environment_and_works_there(kind: str, dist: Path, tmp_path: Path) -> None:
    (package,) = dist.glob(kind)
    fresh = tmp_path / "env"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, fresh], check=True, env=environment())
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--python", fresh / "bin" / "python", package],
        check=True,
        env=environment(),
    )
    with Simulator(messages=30, seed=7, days=3) as sim:
        settings = {f"TAP_SIGNALWIRE_LOGS_{name.upper()}": value for name, value in config_for(sim).items()}
        done = subprocess.run(
            [fresh / "bin" / "tap-signalwire-logs", "--config", "ENV"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env=environment(**settings),
        )
        assert done.stdout.count('"type":"RECORD"') == len(sim.truth())


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"tap_signalwire_logs"}
    for needed in ("py.typed", "schemas/message_logs.json", "__main__.py"):
        assert f"tap_signalwire_logs/{needed}" in names


def _imports() -> dict[str, set[str]]:
    """What each module of the package imports of it when it runs."""
    folder = ROOT / "tap_signalwire_logs"
    found: dict[str, set[str]] = {}
    for file in folder.glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for_types = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for inner in ast.walk(node)
        }
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node not in for_types]
        names = {name for node in nodes for name in _modules_of(node)}
        found[file.stem] = {name for name in names if (folder / f"{name}.py").exists()}
    return found


def _modules_of(node: ast.ImportFrom) -> list[str]:
    module = node.module or ""
    if module == "tap_signalwire_logs":
        return [alias.name for alias in node.names]
    return [module.removeprefix("tap_signalwire_logs.")] if module.startswith("tap_signalwire_logs.") else []


def test_no_module_imports_itself_by_way_of_others() -> None:
    left = _imports()
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle within {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


def test_the_architecture_names_every_module() -> None:
    guide = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    missing = [name for name in _imports() if not name.startswith("__") and f"`{name}`" not in guide]
    assert missing == []

"""A Meltano project of one's own: what docs/meltano.md tells to run, in an empty folder with an empty home."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml

from tests.simulator import Simulator
from tests.support.definitions import FOLDER, LOADERS, PACKAGE, definition, text
from tests.support.pipeline import MELTANO, ROOT
from tests.support.run import SCRIPTS, output_of, with_scripts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TIMEOUT_SECONDS = 600
PACKAGED = ("tap_signalwire_logs", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "sample_config.json")
IDS = ["9ee38635-899a-490a-bfd1-9e72f5eea53c", "11111111-2222-4333-8444-555555555555"]
OF_KIND: dict[str, Callable[[dict[str, Any]], Any]] = {
    "string": lambda setting: 2.5 if setting["name"] == "request_timeout" else f"a {setting['name']}",
    "integer": lambda setting: setting.get("value", 1) + 1,
    "boolean": lambda setting: not setting.get("value", False),
    "array": lambda _: IDS,
    "file": lambda _: "/some/where/ids.txt",
    "date_iso8601": lambda _: "2026-01-31T08:00:00+02:00",
    "options": lambda setting: setting["options"][-1]["value"],
    "object": lambda _: {
        "message_logs": {"to": "__NULL__", "cost": "float(record['charge'])"},
        "salt": "a'b",
        "seed": 7,
    },
}
"""A value of each kind that is not the default."""


@dataclass(frozen=True)
class Project:
    """A Meltano project of one's own."""

    folder: Path
    variables: dict[str, str]

    def run(self, command: str, **variables: str) -> str:
        """Run a command of the guide; gives its output, or raises it."""
        words: list[str | Path] = [str(MELTANO) if word == "meltano" else word for word in shlex.split(command)]
        return output_of(words, self.folder, {**self.variables, **variables}, TIMEOUT_SECONDS)

    def config(self, **variables: str) -> dict[str, Any]:
        """The config that the tap is given."""
        printed = self.run(f"meltano invoke --dump=config {PACKAGE}", **variables)
        config: dict[str, Any] = json.loads(printed[printed.index("{\n") : printed.rindex("}") + 1])
        return config

    @property
    def extractor(self) -> dict[str, Any]:
        """The tap in `meltano.yml`."""
        ((extractor,),) = (self.content["plugins"]["extractors"],)
        return dict(extractor)

    @property
    def content(self) -> dict[str, Any]:
        """The whole of `meltano.yml`."""
        content: dict[str, Any] = yaml.safe_load((self.folder / "meltano.yml").read_text(encoding="utf-8"))
        return content

    def write(self, **of_the_tap: Any) -> None:
        """Change what `meltano.yml` has of the tap."""
        content = self.content
        content["plugins"]["extractors"] = [{**self.extractor, **of_the_tap}]
        (self.folder / "meltano.yml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An empty folder beside a checkout, with an empty home."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "tap-signalwire-logs").symlink_to(ROOT)
    (folder / "home").mkdir()
    variables = with_scripts(
        HOME=str(folder / "home"), NO_COLOR="1", MELTANO_SEND_ANONYMOUS_USAGE_STATS="false", UV_CACHE_DIR=_uv_cache()
    )
    own = {"SIGNALWIRE", "TAP", "TARGET", "MELTANO"}
    kept = {name: value for name, value in variables.items() if name.split("_")[0] not in own}
    return Project(folder, {**kept, "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false"})


@pytest.fixture(scope="module")
def project(empty: Project) -> Project:
    """A project with the tap, installed from this checkout, and nothing set."""
    empty.run("meltano init kinds")
    project = Project(empty.folder / "kinds", empty.variables)
    for line in _guide():
        if line.startswith(f"meltano add {PACKAGE}"):
            project.run(line)
    project.write(pip_url=f"-e {ROOT}")
    project.run("meltano install")
    return project


@pytest.fixture
def unset(project: Project) -> Project:
    """The project with nothing set."""
    project.write(config={})
    (project.folder / ".env").unlink(missing_ok=True)
    return project


@pytest.mark.parametrize("name", [PACKAGE, *LOADERS])
def test_the_definitions_are_those_of_this_project_s_own_plugins(name: str) -> None:
    written = (FOLDER / f"{name}.yml").read_text(encoding="utf-8")
    assert written == text(name), "`uv run poe docs` writes them anew"
    loaded = yaml.safe_load(written)
    (variant,) = loaded.pop("variants")
    assert loaded == definition(name)
    assert {key: value for key, value in variant.items() if key != "name"}.items() <= loaded.items()


def test_only_messages_are_selected_and_no_kind_is_one_that_meltano_can_t_carry() -> None:
    told = definition(PACKAGE)
    assert told["select"] == ["message_logs.*"]
    assert "structured-logging" in told["capabilities"]
    assert {setting["kind"] for setting in told["settings"]} <= set(OF_KIND)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "git"])
def test_the_guide_s_commands_load_the_messages_and_nothing_else(
    kind: str, empty: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    source = _source(tmp_path / "source")
    pip_url = _wheel(source, tmp_path) if kind == "wheel" else f"git+file://{_repository(source)}"
    with Simulator(messages=60, seed=7, days=5, families={"voice_logs": 5}) as sim:
        sim.scopes = {"Messaging"}
        folder, told = empty, {"example": sim.space, "PT0000": sim.api_token}
        told["c38dacad-2f6c-4de1-93d6-cc732e0c70c5"] = sim.project_id
        for line in _guide():
            words = line.split()
            if words[0] == "cd":
                folder = Project(folder.folder / f"warehouse-{kind}", empty.variables)
                continue
            if line == "meltano install":
                folder.write(pip_url=pip_url)
            words = [f"warehouse-{kind}" if word == "warehouse" else told.get(word, word) for word in words]
            folder.run(shlex.join(words))
        requested = {request.path.split("/")[2] for request in sim.requests}
        truth = sim.truth()
    assert requested == {"messaging"}
    assert _landed(folder.folder) == {log_id: record["status"] for log_id, record in truth.items()}
    assert folder.extractor["select"] == ["message_logs.*"]
    assert sim.api_token not in (folder.folder / "meltano.yml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.real_command
def test_every_setting_reaches_the_tap_from_dotenv(unset: Project) -> None:
    values = _values()
    lines = [f"{_variable(name)}={shlex.quote(_as_text(value))}" for name, value in values.items()]
    quoted = [line if "'\"'\"'" not in line else _in_double_quotes(line) for line in lines]
    (unset.folder / ".env").write_text("\n".join([*quoted, ""]), encoding="utf-8")
    assert _plain(unset.config()) == _plain(values)


@pytest.mark.slow
def test_every_setting_reaches_the_tap_from_the_environment(unset: Project) -> None:
    values = _values()
    variables = {_variable(name): _as_text(value) for name, value in values.items()}
    assert _plain(unset.config(**variables)) == _plain(values)


@pytest.mark.slow
def test_a_setting_of_each_kind_reaches_the_tap_from_meltano_config_set(unset: Project) -> None:
    settings = definition(PACKAGE)["settings"]
    # The first of each kind, and the one that is a number with a point.
    names = {setting["kind"]: setting["name"] for setting in reversed(settings)}
    values = {name: value for name, value in _values().items() if name in {*names.values(), "request_timeout"}}
    for name, value in values.items():
        unset.run(shlex.join(["meltano", "config", "set", PACKAGE, name, _as_text(value)]))
    config = _plain(unset.config())
    assert {name: config[name] for name in values} == values


@pytest.mark.slow
def test_every_setting_reaches_the_tap_from_yml(unset: Project) -> None:
    values = _values()
    unset.write(config=values)
    assert _plain(unset.config()) == _plain(values)


@pytest.mark.slow
def test_what_is_nothing_reaches_the_tap_as_that(unset: Project) -> None:
    off = {setting["name"]: 0 for setting in definition(PACKAGE)["settings"] if setting["kind"] == "integer"}
    off |= {setting["name"]: False for setting in definition(PACKAGE)["settings"] if setting["kind"] == "boolean"}
    unset.write(config=off)
    config = unset.config()
    assert {name: config[name] for name in off} == off
    unset.write(config={})
    config = unset.config(**{_variable(name): str(value) for name, value in off.items()})
    assert {name: config[name] for name in off} == off


@pytest.mark.slow
def test_a_date_without_quotes_in_yml_is_that_date(unset: Project) -> None:
    file = unset.folder / "meltano.yml"
    unset.write(config={"start_date": "THE DAY"})
    file.write_text(file.read_text(encoding="utf-8").replace("THE DAY", "2026-01-31"), encoding="utf-8")
    assert unset.config()["start_date"] == "2026-01-31"


def _guide() -> list[str]:
    guide = (ROOT / "docs" / "meltano.md").read_text(encoding="utf-8")
    return guide.partition("```console\n")[2].partition("```")[0].splitlines()


def _values() -> dict[str, Any]:
    return {setting["name"]: OF_KIND[setting["kind"]](setting) for setting in definition(PACKAGE)["settings"]}


def _variable(name: str) -> str:
    return f"TAP_SIGNALWIRE_LOGS_{name.upper()}"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _in_double_quotes(line: str) -> str:
    name, _, value = line.partition("=")
    (word,) = shlex.split(value)
    escaped = re.sub(r'(["\\])', r"\\\1", word)
    return f'{name}="{escaped}"'


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Config with its one number that may be a string as a number."""
    return {**config, "request_timeout": float(config["request_timeout"])}


def _landed(folder: Path) -> dict[str, str]:
    with duckdb.connect(str(folder / "output" / "warehouse.duckdb"), read_only=True) as connection:
        tables = connection.execute("select table_name from duckdb_tables()").fetchall()
        assert tables == [("message_logs",)]
        return dict(connection.execute("select id, status from signalwire.message_logs").fetchall())


def _source(folder: Path) -> Path:
    folder.mkdir()
    for name in PACKAGED:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder / name)
    return folder


def _wheel(source: Path, folder: Path) -> str:
    command: list[str | Path] = [SCRIPTS / "uv", "build", "--quiet", "--wheel", "--out-dir", folder / "dist", source]
    subprocess.run(command, check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    return str(wheel)


def _repository(source: Path) -> Path:
    author = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
    commands: list[list[str]] = [["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "--message=one"]]
    for arguments in commands:
        subprocess.run(["git", *arguments], cwd=source, check=True)
    return source


def _uv_cache() -> str:
    """Where uv keeps packages: not in the home, which is empty."""
    found = subprocess.run([SCRIPTS / "uv", "cache", "dir"], capture_output=True, text=True, check=True, env=os.environ)
    return found.stdout.strip()

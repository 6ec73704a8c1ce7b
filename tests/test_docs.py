"""The documents agree with the tap and with each other, and what they tell to run runs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tap_signalwire_logs import __version__
from tap_signalwire_logs.settings import Settings
from tests.support.docs import told_settings, written_settings
from tests.support.run import COMMAND, environment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def about() -> dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, "--about", "--format=json"], capture_output=True, text=True, check=True, env=environment()
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def meltano() -> dict[str, Any]:
    project: dict[str, Any] = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    return project


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_readme_s_settings_are_those_that_the_command_tells() -> None:
    assert written_settings() == told_settings()


def test_meltano_knows_every_setting_with_its_default_and_description(
    about: dict[str, Any], meltano: dict[str, Any]
) -> None:
    (extractor,) = meltano["plugins"]["extractors"]
    known = {setting["name"]: setting for setting in extractor["settings"]}
    told = about["settings"]["properties"]
    assert list(known) == list(told)
    for name, schema in told.items():
        assert known[name]["label"], name
        assert known[name]["kind"], name
        assert known[name]["description"], name
        assert known[name].get("value") == schema.get("default"), name
        assert known[name].get("sensitive", False) == schema.get("secret", False), name
        options = [option["value"] for option in known[name].get("options", [])]
        assert options == [value for value in schema.get("enum", []) if value is not None], name


def test_meltano_knows_every_capability(about: dict[str, Any], meltano: dict[str, Any]) -> None:
    (extractor,) = meltano["plugins"]["extractors"]
    assert sorted(extractor["capabilities"]) == sorted(about["capabilities"])


def test_the_official_environment_names_reach_the_settings(meltano: dict[str, Any]) -> None:
    (extractor,) = meltano["plugins"]["extractors"]
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert extractor["config"] == {
        name: f"${variable}"
        for name, variable in {
            "space": "SIGNALWIRE_SPACE",
            "project_id": "SIGNALWIRE_PROJECT_ID",
            "api_token": "SIGNALWIRE_API_TOKEN",
        }.items()
        if re.search(rf"^{variable}=", example, re.MULTILINE)
    }


def test_the_sample_config_is_one_that_the_tap_accepts() -> None:
    Settings.from_config(json.loads((ROOT / "sample_config.json").read_text(encoding="utf-8")))


def test_the_readme_s_commands_are_there(pyproject: dict[str, Any], meltano: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(uv run .+)$", readme, re.MULTILINE)
    assert "uv run poe demo" in commands
    assert "uv run poe test" in commands
    tasks = pyproject["tool"]["poe"]["tasks"]
    plugins = {plugin["name"] for kind in meltano["plugins"].values() for plugin in kind}
    plugins |= {job["name"] for job in meltano["jobs"]}
    for command in commands:
        words = command.split()
        if words[2] == "poe":
            assert words[3] in tasks
        else:
            assert words[2:4] == ["meltano", "run"]
            assert set(words[4:]) <= plugins


def test_the_readme_s_links_lead_to_files_that_are_there() -> None:
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", file.read_text(encoding="utf-8")):
            assert (file.parent / link).exists(), (file.name, link)


def test_the_readme_s_record_has_the_fields_of_the_schema() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    record = json.loads(readme.partition("```json\n")[2].partition("```")[0])
    schema = json.loads((ROOT / "tap_signalwire_logs/schemas/message_logs.json").read_text(encoding="utf-8"))
    assert [*record, "discarded_at"] == list(schema["properties"])


def test_the_changelog_and_the_package_know_the_version(pyproject: dict[str, Any]) -> None:
    version = pyproject["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert version == __version__


def test_the_workflows_test_the_pythons_that_the_package_names(pyproject: dict[str, Any]) -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    prefix = "Programming Language :: Python :: 3."
    named = [line.removeprefix(prefix) for line in pyproject["project"]["classifiers"] if line.startswith(prefix)]
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in named]
    assert pyproject["project"]["requires-python"] == f">=3.{named[0]}"


def test_what_the_operations_guide_says_that_the_tap_says_it_says() -> None:
    guide = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = guide.partition("## Errors and warnings")[2].partition("## Metrics")[0]
    texts = [
        node.value
        for path in sorted((ROOT / "tap_signalwire_logs").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    rows = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(rows) > 15
    for row in rows:
        for fragment in filter(None, (part.strip(" .") for part in row.split("…"))):
            # A place that differs is `%s` in a log line.
            assert any(_in_order(fragment, text) for text in texts), fragment


def _in_order(fragment: str, text: str) -> bool:
    return re.sub(r"\W+", " ", fragment).strip() in re.sub(r"\W+", " ", re.sub(r"%[.\d]*[sdfr]", " ", text))

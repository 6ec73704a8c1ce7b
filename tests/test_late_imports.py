"""Modules that are imported once something of theirs is called."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tap_signalwire_logs.cli import FOR_TARGETS
from tests.support.run import COMMAND, environment

BEGIN = "import sys; from tap_signalwire_logs.late_imports import late_imports\n"


def said_by(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_a_module_is_imported_when_something_of_it_is_called() -> None:
    script = f"""{BEGIN}
with late_imports("colorsys"):
    from colorsys import rgb_to_hsv
print("colorsys" in sys.modules, rgb_to_hsv(1, 0, b=0), "colorsys" in sys.modules)
"""
    assert said_by(script) == "False (0.0, 1.0, 1) True\n"


def test_what_is_called_before_the_end_imports_its_module_too() -> None:
    script = f"""{BEGIN}
with late_imports("colorsys"):
    from colorsys import rgb_to_hsv
    print(rgb_to_hsv(1, 0, 0))
import colorsys
print(sys.modules["colorsys"] is colorsys, colorsys.rgb_to_hsv.__name__)
"""
    assert said_by(script) == "(0.0, 1.0, 1)\nTrue rgb_to_hsv\n"


def test_afterwards_a_module_is_imported_as_ever() -> None:
    script = f"""{BEGIN}
with late_imports("colorsys"):
    from colorsys import rgb_to_hsv
import colorsys
print(colorsys.rgb_to_hsv.__name__)
"""
    assert said_by(script) == "rgb_to_hsv\n"


def test_a_module_that_was_imported_before_stays_as_it_is() -> None:
    script = f"""{BEGIN}
import colorsys
with late_imports("colorsys"):
    from colorsys import rgb_to_hsv
print(rgb_to_hsv is colorsys.rgb_to_hsv, sys.modules["colorsys"] is colorsys)
"""
    assert said_by(script) == "True True\n"


@pytest.mark.slow
@pytest.mark.real_command
@pytest.mark.parametrize("module", FOR_TARGETS)
def test_a_run_imports_nothing_that_is_for_targets(module: str) -> None:
    python, *arguments = COMMAND
    command = [python, "-X", "importtime", *arguments, "--discover"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "singer_sdk.target_base" in imported
    assert module not in imported


def test_what_the_sdk_has_of_them_works_when_it_is_called() -> None:
    script = """
from tap_signalwire_logs.cli import FOR_TARGETS
from tap_signalwire_logs.late_imports import late_imports
with late_imports(*FOR_TARGETS):
    import singer_sdk
from singer_sdk import target_base
from singer_sdk.helpers._batch import StorageTarget
print(StorageTarget.split_url("file:///folder/batch.json"))
print(target_base.Parallel()(target_base.delayed(abs)(number) for number in (-1, -2)))
"""
    assert said_by(script) == "('file:///folder', 'batch.json')\n[1, 2]\n"

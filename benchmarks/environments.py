"""The contenders: what each needs, the environment that is made of it, and the command of a run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parent / ".environments"
PINS_FILE = "pins.json"

TAP = "tap"
AIOHTTP = "aiohttp"
OFFICIAL = "official client"
SINGER = "singer-sdk"
SINGER_DEFAULT = "singer-sdk, default state"
DLT = "dlt"
AIRBYTE = "Airbyte CDK"


@dataclass(frozen=True)
class Contender:
    """One way to get the logs: a script of `peers/` (none: the tap), and the packages that it needs.

    `what` says how it goes about it; `package` is the one whose version is told.
    """

    package: str
    pins: tuple[str, ...]
    script: str | None
    what: str
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Environment; those with the same pins share one."""
        return ENVIRONMENTS / self.package

    @property
    def python(self) -> str:
        """Interpreter of the environment."""
        return str(self.folder / "bin" / "python")

    @property
    def identity(self) -> dict[str, Any]:
        """All that an environment depends on: where it changes, the environment is made anew."""
        identity: dict[str, Any] = {"python": sys.version, "pins": self.pins}
        if self.script is None:
            # The tap's code is read from the checkout; only what it needs is installed.
            identity["project"] = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
        return identity

    def command(self, settings: dict[str, Any], mode: str, concurrency: int, folder: Path) -> list[str]:
        """Command of one run, whose files are in `folder`; the records go to `folder/output`."""
        if self.script is None:
            config = write_json(folder / "config.json", {**settings, "record_source": mode, "concurrency": concurrency})
            return [self.python, "-m", "tap_signalwire_logs", "--config", config]
        arguments = [write_json(folder / "settings.json", settings), mode, str(concurrency), str(folder / "output")]
        return [self.python, str(PEERS / self.script), *arguments, *self.options]

    def option(self, option: str) -> list[str]:
        """Command with one option alone, like `--version`."""
        start = ["-m", "tap_signalwire_logs"] if self.script is None else [str(PEERS / self.script)]
        return [self.python, *start, option]


CONTENDERS = {
    TAP: Contender("tap-signalwire-logs", ("-e", "."), None, "this tap, with all that it promises"),
    AIOHTTP: Contender(
        "aiohttp", ("aiohttp~=3.14",), "bare_aiohttp.py", "by hand: workers side by side; no retries, no state"
    ),
    OFFICIAL: Contender(
        "signalwire-sdk", ("signalwire-sdk~=3.7",), "official_client.py", "`paginate()` and `get()`, one by one"
    ),
    SINGER: Contender(
        "singer-sdk",
        ("singer-sdk~=0.54.9",),
        "singer_sdk_tap.py",
        "a list stream; gets as its child stream, one by one",
    ),
    SINGER_DEFAULT: Contender(
        "singer-sdk",
        ("singer-sdk~=0.54.9",),
        "singer_sdk_tap.py",
        "the same, without `state_partitioning_keys = ()`",
        ("--default-state",),
    ),
    DLT: Contender(
        "dlt",
        # duckdb as in `meltano.yml`.
        ("dlt[duckdb,filesystem,postgres]~=1.31", "duckdb==1.1.3"),
        "dlt_source.py",
        "a resource; gets as `@dlt.defer` in its pool of threads",
    ),
    AIRBYTE: Contender(
        "airbyte-cdk",
        ("airbyte-cdk~=7.39",),
        "airbyte_source.py",
        "a declarative manifest; gets as a substream, side by side",
    ),
}


def prepare(names: Iterable[str]) -> dict[str, str]:
    """Make the environments that are not there yet; gives the versions of their packages."""
    return prepare_environments(CONTENDERS[name] for name in names)


def prepare_environments(contenders: Iterable[Contender]) -> dict[str, str]:
    """Make the environments of contenders that are not there yet; gives the versions of their packages."""
    versions = {}
    for contender in {contender.package: contender for contender in contenders}.values():
        pins = contender.folder / PINS_FILE
        identity = json.dumps(contender.identity)
        if not pins.exists() or pins.read_text(encoding="utf-8") != identity:
            print(f"installing {contender.package}", flush=True)
            _uv("venv", "--clear", "--python", sys.executable, str(contender.folder))
            _uv("pip", "install", "--compile-bytecode", "--python", contender.python, *contender.pins)
            pins.write_text(identity, encoding="utf-8")
        if contender.script is None:
            # The checkout's own code, as an installed package's is.
            subprocess.run([contender.python, "-m", "compileall", "-q", "tap_signalwire_logs"], check=True, cwd=ROOT)
        installed = json.loads(_uv("pip", "list", "--format", "json", "--python", contender.python))
        versions[contender.package] = next(
            package["version"] for package in installed if package["name"] == contender.package
        )
    return versions


def write_json(path: Path, content: dict[str, Any]) -> str:
    """Write a file for a command line; gives its path."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


def _uv(*arguments: str) -> str:
    command = [os.environ.get("UV", "uv"), "--quiet", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout

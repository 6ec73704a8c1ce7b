"""The README's settings table, as the tap tells it with `--about --format=markdown`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.definitions import write_definitions
from tests.support.run import COMMAND, environment

README = Path(__file__).parent.parent.parent / "README.md"
BEGIN = "<!-- settings: written by `uv run poe docs` -->\n"
END = "<!-- end of settings -->"


def told_settings() -> str:
    """The table of settings that the command prints."""
    about = subprocess.run(
        [*COMMAND, "--about", "--format=markdown"], capture_output=True, text=True, check=True, env=environment()
    ).stdout
    _, _, settings = about.partition("## Settings\n\n")
    table, _, _ = settings.partition("\n\n")
    return f"{table}\n"


def written_settings() -> str:
    """The table of settings in the README."""
    return README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def write_settings() -> None:
    """Put the command's table into the README."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}{told_settings()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write_settings()
    write_definitions()

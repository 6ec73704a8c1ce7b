"""Plugin definitions for Meltano projects of one's own, written from this project's `meltano.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "definitions"
PACKAGE = "tap-signalwire-logs"
LOADERS = ("target-duckdb", "target-postgres")
WIDTH = 120

HEAD = """# Written by `uv run poe docs` from meltano.yml. To add the plugin to a project of your own:
# meltano add {name} --from-ref PATH_OR_URL_OF_THIS_FILE
# `variants` says all again, for Meltano 4.4 keeps `select` and `env` of variants alone; the hub takes the rest.
"""
HUB = {
    "variant": "original",
    "domain_url": "https://signalwire.com",
    "docs": "https://signalwire.com/docs",
    "keywords": ["meltano_sdk", "messaging", "sms", "telephony"],
}
OWN = ("config", "dialect", "target_schema")
FIRST = ("name", "namespace", "variant", "label", "description", "domain_url", "docs", "keywords")
OF_A_VARIANT = (
    *(
        "docs",
        "pip_url",
        "executable",
        "capabilities",
        "select",
        "settings_group_validation",
        "settings",
        "commands",
        "env",
    ),
)


def definition(name: str) -> dict[str, Any]:
    """Definition of a plugin of `meltano.yml`, in the form of the hub."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    plugin = next(one for kind in project["plugins"].values() for one in kind if one["name"] == name)
    # A project's own values are no part of a definition.
    known = {"variant": "original", **{key: value for key, value in plugin.items() if key not in OWN}}
    if name == PACKAGE:
        known |= {**HUB, "pip_url": PACKAGE}
    else:
        # Its commands are scripts of this project.
        known.pop("commands", None)
    ordered = {key: known[key] for key in FIRST if key in known}
    return {**ordered, **{key: value for key, value in known.items() if key not in ordered}}


def text(name: str) -> str:
    """Definition as a file's text, whose values come once more as those of its only variant."""
    told = definition(name)
    body = yaml.safe_dump(told, sort_keys=False, width=WIDTH, allow_unicode=True)
    variant = [f"- name: {told['variant']}"]
    for key in (key for key in OF_A_VARIANT if key in told):
        if isinstance(told[key], str):
            variant.append(f"  {key}: {told[key]}")
        else:
            body = body.replace(f"\n{key}:\n", f"\n{key}: &{key}\n")
            variant.append(f"  {key}: *{key}")
    return HEAD.format(name=name) + body + "\n".join(["variants:", *variant, ""])


def write_definitions() -> None:
    """Write the files."""
    for name in (PACKAGE, *LOADERS):
        (FOLDER / f"{name}.yml").write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    write_definitions()

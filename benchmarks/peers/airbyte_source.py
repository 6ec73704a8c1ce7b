"""Airbyte's CDK: a manifest read by its own entry point; a list stream, and a substream that gets each log."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from airbyte_cdk.entrypoint import launch
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource

MANIFEST = Path(__file__).with_name("airbyte_manifest.yaml")


def main() -> None:
    """Run `read` with its output in a file."""
    settings_file, mode, concurrency, output = sys.argv[1:]
    stream: dict[str, object] = {
        "name": "message_logs" if mode == "list" else "got_logs",
        "json_schema": {},
        "supported_sync_modes": ["full_refresh"],
    }
    catalog = {
        "streams": [{"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}],
    }
    settings = json.loads(Path(settings_file).read_text(encoding="utf-8"))
    settings["concurrency"] = int(concurrency)
    config_file, catalog_file = Path(f"{output}.config.json"), Path(f"{output}.catalog.json")
    config_file.write_text(json.dumps(settings), encoding="utf-8")
    catalog_file.write_text(json.dumps(catalog), encoding="utf-8")
    source = YamlDeclarativeSource(
        str(MANIFEST), config=settings, catalog=ConfiguredAirbyteCatalogSerializer.load(catalog)
    )
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    launch(source, ["read", "--config", str(config_file), "--catalog", str(catalog_file)])


if __name__ == "__main__":
    main()

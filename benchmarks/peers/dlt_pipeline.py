"""dlt into a warehouse: a resource that lists, merged by `id` into a table of DuckDB or PostgreSQL."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

_, SETTINGS_FILE, INTO, ADDRESS, FOLDER = sys.argv
# What would reach beyond this machine is off. dlt reads them when it is imported.
os.environ.update({"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"})

import dlt  # noqa: E402 - its settings come first
from dlt.sources.helpers import requests  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = json.loads(Path(SETTINGS_FILE).read_text(encoding="utf-8"))
ORIGIN = f"http://{SETTINGS['space']}"
AUTH = (SETTINGS["project_id"], SETTINGS["api_token"])
LIST_PATH = "/api/messaging/logs"
PAGE_SIZE = 1_000
# A charge of 0 that comes first would make the column a whole number's, and put the others into one beside it.
COLUMNS = {"charge": {"data_type": "double"}}


@dlt.resource(name="message_logs", max_table_nesting=0, columns=COLUMNS, write_disposition="merge", primary_key="id")
def listed() -> Iterator[list[dict[str, Any]]]:
    """Pages of the list."""
    url: str | None = f"{ORIGIN}{LIST_PATH}?page_size={PAGE_SIZE}"
    while url:
        page = requests.get(url, auth=AUTH).json()
        yield page["data"]
        url = page["links"].get("next")


def main() -> None:
    """Run the pipeline once, from nothing."""
    destination = dlt.destinations.duckdb(ADDRESS) if INTO == "duckdb" else dlt.destinations.postgres(ADDRESS)
    pipeline = dlt.pipeline(
        pipeline_name="peer", pipelines_dir=f"{FOLDER}/pipelines", destination=destination, dataset_name="signalwire"
    )
    pipeline.run(listed)


if __name__ == "__main__":
    main()

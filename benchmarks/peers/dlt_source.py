"""dlt: a resource that lists, and in mode `get` a transformer that gets each log, loaded into a folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

_, SETTINGS_FILE, MODE, CONCURRENCY, OUTPUT = sys.argv
# What makes it quicker is set, and what would reach beyond this machine is off. dlt reads them when it is imported.
os.environ.update(
    {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
        "EXTRACT__WORKERS": CONCURRENCY,
        "EXTRACT__MAX_PARALLEL_ITEMS": CONCURRENCY,
        "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
        "DESTINATION__FILESYSTEM__BUCKET_URL": Path(OUTPUT).as_uri(),
    }
)

import dlt  # noqa: E402 - its settings come first
from dlt.sources.helpers import requests  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTINGS = json.loads(Path(SETTINGS_FILE).read_text(encoding="utf-8"))
ORIGIN = f"http://{SETTINGS['space']}"
AUTH = (SETTINGS["project_id"], SETTINGS["api_token"])
LIST_PATH = "/api/messaging/logs"
PAGE_SIZE = 1_000
# A charge of 0 that comes first would make the column a whole number's, and put the others into one beside it.
COLUMNS = {"charge": {"data_type": "double"}}


@dlt.resource(name="message_logs" if MODE == "list" else "listed_logs", max_table_nesting=0, columns=COLUMNS)
def listed() -> Iterator[list[dict[str, Any]]]:
    """Pages of the list."""
    url: str | None = f"{ORIGIN}{LIST_PATH}?page_size={PAGE_SIZE}"
    while url:
        page = requests.get(url, auth=AUTH).json()
        yield page["data"]
        url = page["links"].get("next")


@dlt.transformer(name="message_logs", max_table_nesting=0, columns=COLUMNS)
def got(page: list[dict[str, Any]]) -> Iterator[Callable[[], Any]]:
    """Answer of the get endpoint for each entry of a page."""
    for log in page:
        yield get(log["id"])


@dlt.defer
def get(log_id: str) -> Any:
    """Get one log, in a thread of dlt's pool."""
    return requests.get(f"{ORIGIN}{LIST_PATH}/{log_id}", auth=AUTH).json()


def main() -> None:
    """Run the pipeline once, from nothing."""
    pipeline = dlt.pipeline(
        pipeline_name="peer", pipelines_dir=f"{OUTPUT}.pipelines", destination="filesystem", dataset_name="peer"
    )
    pipeline.run(listed if MODE == "list" else listed | got, loader_file_format="jsonl")


if __name__ == "__main__":
    main()

"""SignalWire's own client: one request after another, records as JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from signalwire.rest import RestClient

PAGE_SIZE = 1_000


def main() -> None:
    """List the logs, and in mode `get` get each of them."""
    settings_file, mode, _, output = sys.argv[1:]
    settings = json.loads(Path(settings_file).read_text(encoding="utf-8"))
    client = RestClient(project=settings["project_id"], token=settings["api_token"], host=settings["space"])
    messages = client.logs.messages
    with Path(output).open("w", encoding="utf-8") as lines:
        for log in messages.paginate(page_size=PAGE_SIZE):
            record = messages.get(log["id"]) if mode == "get" else log
            lines.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()

"""A target of singer-sdk that reads every message and drops every record: the least that its loaders take."""

from __future__ import annotations

from typing import Any, ClassVar

from singer_sdk import Target
from singer_sdk.sinks import BatchSink

BATCH_ROWS = 50_000


class DroppingSink(BatchSink):
    """Keeps nothing of a batch."""

    max_size = BATCH_ROWS
    validate_schema = False

    def process_batch(self, context: dict[str, Any]) -> None:
        """Drop it."""


class DroppingTarget(Target):
    """Reads, and keeps nothing."""

    name = "dropping-target"
    config_jsonschema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}}
    default_sink_class = DroppingSink


if __name__ == "__main__":
    DroppingTarget.cli()

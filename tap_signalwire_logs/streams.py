"""The families of logs, each as a row of facts."""

from __future__ import annotations

from typing import ClassVar

from singer_sdk import SchemaDirectory, StreamSchema

from tap_signalwire_logs import schemas
from tap_signalwire_logs.base import LogStream

SCHEMAS = SchemaDirectory(schemas)


class MessageLogsStream(LogStream):
    """Messages, one record for each segment."""

    name = "message_logs"
    path = "/api/messaging/logs"
    scope = "Messaging"
    final_statuses = frozenset({"delivered", "undelivered", "failed", "received"})
    charged_directions = ("outbound",)
    schema: ClassVar[StreamSchema] = StreamSchema(SCHEMAS)

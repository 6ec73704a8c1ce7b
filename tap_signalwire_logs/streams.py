"""The families of logs, each as a row of facts."""

from __future__ import annotations

from typing import ClassVar

from tap_signalwire_logs.log_stream import LogStream


class MessageLogsStream(LogStream):
    """Messages, one record for each segment."""

    name = "message_logs"
    selected_by_default = True
    path = "/api/messaging/logs"
    scope = "Messaging"
    ids_setting = "message_log_ids"
    final_statuses = frozenset({"delivered", "undelivered", "failed", "received"})
    charged_where: ClassVar = {"direction": ("outbound",)}


class VoiceLogsStream(LogStream):
    """Calls and their legs."""

    name = "voice_logs"
    path = "/api/voice/logs"
    scope = "Voice"
    ids_setting = "voice_log_ids"
    final_statuses = frozenset({"busy", "failed", "no-answer", "canceled", "completed", "ended"})
    charged_where: ClassVar = {"status": ("completed", "ended")}


class VoiceLogEventsStream(VoiceLogsStream):
    """What happened in each call; the events have no ID, so that their place in the answer is a part of the key."""

    name = "voice_log_events"
    part = "events"
    primary_keys = ("log_id", "position")
    replication_key = "event_at"


class FaxLogsStream(LogStream):
    """Faxes."""

    name = "fax_logs"
    path = "/api/fax/logs"
    scope = "Fax"
    ids_setting = "fax_log_ids"
    final_statuses = frozenset({"busy", "failed", "no-answer", "canceled", "completed"})
    charged_where: ClassVar = {"status": ("completed",)}


class VideoLogsStream(LogStream):
    """Sessions in video rooms."""

    name = "video_logs"
    path = "/api/video/logs"
    scope = "Video"
    ids_setting = "video_log_ids"
    final_statuses = frozenset({"completed"})
    charged_where: ClassVar = {}


class ConferenceLogsStream(LogStream):
    """Conferences, of which there is a list and no get."""

    name = "conference_logs"
    path = "/api/logs/conferences"
    scope = "Voice or Video"
    ids_setting = None
    final_statuses = frozenset({"completed"})
    charged_where: ClassVar = {"type": ("video_",)}


STREAMS: list[type[LogStream]] = [
    MessageLogsStream,
    VoiceLogsStream,
    VoiceLogEventsStream,
    FaxLogsStream,
    VideoLogsStream,
    ConferenceLogsStream,
]

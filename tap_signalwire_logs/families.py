"""The families of logs, each as a row of facts; a new one is a row here and a schema in `schemas/`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Family:
    """One family of logs, as a stream of the tap.

    Attributes:
        name: The stream's name, and its schema's.
        noun: What its logs are called, in the plural.
        path: The list endpoint; a log's get endpoint is this and its ID.
        scope: The scope that the API token needs.
        final_statuses: Statuses after which a log changes no more.
        final_statuses_by_kind: The same where a kind of log has others.
        rarely_changing_statuses_by_kind: Statuses that, with a charge, are nearly final: no receipt follows them.
        charge_required_when: Logs that are final only once they have a charge: for each of these fields, how its value
            begins.
        ids_setting: The setting that names logs; None where there is no get endpoint.
        subresource: Where the records are not the logs but what each has of its own: the last segment of its path.
        primary_keys: Properties that tell a record from all others.
        replication_key: Property that says when a record was created.
        selected_by_default: Whether a run without a catalog reads it.
    """

    name: str
    noun: str
    path: str
    scope: str
    final_statuses: frozenset[str]
    charge_required_when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    final_statuses_by_kind: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rarely_changing_statuses_by_kind: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ids_setting: str | None = None
    subresource: str | None = None
    primary_keys: tuple[str, ...] = ("id",)
    replication_key: str = "created_at"
    selected_by_default: bool = False

    @property
    def has_get(self) -> bool:
        """Whether there is a get endpoint, so that logs can be asked for by ID."""
        return self.ids_setting is not None


MESSAGE_LOGS = Family(
    name="message_logs",
    noun="messages",
    path="/api/messaging/logs",
    scope="Messaging",
    ids_setting="message_log_ids",
    final_statuses=frozenset({"delivered", "undelivered", "failed", "received"}),
    # A WhatsApp message is read after it is delivered. Carriers give no receipts for MMS: `sent` is mostly the last.
    final_statuses_by_kind={"whatsapp": frozenset({"read", "undelivered", "failed", "received"})},
    rarely_changing_statuses_by_kind={"mms": frozenset({"sent"})},
    charge_required_when={"direction": ("outbound",)},
    selected_by_default=True,
)
VOICE_LOGS = Family(
    name="voice_logs",
    noun="calls",
    path="/api/voice/logs",
    scope="Voice",
    ids_setting="voice_log_ids",
    final_statuses=frozenset({"busy", "failed", "no-answer", "canceled", "completed", "ended"}),
    charge_required_when={"status": ("completed", "ended")},
)
# Events have no ID: their place in the answer is a part of the key.
VOICE_LOG_EVENTS = replace(
    VOICE_LOGS,
    name="voice_log_events",
    subresource="events",
    primary_keys=("log_id", "position"),
    replication_key="event_at",
)
FAX_LOGS = Family(
    name="fax_logs",
    noun="faxes",
    path="/api/fax/logs",
    scope="Fax",
    ids_setting="fax_log_ids",
    final_statuses=frozenset({"busy", "failed", "no-answer", "canceled", "completed"}),
    charge_required_when={"status": ("completed",)},
)
VIDEO_LOGS = Family(
    name="video_logs",
    noun="video sessions",
    path="/api/video/logs",
    scope="Video",
    ids_setting="video_log_ids",
    final_statuses=frozenset({"completed"}),
)
CONFERENCE_LOGS = Family(
    name="conference_logs",
    noun="conferences",
    path="/api/logs/conferences",
    scope="Voice or Video",
    final_statuses=frozenset({"completed"}),
    charge_required_when={"type": ("video_",)},
)

FAMILIES = (MESSAGE_LOGS, VOICE_LOGS, VOICE_LOG_EVENTS, FAX_LOGS, VIDEO_LOGS, CONFERENCE_LOGS)


def families_by_ids_setting() -> dict[str, list[Family]]:
    """The families that each setting of IDs is for, those whose records are the logs themselves first."""
    found: dict[str, list[Family]] = {}
    for family in sorted(FAMILIES, key=lambda one: one.subresource is not None):
        if family.ids_setting:
            found.setdefault(family.ids_setting, []).append(family)
    return found

"""The families of logs: each a row of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.simulator.families import fax, messages, rooms, voice

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.families.log import Log

    Make = Callable[[Log], tuple[str, int]]


class Part(NamedTuple):
    """What a log has of its own behind `{path}/{id}/{segment}`: an object whose `data` is a list, without pages."""

    name: str
    segment: str
    make: Make
    example: dict[str, Any]


class Family(NamedTuple):
    """A family of logs.

    Fields:
        scopes: Of a token; any one of them opens the family.
        make: Makes a body, and the age in seconds up to which it stays so.
        examples: What a test does not say of a log that it adds, by type, the usual type first.
        leaves_stub: Whether a deleted log is listed as a stub; if not, as it was.
    """

    name: str
    path: str
    has_get: bool
    scopes: frozenset[str]
    make: Make
    examples: list[dict[str, Any]]
    leaves_stub: bool = True
    parts: tuple[Part, ...] = ()


EVENTS = Part("voice_log_events", "events", voice.events, voice.EVENT_EXAMPLE)

FAMILIES = (
    Family(
        "message_logs",
        "/api/messaging/logs",
        has_get=True,
        scopes=frozenset({"Messaging"}),
        make=messages.message,
        examples=messages.EXAMPLES,
    ),
    Family(
        "voice_logs",
        "/api/voice/logs",
        has_get=True,
        scopes=frozenset({"Voice"}),
        make=voice.voice,
        examples=voice.EXAMPLES,
        parts=(EVENTS,),
    ),
    Family(
        "fax_logs",
        "/api/fax/logs",
        has_get=True,
        scopes=frozenset({"Fax"}),
        make=fax.fax,
        examples=fax.EXAMPLES,
        leaves_stub=False,
    ),
    Family(
        "video_logs",
        "/api/video/logs",
        has_get=True,
        scopes=frozenset({"Video"}),
        make=rooms.video,
        examples=rooms.VIDEO_EXAMPLES,
    ),
    Family(
        "conference_logs",
        "/api/logs/conferences",
        has_get=False,
        scopes=frozenset({"Voice", "Video"}),
        make=rooms.conference,
        examples=rooms.CONFERENCE_EXAMPLES,
        leaves_stub=False,
    ),
)
MESSAGES = FAMILIES[0]
SCOPES = frozenset().union(*(family.scopes for family in FAMILIES))

"""Bodies of video logs and of conference logs, which are of three shapes."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tests.simulator.families.log import FOREVER, NOW, ORIGIN, PROJECT_ID, Log, charges, dollars, lasts, number, quoted
from tests.simulator.instants import MICROS, text

RATE = 350
REGIONS = ("us-east", "us-west", "eu-central")
SESSION_TYPES = ("video_room_session", "video_conference_session")
CONFERENCE_TYPES = ("cxml_conference", "cxml_conference", "relay_conference", "video_room_session")

SESSION_EXAMPLE = {
    "source": "realtime_api",
    "url": f"{ORIGIN}/video/sessions/1",
    "room_name": "room-1",
    "status": "completed",
    "locked": False,
    "started_at": NOW,
    "ended_at": NOW,
    "created_at": NOW,
}
VIDEO_EXAMPLES = [
    {
        **SESSION_EXAMPLE,
        "type": kind,
        "charge": Decimal("0.0035"),
        "charge_details": [{"description": "Video session", "charge": Decimal("0.0035")}],
    }
    for kind in SESSION_TYPES
]
CXML_EXAMPLE = {
    "created_at": NOW,
    "updated_at": NOW,
    "project_id": PROJECT_ID,
    "region": REGIONS[0],
    "name": "standup",
    "status": "completed",
    "max_size": 20,
    "current_participants": 0,
    "type": "cxml_conference",
}
RECORDING_EXAMPLE = {"recording_url": None, "recording_duration": None, "recording_file_size": None}
CONFERENCE_EXAMPLES = [
    CXML_EXAMPLE,
    {**CXML_EXAMPLE, **RECORDING_EXAMPLE, "type": "relay_conference"},
    *(
        {
            **SESSION_EXAMPLE,
            "type": kind,
            "charge": "0.0035",
            "charge_details": [{"description": "Video session", "charge": "0.0035"}],
        }
        for kind in SESSION_TYPES
    ),
]


class Session(NamedTuple):
    """The life of a video session: the ages in seconds of its steps, and its price in the end."""

    type: str
    started: int
    ended: int
    charged: int
    price: int


def video(log: Log) -> tuple[str, int]:
    """The get endpoint's answer, and the age in seconds up to which it stays so."""
    session = _session(log.digest)
    price = session.price if log.age >= session.charged else 0
    money = f'"charge":{dollars(price)},"charge_details":{charges("Video session", price)}'
    return f'{{"id":"{log.id}",{_session_fields(log, session)},{money}}}', _session_lasts(log, session)


def conference(log: Log) -> tuple[str, int]:
    """A list entry, and the age in seconds up to which it stays so."""
    kind = CONFERENCE_TYPES[log.digest[0] % 4]
    if kind in SESSION_TYPES:
        return _session_conference(log)
    return _call_conference(log, kind)


def _session_conference(log: Log) -> tuple[str, int]:
    """A video session among the conferences: its charges are texts."""
    session = _session(log.digest)
    price = session.price if log.age >= session.charged else 0
    charge = dollars(price) if price else "0.0"
    details = f'[{{"description":"Video session","charge":"{charge}"}}]' if price else "[]"
    money = f'"charge":"{charge}","charge_details":{details}'
    return f'{{"id":"{log.id}",{_session_fields(log, session)},{money}}}', _session_lasts(log, session)


def _call_conference(log: Log, kind: str) -> tuple[str, int]:
    digest = log.digest
    ended = 120 + digest[7] ** 2 // 8
    guests = 2 + digest[2] % 5
    step = 1 + digest[6] % 15
    # They come one after another; they leave so in the last seconds.
    joins = [place * step for place in range(guests)]
    leaves = [ended - 2 * place for place in range(guests)]
    recorded = ended + 60 + digest[8] if kind == "relay_conference" and digest[9] < 128 else FOREVER
    changes = sorted({*joins, *leaves, recorded})
    updated = max(change for change in changes if change <= max(log.age, 0))
    present = sum(join <= log.age for join in joins) - sum(leave <= log.age for leave in leaves)
    recording = ""
    if kind == "relay_conference":
        there = log.age >= recorded
        url = quoted(f"{ORIGIN}/recordings/{log.id}" if there else None)
        recording = (
            f',"recording_url":{url},"recording_duration":{number(ended if there else None)},'
            f'"recording_file_size":{number(ended * 16_000 if there else None)}'
        )
    body = (
        f'{{"id":"{log.id}","created_at":"{text(log.created)}","updated_at":"{text(log.created + updated * MICROS)}",'
        f'"project_id":"{PROJECT_ID}","region":"{REGIONS[digest[4] % 3]}",'
        f'"name":{quoted(None if digest[5] < 20 else f"team-{digest[5]}")},'
        f'"status":"{"completed" if log.age >= ended else "in-progress"}",'
        f'"max_size":{number(digest[13] % 3 * 10 or None)},'
        f'"current_participants":{max(present, 0)},"type":"{kind}"{recording}}}'
    )
    return body, lasts(log.age, *changes)


def _session(digest: bytes) -> Session:
    started = digest[2] % 20
    ended = started + 60 + digest[7] ** 2 // 8
    kind = SESSION_TYPES[digest[1] % 2]
    return Session(kind, started, ended, ended + 60 + digest[8] * 20, RATE * -(-(ended - started) // 60))


def _session_fields(log: Log, session: Session) -> str:
    digest = log.digest
    started, over = log.age >= session.started, log.age >= session.ended
    status = "completed" if over else "in-progress" if started else None
    start = text(log.created + session.started * MICROS) if started else None
    end = text(log.created + session.ended * MICROS) if over else None
    return (
        f'"source":"realtime_api","type":"{session.type}","url":"{ORIGIN}/video/sessions/{log.id}",'
        f'"room_name":{quoted(None if digest[5] < 20 else f"room-{digest[5]}")},"status":{quoted(status)},'
        f'"locked":{"true" if digest[13] < 30 else "false"},"started_at":{quoted(start)},"ended_at":{quoted(end)},'
        f'"created_at":"{text(log.created)}"'
    )


def _session_lasts(log: Log, session: Session) -> int:
    return lasts(log.age, session.started, session.ended, session.charged)

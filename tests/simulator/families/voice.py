"""Bodies of voice logs, whose fields depend on their type, and of their events."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tests.simulator.families.log import (
    CALLED,
    CALLERS,
    LAML,
    NOW,
    PROJECT_ID,
    Log,
    charges,
    dollars,
    lasts,
    number,
    quoted,
)
from tests.simulator.instants import MICROS, text

LAML_WORDS = ("queued", "ringing", "in-progress", "completed")
RELAY_WORDS = ("created", "ringing", "answered", "ended")
ROOM_WORDS = ("created", "ringing", "joined", "ended")
DEVICE_WORDS = (None, "ringing", "answered", "ended")
ROOM_FIELDS = ("direction", "status", "duration", "duration_ms")
CALL_FIELDS = (*ROOM_FIELDS, "billing_ms", "parent_id")


class Kind(NamedTuple):
    """What the type of a call decides.

    Fields:
        words: The status at each step of a call's life.
        fields: Beside those that every type has.
        rate: Hundred-thousandths of a dollar a minute.
    """

    type: str
    source: str
    words: tuple[str | None, str, str, str]
    fields: tuple[str, ...]
    rate: int
    directions: tuple[str, ...] = ("inbound", "outbound")


# As often as it stands here of sixteen.
KINDS = [
    *[Kind("laml_call", "laml", LAML_WORDS, CALL_FIELDS, 900, ("inbound", "outbound-api", "outbound-dial"))] * 5,
    *[Kind("relay_pstn_call", "realtime_api", RELAY_WORDS, CALL_FIELDS, 650)] * 4,
    Kind("relay_sip_call", "realtime_api", RELAY_WORDS, CALL_FIELDS, 30),
    Kind("relay_webrtc_call", "realtime_api", RELAY_WORDS, CALL_FIELDS, 300),
    Kind("video_room_pstn_leg", "realtime_api", ROOM_WORDS, ROOM_FIELDS, 650),
    Kind("video_room_sip_leg", "realtime_api", ROOM_WORDS, ROOM_FIELDS, 30),
    Kind("dialogflow_call", "dialogflow", LAML_WORDS, ("status", "duration"), 2_000),
    *[Kind("fabric_subscriber_device_leg", "realtime_api", DEVICE_WORDS, ("direction", "status"), 30)] * 2,
]
UNANSWERED = ("busy", "no-answer", "canceled", "failed")

EXAMPLES = [
    {
        "from": "+15550100001",
        "to": "+15550110002",
        "source": kind.source,
        "charge": Decimal("0.0065"),
        "charge_details": [{"description": "Inbound call", "charge": Decimal("0.0065")}],
        "created_at": NOW,
        "type": kind.type,
        "url": None,
        **{
            name: value
            for name, value in {
                "direction": "inbound",
                "status": kind.words[-1],
                "duration": 42,
                "duration_ms": 41_537,
                "billing_ms": 60_000,
                "parent_id": None,
            }.items()
            if name in kind.fields
        },
    }
    for kind in dict.fromkeys(KINDS)
]
EVENT_EXAMPLE = {
    "event_at": NOW,
    "level": "info",
    "name": "call.note",
    "details": {},
    "project_id": PROJECT_ID,
}


class Course(NamedTuple):
    """The life of a call: the ages in seconds of its steps, and how it ends."""

    kind: Kind
    direction: str
    ringing: int
    answered: int | None
    ended: int
    charged: int | None
    outcome: str
    talk_ms: int
    price: int

    @property
    def duration(self) -> int:
        """Whole seconds, begun ones included."""
        return -(-self.talk_ms // 1_000)


def voice(log: Log) -> tuple[str, int]:
    """The get endpoint's answer, and the age in seconds up to which it stays so."""
    digest = log.digest
    course = _course(digest)
    kind = course.kind
    over = log.age >= course.ended
    price = course.price if course.charged and log.age >= course.charged else 0
    all_fields = {
        "direction": f'"{course.direction}"',
        "status": quoted(_status(course, log.age)),
        "duration": number(course.duration if over else None),
        "duration_ms": number(course.talk_ms if over else None),
        "billing_ms": number(course.duration * 1_000 if price else None),
        "parent_id": quoted(_parent(digest) if course.direction == "outbound-dial" else None),
    }
    fields = "".join([f',"{name}":{all_fields[name]}' for name in kind.fields])
    url = f'"{LAML}/Calls/{log.id}"' if kind.source == "laml" else "null"
    body = (
        f'{{"id":"{log.id}","from":"{CALLERS[digest[4]]}","to":"{CALLED[digest[5]]}","source":"{kind.source}",'
        f'"charge":{dollars(price)},"charge_details":{charges(f"{course.direction.title()} call", price)},'
        f'"created_at":"{text(log.created)}","type":"{kind.type}","url":{url}{fields}}}'
    )
    return body, lasts(log.age, course.ringing, course.answered or 0, course.ended, course.charged or 0)


def events(log: Log) -> tuple[str, int]:
    """The answer about a call's events, and the age in seconds up to which it stays so."""
    happened = _events(log.digest, _course(log.digest))
    shown = [_event(log, age, rest) for age, rest in happened if age <= log.age]
    return f'{{"data":[{",".join(shown)}]}}', lasts(log.age, *(age for age, _ in happened))


def _course(digest: bytes) -> Course:
    kind = KINDS[digest[0] % len(KINDS)]
    direction = kind.directions[digest[1] % len(kind.directions)]
    ringing = 1 + digest[2] % 3
    picked_up = ringing + 2 + digest[6] % 30
    if digest[3] >= 200:
        return Course(kind, direction, ringing, None, picked_up, None, UNANSWERED[digest[3] % 4], 0, 0)
    # Most calls are short, a few last more than an hour.
    talk = 3 + digest[7] ** 2 // 16
    ended = picked_up + talk
    price = kind.rate * -(-talk // 60)
    talk_ms = talk * 1_000 - digest[9] * 3
    return Course(
        kind, direction, ringing, picked_up, ended, ended + 30 + digest[8] * 20, kind.words[3], talk_ms, price
    )


def _status(course: Course, age: float) -> str | None:
    if age >= course.ended:
        return course.outcome
    if course.answered and age >= course.answered:
        return course.kind.words[2]
    return course.kind.words[1 if age >= course.ringing else 0]


def _events(digest: bytes, course: Course) -> list[tuple[int, str]]:
    """Age in seconds, and all but instant and IDs, of each event that a call will have had, in order."""
    made = [
        (0, f'"level":"info","name":"call.created","details":{{"direction":"{course.direction}"}}'),
        (course.ringing, '"level":"info","name":"call.ringing","details":{}'),
    ]
    if course.answered is None:
        level = "error" if course.outcome == "failed" else "warn"
        reason = f'{{"reason":"{course.outcome}","attempts":[{{"carrier":"one","code":{480 + digest[14] % 20}}}]}}'
        return [*made, (course.ended, f'"level":"{level}","name":"call.ended","details":{reason}')]
    made.append((course.answered, '"level":"info","name":"call.answered","details":{"machine":false}'))
    # A key pressed twice makes two events that nothing but their place tells apart.
    pressed = course.answered + 1 + (course.ended - course.answered - 1) // 2
    digits = f'"level":"debug","name":"call.digit","details":{{"digit":"{digest[13] % 10}"}}'
    made += [(pressed, digits)] * (digest[14] % 3)
    if digest[15] < 30:
        made.append((course.ended, f'"level":"warn","name":"media.jitter","details":{{"ms":{digest[15]}.5}}'))
    end = f'"level":"info","name":"call.ended","details":{{"reason":"hangup","seconds":{course.duration}}}'
    charge = f'"level":"info","name":"call.charged","details":{{"charge":{dollars(course.price)}}}'
    return [*made, (course.ended, end), (course.charged or 0, charge)]


def _event(log: Log, age: int, rest: str) -> str:
    # Milliseconds are subtracted: who sees an event never sees it before it was.
    instant = log.created + max(0, age * MICROS - log.digest[9] * 1_000)
    return f'{{"event_at":"{text(instant)}",{rest},"project_id":"{PROJECT_ID}","log_id":"{log.id}"}}'


def _parent(digest: bytes) -> str:
    digits = digest.hex()
    return f"{digits[24:]}-{digits[:4]}-4{digits[5:8]}-a{digits[9:12]}-{digits[12:24]}"

"""The messages of a simulated Space: each field a pure function of seed, number and clock, so any size is cheap."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
HOUR = 3_600
DAY = 24 * HOUR
MICROS = 1_000_000

LOW_BITS = 48
LOW_MASK = (1 << LOW_BITS) - 1
MULTIPLIER = 0x9E37_79B9_7F4B
INVERSE = pow(MULTIPLIER, -1, 1 << LOW_BITS)

HOURS = [hour for hour in range(24) for _ in range(1 if hour < 7 else 2 if hour > 20 else 5)]
ARRIVAL_DAYS = 4

# Hundred-thousandths of a dollar for one segment.
RATES = {("outbound", "sms"): 830, ("outbound", "mms"): 1_500, ("inbound", "sms"): 415, ("inbound", "mms"): 1_000}
FAILURES = [
    ("30003", "The destination handset is switched off or unreachable."),
    ("30005", "The destination number is unknown."),
    ("30007", "The carrier has filtered the message."),
    (None, "The message could not be relayed."),
]
encode = msgspec.json.Encoder(decimal_format="number").encode

MISSING = object()
"""As the value of a field: the field is not there."""


def micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def text(instant: int) -> str:
    """ISO 8601 of microseconds since 1970, as the service writes it."""
    return (EPOCH + timedelta(microseconds=instant)).isoformat().replace("+00:00", "Z")


class Population:
    """Messages before and after the clock's start, sorted by creation.

    Args:
        seed: Decides every field.
        messages: How many were created in the `days` before `start`.
        days: The days that they spread over, busier by day than by night.
        stuck: Whether outbound messages stay `sent` and without a charge for ever, and all are outbound.
        start: The clock's start; messages go on arriving after it at the same rate, or 20 a day.
    """

    def __init__(self, seed: int, messages: int, days: float, start: datetime, *, stuck: bool = False) -> None:
        self.seed = seed
        self.stuck = stuck
        chance = random.Random(seed)
        began = micros(start) // MICROS
        seconds = sorted(_second(chance, began - int(days * DAY), days, began) for _ in range(messages))
        if messages:
            arrivals = int(max(messages / max(days, 1), 20) * ARRIVAL_DAYS)
            seconds += sorted(began + chance.randrange(1, ARRIVAL_DAYS * DAY) for _ in range(arrivals))
        for number in range(1, len(seconds)):
            if chance.random() < 0.05:
                seconds[number] = seconds[number - 1]
        self.created = array("q", (second * MICROS for second in seconds))

    def __len__(self) -> int:
        return len(self.created)

    def place(self, instant: int) -> int:
        """Number of the first message created at or after an instant."""
        return bisect_left(self.created, instant)

    def id_of(self, number: int) -> str:
        """ID of a message: its number, scrambled, is in the last twelve digits."""
        high = int.from_bytes(self._digest(number)[:10], "big")
        low = number * MULTIPLIER & LOW_MASK
        return str(UUID(int=(high << LOW_BITS | low) & ~(0xF << 76) | 4 << 76))

    def number_of(self, log_id: str) -> int | None:
        """Number of the message with an ID, or None."""
        try:
            number = (UUID(log_id).int & LOW_MASK) * INVERSE & LOW_MASK
        except ValueError:
            return None
        return number if number < len(self.created) and self.id_of(number) == log_id else None

    def deleted_at(self, number: int) -> int | None:
        """When a message is deleted; most never are."""
        digest = self._digest(number)
        if digest[10] == 0 and digest[11] < 200:
            return self.created[number] + (1 + digest[12]) * HOUR * MICROS
        return None

    def body(self, number: int, clock: int) -> str:
        """The get endpoint's answer when the Space's clock stands at `clock` (microseconds since 1970)."""
        digest = self._digest(number)
        created = self.created[number]
        age = (clock - created) / MICROS
        kind = "mms" if digest[1] < 40 else "sms"
        segments = 1 + digest[2] % 3
        relay = digest[9] < 90
        if self.stuck:
            direction, status, charged, failure = "outbound-api", "sent", False, None
        elif digest[0] < 100:
            direction, status, charged, failure = "inbound", "received", True, None
        else:
            direction = ("outbound", "outbound-api", "outbound-api", "outbound-reply")[digest[0] % 4]
            status, charged, failure = _outbound(digest, kind, age)
        price = RATES[direction[:8].rstrip("-"), kind] * segments if charged else 0
        charge = _dollars(price)
        details = (
            f'[{{"description":"{direction.title()[:8].rstrip("-")} {kind.upper()}","charge":{charge}}}]'
            if price
            else "[]"
        )
        log_id = self.id_of(number)
        url = f'"https://example.signalwire.com/api/laml/2010-04-01/Accounts/c38dacad/Messages/{log_id}"'
        code, message = failure or (None, None)
        return (
            f'{{"id":"{log_id}","from":"+1555010{digest[4]:04d}","to":"+1555011{digest[5]:04d}","status":"{status}",'
            f'"direction":"{direction}","kind":"{kind}","source":"{"realtime_api" if relay else "laml"}",'
            f'"type":"{"relay" if relay else "laml"}_message","url":{"null" if relay else url},'
            f'"number_of_segments":{segments},"charge":{charge},"charge_details":{details},'
            f'"created_at":"{text(created)}","error_message":{_quoted(message)},"error_code":{_quoted(code)}}}'
        )

    def _digest(self, number: int) -> bytes:
        return blake2b(b"%d:%d" % (self.seed, number), digest_size=16).digest()


def _second(chance: random.Random, first: int, days: float, end: int) -> int:
    if days < 1:
        return first + int(chance.random() * days * DAY)
    while True:
        second = first + int(chance.random() * (days + 1)) * DAY
        second = second // DAY * DAY + HOURS[int(chance.random() * len(HOURS))] * HOUR + int(chance.random() * HOUR)
        if first <= second < end:
            return second


def _outbound(digest: bytes, kind: str, age: float) -> tuple[str, bool, tuple[str | None, str] | None]:
    """Status, whether it is charged, and why it failed, for an outbound message of an age in seconds."""
    sent = 5 + digest[6] % 60
    done = sent + 10 + digest[7] ** 2 // 4
    charged = age >= done + 60 + digest[8] * 20
    if age < 2:
        return "queued", False, None
    if age < sent:
        return "initiated", False, None
    if age < done or (kind == "mms" and digest[3] % 16 == 0):
        return "sent", charged, None
    if digest[3] < 220:
        return "delivered", charged, None
    failure = FAILURES[digest[13] % len(FAILURES)]
    if digest[3] < 240:
        return "undelivered", charged, failure
    return "failed", charged and digest[14] < 128, failure


def _dollars(price: int) -> str:
    return f"{price // 100_000}.{price % 100_000:05d}".rstrip("0") if price else "0"


def _quoted(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


@dataclass
class Explicit:
    """A message that a test brings: its fields, and how they change."""

    created: int
    visible: int
    fields: dict[str, Any]
    timeline: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    deleted: int | None = None

    def body(self, clock: int) -> str:
        """The get endpoint's answer at a clock; decimals keep their digits."""
        record = dict(self.fields)
        for instant, changes in self.timeline:
            if instant <= clock:
                record.update(changes)
        shown = {name: value for name, value in record.items() if value is not MISSING}
        return encode(shown).decode()

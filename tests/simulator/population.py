"""The logs of one family of a simulated Space: their order, IDs and clock; any size is cheap."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from copy import copy
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tests.simulator.families.log import Log
from tests.simulator.instants import DAY, HOUR, MICROS, micros, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

LOW_BITS = 48
LOW_MASK = (1 << LOW_BITS) - 1
LOW_DIGITS = LOW_BITS // 4
MULTIPLIER = 0x9E37_79B9_7F4B
INVERSE = pow(MULTIPLIER, -1, 1 << LOW_BITS)

HOURS = [hour for hour in range(24) for _ in range(1 if hour < 7 else 2 if hour > 20 else 5)]
ARRIVAL_DAYS = 4

GENERATION = 32_768
"""How many made logs a half of the cache holds: 30 MB."""

encode = msgspec.json.Encoder(decimal_format="number").encode

MISSING = object()
"""As the value of a field: the field is not there."""


class Shown(NamedTuple):
    """A log as it is from one instant up to another: its place in the order, when it was deleted, and its body.

    Instants are microseconds since 1970.
    """

    created: int
    seq: int
    id: str
    deleted: int | None
    body: bytes
    since: int
    until: int

    @property
    def stub(self) -> bytes:
        """What is left of a deleted log."""
        discarded, created = text(self.deleted or 0), text(self.created)
        return f'{{"id":"{self.id}","discarded_at":"{discarded}","created_at":"{created}"}}'.encode()


class Population:
    """Generated logs before and after the clock's start, sorted by creation.

    Args:
        seed: Decides every field.
        logs: How many were created in the `days` before `start`.
        days: The days that they spread over, busier by day than by night.
        start: The clock's start; logs go on arriving after it at the same rate, or 20 a day.
        make: Makes a body, and the age in seconds up to which it stays so.
        drawn_for: The start that chance draws the times for, `start` by default: they are then moved to `start`, and
            nothing depends on its time of day.
        stuck: Whether logs never get final, where the family knows such; may be changed.
    """

    def __init__(
        self,
        seed: int,
        logs: int,
        days: float,
        start: datetime,
        make: Callable[[Log], tuple[str, int]],
        *,
        drawn_for: datetime | None = None,
        stuck: bool = False,
    ) -> None:
        self._hasher = blake2b(b"%d:" % seed, digest_size=16)
        self._make = make
        self._stuck = stuck
        self._young: dict[int, Shown] = {}
        self._old: dict[int, Shown] = {}
        chance = random.Random(seed)
        began = micros(drawn_for or start) // MICROS
        moved = micros(start) // MICROS - began
        seconds = sorted(_second(chance, began - int(days * DAY), days, began) for _ in range(logs))
        if logs:
            arrivals = int(max(logs / max(days, 1), 20) * ARRIVAL_DAYS)
            seconds += sorted(began + chance.randrange(1, ARRIVAL_DAYS * DAY) for _ in range(arrivals))
        for number in range(1, len(seconds)):
            # No log that arrives later is moved to before the start.
            if chance.random() < 0.05 and number != logs:
                seconds[number] = seconds[number - 1]
        self.created = array("q", ((second + moved) * MICROS for second in seconds))

    def sibling(self, make: Callable[[Log], tuple[str, int]]) -> Population:
        """Other bodies for the same logs."""
        other = copy(self)
        other._make, other._young, other._old = make, {}, {}
        return other

    def __len__(self) -> int:
        return len(self.created)

    @property
    def stuck(self) -> bool:
        """Whether logs never get final."""
        return self._stuck

    @stuck.setter
    def stuck(self, stuck: bool) -> None:
        self._stuck = stuck
        self._young, self._old = {}, {}

    def place(self, instant: int) -> int:
        """Number of the first log created at or after an instant."""
        return bisect_left(self.created, instant)

    def id_of(self, number: int) -> str:
        """ID of a log: its number, scrambled, is in the last twelve digits."""
        made = self._young.get(number) or self._old.get(number)
        return made.id if made else _id(number, self._digest(number))

    def number_of(self, log_id: str) -> int | None:
        """Number of the log with an ID, or None."""
        try:
            number = int(log_id[-LOW_DIGITS:], 16) * INVERSE & LOW_MASK
        except ValueError:
            return None
        return number if number < len(self.created) and self.id_of(number) == log_id else None

    def at(self, number: int, clock: int) -> Shown:
        """How a log is when the Space's clock stands at `clock` (microseconds since 1970)."""
        made = self._young.get(number)
        if made and made.since <= clock < made.until:
            return made
        made = self._old.get(number)
        if made is None or not made.since <= clock < made.until:
            made = self._new(number, clock)
        if len(self._young) >= GENERATION:
            self._young, self._old = {}, self._young
        self._young[number] = made
        return made

    def _new(self, number: int, clock: int) -> Shown:
        digest = self._digest(number)
        created = self.created[number]
        log_id = _id(number, digest)
        # `tuple.__new__` makes the same as the class does, in about half the time.
        log = tuple.__new__(Log, (log_id, digest, created, (clock - created) / MICROS, self._stuck))
        body, lasts = self._make(log)
        until, deleted = created + lasts * MICROS, None
        # Most are never deleted.
        if digest[10] == 0 and digest[11] < 200:
            deletion = created + (1 + digest[12]) * HOUR * MICROS
            until, deleted = (min(until, deletion), None) if clock < deletion else (until, deletion)
        return tuple.__new__(Shown, (created, number, log_id, deleted, body.encode(), clock, until))

    def _digest(self, number: int) -> bytes:
        hasher = self._hasher.copy()
        hasher.update(b"%d" % number)
        return hasher.digest()


def _id(number: int, digest: bytes) -> str:
    high = digest.hex()
    return f"{high[:8]}-{high[8:12]}-4{high[13:16]}-{high[16:20]}-{number * MULTIPLIER & LOW_MASK:012x}"


def _second(chance: random.Random, first: int, days: float, end: int) -> int:
    if days < 1:
        return first + int(chance.random() * days * DAY)
    while True:
        second = first + int(chance.random() * (days + 1)) * DAY
        second = second // DAY * DAY + HOURS[int(chance.random() * len(HOURS))] * HOUR + int(chance.random() * HOUR)
        if first <= second < end:
            return second


@dataclass
class Explicit:
    """A log that a test brings: its fields, and how they change."""

    created: int
    visible: int
    fields: dict[str, Any]
    timeline: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    deleted: int | None = None

    def body(self, clock: int) -> bytes:
        """The get endpoint's answer at a clock; decimals keep their digits."""
        record = dict(self.fields)
        for instant, changes in self.timeline:
            if instant <= clock:
                record.update(changes)
        shown = {name: value for name, value in record.items() if value is not MISSING}
        return encode(shown)

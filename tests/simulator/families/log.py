"""What every family's bodies are made from, and what they share."""

from __future__ import annotations

from typing import NamedTuple

PROJECT_ID = "c38dacad-2f6c-4de1-93d6-cc732e0c70c5"
ORIGIN = "https://example.signalwire.com"
LAML = f"{ORIGIN}/api/laml/2010-04-01/Accounts/c38dacad"
CALLERS = [f"+1555010{number:04d}" for number in range(256)]
CALLED = [f"+1555011{number:04d}" for number in range(256)]

FOREVER = 1 << 40
"""Seconds that no log reaches."""

NOW = object()
"""As the value of a field of an example: the Space's time."""


class Log(NamedTuple):
    """A generated log: its ID, 16 bytes that decide its fields, its creation (microseconds), its age (seconds).

    Bytes 10 to 12 decide on deletion and should decide on nothing else.
    """

    id: str
    digest: bytes
    created: int
    age: float
    stuck: bool


def lasts(age: float, *changes: int) -> int:
    """The first of the ages at which something changes that is still to come."""
    return min((change for change in changes if change > age), default=FOREVER)


def dollars(price: int) -> str:
    """Text of hundred-thousandths of a dollar."""
    return f"{price // 100_000}.{price % 100_000:05d}".rstrip("0").rstrip(".") if price else "0"


def charges(description: str, price: int) -> str:
    """Charge details of hundred-thousandths of a dollar."""
    return f'[{{"description":"{description}","charge":{dollars(price)}}}]' if price else "[]"


def quoted(value: str | None) -> str:
    """JSON of a text that needs no escapes."""
    return "null" if value is None else f'"{value}"'


def number(value: int | None) -> str:
    """JSON of an integer."""
    return "null" if value is None else str(value)

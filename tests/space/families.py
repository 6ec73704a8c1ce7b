"""The bodies of generated logs: each field a pure function of a log's digest and age."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

HOUR = 3_600
FOREVER = 1 << 40
"""Seconds that no log reaches."""

# Hundred-thousandths of a dollar for one segment.
RATES = {("outbound", "sms"): 830, ("outbound", "mms"): 1_500, ("inbound", "sms"): 415, ("inbound", "mms"): 1_000}
Failure = tuple[str | None, str]

FAILURES: list[Failure] = [
    ("30003", "The destination handset is switched off or unreachable."),
    ("30005", "The destination number is unknown."),
    ("30007", "The carrier has filtered the message."),
    (None, "The message could not be relayed."),
]
LAML = "https://example.signalwire.com/api/laml/2010-04-01/Accounts/c38dacad"
CALLERS = [f"+1555010{number:04d}" for number in range(256)]
CALLED = [f"+1555011{number:04d}" for number in range(256)]
DIRECTIONS = ("outbound", "outbound-api", "outbound-api", "outbound-reply")


class Log(NamedTuple):
    """A generated log: its ID, 16 bytes that decide its fields, its creation (text), its age in seconds."""

    id: str
    digest: bytes
    created_at: str
    age: float
    stuck: bool


def message(log: Log) -> tuple[str, int]:
    """The get endpoint's answer, and the age in seconds up to which it stays so."""
    digest = log.digest
    kind = "mms" if digest[1] < 40 else "sms"
    segments = 1 + digest[2] % 3
    failure: Failure | None = None
    lasts = FOREVER
    if log.stuck:
        direction, status, charged = "outbound-api", "sent", False
    elif digest[0] < 100:
        direction, status, charged = "inbound", "received", True
    else:
        direction = DIRECTIONS[digest[0] % 4]
        status, charged, failure, lasts = _outbound(digest, kind, log.age)
    relay = digest[9] < 90
    before, between, after = _message_parts(direction, kind, status, segments, charged, relay, failure)
    link = "" if relay else log.id
    sender, receiver = CALLERS[digest[4]], CALLED[digest[5]]
    body = f'{{"id":"{log.id}","from":"{sender}","to":"{receiver}"{before}{link}{between}{log.created_at}{after}'
    return body, lasts


def _outbound(digest: bytes, kind: str, age: float) -> tuple[str, bool, Failure | None, int]:
    """Status, whether it is charged, why it failed, and the age up to which all this holds, for an outbound message."""
    sent = 5 + digest[6] % 60
    done = sent + 10 + digest[7] ** 2 // 4
    billed = done + 60 + digest[8] * 20
    if age < sent:
        return ("queued", False, None, 2) if age < 2 else ("initiated", False, None, sent)
    charged = age >= billed
    lasts = FOREVER if charged else billed if age >= done else done
    if age < done or (kind == "mms" and digest[3] % 16 == 0):
        return "sent", charged, None, lasts
    if digest[3] < 220:
        return "delivered", charged, None, lasts
    failure = FAILURES[digest[13] % len(FAILURES)]
    if digest[3] < 240:
        return "undelivered", charged, failure, lasts
    return "failed", charged and digest[14] < 128, failure, lasts


@lru_cache(1_024)
def _message_parts(
    direction: str,
    kind: str,
    status: str,
    segments: int,
    charged: bool,
    relay: bool,
    failure: Failure | None,
) -> tuple[str, str, str]:
    """What stands before the ID in the URL, between that and the creation, and after it."""
    way = "inbound" if direction == "inbound" else "outbound"
    charge = dollars(RATES[way, kind] * segments) if charged else "0"
    details = f'[{{"description":"{way.title()} {kind.upper()}","charge":{charge}}}]' if charged else "[]"
    source, carrier = ("realtime_api", "relay") if relay else ("laml", "laml")
    url, end = ("null", "") if relay else (f'"{LAML}/Messages/', '"')
    code, reason = failure or (None, None)
    return (
        (
            f',"status":"{status}","direction":"{direction}","kind":"{kind}","source":"{source}",'
            f'"type":"{carrier}_message","url":{url}'
        ),
        f'{end},"number_of_segments":{segments},"charge":{charge},"charge_details":{details},"created_at":"',
        f'","error_message":{_quoted(reason)},"error_code":{_quoted(code)}}}',
    )


def dollars(price: int) -> str:
    """Text of hundred-thousandths of a dollar."""
    return f"{price // 100_000}.{price % 100_000:05d}".rstrip("0") if price else "0"


def _quoted(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'

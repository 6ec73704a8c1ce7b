"""Bodies of message logs."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from tests.simulator.families.log import CALLED, CALLERS, FOREVER, LAML, NOW, Log, charges, dollars, quoted
from tests.simulator.instants import text

EXAMPLES = [
    {
        "from": "+15550100001",
        "to": "+15550110002",
        "status": "delivered",
        "direction": "inbound",
        "kind": "sms",
        "source": "laml",
        "type": "laml_message",
        "url": None,
        "number_of_segments": 1,
        "charge": Decimal("0.00415"),
        "charge_details": [{"description": "Inbound SMS", "charge": Decimal("0.00415")}],
        "error_message": None,
        "error_code": None,
        "created_at": NOW,
    }
]

# Hundred-thousandths of a dollar for one segment.
RATES = {("outbound", "sms"): 830, ("outbound", "mms"): 1_500, ("inbound", "sms"): 415, ("inbound", "mms"): 1_000}
Failure = tuple[str | None, str]

FAILURES: list[Failure] = [
    ("30003", "The destination handset is switched off or unreachable."),
    ("30005", "The destination number is unknown."),
    ("30007", "The carrier has filtered the message."),
    (None, "The message could not be relayed."),
]
DIRECTIONS = ("outbound", "outbound-api", "outbound-api", "outbound-reply")


def message(log: Log) -> tuple[str, int]:
    """The get endpoint's answer, and the age in seconds up to which it stays so."""
    digest = log.digest
    kind = "mms" if digest[1] < 40 else "sms"
    segments = 1 + digest[2] % 3
    failure: Failure | None = None
    until = FOREVER
    if log.stuck:
        direction, status, charged = "outbound-api", "sent", False
    elif digest[0] < 100:
        direction, status, charged = "inbound", "received", True
    else:
        direction = DIRECTIONS[digest[0] % 4]
        status, charged, failure, until = _outbound(digest, kind, log.age)
    relay = digest[9] < 90
    before, between, after = _message_parts(direction, kind, status, segments, charged, relay, failure)
    link = "" if relay else log.id
    sender, receiver = CALLERS[digest[4]], CALLED[digest[5]]
    body = f'{{"id":"{log.id}","from":"{sender}","to":"{receiver}"{before}{link}{between}{text(log.created)}{after}'
    return body, until


def _outbound(digest: bytes, kind: str, age: float) -> tuple[str, bool, Failure | None, int]:
    """Status, whether it is charged, why it failed, and the age up to which all this holds, for an outbound message."""
    sent = 5 + digest[6] % 60
    done = sent + 10 + digest[7] ** 2 // 4
    billed = done + 60 + digest[8] * 20
    if age < sent:
        return ("queued", False, None, 2) if age < 2 else ("initiated", False, None, sent)
    charged = age >= billed
    until = FOREVER if charged else billed if age >= done else done
    if age < done or (kind == "mms" and digest[3] % 16 == 0):
        return "sent", charged, None, until
    if digest[3] < 220:
        return "delivered", charged, None, until
    failure = FAILURES[digest[13] % len(FAILURES)]
    if digest[3] < 240:
        return "undelivered", charged, failure, until
    return "failed", charged and digest[14] < 128, failure, until


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
    price = RATES[way, kind] * segments if charged else 0
    charge, details = dollars(price), charges(f"{way.title()} {kind.upper()}", price)
    source, carrier = ("realtime_api", "relay") if relay else ("laml", "laml")
    url, end = ("null", "") if relay else (f'"{LAML}/Messages/', '"')
    code, reason = failure or (None, None)
    return (
        (
            f',"status":"{status}","direction":"{direction}","kind":"{kind}","source":"{source}",'
            f'"type":"{carrier}_message","url":{url}'
        ),
        f'{end},"number_of_segments":{segments},"charge":{charge},"charge_details":{details},"created_at":"',
        f'","error_message":{quoted(reason)},"error_code":{quoted(code)}}}',
    )

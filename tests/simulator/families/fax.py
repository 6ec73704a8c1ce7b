"""Bodies of fax logs."""

from __future__ import annotations

from decimal import Decimal

from tests.simulator.families.log import CALLED, CALLERS, LAML, NOW, Log, charges, dollars, lasts, number, quoted
from tests.simulator.instants import text

RATE = 1_500
DIRECTIONS = ("inbound", "inbound", "outbound-api", "outbound-dial")
QUALITIES = ("fine", "standard", "superfine")
FAILURES = [
    ("busy", None, None),
    ("no-answer", "34011", "The far side did not answer."),
    ("canceled", None, "The fax was called off."),
    ("failed", "34004", "The far side is no fax."),
]

EXAMPLES = [
    {
        "from": "+15550100001",
        "to": "+15550110002",
        "status": "completed",
        "direction": "inbound",
        "source": "laml",
        "type": "laml_call",
        "url": f"{LAML}/Faxes/1",
        "remote_station": "+15550100001",
        "charge": Decimal("0.015"),
        "number_of_pages": 1,
        "quality": "fine",
        "charge_details": [{"description": "Inbound fax", "charge": Decimal("0.015")}],
        "created_at": NOW,
        "error_code": None,
        "error_message": None,
    }
]


def fax(log: Log) -> tuple[str, int]:
    """The get endpoint's answer, and the age in seconds up to which it stays so."""
    digest = log.digest
    direction = None if digest[0] < 8 else DIRECTIONS[digest[0] % 4]
    pages = 1 + digest[2] % 12
    ringing, connected = 2, 4 + digest[6] % 25
    ended = connected + pages * (20 + digest[7] % 40)
    charged = ended + 60 + digest[8] * 20
    status, code, reason = FAILURES[digest[13] % 4] if digest[3] >= 210 else ("completed", None, None)
    works = status == "completed"
    if not works:
        ended = connected
    over = log.age >= ended
    price = RATE * pages if works and log.age >= charged else 0
    station = CALLED[digest[9]] if works and log.age >= connected and digest[9] < 200 else None
    if not over:
        status = "in-progress" if log.age >= connected else "ringing" if log.age >= ringing else "queued"
        code, reason = None, None
    description = f"{(direction or 'outbound').title()} fax"
    body = (
        f'{{"id":"{log.id}","from":{quoted(None if digest[1] < 8 else CALLERS[digest[4]])},"to":"{CALLED[digest[5]]}",'
        f'"status":"{status}","direction":{quoted(direction)},"source":"laml","type":"laml_call",'
        f'"url":"{LAML}/Faxes/{log.id}","remote_station":{quoted(station)},"charge":{dollars(price)},'
        f'"number_of_pages":{number(pages if works and over else None)},'
        f'"quality":{quoted(QUALITIES[digest[14] % 3] if works and log.age >= connected else None)},'
        f'"charge_details":{charges(description, price)},'
        f'"created_at":"{text(log.created)}","error_code":{quoted(code)},"error_message":{quoted(reason)}}}'
    )
    return body, lasts(log.age, ringing, connected, ended, charged)

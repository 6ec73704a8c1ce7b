"""Figures of the models, computed here from the Space's own records, with nothing of the models' SQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Record = dict[str, Any]
    Figures = dict[Any, tuple[Any, ...]]

COUNTRIES = {
    "+1204": "CA",
    "+1555": "US",
    "+1787": "PR",
    "+1800": "US",
    "+441481": "GG",
    "+447700": "GB",
    "+49": "DE",
    "+61": "AU",
    "whatsapp:+49": "DE",
}
"""The countries of the numbers that the simulated Space and the tests use."""

LIMITS = {"toll_free": 3, "short_code": 10, "long_code": 4}


def outcome(record: Record) -> str:
    """What became of a message."""
    status, kind = record.get("status"), record.get("kind")
    if status == "read":
        return "delivered"
    if status in {"delivered", "undelivered", "failed", "received"}:
        return str(status)
    if status == "sent" and kind == "mms" and is_outbound(record):
        return "no_receipt"
    return "pending" if status in {"queued", "initiated", "sent"} else "unknown"


def is_outbound(record: Record) -> bool:
    """Whether a log goes out of the Space."""
    return str(record.get("direction")).startswith("outbound")


def country(number: str | None) -> str | None:
    """The country of one of the numbers that tests use."""
    return next((COUNTRIES[prefix] for prefix in COUNTRIES if number and number.startswith(prefix)), None)


def kind_of(number: str) -> str:
    """The kind of one of the numbers that tests use."""
    if number.startswith("+1800"):
        return "toll_free"
    if number.removeprefix("whatsapp:").startswith("+"):
        return "long_code"
    return "short_code" if number.isdigit() else "sip" if "sip:" in number else "alphanumeric"


def day(record: Record) -> date:
    """The day of creation."""
    return instant(record["created_at"]).date()


def instant(text: str) -> datetime:
    """An instant in UTC, without a zone, as the warehouses have it."""
    return datetime.fromisoformat(text.removesuffix("Z"))


def daily_delivery(messages: Iterable[Record]) -> Figures:
    """(day, kind): messages, delivered, undelivered, failed, pending, no_receipt, unknown, rate, segments, charge."""
    groups = _grouped(filter(is_outbound, messages), lambda record: (day(record), record.get("kind") or "unknown"))
    figures = {}
    for (created, kind), records in groups.items():
        count = Counter(map(outcome, records))
        figures[created, kind] = (
            len(records),
            *(count[name] for name in ("delivered", "undelivered", "failed", "pending", "no_receipt")),
            count["unknown"] + count["received"],
            None if kind == "mms" else _rate(count),
            sum(record["number_of_segments"] or 0 for record in records),
            _dollars(records),
        )
    return figures


def number_overview(messages: Iterable[Record]) -> Figures:
    """our number: kind, country, outbound, inbound, delivered, undelivered, failed, rate, charge."""
    figures = {}
    for number, records in _grouped(messages, _our_number).items():
        if number is None:
            continue
        rated = Counter(outcome(record) for record in records if is_outbound(record) and record.get("kind") != "mms")
        figures[number] = (
            kind_of(number),
            country(number),
            sum(map(is_outbound, records)),
            sum(record["direction"] == "inbound" for record in records),
            *(rated[name] for name in ("delivered", "undelivered", "failed")),
            _rate(rated),
            _dollars(records),
        )
    return figures


def country_overview(messages: Iterable[Record]) -> Figures:
    """recipient's country: messages, rate."""
    figures = {}
    for name, records in _grouped(filter(is_outbound, messages), lambda one: country(one["to"]) or "unknown").items():
        rated = Counter(outcome(record) for record in records if record.get("kind") != "mms")
        figures[name] = (len(records), _rate(rated))
    return figures


def error_code_overview(messages: Iterable[Record]) -> Figures:
    """code: messages, share of all failures."""
    bad = [record for record in messages if outcome(record) in {"failed", "undelivered"}]
    counts = Counter(record.get("error_code") or "no_code" for record in bad)
    return {code: (count, round(count / len(bad), 9)) for code, count in counts.items()}


def spend(families: Mapping[str, Iterable[Record]]) -> Figures:
    """(day, family, kind, description): dollars."""
    totals: dict[Any, Decimal] = defaultdict(Decimal)
    for family, records in families.items():
        for record in records:
            kind = record.get("kind") if family == "message_logs" else record.get("type")
            key = (day(record), family, "fax" if family == "fax_logs" else kind or "unknown")
            rest = Decimal(record.get("charge") or 0)
            for entry in record.get("charge_details") or []:
                parts = (*key, entry["description"])
                totals[parts] += Decimal(entry["charge"])
                rest -= Decimal(entry["charge"])
            if rest:
                parts = (*key, "(not itemised)")
                totals[parts] += rest
    return {key: (total,) for key, total in totals.items()}


def throughput_hourly(messages: Iterable[Record]) -> Figures:
    """(hour, number): messages, segments, peak of segments a second, limit."""
    sent = [record for record in messages if is_outbound(record) and record["from"]]
    groups = _grouped(sent, lambda one: (instant(one["created_at"]).replace(minute=0, second=0), one["from"]))
    figures = {}
    for (hour, number), records in groups.items():
        seconds: Counter[str] = Counter()
        for record in records:
            seconds[record["created_at"]] += record["number_of_segments"] or 1
        limit = 1 if country(number) == "CA" else LIMITS.get(kind_of(number))
        figures[hour, number] = (len(records), sum(seconds.values()), max(seconds.values()), limit)
    return figures


def conversations(messages: Iterable[Record]) -> Figures:
    """(our number, contact): outbound, inbound, first outbound, first reply after it, seconds between."""
    figures = {}
    for pair, records in _grouped(messages, lambda one: (_our_number(one), _contact(one))).items():
        if None in pair:
            continue
        out = sorted(instant(record["created_at"]) for record in records if is_outbound(record))
        back = sorted(instant(record["created_at"]) for record in records if record["direction"] == "inbound")
        first = out[0] if out else None
        reply = next((moment for moment in back if first and moment > first), None)
        waited = int((reply - first).total_seconds()) if first and reply else None
        figures[pair] = (len(out), len(back), first, reply, waited)
    return figures


def _our_number(record: Record) -> str | None:
    number: str | None = record["to"] if record["direction"] == "inbound" else record["from"]
    return number


def _contact(record: Record) -> str | None:
    number: str | None = record["from"] if record["direction"] == "inbound" else record["to"]
    return number


def _rate(count: Counter[str]) -> float | None:
    total = count["delivered"] + count["undelivered"] + count["failed"]
    return round(count["delivered"] / total, 9) if total else None


def _dollars(records: Iterable[Record]) -> Decimal | None:
    charges = [Decimal(record["charge"]) for record in records if record.get("charge") is not None]
    return sum(charges, Decimal()) if charges else None


def _grouped(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return groups

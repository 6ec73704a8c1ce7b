"""What the models say, each as a section: a title that states it, charts, and the numbers behind them."""

from __future__ import annotations

import math
import re
import statistics
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from report import charts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from report.warehouse import Row, Warehouse

NUMBERS_SHOWN = 8
CODES_SHOWN = 6
COUNTRIES_SHOWN = 8
SPEND_KINDS = 5
CONFIDENCE = 0.95

OUTCOMES = ("delivered", "undelivered", "failed", "pending", "no receipt")


@dataclass(frozen=True)
class Section:
    """A finding: `table` is its columns, each a heading and whether it holds numbers, and its rows."""

    key: str
    title: str
    text: str
    charts: list[charts.Chart]
    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Findings:
    """All sections, the period, and the figures at the top, each a value and what it is."""

    first: date
    last: date
    tiles: list[tuple[str, str]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)


def sections(warehouse: Warehouse, *, days: int, show_numbers: bool) -> Findings:
    """Everything about the `days` up to the newest message."""
    newest = warehouse.rows("select max(created_date) as day from {schema}.daily_delivery")[0]["day"]
    if newest is None:
        return Findings(date.min, date.min)
    first = newest - timedelta(days=days - 1)
    daily = warehouse.rows(
        f"select * from {{schema}}.daily_delivery where created_date >= date '{first}' order by 1, 2"
    )
    first = max(first, min(row["created_date"] for row in daily))
    spend = _spend_rows(warehouse, first)
    waiting = warehouse.rows(
        "select age_order, age, sum(messages) as messages, min(oldest_at) as oldest_at "
        "from {schema}.pending_overview group by age_order, age order by age_order"
    )
    found = [
        _delivery(daily),
        _errors(warehouse, first, show_numbers=show_numbers),
        _numbers(warehouse, first, show_numbers=show_numbers),
        _countries(warehouse, first),
        _spend(spend),
        _time_to_outcome(warehouse, first),
        _waiting(waiting),
    ]
    return Findings(first, newest, _tiles(daily, spend, waiting), [section for section in found if section])


def _tiles(daily: list[Row], spend: list[Row], waiting: list[Row]) -> list[tuple[str, str]]:
    rate = _rate(_total(daily))
    return [
        (f"{sum(row['messages'] for row in daily):,}", "messages sent"),
        ("-" if rate is None else _percent(rate), "of texts delivered"),
        (_dollars(sum((row["charge"] for row in spend), Decimal())), "spent"),
        (f"{sum(int(row['messages']) for row in waiting):,}", "waiting now"),
    ]


def _delivery(daily: list[Row]) -> Section:
    texts = [row for row in daily if row["delivery_rate"] is not None]
    by_day: dict[date, dict[str, int]] = {}
    for row in texts:
        count = by_day.setdefault(row["created_date"], dict.fromkeys(("delivered", "undelivered", "failed"), 0))
        for name in count:
            count[name] += row[name]
    rates = {day: _rate(count) or 0.0 for day, count in by_day.items()}
    overall = _rate(_total(daily))
    title = "No message has an outcome yet"
    if overall is not None:
        worst = min(rates, key=lambda day: rates[day])
        title = f"{_percent(overall)} of texts are delivered"
        if overall - rates[worst] >= 0.05:
            title += f"; {_day(worst)} fell to {_percent(rates[worst])}"
        else:
            title += ", every day alike"
    amounts = [
        {"day": str(row["created_date"]), "outcome": name, "messages": row[name.replace(" ", "_")]}
        for row in daily
        for name in OUTCOMES
        if row[name.replace(" ", "_")]
    ]
    return Section(
        "delivery",
        title,
        "Delivered texts by those with an outcome (delivered, undelivered, failed). MMS are left out of the rate: "
        "carriers give no receipts for them.",
        [
            charts.rate_by_day([{"day": str(day), "rate": rate} for day, rate in sorted(rates.items())]),
            charts.outcomes_by_day(
                amounts, [name for name in OUTCOMES if any(row["outcome"] == name for row in amounts)]
            ),
        ],
        _heads("Day", "Kind", *map(str.capitalize, OUTCOMES), "Rate", text=2),
        [
            (
                str(row["created_date"]),
                row["kind"],
                *(f"{row[name.replace(' ', '_')]:,}" for name in OUTCOMES),
                "" if row["delivery_rate"] is None else _percent(row["delivery_rate"]),
            )
            for row in daily
        ],
    )


def _errors(warehouse: Warehouse, first: date, *, show_numbers: bool) -> Section | None:
    rows = warehouse.rows(
        "select coalesce(messages.error_code, 'no_code') as code, codes.title, codes.advice, codes.retry_helps, "
        "count(*) as messages, min(messages.error_message) as example "
        "from {schema}.message_enhanced as messages "
        "left join {schema}.error_codes as codes on codes.code = coalesce(messages.error_code, 'no_code') "
        f"where messages.outcome in ('failed', 'undelivered') and messages.created_date >= date '{first}' "
        "group by 1, 2, 3, 4 order by count(*) desc, 1"
    )
    if not rows:
        return None
    total = sum(row["messages"] for row in rows)
    # The two vocabularies have words for the same.
    reasons: dict[str, list[Row]] = {}
    for row in rows:
        row["title"] = row["title"] or "Unknown code"
        row["share"] = row["messages"] / total
        reasons.setdefault(row["title"], []).append(row)
    counts = {title: sum(row["messages"] for row in alike) for title, alike in reasons.items()}
    order = sorted(reasons, key=lambda title: (-counts[title], title))
    top = order[0]
    bars = [
        {"label": _reason(title, reasons[title]), "value": counts[title], "note": _percent(counts[title] / total)}
        for title in order[:CODES_SHOWN]
    ]
    rest = sum(counts[title] for title in order[CODES_SHOWN:])
    if rest:
        bars.append({"label": "All others", "value": rest, "note": _percent(rest / total)})
    return Section(
        "errors",
        f"{top}: {_percent(counts[top] / total)} of what failed",
        f"{total:,} messages failed or could not be delivered. {_advice(reasons[top][0])}",
        [charts.bars(bars, "messages")],
        _heads("Code", "In words", "Messages", "Share", "Retry helps", "What to do", "Example", text=2, after=2),
        [
            (
                row["code"],
                row["title"],
                f"{row['messages']:,}",
                _percent(row["share"]),
                {True: "yes", False: "no"}.get(row["retry_helps"], ""),
                row["advice"] or "",
                (row["example"] or "") if show_numbers else without_numbers(row["example"] or ""),
            )
            for row in rows
        ],
    )


def _reason(title: str, rows: list[Row]) -> str:
    codes = ", ".join(row["code"] for row in rows if row["code"] != "no_code")
    return f"{title} ({codes})" if codes else title


def _advice(row: Row) -> str:
    return f"For the most frequent: {row['advice'][0].lower()}{row['advice'][1:]}" if row["advice"] else ""


def _rated(warehouse: Warehouse, first: date, column: str, kind: str) -> list[Row]:
    """Outcomes of texts by a column, with the bounds of their rates, the surely worst first."""
    rows = warehouse.rows(
        f"select {column} as label, {kind} as kind, count(*) as messages, "
        + ", ".join(
            f"count(case when outcome = '{name}' then 1 end) as {name}"
            for name in ("delivered", "undelivered", "failed")
        )
        + " from {schema}.message_enhanced "
        f"where direction_group = 'outbound' and kind <> 'mms' and created_date >= date '{first}' "
        f"and {column} is not null group by 1, 2"
    )
    rated = [{**row, "rate": rate} for row in rows if (rate := _rate(row)) is not None]
    for row in rated:
        total = row["delivered"] + row["undelivered"] + row["failed"]
        row["low"], row["high"] = interval(row["delivered"], total, len(rated))
    return sorted(rated, key=lambda row: (row["high"], row["label"]))


def _numbers(warehouse: Warehouse, first: date, *, show_numbers: bool) -> Section | None:
    rows = _rated(warehouse, first, "our_number", "our_number_kind")
    if not rows:
        return None
    for row in rows:
        row["label"] = row["label"] if show_numbers else masked(row["label"], row["kind"])
    overall = _rate(_total(rows)) or 0.0
    worse = [row for row in rows if row["high"] < overall]
    if not worse:
        title = "No number is clearly worse than the rest"
    elif len(worse) == 1:
        title = f"One number is clearly worse: {worse[0]['label']} delivers {_percent(worse[0]['rate'])}"
    else:
        title = f"{len(worse)} numbers are clearly worse; {worse[0]['label']} delivers {_percent(worse[0]['rate'])}"
    shown = rows[:NUMBERS_SHOWN]
    return Section(
        "numbers",
        title,
        f"Delivery rates of the worst of {len(rows):,} numbers, with their 95% intervals, which allow for comparing so "
        "many: where a whole line lies left of the average (dashed), it is hardly chance."
        f"{'' if show_numbers else ' Numbers are masked.'}",
        [charts.intervals([_dot(row, overall, number) for number, row in enumerate(shown)], overall)],
        _heads(
            "Number", "Kind", "Messages", "Delivered", "Undelivered", "Failed", "Rate", "At least", "At most", text=2
        ),
        [_rated_cells(row, row["kind"].replace("_", " ")) for row in rows[:50]],
    )


def _countries(warehouse: Warehouse, first: date) -> Section | None:
    rows = _rated(warehouse, first, "contact_country", "''")
    if len(rows) < 2:
        return None
    overall = _rate(_total(rows)) or 0.0
    worst = rows[0]
    title = "No country does clearly worse than the rest"
    if worst["high"] < overall:
        title = f"Delivery is worst to {worst['label']}: {_percent(worst['rate'])}"
    return Section(
        "countries",
        title,
        "Delivery rates by the recipient's country, with their 95% intervals; the dashed line is the average.",
        [charts.intervals([_dot(row, overall, number) for number, row in enumerate(rows[:COUNTRIES_SHOWN])], overall)],
        _heads("Country", "", "Messages", "Delivered", "Undelivered", "Failed", "Rate", "At least", "At most", text=2),
        [_rated_cells(row, "") for row in rows],
    )


def _dot(row: Row, overall: float, place: int) -> dict[str, Any]:
    return {
        "place": place,
        "label": row["label"],
        "note": f"{row['messages']:,} texts, {_percent(row['rate'])}",
        "rate": row["rate"],
        "low": row["low"],
        "high": row["high"],
        "worse": row["high"] < overall,
    }


def _rated_cells(row: Row, kind: str) -> tuple[str, ...]:
    counts = (f"{row[name]:,}" for name in ("messages", "delivered", "undelivered", "failed"))
    return (row["label"], kind, *counts, *(_percent(row[name]) for name in ("rate", "low", "high")))


def _spend_rows(warehouse: Warehouse, first: date) -> list[Row]:
    return warehouse.rows(
        "select created_date, description, sum(charge) as charge from {schema}.spend_overview "
        f"where created_date >= date '{first}' group by 1, 2 order by 1, 2"
    )


def _spend(rows: list[Row]) -> Section | None:
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row["description"]] = totals.get(row["description"], Decimal()) + row["charge"]
    total = sum(totals.values(), Decimal())
    if not total:
        return None
    order = sorted(totals, key=lambda name: (-totals[name], name))
    kept = order if len(order) <= SPEND_KINDS + 1 else order[:SPEND_KINDS]
    by_day: dict[tuple[date, str], Decimal] = {}
    for row in rows:
        key = row["created_date"], row["description"] if row["description"] in kept else "Other"
        by_day[key] = by_day.get(key, Decimal()) + row["charge"]
    days = len({row["created_date"] for row in rows})
    top = order[0]
    return Section(
        "spend",
        f"{_dollars(total)} in {days} days; {top} is {_percent(float(totals[top] / total))} of it",
        f"What was charged, by day and by what for: {_dollars(total / days)} a day.",
        [
            charts.spend_by_day(
                [
                    {"day": str(day), "kind": name, "dollars": float(charge)}
                    for (day, name), charge in sorted(by_day.items())
                ],
                kept if len(kept) == len(order) else [*kept, "Other"],
            )
        ],
        _heads("Day", "What for", "Dollars", text=2),
        [(str(row["created_date"]), row["description"], _exact(row["charge"])) for row in rows],
    )


def _time_to_outcome(warehouse: Warehouse, first: date) -> Section | None:
    rows = warehouse.rows(
        "select seconds_to_final_at_most as seconds, count(*) as messages from {schema}.delivery_time "
        f"where is_telling and kind <> 'mms' and created_at >= timestamp '{first} 00:00:00' group by 1 order by 1"
    )
    total = sum(row["messages"] for row in rows)
    final = [row for row in rows if row["seconds"] is not None]
    if not final:
        return None
    points, reached = [{"minutes": 0.0, "share": 0.0}], 0
    half = None
    for row in sorted(final, key=lambda row: row["seconds"]):
        reached += row["messages"]
        points.append({"minutes": row["seconds"] / 60, "share": reached / total})
        if half is None and reached * 2 >= total:
            half = row["seconds"]
    title = "Less than half of the texts have an outcome yet"
    if half is not None:
        title = f"Half of the texts have their outcome within {_span(half)}"
    marks = [60, 300, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 259_200]
    return Section(
        "time",
        title,
        f"Share of {total:,} texts that were watched and had an outcome so long after they were made, at the latest. "
        "An upper bound: an outcome counts when a run first sees it, so frequent runs make it close.",
        [charts.cumulative(points)],
        _heads("Within", "Texts", "Share", text=1),
        [
            (_span(mark), f"{count:,}", _percent(count / total))
            for mark in marks
            if (count := sum(row["messages"] for row in final if row["seconds"] <= mark))
        ],
    )


def _waiting(rows: list[Row]) -> Section:
    total = sum(int(row["messages"]) for row in rows)
    if not total:
        return Section("waiting", "Nothing waits for an outcome", "", [], _heads("Age", "Messages", text=1), [])
    old = sum(int(row["messages"]) for row in rows if row["age_order"] >= 5)
    title = f"{total:,} messages wait for an outcome"
    title += f", {old:,} of them for more than a day" if old else ", none for more than a day"
    bars = [{"label": row["age"], "value": int(row["messages"]), "note": ""} for row in rows]
    return Section(
        "waiting",
        title,
        "By age, at the time of the last build. Receipts may come late; after three days few do.",
        [charts.bars(bars, "messages")],
        _heads("Age", "Messages", "Oldest (UTC)", text=1, after=1),
        [(row["age"], f"{int(row['messages']):,}", f"{row['oldest_at']:%Y-%m-%d %H:%M}") for row in rows],
    )


def interval(good: int, total: int, compared: int = 1) -> tuple[float, float]:
    """The 95% interval of a rate (Wilson's score), for all that are compared together (Bonferroni).

    Among 250 numbers that are all alike, six would seem worse by intervals of their own.
    """
    z = statistics.NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / compared)
    rate = good / total
    middle = rate + z * z / (2 * total)
    spread = z * math.sqrt((rate * (1 - rate) + z * z / (4 * total)) / total)
    divisor = 1 + z * z / total
    return max(0.0, (middle - spread) / divisor), min(1.0, (middle + spread) / divisor)


def masked(number: str, kind: str) -> str:
    """A number of which the first two and the last four characters are left; names and short codes as they are."""
    if kind in {"alphanumeric", "short_code"}:
        return number
    return f"{number[:2]}•••{number[-4:]}" if len(number) > 7 else "•••"


def without_numbers(text: str) -> str:
    """A text of the service's without what may be a phone number or an address."""
    return re.sub(r"sip:\S+|\S+@\S+|\+?\d[\d\s().-]{5,}\d", "•••", text)


def _heads(*names: str, text: int, after: int = 0) -> list[tuple[str, bool]]:
    """Headings: the first `text` columns and the last `after` hold words, the others numbers."""
    numbers = len(names) - (after + 1 if after else 0)
    return [(name, text <= place < numbers or (not after and place >= text)) for place, name in enumerate(names)]


def _total(rows: list[Row]) -> dict[str, int]:
    rated = [row for row in rows if row.get("kind") != "mms"]
    return {name: sum(row[name] for row in rated) for name in ("delivered", "undelivered", "failed")}


def _rate(count: dict[str, Any]) -> float | None:
    total = count["delivered"] + count["undelivered"] + count["failed"]
    return count["delivered"] / total if total else None


def _percent(rate: float) -> str:
    """A rate in words: never 100% where it is less, nor 0% where it is more."""
    if 0.995 <= rate < 1 or 0 < rate < 0.005:
        return f"{math.floor(rate * 1_000) / 10 if rate > 0.5 else math.ceil(rate * 1_000) / 10:g}%"
    return f"{rate:.0%}"


def _dollars(amount: Decimal) -> str:
    return f"${amount:,.2f}"


def _exact(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b}"


def _span(seconds: float) -> str:
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            amount = math.ceil(seconds / size * 10) / 10
            return f"{amount:g} {name}{'' if amount == 1 else 's'}"
    return f"{seconds:g} seconds"

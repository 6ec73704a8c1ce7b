"""Whether the service will change a log no more: what the facts of its family say of its values."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tap_signalwire_logs.instants import in_micros, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_signalwire_logs.families import Family
    from tap_signalwire_logs.logs import Fields

SETTLED_AFTER = timedelta(hours=1)
"""Time without a change after which a log that tells when it last changed, and has a final status, is final."""

MAX_KEPT = 1_000
"""Combinations of statuses, kinds and the like whose verdict is kept."""

_NUMBERS = (int, float, Decimal)


class Finality:
    """Says of logs whether they are final.

    Args:
        family: The facts of their family.
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._names = ("status", "kind", *family.charge_required_when)
        self._verdicts: dict[tuple[Any, ...], bool | None] = {}

    def of(self, logs: Sequence[Fields], now: int | None = None) -> list[bool]:
        """Of each log whether it is final at a moment in microseconds since 1970; without one, at any moment."""
        if not logs:
            return []
        charges = _values(logs, "charge")
        verdicts = [
            _is_some(charge) if verdict is None else verdict
            for verdict, charge in zip(self._verdicts_of(logs), charges, strict=True)
        ]
        changed = list(_values(logs, "updated_at"))
        if any(changed):
            verdicts = [
                verdict and not (at and (now is None or _changed_lately(at, now)))
                for verdict, at in zip(verdicts, changed, strict=True)
            ]
        deleted = list(_values(logs, "discarded_at"))
        if any(deleted):
            verdicts = [bool(at) or verdict for verdict, at in zip(verdicts, deleted, strict=True)]
        return verdicts

    def is_rare(self, log: Fields) -> bool:
        """Whether a log that is not final will hardly ever change again: no receipt comes for its kind."""
        kind = getattr(log, "kind", None) or ""
        statuses = self._family.rarely_changing_statuses_by_kind.get(kind, frozenset())
        return getattr(log, "status", None) in statuses and _is_some(getattr(log, "charge", None))

    def _verdicts_of(self, logs: Sequence[Fields]) -> list[bool | None]:
        """Of each log whether it is final by what rarely differs; None for one that is once it has a charge."""
        values = _rows(logs, self._names)
        if len(self._verdicts) > MAX_KEPT:
            self._verdicts.clear()
        try:
            return list(map(self._verdicts.__getitem__, values))
        except KeyError:
            self._verdicts.update({unknown: self._verdict(unknown) for unknown in set(values)})
        return list(map(self._verdicts.__getitem__, values))

    def _verdict(self, values: tuple[Any, ...]) -> bool | None:
        status, kind, *of_charge = values
        family = self._family
        final = family.final_statuses_by_kind.get(kind, family.final_statuses) if kind else family.final_statuses
        if status not in final:
            return False
        beginnings = family.charge_required_when.values()
        is_charged = all((value or "").startswith(begins) for value, begins in zip(of_charge, beginnings, strict=True))
        return None if is_charged else True


def _rows(logs: Sequence[Fields], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """What each log has of some fields."""
    try:
        return list(map(attrgetter(*names), logs))
    except AttributeError:
        return list(zip(*(_values(logs, name) for name in names), strict=True))


def _values(logs: Sequence[Fields], name: str) -> Iterable[Any]:
    """What each log has of a field; None where logs of this kind have no such field."""
    if logs and hasattr(logs[0], name):
        return map(attrgetter(name), logs)
    return repeat(None, len(logs))


def _changed_lately(updated_at: str, now: int) -> bool:
    """Whether a log last changed only lately: a recording follows its conference."""
    with suppress(ValueError):
        return now - parse_instant(updated_at) < in_micros(SETTLED_AFTER)
    return True


def _is_some(charge: Any) -> bool:
    """Whether a charge, which may be sent as text, is more than nothing."""
    if isinstance(charge, _NUMBERS):
        return charge != 0
    try:
        return bool(Decimal(str(charge)))
    except InvalidOperation:
        return False

"""The logs of one family in a Space: those that chance made and those that a test brings, in one order."""

from __future__ import annotations

import heapq
import json
from bisect import bisect_left, insort
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.simulator.instants import parsed, text
from tests.simulator.population import Shown, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulator.families import Family, Part
    from tests.simulator.population import Explicit, Population


class Logs:
    """Generated and added logs; a generated one's sequence is its number, and the added ones come after."""

    def __init__(self, family: Family, population: Population) -> None:
        self.family = family
        self.population = population
        self.parts = {part.segment: Parts(part, population.sibling(part.make)) for part in family.parts}
        self._added: dict[str, Explicit] = {}
        self._order: list[tuple[int, int, str]] = []
        self._deleted: dict[int, int] = {}

    def add(self, log_id: str, log: Explicit) -> None:
        """Add a log."""
        self._added[log_id] = log
        insort(self._order, (log.created, len(self.population) + len(self._order), log_id))

    def has_added(self, log_id: str) -> bool:
        """Whether a test brought this log."""
        return log_id in self._added

    def change(self, log_id: str, fields: dict[str, Any], clock: int) -> None:
        """Change an added log; one that tells when it was changed tells the truth."""
        record = self._added[log_id].fields
        if "updated_at" in record:
            record["updated_at"] = text(clock)
        record.update(fields)

    def delete(self, log_id: str, clock: int) -> None:
        """Delete a log, where it is there."""
        if log_id in self._added:
            self._added[log_id].deleted = clock
        elif (number := self.population.number_of(log_id)) is not None:
            self._deleted[number] = clock

    def answer(self, log: Shown) -> bytes:
        """How a list shows a log."""
        return log.body if log.deleted is None or not self.family.leaves_stub else log.stub

    def find(self, log_id: str, clock: int) -> Shown | None:
        """The log with an ID, if it is created."""
        if log_id in self._added:
            shown = self._show_added(len(self.population), log_id, clock)
        else:
            number = self.population.number_of(log_id)
            if number is None:
                return None
            shown = self._show_generated(number, clock)
        is_shown = log_id in self._added and self._added[log_id].visible <= clock
        return shown if is_shown or shown.created <= clock else None

    def visible(
        self,
        low: int,
        high: int,
        clock: int,
        *,
        snapshot: int,
        after: tuple[int, int] | None = None,
        newest_first: bool = True,
        include_deleted: bool = False,
    ) -> Iterator[Shown]:
        """Logs created in [low, high) and by the snapshot, in order, from behind a place on, as at the clock."""
        generated = self._generated(low, min(high, snapshot + 1), clock, after, newest_first=newest_first)
        added = self._added_between(low, high, clock, snapshot, after, newest_first=newest_first)
        merged = heapq.merge(generated, added, reverse=newest_first) if added else generated
        return merged if include_deleted else (shown for shown in merged if shown.deleted is None)

    def _generated(
        self, low: int, high: int, clock: int, after: tuple[int, int] | None, *, newest_first: bool
    ) -> Iterator[Shown]:
        place = self.population.place
        first, last = place(low), place(high)
        if after and newest_first:
            last = min(last, place(after[0] + 1), after[1])
        elif after:
            first = max(first, min(place(after[0] + 1), after[1] + 1))
        numbers = range(last - 1, first - 1, -1) if newest_first else range(first, last)
        show = self._show_generated if self._deleted else self.population.at
        return (show(number, clock) for number in numbers)

    def _added_between(
        self, low: int, high: int, clock: int, snapshot: int, after: tuple[int, int] | None, *, newest_first: bool
    ) -> list[Shown]:
        order = self._order[bisect_left(self._order, (low, 0, "")) : bisect_left(self._order, (high, 0, ""))]
        if after:
            order = [entry for entry in order if (entry[:2] < after if newest_first else entry[:2] > after)]
        if newest_first:
            order.reverse()
        shown = (entry for entry in order if self._added[entry[2]].visible <= snapshot)
        return [self._show_added(seq, log_id, clock) for _, seq, log_id in shown]

    def _show_generated(self, number: int, clock: int) -> Shown:
        shown = self.population.at(number, clock)
        deleted = self._deleted.get(number)
        return shown if deleted is None else shown._replace(deleted=deleted)

    def _show_added(self, seq: int, log_id: str, clock: int) -> Shown:
        log = self._added[log_id]
        deleted = log.deleted if log.deleted is not None and log.deleted <= clock else None
        return Shown(log.created, seq, log_id, deleted, log.body(clock), clock, clock + 1)


class Parts:
    """What the logs of a family have of their own, such as their events: generated and added ones, in time's order."""

    def __init__(self, part: Part, population: Population) -> None:
        self.part = part
        self._population = population
        self._added: dict[str, list[tuple[int, dict[str, Any]]]] = {}

    def add(self, log_id: str, visible: int, fields: dict[str, Any]) -> None:
        """Add one to a log."""
        self._added.setdefault(log_id, []).append((visible, fields))

    def answer(self, log: Shown, clock: int) -> bytes:
        """All that a log has at a clock."""
        generated = log.seq < len(self._population)
        body = self._population.at(log.seq, clock).body if generated else b'{"data":[]}'
        added = [fields for visible, fields in self._added.get(log.id, []) if visible <= clock]
        if not added:
            return body
        entries = [*json.loads(body, parse_float=Decimal)["data"], *added]
        return encode({"data": sorted(entries, key=lambda entry: parsed(entry["event_at"]))})
